"use strict";
const GLYPHS = { done: "●", running: "◐", waiting: "·", failed: "✗", unsupported: "–", unavailable: "?", damaged: "!" };
const EVERY = 2000, FEW = 4;
const at = (id) => document.getElementById(id);

/** An element with text, never markup: names and reasons come from files. */
function make(tag, text = "", kind = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

function heading(text, scope, span = 1) {
  const made = make("th", text);
  made.scope = scope;
  if (span > 1) made.colSpan = span;
  return made;
}

function box(counts) {
  const made = make("td");
  const all = Object.values(counts).reduce((a, b) => a + b, 0);
  const said = Object.entries(counts).map(([state, count]) => `${count} ${state}`).join(", ");
  made.title = said;
  if (all <= FEW) {
    for (const state of Object.keys(GLYPHS))
      if (counts[state]) made.append(make("span", GLYPHS[state].repeat(counts[state]), state));
  } else {
    const done = counts.done || 0, wrong = (counts.failed || 0) + (counts.damaged || 0);
    made.append(make("span", `${done}/${all}`, done === all ? "done" : ""));
    if (counts.running) made.append(" ", make("span", `◐${counts.running}`, "running"));
    if (wrong) made.append(" ", make("span", `✗${wrong}`, "failed"));
  }
  made.setAttribute("aria-label", said);
  return made;
}

function grid(board) {
  const above = make("tr"), names = make("tr"), head = make("thead"), body = make("tbody");
  above.append(heading("", "col", 2));
  names.append(heading("algorithm", "col"), heading("quantizer", "col"));
  board.columns.forEach(([dataset, target], i) => {
    if (i === 0 || board.columns[i - 1][0] !== dataset)
      above.append(heading(dataset, "colgroup", board.columns.filter((column) => column[0] === dataset).length));
    names.append(heading(target, "col"));
  });
  head.append(above, names);
  board.rows.forEach(([algorithm, quantizer], i) => {
    const row = make("tr");
    row.append(make("td", algorithm), heading(quantizer, "row"), ...board.grid[i].map(box));
    body.append(row);
  });
  at("grid").replaceChildren(head, body);
  const seen = Object.keys(GLYPHS).filter((state) => board.states[state]);
  at("legend").replaceChildren(...seen.flatMap((state) => [make("span", GLYPHS[state], state), ` ${state}   `]));
}

const percent = (share) => (share === null ? "" : `${(100 * share).toFixed(1)} %`);

function latest(board) {
  const head = make("thead"), names = make("tr"), body = make("tbody");
  names.append(...["cell", "source validation", "target accuracy", "target domain", "ago"].map((name) => heading(name, "col")));
  head.append(names);
  for (const cell of board.latest) {
    const row = make("tr");
    row.append(heading(cell.cell, "row"), make("td", percent(cell.source), "number"), make("td", percent(cell.target), "number"),
      make("td", cell.domain), make("td", cell.ago_text, "number"));
    body.append(row);
  }
  at("latest").replaceChildren(head, body);
}

function listed(id, section, items) {
  at(section).hidden = items.length === 0;
  at(id).replaceChildren(...items);
}

function failure(found) {
  const made = make("li", `${found.cells.length} × ${found.reason}`);
  const more = found.cells.length > 3 ? ` and ${found.cells.length - 3} more` : "";
  made.append(make("br"), make("small", found.cells.slice(0, 3).join(", ") + more));
  return made;
}

let drawn = "";
function draw(board) {
  const part = `${Math.floor(100 * board.share)} %`;
  document.title = `${part} ${board.folder}`;
  at("folder").textContent = board.folder;
  at("share").value = board.share;
  at("percent").textContent = part;
  at("counts").textContent = board.counts;
  at("speed").textContent = board.speed;
  latest(board);
  at("results").hidden = board.latest.length === 0;
  listed("work", "at-work", board.work.map(([what, who]) => make("li", `${what} on ${who}`)));
  listed("failures", "failed", board.failures.map(failure));
  listed("ignored", "odd", board.ignored.map((line) => make("li", line)));
  const now = JSON.stringify([board.rows, board.columns, board.grid]);
  if (now !== drawn) grid(board);
  drawn = now;
}

async function look() {
  try {
    const answer = await fetch("board.json", { cache: "no-store" });
    const said = await answer.json();
    at("lost").hidden = answer.ok;
    if (answer.ok) draw(said);
    else at("lost").textContent = said.error;
  } catch (error) {
    at("lost").hidden = false;
    at("lost").textContent = "quantdg watch does not answer; what is below is what it said last.";
  }
  setTimeout(look, EVERY);
}
look();
