// The page of an audition: a list of mashups, the one that is open, what is changed of it, and what is decided.

import { Decks } from "/static/decks.js";
import { Lanes } from "/static/lanes.js";
import { Failure, ask, byId, hasText, loadTexts, make, say, showPosition, text } from "/listen/page.js";
import { decode, newContext } from "/listen/player.js";

const PULSE_MS = 2000;
const RETRY_MS = 3000;
const SETTLE_MS = 100; // steps that follow each other within this are rendered once
const FOLLOW_MS = 300; // how often it is seen whether the position leaves what is rendered
const AHEAD_S = 3; // how long before its end the next part is asked for
const ROWS = 200; // how many rows more are shown at a time
const ZOOMED_S = 12;
const LANGUAGES = ["en", "de"]; // a file of texts each; the first for all others
const STEPS = ["beats", "bars", "semitones", "gain_db"];
const LABELS = { beats: "beat", bars: "bar", semitones: "key", gain_db: "gain" };
const DECIDED = ["all", "open", "keep", "reject", "stars", "changed"];

let data = { candidates: [], decisions: {}, scores: {}, formats: {}, stored_scorers: [], jobs: [], broken: [] };
let scorers = [];
let rows = ROWS;
let sorting = { column: "number", down: false };
let shownScorers = new Set();
let zoomed = false;
let seen = ""; // what the last pulse said

export const context = newContext();
export const player = new Decks(context, { changed: () => refreshPlayer() });
const lanes = new Lanes(byId("drawing"), byId("overlay"));

// What is open: the candidate that changes start from, the changes of its layers, and the candidate that they make.
export const open = { base: null, changes: {}, heard: {}, now: null, busy: false, layer: "harmonic", ms: null };
let compared = null; // what is on B

// Tell why something failed. The server's own words are shown where the texts have none.
function tell(failure) {
  if (failure.reason === "aborted") return;
  say(hasText(failure.reason) && failure.reason !== "unsaved" ? text(failure.reason)
    : text("refused", { problem: failure.problem || failure.reason || String(failure) }), true);
}

const order = (path, body) => ask(path, body, false); // changes and notes may be longer than a kept-alive request

// ------------------------------------------------------------------------------------------------ names
const signed = (value, digits = 0) => `${Number(value.toFixed(digits)) < 0 ? "−" : "+"}${Math.abs(value).toFixed(digits)}`;

function title(layer) {
  return layer.title || text("unknown_title");
}

function backing(candidate) {
  const titles = candidate.layers.filter((layer) => layer.role !== "vocal").map(title);
  return [...new Set(titles)].join(" · ");
}

function named(candidate) {
  return text("with", { vocal: title(candidate.layers[0]), backing: backing(candidate) });
}

function decision(plan) {
  return data.decisions[plan] ?? { verdict: "", stars: 0, note: "" };
}

function mark(plan) {
  const { verdict, stars } = decision(plan);
  return [verdict ? text(`mark_${verdict}`) : null, verdict && stars ? " " : null,
    stars ? make("span", { role: "img", "aria-label": text("mark_stars", { stars }) }, "★".repeat(stars)) : null];
}

// ------------------------------------------------------------------------------------------------ the list
function matches(candidate, number) {
  const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const { verdict, stars, note } = decision(candidate.plan);
  const written = [candidate.plan, candidate.condition, note, String(number),
    ...candidate.layers.flatMap((layer) => [layer.title, layer.key, layer.source])].join(" ").toLowerCase();
  if (!words.every((word) => written.includes(word))) return false;
  const show = byId("decided").value;
  if (show === "open" && (verdict || stars)) return false;
  if ((show === "keep" || show === "reject") && verdict !== show) return false;
  if (show === "stars" && !stars) return false;
  if (show === "changed" && !candidate.parent) return false;
  const scorer = byId("least-of").value;
  const least = byId("least").value;
  return !scorer || least === "" || (data.scores[scorer]?.[candidate.plan] ?? -Infinity) >= Number(least);
}

/** A number in the format of its column that the server names: ".3f", or ".3e" for very large and small ones. */
function formatted(value, form) {
  const digits = Number(form.slice(1, -1));
  return form.endsWith("e") ? value.toExponential(digits) : value.toFixed(digits);
}

