"use strict";
for (const player of document.querySelectorAll("audio[data-sound]")) {
  player.src = SOUNDS[player.dataset.sound]; // several competitors pick one mashup: its sound is here once
  player.addEventListener("play", () => {
    for (const other of document.querySelectorAll("audio")) if (other !== player) other.pause();
  });
}
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const heading = button.parentElement;
    const column = [...heading.parentElement.children].indexOf(heading);
    const body = heading.closest("table").tBodies[0];
    const ascending = heading.ariaSort === "descending" || (heading.ariaSort !== "ascending" && !("high" in heading.dataset));
    for (const other of heading.parentElement.children) other.ariaSort = null;
    heading.ariaSort = ascending ? "ascending" : "descending";
    const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
    const compare = (one, other) => {
      const [a, b] = [key(one), key(other)];
      if (a === "" || b === "") return (a === "") - (b === ""); // what is not known comes last, either way
      const difference = isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b;
      return ascending ? difference : -difference;
    };
    body.append(...[...body.rows].sort(compare));
  });
}
const everyRow = document.getElementById("every-row");
everyRow?.addEventListener("toggle", async () => {
  const packed = document.getElementById("packed-rows");
  if (packed === null || !("DecompressionStream" in window)) return;
  packed.remove(); // opened a second time, the table is there
  const bytes = Uint8Array.from(atob(packed.textContent), (letter) => letter.charCodeAt(0));
  const rows = await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).json();
  everyRow.querySelector("p").replaceWith(tableOf(rows));
});
function tableOf({ label, input, status, reason, wall_s, cpu_s, values }) {
  const text = (column, row) => column.texts[column.which[row]];
  const table = document.createElement("table");
  const headings = table.createTHead().insertRow();
  for (const heading of ["competitor", "input", "status", "numbers", "wall s", "CPU s"]) {
    headings.append(cell("th", heading, "col"));
  }
  const body = table.createTBody();
  for (const row of wall_s.keys()) {
    const numbers = Object.entries(values).filter(([, column]) => column[row] !== "");
    const said = numbers.map(([name, column]) => `${name} ${column[row]}`).join(", ") || text(reason, row);
    body.insertRow().append(
      cell("th", text(label, row), "row"),
      ...[text(input, row), text(status, row), said, wall_s[row] || "–", cpu_s[row] || "–"].map((value) => cell("td", value)),
    );
  }
  const wide = document.createElement("div");
  wide.className = "wide";
  wide.append(table);
  return wide;
}
function cell(tag, text, scope) {
  const made = document.createElement(tag);
  made.textContent = text;
  if (scope) made.scope = scope;
  if (scope !== "row") made.className = text.length > 40 ? "said long" : "said";
  return made;
}
