// What the pages of raters, of the admin and of auditions share: texts, elements, messages and requests.

const SHOWN_S = 20; // how long a message stays

export function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") for (const [event, handler] of Object.entries(value)) made.addEventListener(event, handler);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

export const byId = (id) => document.getElementById(id);

let texts = {};

export async function loadTexts(path) {
  texts = await ask(path);
}

export const hasText = (name) => Boolean(texts[name]);

export function text(name, values = {}) {
  return (texts[name] ?? name).replace(/\{(\w+)\}/g, (whole, key) => values[key] ?? whole);
}

export function say(message, bad = false) {
  const status = byId("status");
  status.classList.toggle("bad", bad);
  status.textContent = message;
  if (message && !bad) setTimeout(() => { if (status.textContent === message) status.textContent = ""; }, SHOWN_S * 1000);
}

// Show a player's position on a slider and as "0:42 / 1:30".
export function showPosition(player, slider, clock) {
  const shown = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
  slider.max = player.length.toFixed(1);
  if (document.activeElement !== slider || player.playing) slider.value = player.position;
  slider.setAttribute("aria-valuetext", text("position_value", { now: Math.round(player.position), end: Math.round(player.length) }));
  clock.textContent = `${shown(player.position)} / ${shown(player.length)}`;
}

export class Failure extends Error {
  constructor(reason, status, problem) {
    super(reason);
    this.reason = reason;
    this.status = status;
    this.problem = problem; // the server's own words, if it has any
  }
}

// Ask the server; a Failure has the reason that the server gives, or "offline". A request that is kept alive outlives
// the page, and must be short.
export async function ask(path, body, keepalive = true) {
  const options = body === undefined
    ? { cache: "no-store" }
    : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), keepalive };
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Failure("offline", 0);
  }
  let data = {};
  try {
    data = await response.json();
  } catch {
    if (response.ok) throw new Failure("offline", 0);
  }
  if (!response.ok) throw new Failure(data.reason ?? "error", response.status, data.problem);
  return data;
}
