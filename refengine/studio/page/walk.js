// The view Walk: the graph, each layer's numbers as pictures, and where any one of them comes from.

import { el, refill, short } from "./element.js";
import { explanation } from "./explanation.js";
import { Graph } from "./graph.js";
import { askedHeat, heatMap, largest } from "./heat.js";
import { Maps } from "./maps.js";
import { ask } from "./server.js";
import { attempt, inference, latest, on, present, state } from "./state.js";
import { indexOf, placeOf, real, valuesOf } from "./tensors.js";

export const title = "Walk";

let drawn; // the graph's box, and what stands beside it
let graph;
let known = null; // what the server says of the network
let knownOf = ""; // of which
let here = null; // { step, output, at } or { tensor, at }; `at` may be null
let before = {}; // the values that the operator reads, by tensor
let pictures = {}; // by network, role and tensor
let trail = []; // where one came from
const options = { byValue: true, every: false };
let parts;

export function mount(section) {
  drawn = new Graph((key) => attempt(() => goto(addressed(key), true)));
  parts = Object.fromEntries(
    ["trail", "layer", "own", "before", "why"].map((name) => [name, el("div", { className: name })]),
  );
  const columns = [
    el("div", { className: "numbers" }, parts.trail, parts.layer, parts.own, parts.before),
    el("div", { className: "reasons" }, parts.why),
  ];
  section.append(el("div", { className: "walk" }, drawn.element, ...columns));
  on("network", () => {
    here = null;
    trail = [];
  });
}

export const refresh = latest(async () => {
  await learn();
  if (!state.answer) return nothing();
  here ??= first();
  await show();
});

async function learn() {
  const wanted = `${state.network}|${state.numerics}`;
  if (knownOf === wanted) return;
  known = await ask("graph", { network: state.network, numerics: state.numerics });
  knownOf = wanted;
  drawn.show(known.svg);
}

function nothing() {
  parts.layer.dataset.shown = "";
  pictures = {};
  for (const part of Object.values(parts)) part.replaceChildren();
  parts.layer.append(
    el("p", { textContent: "Draw something first: then every box of the graph has numbers to look at." }),
  );
}

// Where a walk begins: at the winning class, or the first element of the last operator.
function first() {
  const step = known.steps.at(-1);
  if (!step) return { tensor: known.inputs[0], at: null };
  const shape = known.tensors[step.writes[0]].shape;
  const at = state.answer.label === undefined ? shape.map(() => 0) : indexOf(shape, state.answer.label);
  return { step: step.index, output: 0, at };
}

const addressed = (key) =>
  key.startsWith("step")
    ? { step: Number(key.slice(4)), output: 0, at: null }
    : { tensor: Number(key.slice(6)), at: null };

const keyOf = (place) => (place.step === undefined ? `tensor${place.tensor}` : `step${place.step}`);

const tensorAt = (place) =>
  known.tensors[place.step === undefined ? place.tensor : known.steps[place.step].writes[place.output]];

async function goto(place, anew = false) {
  if (!known || !state.answer) return;
  if (anew) trail = [];
  else if (here && here.at) trail.push(here);
  here = place;
  await show();
}

// ---- what is shown ---------------------------------------------------------------------------------------------------

// All that is shown is fetched first: what one points at stays in place while the drawing moves, but for its numbers.
async function show() {
  const place = here;
  const tensor = tensorAt(place);
  const values = await valuesOf(tensor);
  const told = place.step !== undefined && place.at ? await element(place) : null;
  const read = told ? await inputsOf(place.step) : [];
  if (place !== here) return; // somebody went on meanwhile
  drawn.mark(keyOf(here));
  showTrail();
  showLayer(tensor);
  forgetOldHeat();
  showOwn(tensor, values);
  showBefore(told, read);
  showWhy(told, tensor, values);
}

const element = ({ step, output, at }) => ask("element", present({ step, output, at: at.join(",") }));

function showTrail() {
  const back = el("button", { textContent: "Back", disabled: !trail.length });
  back.onclick = () => {
    here = trail.pop();
    attempt(show);
  };
  const names = [...trail, here].map((place) => `${nameOf(place)}${place.at ? ` [${place.at.join(", ")}]` : ""}`);
  refill(parts.trail, back, el("span", { className: "hint", textContent: names.join("  ←  ") }));
}

const nameOf = (place) => {
  if (place.step !== undefined) return `${place.step} ${known.steps[place.step].name}`;
  return isMemory(place) ? "memory" : "input";
};

// Whether it is what a network that remembers has kept, in a variable, which no operator writes as its output.
const isMemory = ({ step, tensor }) => step === undefined && known.tensors[tensor].variable;

const BEGINNINGS = {
  input: ["The input", "What the network is fed: the picture, in the numbers that it takes."],
  memory: ["The memory", "What the network remembers, as this inference leaves it for the next one."],
};