function sortKey(candidate, number) {
  if (sorting.column === "number") return number;
  if (sorting.column === "mashup") return named(candidate).toLowerCase();
  if (sorting.column === "decision") {
    const { verdict, stars } = decision(candidate.plan);
    return { keep: 10, "": 0, reject: -10 }[verdict] + stars;
  }
  return data.scores[sorting.column]?.[candidate.plan] ?? null;
}

// The candidates that match, in the order of the table.
export function listed() {
  const found = data.candidates.map((candidate, index) => [candidate, index + 1]).filter(([one, number]) => matches(one, number));
  const keyed = found.map(([one, number]) => [sortKey(one, number), one, number]);
  keyed.sort(([a, , first], [b, , second]) => {
    if (a === null || b === null) return (a === null) - (b === null) || first - second; // without a score: at the end
    const order = a < b ? -1 : a > b ? 1 : 0;
    return (sorting.down ? -order : order) || first - second;
  });
  return keyed.map(([, one, number]) => [one, number]);
}

function columns() {
  return [["number", text("column_number"), true], ["mashup", text("column_mashup"), false],
    ["decision", text("column_decision"), false], ...[...shownScorers].map((name) => [name, name, true])];
}

function sortBy(column) {
  const numbers = column !== "number" && column !== "mashup"; // the highest first
  sorting = { column, down: sorting.column === column ? !sorting.down : numbers };
  showList();
  byId("table").querySelector(`[data-column="${CSS.escape(column)}"]`)?.focus();
}

function showList() {
  const found = listed();
  const focused = document.activeElement?.dataset?.plan;
  byId("list-heading").textContent = text("candidates", { shown: found.length, count: data.candidates.length });
  const head = make("tr", {}, columns().map(([column, label, number]) => make("th", {
    scope: "col", class: number ? "number" : null,
    "aria-sort": sorting.column === column ? (sorting.down ? "descending" : "ascending") : null,
  }, make("button", { type: "button", "data-column": column, on: { click: () => sortBy(column) } },
    `${label}${sorting.column === column ? (sorting.down ? " ↓" : " ↑") : ""}`))));
  const body = found.slice(0, rows).map(([candidate, number]) => {
    const on = candidate.plan === open.now?.plan || candidate.plan === open.base?.plan;
    return make("tr", { class: on ? "on" : null }, make("td", { class: "number" }, String(number)),
      make("td", {}, make("button", {
        type: "button", "data-plan": candidate.plan, "aria-current": on ? "true" : null,
        on: { click: () => choose(candidate) },
      }, title(candidate.layers[0]), make("small", {},
        `${backing(candidate)}${candidate.parent ? ` (${text("changed_of")})` : ""}`))),
      make("td", {}, mark(candidate.plan)),
      ...[...shownScorers].map((name) => {
        const value = data.scores[name]?.[candidate.plan];
        return make("td", { class: "number" }, value === undefined ? "–" : formatted(value, data.formats[name]));
      }));
  });
  if (!body.length) body.push(make("tr", {}, make("td", { colspan: columns().length }, text("no_match"))));
  byId("table").replaceChildren(make("thead", {}, head), make("tbody", {}, body));
  byId("more").hidden = found.length <= rows;
  if (focused) byId("table").querySelector(`[data-plan="${focused}"]`)?.focus();
}

function showScorers() {
  const names = [...new Set([...Object.keys(data.scores), ...scorers.map((one) => one.name)])];
  byId("scorer-list").replaceChildren(...names.map((name) => {
    const complete = data.candidates.every((one) => data.scores[name]?.[one.plan] !== undefined);
    const box = make("input", { type: "checkbox", on: { change: () => chooseScorer(name, box.checked, complete) } });
    box.checked = shownScorers.has(name);
    return make("label", { class: "tick" }, box, complete || box.checked ? name : text("scorer_missing", { name }));
  }));
  const chosen = byId("least-of").value;
  byId("least-of").replaceChildren(make("option", { value: "" }, text("any_scorer")),
    ...Object.keys(data.scores).map((name) => make("option", { value: name }, name)));
  byId("least-of").value = data.scores[chosen] ? chosen : "";
}

async function chooseScorer(name, on, complete) {
  if (on) shownScorers.add(name);
  else shownScorers.delete(name);
  if (!on && sorting.column === name) sorting = { column: "number", down: false };
  showList();
  // Stored scores may be of an older version or model: the server scores again what is not of today's.
  if (!on || (complete && !data.stored_scorers.includes(name))) return;
  try {
    data.jobs = await order("/api/score", { scorer: name });
    seen = ""; // the job may end before the next pulse, which then says the same as before
    showJobs();
  } catch (failure) {
    if (!complete) {
      shownScorers.delete(name);
      showScorers();
      showList();
    }
    tell(failure);
  }
}

