// Plays the samples of a page, all at once and at one position, and lets one of them through.
//
// All samples are decoded before they play, run on one clock, and differ in their gain only. So switching needs no
// seeking and no new element: the gains cross over, and the position stays the same to the sample.

const RAMP_S = 0.015; // long enough not to click, short enough to feel immediate

export function newContext() {
  const AudioContextClass = window.AudioContext ?? window.webkitAudioContext;
  return new AudioContextClass({ latencyHint: "interactive" });
}

// The promise of a file's sound. Old browsers' decodeAudioData returns none.
export const decode = (context, file) => new Promise((resolve, reject) => { context.decodeAudioData(file, resolve, reject); });

export class Player {
  // context: an AudioContext, or an OfflineAudioContext to measure what is rendered.
  constructor(context, { changed = () => {} } = {}) {
    this.context = context;
    this.changed = changed;
    this.buffers = [];
    this.sources = [];
    this.gains = [];
    this.current = 0;
    this.playing = false;
    this.from = 0; // position at the moment `started`
    this.started = 0;
    this.played = []; // seconds heard of each sample
    this.log = []; // [seconds since load, what, sample, position]
    this.loaded = 0;
    this.counted = 0; // time of the context up to which `played` is counted
  }

  load(buffers) {
    this.stop();
    this.buffers = buffers;
    this.played = buffers.map(() => 0);
    this.log = [];
    this.current = 0;
    this.from = 0;
    this.loaded = this.context.currentTime;
  }

  get length() {
    return this.buffers.length ? this.buffers[this.current].duration : 0;
  }

  get position() {
    if (!this.playing) return this.from;
    return Math.min(this.from + Math.max(0, this.context.currentTime - this.started), this.length);
  }

  // The first moment that is certainly not rendered yet. What is scheduled for an earlier one begins in its middle.
  get soon() {
    return this.context.currentTime + Math.min(this.context.baseLatency ?? 0.01, 0.05);
  }

  play() {
    if (this.playing || !this.buffers.length) return;
    if (this.from >= this.length - 0.05) this.from = 0;
    const at = this.soon;
    this.sources = [];
    this.gains = [];
    this.buffers.forEach((buffer) => this.begin(buffer, at, this.from));
    this.apply(at);
    this.started = at;
    this.counted = at;
    this.playing = true;
    this.note("play");
    this.changed();
  }

  // Let a sample run from a position on, silent until its gain is set.
  begin(buffer, at, from) {
    const source = this.context.createBufferSource();
    const gain = this.context.createGain();
    source.buffer = buffer;
    gain.gain.value = 0;
    source.connect(gain).connect(this.context.destination);
    if (from < buffer.duration) source.start(at, from);
    source.onended = () => this.ended(source);
    this.sources.push(source);
    this.gains.push({ gain: gain.gain, from: 0, to: 0, until: 0 });
  }

  // Called as a source ends by itself: what was chosen is over.
  ended(source) {
    if (this.playing && source === this.sources[this.current]) this.pause();
  }

  pause() {
    if (!this.playing) return;
    this.count();
    this.from = this.position;
    this.playing = false;
    const at = this.soon;
    this.gains.forEach((_, index) => this.fade(index, 0, at));
    this.sources.forEach((source) => this.end(source, at));
    this.note("pause");
    this.changed();
  }

  end(source, at) {
    source.onended = null;
    try { source.stop(at + RAMP_S); } catch { /* it was never started, because it is shorter than the position */ }
  }

  toggle() {
    this.context.resume();
    if (this.playing) this.pause();
    else this.play();
  }

  stop() {
    this.pause();
    this.from = 0;
  }

  choose(index) {
    if (index === this.current || index < 0 || index >= this.buffers.length) return;
    this.count();
    this.current = index;
    if (this.playing) {
      this.apply(this.soon);
      this.note("switch");
      if (this.position >= this.length) this.pause();
    } else {
      this.from = Math.min(this.from, this.length);
      this.note("choose");
    }
    this.changed();
  }

  // The gain that a sample is to have.
  wanted(index) {
    return index === this.current ? 1 : 0;
  }

  // Let each gain go to what is wanted of it.
  apply(at) {
    this.gains.forEach((one, index) => {
      const to = this.wanted(index);
      if (one.to !== to) this.fade(index, to, at);
    });
  }

  // Let a gain go to a value from `at` on. A ramp begins where the event before it ends, so that event must be at `at`.
  fade(index, to, at) {
    const one = this.gains[index];
    const value = at >= one.until ? one.to : one.to + (one.from - one.to) * ((one.until - at) / RAMP_S);
    if (at < one.until && one.gain.cancelAndHoldAtTime) one.gain.cancelAndHoldAtTime(at);
    else {
      one.gain.cancelScheduledValues(at);
      one.gain.setValueAtTime(value, at);
    }
    one.gain.linearRampToValueAtTime(to, at + RAMP_S);
    one.from = value;
    one.to = to;
    one.until = at + RAMP_S;
  }

  seek(position) {
    const playing = this.playing;
    this.pause();
    this.from = Math.max(0, Math.min(position, this.length));
    this.note("seek");
    if (playing) this.play();
    this.changed();
  }

  // Add the time since the last call to what was heard of the current sample.
  count() {
    if (!this.playing) return;
    const now = Math.min(this.context.currentTime, this.started + this.length - this.from);
    if (now > this.counted) this.played[this.current] += now - this.counted;
    this.counted = Math.max(now, this.counted);
  }

  note(what) {
    if (this.log.length < 300) {
      const round = (value) => Math.round(value * 1000) / 1000;
      this.log.push([round(this.context.currentTime - this.loaded), what, this.current, round(this.position)]);
    }
  }
}
