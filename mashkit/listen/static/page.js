// What the page of raters and the admin page share: texts, elements, requests.

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

export class Failure extends Error {
  constructor(reason, status) {
    super(reason);
    this.reason = reason;
    this.status = status;
  }
}

// Ask the server; a Failure has the reason that the server gives, or "offline".
export async function ask(path, body) {
  const options = body === undefined
    ? { cache: "no-store" }
    : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), keepalive: true };
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
  if (!response.ok) throw new Failure(data.reason ?? "error", response.status);
  return data;
}