function showLayer(tensor) {
  const layer = `${knownOf}|${keyOf(here)}|${here.output}|${state.drawing && here.step === undefined}`;
  if (parts.layer.dataset.shown === layer) return;
  parts.layer.dataset.shown = layer;
  const step = here.step === undefined ? null : known.steps[here.step];
  const outputs = step && step.writes.length > 1 ? [outputChoice(step)] : [];
  const facts = `${tensor.dtype} ${tensor.shape.join("×")}${tensor.about ? `, ${tensor.about}` : ""}`;
  const macs = step?.macs ? `, ${step.macs.toLocaleString("en")} multiplications` : "";
  const [heading, about] = step ? [`${step.index} ${step.name}`, step.about] : BEGINNINGS[nameOf(here)];
  parts.layer.replaceChildren(
    el("h2", { textContent: heading }),
    el("p", { textContent: about }),
    el("p", { className: "hint", textContent: facts + macs }),
    ...outputs,
    ...(step || isMemory(here) ? [] : [heatTools()]),
  );
}

function outputChoice(step) {
  const select = el("select", { "aria-label": "output" });
  select.append(
    ...step.writes.map((t, i) => el("option", { value: i, textContent: `output ${i}: ${known.tensors[t].name}` })),
  );
  select.value = here.output;
  select.onchange = () => attempt(() => goto({ step: step.index, output: Number(select.value), at: null }, true));
  return select;
}

function showOwn(tensor, values) {
  if (!values) {
    parts.own.replaceChildren(el("p", { textContent: `${tensor.dtype}: nothing to be shown as a picture` }));
    return;
  }
  const maps = mapsOf("own", tensor, `numbers of ${nameOf(here)}`, (place) =>
    attempt(() => pick(indexOf(tensor.shape, place))),
  );
  put(parts.own, maps.element);
  maps.show(tensor, values, here.step === undefined && !isMemory(here));
  maps.light([], here.at && placeOf(tensor.shape, here.at));
}

// The pictures of a tensor, the same ones as long as the network is the same.
function mapsOf(role, tensor, name, pick) {
  const key = `${knownOf}|${role}|${tensor.index}`;
  pictures[key] ??= new Maps(name, pick);
  return pictures[key];
}

// Put children in place, unless they are there: what is not touched keeps the keyboard's focus.
function put(part, ...children) {
  if (children.length !== part.childNodes.length || children.some((child, i) => child !== part.childNodes[i])) {
    part.replaceChildren(...children);
  }
}

// Another element of the same layer: no step back.
async function pick(at) {
  here = { ...here, at };
  await show();
}

// The tensors that an operator computes from, but for constants, and their values: [tensor, values, numbers of inputs].
async function inputsOf(step) {
  const found = [];
  for (const [input, index] of known.steps[step].inputs.entries()) {
    const earlier = found.find(([tensor]) => tensor.index === index);
    if (earlier) earlier[2].push(input);
    else if (index !== null && !known.tensors[index].constant) {
      const values = await valuesOf(known.tensors[index], { step });
      if (values) found.push([known.tensors[index], values, [input]]);
    }
  }
  return found;
}

// These, the elements lit that were read.
function showBefore(told, read) {
  before = {};
  const shown = read.map(([tensor, values, inputs]) => {
    before[tensor.index] = values;
    const name = `Reads from ${sourceName(tensor)}`;
    const maps = mapsOf("before", tensor, name, (place) => attempt(() => goto(source(tensor.index, place))));
    maps.title ??= el("h3", { textContent: name });
    const lit = told.lines
      .flatMap((line) => line.reads)
      .filter(([k]) => inputs.includes(k))
      .map(([, place]) => place);
    return { maps, tensor, values, lit };
  });
  put(parts.before, ...shown.flatMap(({ maps }) => [maps.title, maps.element]));
  for (const { maps, tensor, values, lit } of shown) {
    maps.show(tensor, values, known.inputs.includes(tensor.index));
    maps.light(lit);
  }
}

const sourceName = (tensor) => {
  if (tensor.writer !== null) return `${tensor.writer} ${known.steps[tensor.writer].name}`;
  return tensor.variable ? "its memory" : "the input";
};

// The element of the layer before: of the operator that writes the tensor, or of the input.
function source(index, place) {
  const tensor = known.tensors[index];
  const at = indexOf(tensor.shape, place);
  if (tensor.writer === null) return { tensor: index, at };
  return { step: tensor.writer, output: known.steps[tensor.writer].writes.indexOf(index), at };
}

function showWhy(told, tensor, values) {
  const wasHere = parts.why.contains(document.activeElement);
  refill(parts.why, ...(told ? reasons(told) : [hint(tensor, values)]));
  if (wasHere && !parts.why.contains(document.activeElement)) parts.trail.querySelector("button").focus(); // the way back
}

