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