function showJobs() {
  byId("jobs").replaceChildren(...data.jobs.map((job) => {
    const problems = Object.values(job.problems);
    if (job.state === "failed") return make("p", { class: "job" }, text("job_failed", { name: job.scorer, problem: job.problem }));
    if (job.state === "waiting") return make("p", { class: "job" }, text("job_waiting", { name: job.scorer }));
    if (job.state === "running") {
      const label = text("job", { name: job.scorer, done: job.done, total: job.total });
      return make("div", { class: "job" }, make("span", {}, label),
        make("progress", { max: Math.max(job.total, 1), value: job.done, "aria-label": label }));
    }
    return problems.length ? make("p", { class: "job" },
      text("job_partly", { name: job.scorer, count: problems.length, problem: problems[0] })) : null;
  }).filter(Boolean));
}

function showBroken() {
  byId("broken").replaceChildren(...data.broken.map((one) => make("p", { class: "note" }, text("broken", one))));
}

// ------------------------------------------------------------------------------------------------ sounds
const loads = { a: 0, b: 0 }; // counts what was put on each deck, so that what comes late is dropped

async function fetched(plan, role, at, signal) {
  let response;
  try {
    response = await fetch(`/sound/${plan}/${role}${at === null ? "" : `?at=${at.toFixed(3)}`}`, { signal });
  } catch (error) {
    throw new Failure(error.name === "AbortError" ? "aborted" : "offline", 0);
  }
  if (!response.ok) {
    const given = await response.json().catch(() => ({}));
    throw new Failure(given.reason ?? "error", response.status, given.problem);
  }
  const [start, end] = ["x-start", "x-end"].map((name) => Number(response.headers.get(name) ?? 0));
  const buffer = await decode(context, await response.arrayBuffer()).catch(() => {
    throw new Failure("broken", 0, `${plan}, ${role}`);
  });
  return { buffer, start, end };
}

// A part of a mashup as a buffer of the whole one's length: so it keeps its position. Elsewhere is what was there before.
function padded({ buffer, start }, duration, before) {
  const whole = context.createBuffer(buffer.numberOfChannels, Math.max(1, Math.round(duration * buffer.sampleRate)), buffer.sampleRate);
  for (let channel = 0; channel < buffer.numberOfChannels; channel++) {
    if (before) whole.copyToChannel(before.getChannelData(channel), channel);
    const first = Math.round(start * buffer.sampleRate);
    const part = buffer.getChannelData(channel).subarray(0, Math.max(0, whole.length - first));
    whole.copyToChannel(part, channel, first);
  }
  return whole;
}

const controllers = { a: new AbortController(), b: new AbortController() };

// Put a candidate on a deck: of a rendered one the files, of a changed one first what is around the position. While the
// whole is not there, parts follow wherever the position goes.
async function load(deck, candidate) {
  const load = ++loads[deck];
  controllers[deck].abort();
  controllers[deck] = new AbortController();
  const { signal } = controllers[deck];
  const roles = candidate.layers.map((layer) => layer.role);
  const began = performance.now();
  const stale = () => load !== loads[deck];
  const sounds = (at) => Promise.all(roles.map((role) => fetched(candidate.plan, role, at, signal)));
  const put = (buffers) => {
    player.set(deck, roles.map((role, index) => [role, buffers[index]]), candidate.duration_s);
    drawLanes();
  };
  let buffers = [];
  const putPart = async (at) => {
    const parts = await sounds(at);
    if (stale() || whole) return null;
    buffers = parts.map((part, index) => padded(part, candidate.duration_s, buffers[index]));
    put(buffers);
    return parts[0];
  };
  let whole = null;
  if (!candidate.rendered) {
    say(text("rendering"));
    let part = await putPart(Math.min(player.position, candidate.duration_s));
    if (!part) return;
    open.ms = Math.round(performance.now() - began);
    open.busy = false;
    refreshPlayer();
    say(text("rendered_part", { ms: open.ms }));
    (async () => {
      while (part && !whole && !stale()) {
        await new Promise((resolve) => { setTimeout(resolve, FOLLOW_MS); });
        const { position } = player;
        const outside = position < part.start || position > part.end;
        const ending = position > part.end - AHEAD_S && part.end < candidate.duration_s - 0.01;
        if (player.deck === deck && (outside || ending)) part = await putPart(outside ? position : part.end);
      }
    })().catch(() => {}); // the whole says what is wrong
  }
  const all = await sounds(null);
  if (stale()) return;
  whole = all;
  put(all.map((one) => one.buffer));
  if (!candidate.rendered) say(text("rendered_whole"));
}

