// The view Board: the same drawing on an emulated board or a real one, beside what refengine computes.

import { showVerdict } from "./compare.js";
import { el, percent } from "./element.js";
import { ask } from "./server.js";
import { attempt, inference, on, present, state } from "./state.js";

export const title = "Board";

let port, fault, runs, waits, needs, shown;
let choices = null;
let ran = ""; // the inference that the board's answer is of

export function mount(section) {
  port = el("select", { id: "port", "aria-label": "board" });
  fault = el("select", { id: "fault", "aria-label": "break the firmware on purpose" });
  runs = el("button", { id: "run-board", className: "main", textContent: "Run on the board" });
  runs.onclick = runOnBoard;
  port.onchange = showNeeds;
  waits = el("p", { id: "board-waits", textContent: "Draw something first: then the board can be given it, too." });
  needs = el("p", { className: "hint" });
  shown = el("div", { id: "board-shown", "aria-live": "polite" });
  section.append(
    el("div", { className: "tools" }, port, el("label", {}, "Break it on purpose: ", fault), runs),
    waits,
    needs,
    shown,
  );
}

export function refresh() {
  runs.disabled = !state.answer;
  waits.hidden = Boolean(state.answer);
  if (ran && ran !== inference()) {
    ran = "";
    shown.replaceChildren(el("p", { className: "hint", textContent: "This drawing has not been on the board yet." }));
  }
  if (!choices) attempt(learn);
}

async function learn() {
  choices = await ask("ports");
  port.append(...choices.ports.map(portChoice));
  const usual = choices.ports.find(({ port: name }) => name === "qemu:mps2-an500");
  if (usual) port.value = usual.port;
  fault.append(
    el("option", { value: "", textContent: "not at all" }),
    ...choices.faults.map((name) => el("option", { value: name, textContent: name })),
  );
  showNeeds();
}

const portChoice = ({ port: name, core }) =>
  el("option", { value: name, textContent: core ? `${name} (${core})` : name });

function showNeeds() {
  const { missing } = choices.ports.find(({ port: name }) => name === port.value) ?? { missing: [] };
  fault.disabled = !port.value.startsWith("qemu:");
  if (fault.disabled) fault.value = "";
  needs.textContent = missing.length
    ? `${port.value} needs ${missing.join(" and ")}: ${missing.includes("pyserial") ? "pip install 'refengine[device]'" : choices.install}`
    : "The firmware is built with the network, and started; that takes some seconds the first time. A real board runs what was flashed onto it (refengine manual devices).";
}

async function runOnBoard() {
  const asked = inference();
  runs.disabled = true;
  shown.replaceChildren(el("p", { textContent: `${port.value} is at it …` }));
  const told = await attempt(() => ask("board", present({ port: port.value, fault: fault.value, changes: undefined })));
  shown.replaceChildren(...(told ? result(told) : []));
  if (told) state.times = { ...told.times, inference: asked };
  ran = asked;
  refresh(); // somebody may have drawn on
}

function result(told) {
  const unequal = told.steps.filter(({ equal }) => !equal).length;
  const verdict = unequal
    ? `${unequal} of ${told.steps.length} operators differ`
    : "Every operator's output is, by its CRC-32, what refengine computes";
  return [
    ...answers(told),
    el("p", { className: unequal ? "unsure result" : "sure result", textContent: verdict }),
    ...why(told),
    el("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": "each operator" }, table(told)),
    el("p", {
      className: "hint",
      textContent: `${told.board}: ${told.total.toFixed(1)} ms in all, ${told.arena.toLocaleString("en")} bytes of arena, numerics ${told.numerics}`,
    }),
  ];
}

function answers({ answers: { classes, codes } }) {
  if (!classes) return [el("p", { textContent: `The board gives ${codes.board.flat().slice(0, 16).join(" ")} …` })];
  const names = state.answer?.classes ?? [];
  const said = ({ label, score }) => `${names[label]?.name ?? label} (${percent(score)})`;
  const number = names[classes.board.label]?.name ?? classes.board.label;
  return [
    el("p", {
      className: "big",
      textContent: /^\d+$/.test(number) ? `It looks like the number ${number}` : `It looks like ${number}`,
    }),
    el("p", {
      textContent: `The board says ${said(classes.board)}, refengine in the board's arithmetic ${said(classes.refengine)}.`,
    }),
  ];
}

function why({ verdict }) {
  if (!verdict) return [];
  const show = el("button", {
    id: "show-verdict",
    textContent: "Show it in the graph",
    onclick: () => showVerdict(verdict, ran),
  });
  return [el("p", { id: "board-why", textContent: verdict.summary }), show];
}

function table({ steps, total }) {
  const head = ["step", "operator", "ms", "share", "CRC-32", "refengine's"].map((name) =>
    el("th", { textContent: name }),
  );
  const rows = steps.map(({ index, name, milliseconds, crc32, equal }) => {
    const bar = el("div");
    bar.style.width = `${(100 * milliseconds) / Math.max(total, 1e-9)}%`;
    const cells = [index, name, milliseconds.toFixed(3)].map((text, i) =>
      el("td", { textContent: text, className: i === 2 ? "number" : "" }),
    );
    const crc = el("td", { className: "number", textContent: crc32 });
    const same = el("td", { textContent: equal ? "the same" : "DIFFERS", className: equal ? "" : "unsure" });
    return el("tr", {}, cells, el("td", { className: "share" }, el("div", { className: "bar" }, bar)), crc, same);
  });
  return el("table", { id: "board-steps" }, el("thead", {}, el("tr", {}, head)), el("tbody", {}, rows));
}
