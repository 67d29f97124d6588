// An explanation for reading: the stages in order, each with its words; taps lead on to the elements they read.

import { el, short } from "./element.js";

const FEW = 12; // lines of one name that are shown at once

// `go(line)` follows a line to what it reads; `byValue`: the largest taps first.
export function explanation(told, { go = null, byValue = false, every = false, title = told.element } = {}) {
  const end =
    told.real === null ? `= ${short(told.value)}` : `= ${short(told.value)}, which stands for ${short(told.real)}`;
  const parts = runs(told.lines).map((lines) => stage(lines, { go, byValue, every }));
  return el(
    "div",
    { className: "explanation" },
    el("p", { className: "hint", textContent: title }),
    parts,
    el("p", { className: "result", textContent: end }),
  );
}

// The lines in runs of the same name.
function runs(lines) {
  const found = [];
  for (const line of lines) {
    if (found.length && found.at(-1)[0].name === line.name) found.at(-1).push(line);
    else found.push([line]);
  }
  return found;
}

function stage(lines, { go, byValue, every }) {
  const { name, words } = lines[0];
  const ordered =
    byValue && lines.length > FEW ? [...lines].sort((a, b) => Math.abs(b.value) - Math.abs(a.value)) : lines;
  const shown = every ? ordered : ordered.slice(0, FEW);
  const rows = shown.map((line) => row(line, go));
  const rest = lines.length - shown.length;
  const more = rest > 0 ? [el("tr", {}, el("td", { colSpan: 3, textContent: `… and ${rest} more` }))] : [];
  const count = lines.length > 1 ? ` (${lines.length})` : "";
  return el(
    "section",
    { className: "stage" },
    el("h4", { textContent: name + count }),
    words ? el("p", { className: "hint", textContent: words }) : null,
    el("table", {}, el("tbody", {}, rows, more)),
  );
}

function row(line, go) {
  const text = el("td", { textContent: line.text });
  const follow =
    go && line.reads.length
      ? el("button", { textContent: "↰", title: "go to this element", "aria-label": `go to ${line.text}` })
      : "";
  if (follow) follow.onclick = () => go(line);
  return el("tr", {}, el("td", { className: "number", textContent: short(line.value) }), text, el("td", {}, follow));
}
