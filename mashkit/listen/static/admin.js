// The page of the one who runs the study. It shows no system's name, so whoever runs it may be a rater, too.

import { ask, byId, make } from "./page.js";

const EVERY_MS = 10000;
let timer = null;

function say(message, bad = false) {
  byId("status").classList.toggle("bad", bad);
  byId("status").textContent = message;
}

function table(element, headings, rows) {
  element.replaceChildren(
    make("thead", {}, make("tr", {}, headings.map((one) => make("th", { scope: "col" }, one)))),
    make("tbody", {}, rows.map((row) => make("tr", {}, row.map((cell) => make("td", {}, String(cell)))))),
  );
}

async function refresh() {
  clearTimeout(timer);
  let data;
  try {
    data = await ask("/api/admin/progress");
  } catch (failure) {
    byId("all").hidden = true;
    byId("login").hidden = failure.reason !== "token";
    if (failure.reason !== "token") {
      say("The server does not answer; trying again.", true);
      timer = setTimeout(refresh, EVERY_MS);
    }
    return;
  }
  byId("login").hidden = true;
  byId("all").hidden = false;
  byId("dry").hidden = !data.dry_run;
  byId("title").textContent = data.title;
  const stages = Object.entries(data.stages).map(([stage, count]) => `${count} at "${stage}"`);
  byId("summary").textContent = [
    `Task ${data.task}, hash ${data.hash.slice(0, 12)}.`,
    stages.length ? `Raters: ${stages.join(", ")}.` : "No rater yet.",
    `${data.withdrawn} withdrawn.`, data.full ? "Every page has its ratings." : "",
  ].join(" ");
  table(byId("raters"), ["rater", "stage", "language", "answered", "s a page", "left out by rule"], data.raters.map((one) => [
    one.rater, one.stage, one.language, `${one.answered} of ${one.of}`, one.seconds_a_page?.toFixed(0) ?? "",
    Object.entries(one.excluded).map(([rule, why]) => `${rule}: ${why}`).join("; "),
  ]));
  table(byId("pages"), ["page", "kind", "answered", "counted", "wanted", "sounds"], data.pages.map((one) => [
    one.page, one.kind, one.answered, one.counted, one.kind === "results" ? data.wanted : "",
    one.broken ? "missing or changed: passed over" : "whole",
  ]));
  byId("backup-problem").textContent = data.backup_problem;
  timer = setTimeout(refresh, EVERY_MS);
}

byId("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    await ask("/api/admin/login", { token: byId("token").value });
    say("");
    await refresh();
  } catch (failure) {
    say(failure.reason === "busy" ? "Too many attempts: wait a moment." : "This is not the admin token.", true);
  }
});

byId("make-links").addEventListener("submit", async (event) => {
  event.preventDefault();
  const open = byId("open").checked;
  try {
    const made = await ask("/api/admin/links", { count: open ? 1 : Number(byId("count").value), days: Number(byId("days").value), open });
    byId("made").hidden = false;
    byId("links").value = made.links.join("\n");
    byId("links").focus();
    say("");
  } catch {
    say("The links could not be made: check the numbers.", true);
  }
});

byId("backup").addEventListener("click", async () => {
  try {
    const made = await ask("/api/admin/backup", {});
    say(`Saved as ${made.backup}.`);
  } catch {
    say("The backup could not be made.", true);
  }
});

refresh();
