"use strict";
{
  const GUTTER = 34; // pixels left of every time axis, for labels
  const AXIS = 18; // pixels at the bottom of every chart, for the seconds
  const CROWDED = 6; // beats are not drawn if fewer pixels lie between them

  const complain = (problem) => {
    const textContent = `Something on this page does not work: ${problem}`;
    document.body.prepend(Object.assign(document.createElement("p"), { className: "error", role: "alert", textContent }));
  };
  addEventListener("error", (event) => complain(event.message));
  addEventListener("unhandledrejection", (event) => complain(event.reason));

  const bytes = (base64) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const clamp = (value, low, high) => Math.max(low, Math.min(value, high));
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`);
  const clock = (seconds) => `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(1).padStart(4, "0")}`;

  // ------------------------------------------------------------------------------------------------------- charts
  /** A canvas in physical pixels, with the time axis that all charts of a mashup share. */
  class Plot {
    constructor(canvas, view) {
      this.width = canvas.clientWidth;
      this.height = canvas.clientHeight - AXIS;
      this.view = view;
      this.labels = []; // drawn last, on top of the chart
      canvas.width = Math.round(canvas.clientWidth * devicePixelRatio);
      canvas.height = Math.round(canvas.clientHeight * devicePixelRatio);
      this.context = canvas.getContext("2d");
      this.context.scale(devicePixelRatio, devicePixelRatio);
      this.context.textBaseline = "middle";
    }

    x(time) {
      return GUTTER + ((time - this.view.start) / (this.view.end - this.view.start)) * (this.width - GUTTER);
    }

    box(x, y, width, height, fill, alpha = 1) {
      this.context.fillStyle = fill;
      this.context.globalAlpha = alpha;
      this.context.fillRect(x, y, width, height);
      this.context.globalAlpha = 1;
    }

    text(words, x, y, align, fill) {
      this.context.textAlign = align;
      this.context.fillStyle = fill;
      this.context.fillText(words, x, y);
    }

    lines(times, top, height, width, fill, alpha) {
      const distance = (this.x(times.at(-1)) - this.x(times[0])) / (times.length - 1);
      if (distance < CROWDED) return;
      for (const time of times) this.box(this.x(time) - width / 2, top, width, height, fill, alpha);
    }

    finish() {
      this.box(0, 0, GUTTER, this.height, colour("card"));
      for (const { words, y, title } of this.labels) {
        this.context.font = `${title ? 600 : 400} 11px system-ui, sans-serif`;
        if (title) this.box(GUTTER, y - 8, this.context.measureText(words).width + 8, 16, colour("card"), 0.85);
        this.text(words, GUTTER + (title ? 4 : -6), y, title ? "left" : "right", colour(title ?? "quiet"));
      }
      this.context.font = "11px system-ui, sans-serif";
      const second = this.x(1) - this.x(0);
      const step = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20].find((size) => size * second > 50) ?? 60;
      for (let index = Math.ceil(this.view.start / step); index * step <= this.view.end; index++) {
        const x = clamp(this.x(index * step), GUTTER + 14, this.width - 16);
        this.text(`${+(index * step).toFixed(1)} s`, x, this.height + AXIS / 2, "center", colour("quiet"));
      }
    }
  }

  const drawWaves = (plot, rows, vocal, duration) => {
    const height = plot.height / rows.length;
    rows.forEach((row, index) => {
      const [top, inner] = [index * height + 3, height - 6];
      if (row.role !== "vocal") {
        plot.lines(vocal.beats, top, inner, 3, colour("vocal"), 0.22);
        plot.lines(vocal.downbeats, top, inner, 6, colour("vocal"), 0.32);
      }
      const bins = row.peaks.length / 2;
      const point = (bin, value) =>
        plot.context.lineTo(plot.x((bin / bins) * duration), top + inner * (0.5 - value / 254));
      plot.context.beginPath();
      for (let bin = 0; bin < bins; bin++) point(bin, row.peaks[2 * bin + 1]);
      for (let bin = bins - 1; bin >= 0; bin--) point(bin, row.peaks[2 * bin] - 1); // silence is drawn as a thin line
      plot.context.fillStyle = colour(row.role);
      plot.context.globalAlpha = 0.65;
      plot.context.fill();
      plot.lines(row.beats, top, inner, 1, colour("text"), 0.5);
      plot.lines(row.downbeats, top, inner, 2, colour("text"), 0.9);
      plot.labels.push({ words: row.role + (row.beats.length ? "" : ", no beats"), y: top + 8, title: row.role });
    });
  };

  const drawErrors = (plot, layers) => {
    // The axis is at least ±20 ms, because smaller errors cannot be heard and should look small.
    const largest = 1.15 * Math.max(20, ...layers.flatMap((layer) => layer.ms.map(Math.abs))); // |null| is 0
    const y = (ms) => (plot.height / 2) * (1 - ms / largest);
    const mark = [200, 100, 50, 20].find((ms) => ms <= largest);
    for (const ms of [mark, 0, -mark]) {
      plot.box(GUTTER, y(ms) - 0.5, plot.width, 1, colour("line"));
      plot.labels.push({ words: `${ms > 0 ? "+" : ms < 0 ? "−" : ""}${Math.abs(ms)}`, y: y(ms) });
    }
    for (const { role, times, ms } of layers) {
      // Marks are large and pale or small and opaque, so that both are visible at the same place, also without colour.
      const [size, alpha] = role === "harmonic" ? [9, 0.5] : [4, 1];
      times.forEach((time, index) => {
        if (ms[index] === null) return; // this layer has no beat near the vocal's
        plot.box(plot.x(time) - size / 2, y(ms[index]) - size / 2, size, size, colour(role), alpha);
      });
    }
  };

  const drawChroma = (plot, { edges, names, panels }) => {
    const height = plot.height / panels.length;
    panels.forEach(({ title, role, values }, index) => {
      const cell = (height - 24) / 12;
      const fill = colour(role);
      plot.labels.push({ words: title, y: index * height + 10, title: role });
      names.forEach((name, pitch) => {
        const y = index * height + 20 + (11 - pitch) * cell; // C at the bottom
        plot.labels.push({ words: name, y: y + cell / 2 });
        for (let beat = 0; beat < edges.length - 1; beat++) {
          const left = plot.x(edges[beat]);
          const strength = values[pitch * (edges.length - 1) + beat] / 255;
          plot.box(left, y, plot.x(edges[beat + 1]) - left, cell - 0.5, fill, strength);
        }
      });
    });
  };

  // -------------------------------------------------------------------------------------------------------- sound
  /** The player of the page; only one card plays at a time. The sound is decoded and not played by <audio>, because
   * browsers estimate the place when they seek in an MP3 of variable bit rate: the error is up to 0.3 s and differs
   * between stems. Decoded sound starts at the exact sample. */
  const sound = {
    async play(card) {
      const source = { card };
      this.source = source; // the requested sound; another request during the decoding replaces it
      this.context ??= new AudioContext();
      await this.context.resume();
      const buffer = await card.decoded(this.context);
      if (this.source !== source) return;
      source.node = new AudioBufferSourceNode(this.context, { buffer });
      source.node.connect(this.context.destination);
      source.node.start(0, card.position);
      source.node.onended = () => this.source === source && card.pause(0);
      const from = card.position;
      const origin = this.context.currentTime + (this.context.outputLatency || 0) - from;
      const tick = () => {
        if (this.source !== source) return;
        card.show(clamp(this.context.currentTime - origin, from, card.figures.duration));
        requestAnimationFrame(tick);
      };
      tick();
    },

    stop() {
      const node = this.source?.node;
      this.source = null;
      node?.stop();
    },
  };

  // -------------------------------------------------------------------------------------------------------- cards
  class Card {
    constructor(root) {
      this.root = root;
      this.find = (selector) => root.querySelector(selector);
      this.figures = JSON.parse(this.find("script.figures").textContent);
      for (const row of [...this.figures.before, ...this.figures.after]) row.peaks = new Int8Array(bytes(row.peaks));
      for (const panel of this.figures.chroma?.panels ?? []) panel.values = bytes(panel.values);
      this.position = 0;
      this.buffers = new Map();
      this.find(".transport").hidden = false;
      this.find(".players").hidden = true;
      this.find(".play").addEventListener("click", () => (this.playing ? this.pause() : this.play()));
      this.find(".tracks").addEventListener("change", () => this.playing && this.play());
      this.find(".zoom").addEventListener("change", () => this.zoom());
      this.find(".position input").addEventListener("input", (event) => this.seek(+event.target.value));
      for (const head of root.querySelectorAll(".playhead")) {
        head.parentElement.addEventListener("click", ({ offsetX, target }) => {
          const share = (offsetX - GUTTER) / (target.clientWidth - GUTTER);
          this.seek(this.view.start + share * (this.view.end - this.view.start));
        });
      }
      this.zoom();
    }

    get playing() {
      return sound.source?.card === this;
    }

    play() {
      sound.source?.card.pause();
      this.find(".play span").textContent = "Pause";
      sound.play(this);
    }

    pause(position = this.position) {
      sound.stop();
      this.find(".play span").textContent = "Play";
      this.show(position);
    }

    seek(time) {
      this.show(clamp(time, 0, this.figures.duration));
      if (this.playing) this.play();
    }

    /** Return the chosen track, decoded; other cards delete their tracks, because a minute takes 20 MB. */
    decoded(context) {
      for (const card of cards) if (card !== this) card.buffers.clear();
      const track = this.find(".tracks :checked").value;
      if (!this.buffers.has(track)) {
        const base64 = this.find(`audio[data-track="${track}"]`).src.split(",")[1];
        this.buffers.set(track, context.decodeAudioData(bytes(base64).buffer));
      }
      return this.buffers.get(track);
    }

    show(position) {
      this.position = position;
      if (position < this.view.start || position > this.view.end) this.turn(position);
      this.find(".position input").value = position;
      this.find(".clock").textContent = `${clock(position)} / ${clock(this.figures.duration)}`;
      const share = (position - this.view.start) / (this.view.end - this.view.start);
      this.root.style.setProperty("--at", `calc(${GUTTER}px + ${share} * (100% - ${GUTTER}px))`);
    }

    zoom() {
      const span = Math.min(+this.find(".zoom :checked").value || Infinity, this.figures.duration);
      this.turn(this.position - span / 2, span);
      this.show(this.position);
    }

    turn(start, span = this.view.end - this.view.start) {
      const first = clamp(start, 0, this.figures.duration - span);
      this.view = { start: first, end: first + span };
      this.draw();
    }

    draw() {
      const { before, after, chroma, errors, duration } = this.figures;
      for (const canvas of this.root.querySelectorAll("canvas")) {
        const plot = new Plot(canvas, this.view);
        if (canvas.dataset.chart === "before") drawWaves(plot, before, after[0], duration);
        if (canvas.dataset.chart === "after") drawWaves(plot, after, after[0], duration);
        if (canvas.dataset.chart === "errors") drawErrors(plot, errors);
        if (canvas.dataset.chart === "chroma") drawChroma(plot, chroma);
        plot.finish();
        canvas.dataset.drawn = "";
      }
    }
  }

  const cards = [...document.querySelectorAll(".mashup")].map((root) => new Card(root));
  const redraw = () => cards.forEach((card) => card.draw());
  addEventListener("resize", redraw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
}
