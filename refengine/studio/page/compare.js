// The view Compare: the graph in colours, by what quantisation costs, by a device's dump, or by its times.

import { byId, el } from "./element.js";
import { Graph } from "./graph.js";
import { ask } from "./server.js";
import { attempt, inference, latest, on, present, state } from "./state.js";

export const title = "Compare";

const WAYS = {
  own: "by each operator's own quantisation error",
  total: "by the error that has gathered there",
  findings: "by what health finds",
  dump: "by diff's verdict on a device's dump",
  time: "by the time on the device",
};

let graph, way, dump, summary, key, details;
let told = null;

export function mount(section) {
  graph = new Graph(chosen);
  way = el("select", { id: "way", "aria-label": "colour the graph" });
  way.append(...Object.entries(WAYS).map(([value, text]) => el("option", { value, textContent: text })));
  way.onchange = colour;
  dump = el(
    "label",
    { className: "file", hidden: true },
    "Dump (.npz) … ",
    el("input", { type: "file", id: "dump", accept: ".npz" }),
  );
  dump.firstElementChild.onchange = ({ target }) => attempt(() => judge(target));
  const go = el("button", { id: "colour", className: "main", textContent: "Colour", onclick: colour });
  summary = el("p", { className: "result", id: "compare-summary" });
  key = el("p", { className: "key" });
  details = el("div", { id: "compare-details" });
  section.append(
    el("div", { className: "tools" }, "Colour the graph ", way, go, dump),
    summary,
    key,
    el("div", { className: "compared" }, graph.element, details),
  );
  on("network", clear);
}

export function refresh() {
  dump.hidden = way.value !== "dump";
  if (told?.inference && told.inference !== inference()) clear(); // it was of another drawing
  if (!told && !summary.textContent) hint("Choose what the colours shall tell, then Colour: each operator is a box.");
}

function clear() {
  told = null;
  summary.textContent = "";
  key.replaceChildren();
  graph.show("");
  details.replaceChildren();
}

const colour = latest(async () => {
  refresh();
  clear();
  if (way.value === "dump")
    return hint(
      "Give a dump of a device that ran on the drawing: `refengine device record` writes one, and so do other tools (`refengine manual diff`).",
    );
  if (way.value === "time")
    return state.times?.inference === inference()
      ? show(state.times, inference())
      : hint("Run the drawing on a board first (view Board): its times are shown here.");
  hint("measuring …");
  const asked = inference();
  try {
    const found = await ask("lost", present({ by: way.value }));
    show(found, found.of === "the drawing" ? asked : "");
  } catch (error) {
    clear();
    throw error;
  }
});

function hint(text) {
  summary.textContent = text;
}

async function judge(input) {
  const [file] = input.files;
  input.value = "";
  const asked = inference();
  if (file) show(await ask("verdict", present({ name: file.name }), file), asked);
}

// Colours that are of one inference only go with it; "" for those of many.
function show(found, of) {
  told = { ...found, inference: of };
  graph.show(found.svg);
  summary.textContent = found.summary ?? "Parts of the whole time, as the device counted it.";
  key.replaceChildren(
    ...found.key.map(({ status, text }) => el("span", {}, el("span", { className: `swatch ${status}` }), text)),
  );
  details.replaceChildren(el("p", { textContent: "Choose an operator." }));
}

function chosen(name) {
  if (!told) return;
  graph.mark(name);
  const lines = told.told[name.replace("step", "")] ?? [];
  const step = told.steps[Number(name.replace("step", ""))];
  details.replaceChildren(
    el("h2", { textContent: step ? `${step.index} ${step.name}` : "The input" }),
    ...(lines.length ? lines : ["Nothing more to say."]).map((line) => el("p", { textContent: line })),
  );
}

// What the view Board has measured, and where it differs.
export function showVerdict(found, of) {
  way.value = "dump";
  refresh();
  show(found, of);
  byId("tab-compare").click();
}