// ------------------------------------------------------------------------------------------------ what is open
async function choose(candidate, { quiet = false } = {}) {
  // What is decided from now on is of this candidate, also before its beats are here.
  open.base = open.now = candidate;
  open.changes = {};
  open.heard = {};
  open.busy = true;
  clearTimeout(settling);
  applied();
  showOpen();
  showList();
  refreshPlayer();
  if (!quiet) say(text("opened", { what: named(candidate) }));
  let shown;
  try {
    shown = await ask(`/api/candidate?plan=${encodeURIComponent(candidate.plan)}`);
  } catch (failure) {
    tell(failure);
    return;
  }
  if (open.now !== candidate) return;
  open.base = open.now = shown;
  await hear();
}

// Let what is open now be heard, and show it.
async function hear() {
  const { now } = open;
  open.busy = true;
  showOpen();
  showList();
  refreshPlayer();
  try {
    await load("a", now);
    if (open.now === now) byId("problem").hidden = !now.fixed;
  } catch (failure) {
    if (failure.reason === "aborted" || open.now !== now) return;
    player.set("a", [], 0);
    const problem = text("sound_failed", { problem: failure.problem || text(failure.reason) });
    byId("problem").hidden = false;
    byId("problem").textContent = problem;
    say(problem, true);
  }
  if (open.now === now) {
    open.busy = false;
    refreshPlayer();
  }
}

let settling = null;
let applying = null; // a promise, while a change is made of which the server has not answered yet
let applied = () => {};

function step(role, name, by) {
  if (!open.base || open.base.fixed || (role === "vocal" && name !== "gain_db")) return;
  if (!open.base.layers.some((layer) => layer.role === role)) return;
  const of = (open.changes[role] ??= { beats: 0, bars: 0, semitones: 0, gain_db: 0 });
  of[name] += by;
  showSteps();
  clearTimeout(settling);
  settling = setTimeout(applyChanges, SETTLE_MS);
  applying ??= new Promise((resolve) => { applied = () => { applying = null; resolve(); }; });
}

async function applyChanges() {
  const before = open.now;
  const { base } = open;
  const changes = structuredClone(open.changes);
  try {
    const changed = await order("/api/change", { plan: base.plan, changes });
    if (open.base !== base) return;
    if (JSON.stringify(changes) !== JSON.stringify(open.changes)) return; // the next change follows
    open.heard = changes;
    if (changed.plan === before.plan) {
      applied();
      return;
    }
    if (!player.has("b") || compared?.plan === base.plan) await pin(base);
    open.now = changed;
    applied();
    await hear();
  } catch (failure) {
    if (open.base === base) { // as it was: what is shown is what is heard
      open.changes = structuredClone(open.heard);
      showSteps();
      applied();
    }
    tell(failure);
  }
}

function reset() {
  if (!open.base || (open.now === open.base && !applying)) return;
  clearTimeout(settling);
  applied();
  open.changes = {};
  open.heard = {};
  open.now = open.base;
  hear();
}

// Put a candidate on B. Its sound is that of A, if A has it.
async function pin(candidate) {
  if (!candidate) return;
  compared = candidate;
  loads.b++;
  controllers.b.abort();
  const roles = candidate.layers.map((layer) => layer.role);
  const same = open.now?.plan === candidate.plan && roles.every((role) => player.buffer("a", role));
  if (same) player.set("b", roles.map((role) => [role, player.buffer("a", role)]), candidate.duration_s);
  else await load("b", candidate).catch(tell);
  showCompared();
  refreshPlayer();
}

async function showBackings() {
  const box = byId("backings");
  if (!open.now) return;
  if (!box.hidden) {
    box.hidden = true;
    byId("other").setAttribute("aria-expanded", "false");
    return;
  }
  say(text("other_loading"));
  const { now } = open;
  try {
    const found = await order("/api/backings", { plan: now.plan });
    if (open.now !== now) return;
    box.replaceChildren(make("h3", {}, text("other_title")), make("ul", {}, found.map((one) => make("li", {},
      make("button", { type: "button", class: "quiet", on: { click: () => chooseBacking(one) } },
        backing(one), make("small", {}, ` ${one.layers.filter((layer) => layer.role === "harmonic").map((layer) => facts(layer)).join("; ")}`))))));
    box.hidden = false;
    byId("other").setAttribute("aria-expanded", "true");
    say("");
    box.querySelector("button").focus();
  } catch (failure) {
    tell(failure);
  }
}

