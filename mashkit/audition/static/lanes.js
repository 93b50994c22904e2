// Draws the layers of a mashup: a lane each with its waveform and its beats, and the vocal's bars across all of them.

const PEAKS_A_SECOND = 200; // enough for a lane that shows some seconds
const LANE = 56;
const GAP = 6;

const known = new WeakMap(); // buffer → its peaks

function peaksOf(buffer) {
  if (!known.has(buffer)) {
    const step = Math.max(1, Math.round(buffer.sampleRate / PEAKS_A_SECOND));
    const data = buffer.getChannelData(0);
    const peaks = new Float32Array(Math.ceil(data.length / step));
    for (let index = 0; index < peaks.length; index++) {
      let peak = 0;
      const end = Math.min((index + 1) * step, data.length);
      for (let at = index * step; at < end; at += 4) peak = Math.max(peak, Math.abs(data[at]));
      peaks[index] = peak;
    }
    known.set(buffer, peaks);
  }
  return known.get(buffer);
}

function sized(canvas, height) {
  const scale = window.devicePixelRatio || 1;
  const width = canvas.parentElement.clientWidth;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  canvas.style.height = `${height}px`;
  const brush = canvas.getContext("2d");
  brush.setTransform(scale, 0, 0, scale, 0, 0);
  brush.clearRect(0, 0, width, height);
  return [brush, width];
}

export class Lanes {
  constructor(drawing, overlay) {
    this.drawing = drawing;
    this.overlay = overlay;
    this.view = { from: 0, to: 1 };
    this.height = 0;
  }

  // layers: [{ role, buffer, beats, downbeats, audible }], the vocal first; view: seconds that are shown.
  draw(layers, view) {
    this.view = view;
    this.height = layers.length * (LANE + GAP);
    const [brush, width] = sized(this.drawing, this.height);
    const colour = (name) => getComputedStyle(this.drawing).getPropertyValue(name).trim();
    const x = (seconds) => ((seconds - view.from) / (view.to - view.from)) * width;
    const inside = (seconds) => seconds >= view.from && seconds <= view.to;
    brush.strokeStyle = colour("--line");
    brush.globalAlpha = 0.5;
    for (const bar of (layers[0]?.downbeats ?? []).filter(inside)) this.line(brush, x(bar), 0, this.height, 1);
    brush.globalAlpha = 1;
    layers.forEach((layer, place) => {
      const top = place * (LANE + GAP);
      const middle = top + LANE / 2;
      brush.globalAlpha = layer.audible ? 1 : 0.35;
      if (layer.buffer) {
        const peaks = peaksOf(layer.buffer);
        brush.fillStyle = colour(`--${layer.role}`);
        for (let pixel = 0; pixel < width; pixel++) {
          const seconds = (at) => view.from + (at / width) * (view.to - view.from);
          const first = Math.floor(seconds(pixel) * PEAKS_A_SECOND);
          const last = Math.max(first + 1, Math.ceil(seconds(pixel + 1) * PEAKS_A_SECOND));
          let peak = 0;
          for (let index = first; index < last; index++) peak = Math.max(peak, peaks[index] ?? 0);
          const half = Math.max(0.5, Math.sqrt(peak) * (LANE / 2 - 4)); // the root shows quiet passages, too
          brush.fillRect(pixel, middle - half, 1, 2 * half);
        }
      }
      brush.strokeStyle = colour("--text");
      for (const beat of (layer.beats ?? []).filter(inside)) this.line(brush, x(beat), top + LANE - 6, top + LANE, 1);
      for (const bar of (layer.downbeats ?? []).filter(inside)) this.line(brush, x(bar), top + LANE - 12, top + LANE, 2);
      brush.globalAlpha = 1;
    });
  }

  line(brush, at, top, bottom, width) {
    brush.lineWidth = width;
    brush.beginPath();
    brush.moveTo(at, top);
    brush.lineTo(at, bottom);
    brush.stroke();
  }

  // Show where the sound is.
  head(position) {
    const [brush, width] = sized(this.overlay, this.height);
    const at = ((position - this.view.from) / (this.view.to - this.view.from)) * width;
    brush.strokeStyle = getComputedStyle(this.drawing).getPropertyValue("--danger").trim();
    this.line(brush, at, 0, this.height, 2);
  }

  // The position under a pointer.
  secondsAt(event) {
    const box = this.overlay.getBoundingClientRect();
    const share = Math.max(0, Math.min(1, (event.clientX - box.left) / box.width));
    return this.view.from + share * (this.view.to - this.view.from);
  }
}