function hint(tensor, values) {
  if (here.step !== undefined) return el("p", { textContent: "Click a number to see where it comes from." });
  if (!here.at || !values) return el("p", { textContent: "This is where it all begins: point at a pixel." });
  const place = placeOf(tensor.shape, here.at);
  const codes = tensor.scale.length ? `code ${values[place]}, ` : "";
  return el("p", {
    className: "result",
    textContent: `${isMemory(here) ? "Remembered" : "The pixel"} [${here.at.join(", ")}]: ${codes}real ${short(real(tensor, values, place))}`,
  });
}

function reasons(told) {
  const go = (line) => {
    const [index, place] = taken(line);
    if (!known.tensors[index].constant) attempt(() => goto(source(index, place)));
  };
  const order = toggle("largest first", options.byValue, (on) => (options.byValue = on));
  const all = toggle("every line", options.every, (on) => (options.every = on));
  const other = el("button", { id: "what-if", textContent: "What if it were another?", onclick: playWithIt });
  return [
    el("h3", { textContent: "Where it comes from" }),
    el("div", { className: "tools" }, order, all, other),
    explanation(told, { go, ...options }),
  ];
}

// Of what a line reads, the element that it takes: the one of its value if it chose among several, else the first.
function taken({ reads, value }) {
  const pairs = reads.map(([input, place]) => [known.steps[here.step].inputs[input], place]);
  return pairs.find(([index, place]) => before[index]?.[place] === value) ?? pairs[0];
}

// The view Play, with this number chosen to be set.
function playWithIt() {
  state.wanted = { tensor: tensorAt(here).index, at: here.at };
  document.getElementById("tab-play").click();
}

function toggle(text, checked, set) {
  const box = el("input", { type: "checkbox", checked });
  box.onchange = () => {
    set(box.checked);
    attempt(show);
  };
  return el("label", {}, box, ` ${text}`);
}

// ---- which pixels spoke for a class -----------------------------------------------------------------------------------

const WAYS = { contributions: "what each contributes", occlusion: "what is missed if it is covered" };

function heatTools() {
  const classes = state.answer.classes ?? [];
  if (!classes.length) return "";
  const label = choice(
    "class",
    "heat-class",
    classes.map(({ label, name }) => [label, name]),
  );
  const way = choice("way", "heat-way", Object.entries(WAYS));
  label.value = state.answer.label;
  const shown = el("div", { id: "heat" });
  const button = el("button", { textContent: "Heat map", id: "heat-run" });
  button.onclick = async () => {
    button.disabled = true;
    shown.textContent = "asking the network again and again …";
    const told = await askedHeat(() => (state.answer ? { label: label.value, way: way.value } : null));
    shown.dataset.inference = told?.inference ?? "";
    shown.replaceChildren(...(told ? heat(told, classes[told.label].name) : []));
    button.disabled = false;
  };
  return el("div", {}, el("div", { className: "tools" }, "Which pixels spoke for", label, way, button), shown);
}

function choice(name, id, choices) {
  const select = el("select", { "aria-label": name, id });
  select.append(...choices.map(([value, textContent]) => el("option", { value, textContent })));
  return select;
}

// A heat map of what was drawn before is none of this.
function forgetOldHeat() {
  const shown = parts.layer.querySelector("#heat canvas") && parts.layer.querySelector("#heat");
  if (shown && shown.dataset.inference !== inference()) shown.replaceChildren();
}

function heat(told, name) {
  const text = { contributions: contributed, occlusion: occluded }[told.way](told, name);
  return [heatMap(told.rows, name), el("p", { className: "hint", id: "heat-words", textContent: text })];
}

const places = (stride) => (stride === 1 ? "pixels" : `squares of ${stride}×${stride} pixels`);

function contributed({ rows, stride, orders, score, blank, of }, name) {
  const sum = rows.flat().reduce((total, value) => total + value, 0);
  return (
    `Contributions: the ${places(stride)} are put onto blank paper one after another, in ${orders} orders, and the network is ` +
    `asked after each. A number is by how much the score of ${name}, among ${of}, rises when this one ` +
    `comes, on average. They add up, exactly: ${short(blank)} for blank paper, and ${short(sum)} from all of them, is ` +
    `${short(score)} for the drawing. Orange speaks for ${name}, by up to ${short(largest(rows))}, blue against it. ` +
    "(Estimated Shapley values: more orders would change them a little, never their sum.)"
  );
}

function occluded({ rows, patch, stride, score, of }, name) {
  return (
    `Occlusion: a patch of ${patch}×${patch} pixels, moved by ${stride}, is covered with paper, and the network asked ` +
    `again. Orange: the score of ${name}, ${short(score)} among ${of}, falls without it, by up to ${short(largest(rows))}; ` +
    "blue: it rises. Patches overlap, so these numbers add up to nothing."
  );
}
