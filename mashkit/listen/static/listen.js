// The page of a rater. The server says what is to be seen next; this shows it and sends what the rater chooses.

import { Player, decode, newContext } from "./player.js";
import { Failure, ask, byId, hasText, loadTexts, make, say, showPosition, text } from "./page.js";

const LETTERS = ["A", "B"];
const RETRY_MS = 3000;

const about = JSON.parse(document.documentElement.dataset.about); // the study's title, languages and so on
let state = {};
let language = "en";
let page = null; // what is shown of a page of two samples
const decoded = new Map(); // sample → promise of its sound

let context = null;
let player = null;

// The browser's audio takes a tenth of a second or more to begin, so the first page is shown before.
function openAudio() {
  if (context) return;
  context = newContext();
  player = new Player(context, { changed: () => page?.refresh() });
}

function remembered() {
  try { return localStorage.getItem("listen-language"); } catch { return null; }
}

async function choose(wanted) {
  language = about.languages[wanted] ? wanted : "en";
  await loadTexts(`/texts/${language}.json`);
  try { localStorage.setItem("listen-language", language); } catch { /* private windows keep nothing */ }
  document.documentElement.lang = language;
  byId("skip").textContent = text("skip");
  byId("language-label").textContent = text("language_choice");
  byId("withdraw").textContent = text("withdraw");
  byId("dry").textContent = text("dry_run");
  byId("dry").hidden = !about.dry_run;
}

// ------------------------------------------------------------------------------------------------ sounds
function sound(sample) {
  if (!decoded.has(sample)) {
    const loading = fetch(`/sound/${sample}.flac`)
      .then((response) => {
        if (!response.ok) throw new Failure("sound_failed", response.status);
        return response.arrayBuffer();
      })
      .then((file) => decode(context, file));
    loading.catch(() => decoded.delete(sample)); // the next attempt loads it again
    decoded.set(sample, loading);
  }
  return decoded.get(sample);
}

function keepOnly(samples) {
  for (const known of decoded.keys()) if (!samples.includes(known)) decoded.delete(known); // a minute of sound is 20 MB
}

