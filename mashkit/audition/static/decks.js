// Plays two mashups, A and B, layer by layer: all layers of both run on one clock, and differ in their gain only.
//
// So switching between A and B, muting and solo are crossings of gains at the same position. A deck's sound can be
// replaced while it plays, by what was rendered meanwhile.

import { Player } from "/listen/player.js";

export const DECKS = ["a", "b"];

export class Decks extends Player {
  constructor(context, options) {
    super(context, options);
    this.deck = "a";
    this.slots = []; // deck and role of each buffer
    this.durations = { a: 0, b: 0 };
    this.muted = new Set();
    this.solo = new Set();
  }

  get length() {
    return this.durations[this.deck];
  }

  audible(role) {
    return this.solo.size ? this.solo.has(role) : !this.muted.has(role);
  }

  wanted(index) {
    const { deck, role } = this.slots[index];
    return deck === this.deck && this.audible(role) ? 1 : 0;
  }

  has(deck) {
    return this.slots.some((slot) => slot.deck === deck);
  }

  buffer(deck, role) {
    return this.buffers[this.slots.findIndex((slot) => slot.deck === deck && slot.role === role)] ?? null;
  }

  // Put layers on a deck in place of what is there: [role, buffer], each as long as the mashup.
  set(deck, layers, duration) {
    const at = this.soon;
    const position = this.from + (at - this.started);
    const kept = this.slots.map((slot) => slot.deck !== deck);
    if (this.playing) {
      kept.forEach((keep, index) => {
        if (keep) return;
        this.fade(index, 0, at);
        this.end(this.sources[index], at);
      });
    }
    for (const name of ["buffers", "slots", "sources", "gains"]) this[name] = this[name].filter((_, index) => kept[index]);
    this.durations[deck] = duration;
    for (const [role, buffer] of layers) {
      this.buffers.push(buffer);
      this.slots.push({ deck, role });
      if (this.playing) this.begin(buffer, at, position);
    }
    if (this.playing) this.apply(at);
    if (deck === this.deck && this.position >= this.length) this.seek(this.length);
    this.changed();
  }

  ended(source) {
    if (this.playing && this.slots[this.sources.indexOf(source)]?.deck === this.deck) this.pause();
  }

  switchTo(deck) {
    if (deck === this.deck || !this.has(deck)) return;
    this.deck = deck;
    if (this.playing) {
      this.apply(this.soon);
      if (this.position >= this.length) this.pause();
    } else this.from = Math.min(this.from, this.length);
    this.note(deck);
    this.changed();
  }

  // Mute or solo a layer, or end it.
  toggleLayer(set, role) {
    if (!set.delete(role)) set.add(role);
    if (this.playing) this.apply(this.soon);
    this.changed();
  }

  count() { /* what was heard for how long is no question here */ }
}