async function chooseBacking(candidate) {
  await pin(open.now);
  await choose(candidate);
}

function facts(layer) {
  return text("layer_facts", {
    key: layer.key || text("no_key"), tempo: layer.tempo ? text("bpm", { tempo: layer.tempo.toFixed(1) }) : text("no_tempo"),
    speed: layer.speed.toFixed(2), semitones: signed(layer.semitones, 2), gain: signed(layer.gain_db, 1),
  });
}

function chooseLayer(role) {
  open.layer = role;
  document.querySelectorAll(".layer").forEach((one) => one.classList.toggle("on", one.dataset.role === role));
}

function showOpen() {
  const { now, base } = open;
  byId("opened").hidden = !now;
  byId("open-heading").textContent = now ? named(now) : text("none_open");
  if (!now) return;
  byId("about").textContent = [text("about", { seconds: now.duration_s.toFixed(1), condition: now.condition }), ...now.notes].join(" · ");
  byId("problem").hidden = !now.fixed;
  byId("problem").textContent = now.fixed ? text("unchangeable", { problem: now.fixed }) : "";
  if (!now.layers.some((layer) => layer.role === open.layer)) open.layer = now.layers.at(-1).role;
  const focused = document.activeElement?.id;
  byId("layers").replaceChildren(...now.layers.map((layer) => showLayer(layer)));
  if (focused) byId(focused)?.focus();
  byId("backings").hidden = true;
  byId("other").setAttribute("aria-expanded", "false");
  byId("other").disabled = Boolean(now.fixed);
  byId("reset").disabled = now === base;
  byId("lanes").setAttribute("aria-label", text("lanes", { roles: now.layers.map((layer) => `${text(layer.role)}: ${title(layer)}`).join(", ") }));
  showSteps();
  showDecision();
  showCompared();
}

function showLayer(layer) {
  const { role } = layer;
  const name = text(role);
  const tick = (what, set) => {
    const box = make("input", { type: "checkbox", id: `${what}-${role}`, on: { change: () => { player.toggleLayer(set, role); drawLanes(); } } });
    box.checked = set.has(role);
    return make("label", { class: "tick" }, box, text(what));
  };
  const steps = STEPS.filter((one) => role !== "vocal" || one === "gain_db").map((one) => {
    const button = (by) => make("button", {
      type: "button", class: "quiet", id: `${by < 0 ? "less" : "more"}-${one}-${role}`, disabled: Boolean(open.base.fixed),
      "aria-label": text(`${by < 0 ? "less" : "more"}_${one}`, { role: name }), on: { click: () => { chooseLayer(role); step(role, one, by); } },
    }, by < 0 ? "−" : "+");
    return make("span", { class: "step" }, make("span", {}, text(LABELS[one])), button(-1),
      make("output", { id: `${one}-${role}`, "aria-live": "off" }, "0"), button(1));
  });
  return make("fieldset", { class: `layer ${role === open.layer ? "on" : ""}`, "data-role": role },
    make("legend", {}, make("i", { class: role }), `${name}: ${title(layer)}`),
    make("p", { class: "quiet-text" }, facts(layer)),
    make("div", { class: "tools" }, tick("mute", player.muted), tick("solo", player.solo), steps));
}

function showSteps() {
  for (const layer of open.now?.layers ?? []) {
    for (const name of STEPS) {
      const shown = byId(`${name}-${layer.role}`);
      const value = open.changes[layer.role]?.[name] ?? 0;
      if (shown) shown.textContent = value ? signed(value) : "0";
    }
  }
}

function showCompared() {
  byId("compared").textContent = compared ? text("compared", { what: `${named(compared)}${compared.parent ? ` (${text("changed_of")})` : ""}` })
    : text("compared_none");
}