// ------------------------------------------------------------------------------------------------ choices
// A group of radio buttons. Its fieldset has `value` (null if none is chosen), and calls `changed`.
function choices(name, legend, options, { scale = false, value = null, changed = () => {} } = {}) {
  const box = make("div", { class: scale ? "scale" : "row" });
  const group = make("fieldset", { class: "question" }, make("legend", {}, legend), box);
  const inputs = options.map(([key, ...label]) => {
    const input = make("input", { type: "radio", name, value: key, on: { change: () => changed(key) } });
    input.checked = key === value;
    box.append(make("label", { class: "choice" }, input, make("span", {}, ...label)));
    return input;
  });
  group.addEventListener("keydown", (event) => {
    const index = inputs.findIndex((input) => input.value === event.key);
    if (index < 0 || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    inputs[index].focus();
    inputs[index].click();
  });
  Object.defineProperty(group, "value", { get: () => inputs.find((input) => input.checked)?.value ?? null });
  return group;
}

// ------------------------------------------------------------------------------------------------ a page of two samples
class Pair {
  constructor() {
    this.samples = state.samples;
    this.preference = state.asks === "preference";
    this.given = { ratings: {}, heard: null, preferred: null, played: {}, ...state.draft };
    for (const sample of this.samples) this.given.ratings[sample] ??= {};
    this.earlier = this.samples.map((sample) => Number(this.given.played?.[sample]) || 0); // before the page was loaded again
    this.began = performance.now();
    this.groups = [];
    this.ready = false;
    this.sending = false;
    this.must = about.must_play_s;
  }

  show() {
    const training = state.kind === "training";
    this.playButton = make("button", { type: "button", disabled: true, on: { click: () => this.toggle() } }, text("loading"));
    this.slider = make("input", {
      type: "range", min: 0, max: 1, step: 0.1, value: 0, disabled: true, "aria-label": text("position"),
      on: { input: () => player.seek(Number(this.slider.value)) },
    });
    this.clock = make("span", { class: "clock", "aria-hidden": "true" }, "0:00");
    this.which = make("fieldset", { class: "which" }, make("legend", {}, text("which")),
      LETTERS.map((letter, index) => {
        const input = make("input", { type: "radio", name: "which", value: letter, on: { change: () => player.choose(index) } });
        return make("label", { class: "choice" }, input, make("span", {}, text("sample", { letter })));
      }));
    const keys = make("input", { type: "checkbox", id: "keys" });
    keys.checked = sessionStorage.getItem("listen-keys") !== "off";
    keys.addEventListener("change", () => sessionStorage.setItem("listen-keys", keys.checked ? "on" : "off"));
    this.keys = keys;
    this.cards = this.samples.map((sample, index) => this.card(sample, index));
    const heard = choices("heard", text("heard_question"),
      [["yes", text("heard_yes")], ["no", text("heard_no")]],
      { value: this.given.heard === null ? null : this.given.heard ? "yes" : "no",
        changed: (value) => { this.given.heard = value === "yes"; this.draft(); } });
    this.groups.push([text("heard_question"), heard]);
    const whole = [heard];
    if (this.preference) {
      this.preferred = choices("preferred", text("preferred_question"),
        [...this.samples.map((sample, index) => [sample, text("sample", { letter: LETTERS[index] })]), ["", text("preferred_tie")]],
        { value: this.given.preferred, changed: (value) => { this.given.preferred = value; this.draft(); } });
      this.preferred.disabled = true;
      this.groups.unshift([text("preferred_question"), this.preferred]);
      whole.unshift(this.preferred);
    }
    this.button = make("button", { type: "button", id: "next", on: { click: () => this.send() } }, text("next"));
    fill(text("page_title"),
      training ? make("p", { class: "note" }, text("training_page")) : null,
      make("p", { class: "text" }, text("page_text")),
      make("div", { class: "player card" }, this.playButton, this.which,
        make("div", { class: "position" }, this.slider, this.clock)),
      make("div", { class: "keys quiet-text" }, keys, make("label", { for: "keys" }, `${text("shortcuts_use")}. ${text("shortcuts")}`)),
      make("div", { class: "pair" }, this.cards.map((card) => card.element)),
      make("div", { class: "page-questions" }, whole),
      this.button);
    this.load();
    this.timer = setInterval(() => this.tick(), 100);
    this.refresh();
  }

  card(sample, index) {
    const letter = LETTERS[index];
    const note = make("p", { class: "quiet-text" });
    const questions = this.preference ? [] : state.questions.map((question) => {
      const group = choices(`${question}-${letter}`,
        [make("strong", {}, text(question)), text(`${question}_question`)],
        [1, 2, 3, 4, 5].map((value) => [String(value), make("b", {}, String(value)), make("small", {}, text(`rate_${value}`))]),
        { scale: true, value: this.given.ratings[sample][question]?.toString() ?? null,
          changed: (value) => { this.given.ratings[sample][question] = Number(value); this.draft(); } });
      this.groups.push([`${text(question)}, ${text("sample", { letter })}`, group]);
      return group;
    });
    const body = make("fieldset", { disabled: true, "aria-label": text("sample", { letter }) }, questions);
    const element = make("section", { class: "sample card", "aria-labelledby": `heading-${letter}` },
      make("h2", { id: `heading-${letter}` }, text("sample", { letter })), note, body);
    return { element, body, note, letter, sample, open: false };
  }

  async load() {
    try {
      const buffers = await Promise.all(this.samples.map(sound));
      if (page !== this) return;
      player.load(buffers);
      this.ready = true;
      this.playButton.disabled = this.slider.disabled = false;
      keepOnly([...this.samples, ...(state.next_samples ?? [])]);
      for (const sample of state.next_samples ?? []) sound(sample).catch(() => {});
      this.refresh();
    } catch {
      if (page === this) say(text("sound_failed"), true);
    }
  }

  toggle() {
    if (this.ready) player.toggle();
  }

  // Until this page's sounds are loaded, the player counts those of the page before.
  heardSeconds(index) {
    return this.earlier[index] + (this.ready ? player.played[index] : 0);
  }

  mustHear(index) {
    return Math.min(this.must, player.buffers[index]?.duration ?? this.must);
  }

  tick() {
    player.count();
    if (this.ready) showPosition(player, this.slider, this.clock);
    this.cards.forEach((card, index) => {
      if (card.open || !this.ready) return;
      if (this.heardSeconds(index) < this.mustHear(index)) return;
      card.open = true;
      card.body.disabled = false;
      card.note.textContent = "";
      if (this.preference) {
        if (this.cards.every((one) => one.open)) this.preferred.disabled = false;
      } else say(text("may_rate", { letter: card.letter }));
      this.draft();
    });
  }

  refresh() {
    if (!this.cards) return;
    this.playButton.textContent = !this.ready ? text("loading") : player.playing ? text("pause") : text("play");
    this.which.querySelectorAll("input").forEach((input, index) => {
      input.checked = index === player.current;
      input.disabled = !this.ready;
    });
    this.cards.forEach((card, index) => {
      card.element.classList.toggle("on", index === player.current);
      if (!card.open) card.note.textContent = text("must_play", { seconds: this.must });
    });
  }

  collected() {
    const played = Object.fromEntries(this.samples.map((sample, index) => [sample, Math.round(this.heardSeconds(index) * 100) / 100]));
    return { ...this.given, played };
  }

  // What is chosen so far is saved at each choice, so a closed browser loses nothing.
  draft() {
    ask("/api/draft", { page: state.page, given: this.collected() }).catch((failure) => {
      if (failure.reason === "elsewhere") refresh();
    });
  }

  async send() {
    if (this.sending) return;
    const missing = this.cards.filter((card) => !card.open);
    if (missing.length) {
      say(text("unheard"), true);
      this.playButton.focus();
      return;
    }
    const empty = this.groups.filter(([, group]) => group.value === null);
    if (empty.length) {
      say(text("missing_answers", { what: empty[0][0] }), true);
      empty[0][1].querySelector("input").focus();
      return;
    }
    player.pause();
    this.sending = true;
    this.button.disabled = true;
    say(text("saving"));
    const body = {
      ...this.collected(), page: state.page, seconds: (performance.now() - this.began) / 1000, playback: player.log,
    };
    if (this.preference) delete body.ratings;
    else delete body.preferred;
    // A sample shorter than the time to be heard was heard whole.
    this.samples.forEach((sample, index) => {
      if (player.buffers[index].duration < this.must && body.played[sample] >= this.mustHear(index) - 0.5) body.played[sample] = this.must;
    });
    await eventually("/api/answer", body, (next) => { go(next); say(text("saved")); });
  }

  end() {
    clearInterval(this.timer);
    player.stop();
  }
}

// Send until the server has answered. What it does not accept leads to what the rater is to see.
async function eventually(path, body, then) {
  for (;;) {
    try {
      return then(await ask(path, body));
    } catch (failure) {
      if (["offline", "unsaved", "busy"].includes(failure.reason) || failure.status >= 500) {
        say(text(hasText(failure.reason) ? failure.reason : "offline"), true);
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
        continue;
      }
      await refresh();
      return say(text(hasText(failure.reason) ? failure.reason : "error_text"), true);
    }
  }
}

document.addEventListener("keydown", (event) => {
  if (!page || !page.keys?.checked || event.ctrlKey || event.altKey || event.metaKey || byId("dialog").open) return;
  if (event.target.matches("select, textarea, input[type=text]")) return;
  const key = event.key.toLowerCase();
  if (key === "p") page.toggle();
  else if (page.ready && (key === "a" || key === "b")) {
    player.choose(key === "a" ? 0 : 1);
    if (player.playing) say(text("now_playing", { letter: key.toUpperCase() }));
  } else return;
  event.preventDefault();
});

// ------------------------------------------------------------------------------------------------ the other stages
function fill(heading, ...children) {
  const title = make("h1", { id: "heading" }, heading);
  byId("content").replaceChildren(title, ...children.flat().filter((child) => child));
}

function plain(name) {
  const known = hasText(`${name}_title`) ? name : "error";
  fill(text(`${known}_title`), make("p", { class: "text" }, text(`${known}_text`)),
    known === "done" && state.code
      ? [make("p", {}, text("done_code")), make("p", { class: "code", id: "code" }, state.code)] : null);
}

function consent() {
  const agree = make("input", { type: "checkbox", id: "agree" });
  const start = make("button", { type: "button", id: "start", on: { click: () => {
    if (!agree.checked) {
      say(text("consent_needed"), true);
      agree.focus();
      return;
    }
    openAudio();
    context.resume();
    eventually("/api/consent", { agree: true, language }, (next) => { say(""); go(next); });
  } } }, text("consent_start"));
  fill(text("consent_title"), make("p", { class: "text" }, text("consent_text")),
    about.contact ? make("p", { class: "text" }, text("consent_contact", { contact: about.contact })) : null,
    make("div", { class: "agree" }, agree, make("label", { for: "agree" }, text("consent_agree"))), start);
}

function check() {
  const kind = state.stage;
  const heard = state.samples.map(() => false);
  let playing = null;
  const one = async (sample, index) => {
    try {
      context.resume();
      const buffer = await sound(sample);
      playing?.stop();
      playing = context.createBufferSource();
      playing.buffer = buffer;
      playing.connect(context.destination);
      playing.start();
      heard[index] = true;
    } catch {
      say(text("sound_failed"), true);
    }
  };
  const groups = [];
  const trials = state.samples.map((sample, index) => {
    const number = index + 1;
    const group = kind === "headphones"
      ? choices(`trial-${number}`, text("headphones_question", { number }),
        [1, 2, 3].map((value) => [String(value), text(`headphones_${value}`)]))
      : choices("level", text("level_question"), [1, 2, 3, 4, 5, 6].map((value) => [String(value), String(value)]));
    groups.push(group);
    return make("div", { class: "trial card" },
      make("button", { type: "button", class: "quiet", on: { click: () => one(sample, index) } },
        kind === "headphones" ? text("play_sound", { number }) : text("play_only")), group);
  });
  const send = make("button", { type: "button", id: "next", on: { click: () => {
    const open = groups.findIndex((group, index) => group.value === null || !heard[index]);
    if (open >= 0) {
      say(text("check_missing"), true);
      trials[open].querySelector("button").focus();
      return;
    }
    playing?.stop();
    send.disabled = true;
    eventually("/api/check", { kind, given: groups.map((group) => Number(group.value)) }, (next) => {
      go(next);
      if (next.passed === false && next.stage === kind) say(text("check_again", { left: next.tries_left }), true);
      else say("");
    });
  } } }, text("check_send"));
  fill(text(`${kind}_title`), make("p", { class: "text" }, text(`${kind}_text`)), trials, send);
  for (const sample of state.samples) sound(sample).catch(() => {});
}

function go(next) {
  state = next;
  page?.end();
  page = null;
  show();
  byId("content").focus({ preventScroll: true });
  scrollTo(0, 0);
}

function show() {
  if (state.stage === "pages" || state.stage === "level" || state.stage === "headphones") openAudio();
  const known = ["consent", "level", "headphones", "pages", "done", "no-level", "no-headphones"];
  byId("withdraw").hidden = !known.includes(state.stage);
  byId("progress").hidden = state.stage !== "pages";
  if (state.stage === "pages") {
    byId("progress-bar").max = state.of;
    byId("progress-bar").value = state.place;
    byId("progress-text").textContent = text("progress", { place: state.place + 1, of: state.of });
    page = new Pair();
    page.show();
  } else if (state.stage === "consent") consent();
  else if (state.stage === "level" || state.stage === "headphones") check();
  else plain(state.stage);
}

async function refresh(asked = ask("/api/state")) {
  try {
    go(await asked);
  } catch (failure) {
    if (failure.reason === "offline" || failure.reason === "busy" || failure.status >= 500) {
      say(text(hasText(failure.reason) ? failure.reason : "offline"), true);
      setTimeout(() => refresh(), RETRY_MS);
    } else go({ stage: failure.reason });
  }
}

function confirmWithdrawal() {
  const dialog = byId("dialog");
  byId("dialog-title").textContent = text("withdraw_title");
  byId("dialog-text").textContent = text("withdraw_text");
  byId("dialog-no").textContent = text("withdraw_no");
  byId("dialog-yes").textContent = text("withdraw_yes");
  byId("dialog-no").onclick = () => dialog.close();
  byId("dialog-yes").onclick = () => {
    dialog.close();
    eventually("/api/withdraw", {}, (next) => { say(""); go(next); });
  };
  dialog.showModal();
}

async function start() {
  const problem = new URLSearchParams(location.search).get("problem");
  const asked = problem ? null : ask("/api/state"); // at once, not after the texts
  asked?.catch(() => {}); // told below
  document.title = about.title;
  byId("title").textContent = about.title;
  const offered = Object.keys(about.languages);
  const wanted = remembered() ?? navigator.languages.map((one) => one.slice(0, 2)).find((one) => offered.includes(one)) ?? "en";
  byId("language").replaceChildren(...offered.map((one) => make("option", { value: one, lang: one }, about.languages[one])));
  await choose(wanted);
  byId("language").value = language;
  byId("language").addEventListener("change", async () => {
    await choose(byId("language").value);
    if (page) state.draft = page.collected(); // what is chosen stays
    const place = document.activeElement;
    go(state);
    place?.focus();
  });
  byId("withdraw").addEventListener("click", confirmWithdrawal);
  if (problem) go({ stage: problem });
  else await refresh(asked);
  setTimeout(openAudio); // after the first page is painted, and before a rater has read it
}

start().catch(() => {
  byId("status").textContent = "The server cannot be reached. Please load the page again.";
});

export { context, player }; // for measuring what is played