function drawLanes() {
  const deck = player.deck;
  const shown = deck === "b" ? compared : open.now;
  if (!shown || byId("opened").hidden) return;
  const length = shown.duration_s;
  let view = { from: 0, to: length };
  if (zoomed) {
    const from = Math.max(0, Math.min(player.position - ZOOMED_S / 3, length - ZOOMED_S));
    view = { from, to: Math.min(from + ZOOMED_S, length) };
  }
  lanes.draw(shown.layers.map((layer) => ({
    role: layer.role, buffer: player.buffer(deck, layer.role), audible: player.audible(layer.role), ...shown.beats?.[layer.role],
  })), view);
  lanes.head(player.position);
}

function refreshPlayer() {
  if (!hasText("play")) return;
  const ready = player.has(player.deck);
  byId("play").disabled = !ready;
  byId("play").textContent = !ready && open.busy ? text("loading") : player.playing ? text("pause") : text("play");
  byId("slider").disabled = !ready;
  byId("deck-a").checked = player.deck === "a";
  byId("deck-b").checked = player.deck === "b";
  byId("deck-b").disabled = !player.has("b");
  document.documentElement.dataset.busy = open.busy;
}

function tick() {
  if (open.now) {
    showPosition(player, byId("slider"), byId("clock"));
    if (zoomed && player.playing && (player.position > lanes.view.to - 1 || player.position < lanes.view.from)) drawLanes();
    else if (player.playing) lanes.head(player.position);
  }
  requestAnimationFrame(tick);
}

function toggle() {
  if (player.has(player.deck)) player.toggle();
}

function seek(position) {
  player.seek(position);
  if (zoomed) drawLanes();
  else lanes.head(player.position);
}

function switchTo(deck) {
  player.switchTo(deck);
  drawLanes();
}

// ------------------------------------------------------------------------------------------------ decisions
const waiting = []; // changes that are not saved yet, each with an id, so that none is made twice; without a plan: undo, redo
let sending = false;

const newOperation = () => crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;

function showDecision() {
  if (!open.now) return;
  const { verdict, stars, note } = decision(open.now.plan);
  byId("keep").setAttribute("aria-pressed", String(verdict === "keep"));
  byId("reject").setAttribute("aria-pressed", String(verdict === "reject"));
  byId("stars").querySelectorAll("input").forEach((input) => { input.checked = Number(input.value) === stars; });
  if (document.activeElement !== byId("note") || byId("note").dataset.plan !== open.now.plan) byId("note").value = note;
  byId("note").dataset.plan = open.now.plan;
}

async function decide(change, of = null) {
  while (!of && applying) await applying; // a decision is of what the last step made
  const plan = of ?? open.now?.plan;
  if (!plan) return;
  data.decisions[plan] = { ...decision(plan), ...change };
  waiting.push({ operation: newOperation(), plan, change });
  showDecision();
  showList();
  send();
}

async function verdict(value) {
  while (applying) await applying;
  if (open.now) decide({ verdict: decision(open.now.plan).verdict === value ? "" : value });
}

async function send() {
  if (sending) return;
  sending = true;
  while (waiting.length) {
    try {
      const { plan, back = "decide" } = waiting[0];
      const status = await order(`/api/${back}`, waiting[0]);
      waiting.shift();
      if (waiting.length) continue;
      await take(status);
      if (plan) say(text("saved"));
      else showTakenBack(back, status.plan);
    } catch (failure) {
      if (failure.reason === "offline" || failure.reason === "unsaved") {
        say(text(failure.reason, { problem: failure.problem ?? "" }), true);
        await new Promise((resolve) => { setTimeout(resolve, RETRY_MS); });
      } else { // it will never be accepted
        waiting.shift();
        tell(failure);
        await take(await ask("/api/status")).catch(tell);
      }
    }
  }
  sending = false;
}

// Show what the server says; changes that are not saved yet stay.
async function take(status) {
  const more = status.count !== data.candidates.length;
  data = { ...data, ...status };
  if (more) data = { ...data, ...(await ask("/api/list")) };
  for (const { plan, change } of waiting) if (plan) data.decisions[plan] = { ...decision(plan), ...change };
  seen = pulseOf(data);
  byId("undo").disabled = !data.can_undo;
  byId("redo").disabled = !data.can_redo;
  showList();
  showScorers();
  showJobs();
  showDecision();
}

// Undo and redo wait for what was decided before them.
async function takeBack(back) {
  while (applying) await applying;
  waiting.push({ operation: newOperation(), back });
  send();
}

function showTakenBack(back, plan) {
  const candidate = data.candidates.find((one) => one.plan === plan);
  byId("note").dataset.plan = ""; // the note is shown as it is now, also while it is written
  showDecision();
  say(plan ? text(`${back}_done`, { what: candidate ? named(candidate) : plan }) : text(`${back}_nothing`));
}

const pulseOf = (status) => JSON.stringify([status.revision, status.count, status.jobs.map((job) => [job.scorer, job.state, job.done])]);

async function pulse() {
  try {
    const now = await ask("/api/pulse");
    if (!sending && pulseOf(now) !== seen) {
      const others = now.revision !== data.revision;
      await take(await ask("/api/status"));
      if (others) say(text("elsewhere"));
    }
    if (byId("status").textContent === text("offline") && !sending) say("");
  } catch (failure) {
    if (!sending) tell(failure);
  }
  setTimeout(pulse, PULSE_MS);
}

// ------------------------------------------------------------------------------------------------ dialogs
function dialog(heading, ...body) {
  byId("dialog-title").textContent = heading;
  byId("dialog-body").replaceChildren(...body);
  byId("dialog").showModal();
}

const HELP = [["p", "p"], ["x", "x"], ["c", "c"], ["z", "z"], ["← →", "arrows"], ["Home", "home"], ["j k", "jk"], ["v h d", "mute"],
  ["l", "l"], ["[ ]", "beat"], ["{ }", "bar"], ["− +", "key"], ["< >", "gain"], ["r", "r"], ["b", "b"], ["y n", "yn"],
  ["0–5", "stars"], ["e", "e"], ["u U", "u"], ["s", "s"], ["?", "help"]];

function help() {
  dialog(text("keys_title"), make("dl", {}, HELP.flatMap(([keys, name]) => [
    make("dt", {}, keys.split(" ").map((key) => [make("kbd", {}, key), " "]).flat()), make("dd", {}, text(`help_${name}`))])));
}

function exporting() {
  dialog(text("export_title"), make("p", {}, text("export_text")), make("p", {}, make("code", {}, text("export_command", { where: data.where }))),
    make("ul", {}, ["decisions.csv", "preferences.jsonl"].map((name) => make("li", {}, make("a", { href: `/export/${name}`, download: name }, name)))));
}

// ------------------------------------------------------------------------------------------------ keys
function neighbour(by) {
  const found = listed().map(([one]) => one);
  const place = found.findIndex((one) => one.plan === open.now?.plan || one.plan === open.base?.plan);
  const next = found[place < 0 ? 0 : Math.max(0, Math.min(found.length - 1, place + by))];
  if (next && next.plan !== open.now?.plan) choose(next);
  byId("table").querySelector(`[data-plan="${next?.plan}"]`)?.scrollIntoView({ block: "nearest" });
}

function nextLayer() {
  const roles = open.now?.layers.map((layer) => layer.role) ?? [];
  if (!roles.length) return;
  chooseLayer(roles[(roles.indexOf(open.layer) + 1) % roles.length]);
  say(text("layer_chosen", { role: text(open.layer) }));
}

function layerKey(role, solo) {
  if (!open.now?.layers.some((layer) => layer.role === role)) return;
  const set = solo ? player.solo : player.muted;
  player.toggleLayer(set, role);
  const box = byId(`${solo ? "solo" : "mute"}-${role}`);
  if (box) box.checked = set.has(role);
  drawLanes();
}

const KEYS = {
  p: toggle, x: () => switchTo(player.deck === "a" ? "b" : "a"), c: () => pin(open.now), z: () => byId("zoom").click(),
  ArrowLeft: () => seek(player.position - 5), ArrowRight: () => seek(player.position + 5), Home: () => seek(0),
  j: () => neighbour(1), k: () => neighbour(-1),
  v: () => layerKey("vocal", false), h: () => layerKey("harmonic", false), d: () => layerKey("percussion", false),
  V: () => layerKey("vocal", true), H: () => layerKey("harmonic", true), D: () => layerKey("percussion", true),
  l: nextLayer, "[": () => step(open.layer, "beats", -1), "]": () => step(open.layer, "beats", 1),
  "{": () => step(open.layer, "bars", -1), "}": () => step(open.layer, "bars", 1),
  "-": () => step(open.layer, "semitones", -1), "+": () => step(open.layer, "semitones", 1), "=": () => step(open.layer, "semitones", 1),
  "<": () => step(open.layer, "gain_db", -1), ">": () => step(open.layer, "gain_db", 1),
  r: reset, b: showBackings, y: () => verdict("keep"), n: () => verdict("reject"), e: () => byId("note").focus(),
  u: () => takeBack("undo"), U: () => takeBack("redo"), s: () => byId("search").focus(), "?": help,
};
for (const stars of [0, 1, 2, 3, 4, 5]) KEYS[stars] = () => decide({ stars });

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || !byId("keys").checked || byId("dialog").open) return;
  const { target } = event;
  if (target.matches("textarea, select, input:not([type=checkbox]):not([type=radio]):not([type=range])")) {
    if (event.key === "Escape") target.blur();
    return;
  }
  if (target.matches("[type=range], [type=radio], [role=region]") && /^(Arrow|Home)/.test(event.key)) return;
  const action = KEYS[event.key];
  if (!action) return;
  event.preventDefault();
  action();
});

// ------------------------------------------------------------------------------------------------ the beginning
function wire() {
  const on = (id, event, handler) => byId(id).addEventListener(event, handler);
  on("play", "click", toggle);
  on("slider", "input", () => seek(Number(byId("slider").value)));
  on("deck-a", "change", () => switchTo("a"));
  on("deck-b", "change", () => switchTo("b"));
  on("pin", "click", () => pin(open.now));
  on("zoom", "click", () => {
    zoomed = !zoomed;
    byId("zoom").setAttribute("aria-pressed", String(zoomed));
    drawLanes();
  });
  on("lanes", "click", (event) => seek(lanes.secondsAt(event)));
  on("reset", "click", reset);
  on("other", "click", showBackings);
  on("keep", "click", () => verdict("keep"));
  on("reject", "click", () => verdict("reject"));
  let writing = null;
  const note = () => {
    clearTimeout(writing);
    const { value, dataset } = byId("note");
    if (dataset.plan && value !== decision(dataset.plan).note) decide({ note: value }, dataset.plan);
  };
  on("note", "input", () => { clearTimeout(writing); writing = setTimeout(note, 1000); });
  on("note", "change", note);
  for (const back of ["undo", "redo"]) on(back, "click", () => takeBack(back));
  on("help", "click", help);
  on("export", "click", exporting);
  on("dialog-close", "click", () => byId("dialog").close());
  on("more", "click", () => { rows += ROWS; showList(); });
  for (const id of ["search", "decided", "least-of", "least"]) on(id, "input", () => { rows = ROWS; showList(); });
  try {
    byId("keys").checked = localStorage.getItem("audition-keys") !== "off";
    on("keys", "change", () => localStorage.setItem("audition-keys", byId("keys").checked ? "on" : "off"));
  } catch {
    byId("keys").checked = true; // private windows keep nothing
  }
  addEventListener("resize", drawLanes);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawLanes);
}

function translate(language) {
  document.documentElement.lang = language;
  document.querySelectorAll("[data-text]").forEach((one) => { one.textContent = text(one.dataset.text); });
  byId("slider").setAttribute("aria-label", text("position"));
  byId("scroll").setAttribute("aria-label", text("table"));
  byId("decided").replaceChildren(...DECIDED.map((one) => make("option", { value: one }, text(`decided_${one}`))));
  byId("stars").append(...[0, 1, 2, 3, 4, 5].map((stars) => make("label", { class: "choice" },
    make("input", { type: "radio", name: "stars", value: stars, on: { change: () => decide({ stars }) } }),
    make("span", {}, stars ? String(stars) : text("no_stars")))));
}

async function begin() {
  const language = LANGUAGES.find((one) => navigator.language.startsWith(one)) ?? LANGUAGES[0];
  await loadTexts(`/static/texts/${language}.json`);
  translate(language);
  const problem = new URLSearchParams(location.search).get("problem");
  if (problem) {
    say(text(problem), true);
    return;
  }
  try {
    data = await ask("/api/list");
  } catch (failure) {
    tell(failure);
    return;
  }
  document.title = byId("title").textContent = text("title", { name: data.title });
  byId("main").hidden = false;
  shownScorers = new Set(Object.keys(data.scores));
  wire();
  if (shownScorers.size) sorting = { column: [...shownScorers][0], down: true };
  await take(data);
  showBroken();
  showOpen();
  document.documentElement.dataset.ready = Math.round(performance.now());
  requestAnimationFrame(tick);
  setTimeout(pulse, PULSE_MS);
  const [first] = listed();
  if (first) choose(first[0], { quiet: true });
  scorers = await ask("/api/scorers").catch(() => []);
  showScorers();
}

begin();
