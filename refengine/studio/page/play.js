// The view Play: two dialects side by side, what becomes of a number that is set by hand, and inferences in turn.

import { bars } from "./drawing.js";
import { el, offer, refill, short } from "./element.js";
import { explanation } from "./explanation.js";
import { ask } from "./server.js";
import { again, change, latest, on, present, state } from "./state.js";

export const title = "Play";

const COLOURS = [
  "#1f77b4",
  "#d62728",
  "#2ca02c",
  "#ff7f0e",
  "#9467bd",
  "#8c564b",
  "#17becf",
  "#e377c2",
  "#7f7f7f",
  "#bcbd22",
];

let known = null;
let knownOf = "";
let other, parted, form, list, effect, time;

export function mount(section) {
  other = el("select", { id: "other", "aria-label": "the other dialect" });
  other.onchange = () => refresh();
  parted = el("div", { id: "parted" });
  form = el("div", { className: "tools", id: "set-form" });
  list = el("ul", { id: "changes" });
  effect = el("div", { id: "effect" });
  time = el("div", { id: "time" });
  section.append(
    el("h2", { textContent: "What if" }),
    el("p", {
      className: "hint",
      textContent:
        "Set a number, a whole channel or a weight, and see what becomes of the answer. An index is as in Python: 0,3,:,2; empty stands for all.",
    }),
    form,
    list,
    effect,
    time,
    el("h2", { textContent: "Two dialects" }),
    el("label", { className: "tools" }, "The dialect at the top against ", other),
    parted,
  );
  on("choices", () => offer(other, state.choices.dialects));
  offer(other, state.choices.dialects, "xnnpack");
}

export const refresh = latest(async () => {
  const wanted = `${state.network}|${state.numerics}`;
  if (knownOf !== wanted) {
    known = await ask("graph", { network: state.network, numerics: state.numerics });
    knownOf = wanted;
    showForm();
  }
  takeWanted();
  showChanges();
  await showEffect();
  await showTime();
  await showParting();
});

// ---- two dialects ------------------------------------------------------------------------------------------------------

async function showParting() {
  if (!state.answer) return parted.replaceChildren(el("p", { textContent: "Draw something first." }));
  if (other.value === state.numerics)
    return parted.replaceChildren(el("p", { textContent: "Choose two different ones." }));
  const told = await ask("parting", present({ other: other.value }));
  parted.replaceChildren(...(told.first ? apart(told) : [same(told)]));
}

const same = ({ count, steps }) =>
  el("p", {
    className: "result",
    textContent: steps
      ? "One of them ends earlier than the other."
      : `Every number of ${count === 1 ? "its one operator" : `all ${count} operators`} is the same in both.`,
  });

function apart({ first, steps, count }) {
  const how = `They part at ${first.step} ${first.name}: ${first.count.toLocaleString("en")} of ${first.size.toLocaleString("en")} numbers differ, by up to ${short(first.largest)} ${first.unit}`;
  const more = `${steps} of ${count} operators differ${first.where ? `, here ${first.where}` : ""}.`;
  const stage = first.stages.length
    ? `The first number that differs is [${first.at.join(", ")}]; its two stories part at “${first.stages[0]}”.`
    : "";
  const titles = [state.numerics, other.value];
  const stories = [first.mine, first.theirs].map((told, i) =>
    el("div", {}, el("h3", { textContent: titles[i] }), explanation(told, { byValue: true })),
  );
  mark(stories, first.stages);
  return [
    el("p", { className: "result", textContent: how }),
    el("p", { textContent: `${more} ${stage}` }),
    el("div", { className: "two" }, stories),
  ];
}

// Mark the stages at which the two part.
function mark(stories, stages) {
  stages.forEach((name, i) => {
    const headings = [...stories[i].querySelectorAll(".stage h4")];
    headings
      .find(({ textContent }) => textContent.split(" (")[0] === name)
      ?.closest(".stage")
      .classList.add("parts");
  });
}

// ---- what if -----------------------------------------------------------------------------------------------------------

// What may be set: [text, tensor, whether it has channels].
function targets() {
  const found = known.inputs.map((index) => [`input: ${shape(index)}`, index]);
  for (const step of known.steps) {
    step.writes.forEach((index, i) => found.push([`${step.index} ${step.name}, output ${i}: ${shape(index)}`, index]));
    step.inputs.forEach((index, i) => {
      if (index !== null && known.tensors[index].constant)
        found.push([`${step.index} ${step.name}, constant ${i}: ${shape(index)}`, index]);
    });
  }
  return found;
}

const shape = (index) => `${known.tensors[index].dtype} ${known.tensors[index].shape.join("×")}`;

function showForm() {
  const target = el("select", { id: "target", "aria-label": "what to set" });
  target.append(...targets().map(([text, index]) => el("option", { value: index, textContent: text })));
  target.value = known.steps.at(-1)?.writes[0] ?? known.inputs[0];
  const at = el("input", { type: "text", id: "at", size: 12, placeholder: "0,3,:,2", "aria-label": "index" });
  const value = el("input", { type: "number", id: "value", step: "any", value: 0, "aria-label": "value" });
  const isReal = el("input", { type: "checkbox", id: "real", checked: true });
  const set = el("button", { id: "set", textContent: "Set", className: "main" });
  const silence = el("button", { id: "silence", textContent: "Silence a channel" });
  const channel = el("input", { type: "number", id: "channel", min: 0, value: 0, "aria-label": "channel" });
  set.onclick = () => add([Number(target.value), at.value.trim(), Number(value.value), isReal.checked]);
  silence.onclick = () => {
    const { shape: lengths } = known.tensors[target.value];
    const index = [...lengths.slice(0, -1).map(() => ":"), channel.value].join(",");
    add([Number(target.value), index, 0, known.tensors[target.value].scale.length > 0]);
  };
  form.replaceChildren(
    target,
    el("label", {}, "[", at, "]"),
    " = ",
    value,
    el("label", {}, isReal, " real value"),
    set,
    silence,
    channel,
  );
}

// What the view Walk has chosen to be set.
function takeWanted() {
  if (!state.wanted) return;
  form.querySelector("#target").value = state.wanted.tensor;
  form.querySelector("#at").value = state.wanted.at.join(",");
  form.querySelector("#channel").value = state.wanted.at.at(-1) ?? 0;
  state.wanted = null;
  form.querySelector("#value").focus();
}

const add = ([tensor, at, value, isReal]) =>
  change([...state.changes, [tensor, at, value, isReal && known.tensors[tensor].scale.length > 0, state.frame]]);

function showChanges() {
  refill(
    list,
    ...state.changes.map(([tensor, at, value, isReal, frame], i) => {
      const text = targets().find(([, index]) => index === tensor)?.[0] ?? `tensor ${tensor}`;
      const place = `${text}${at ? ` [${at}]` : ""}`;
      const back = el("button", {
        textContent: "Take back",
        onclick: () => change(state.changes.filter((_, k) => k !== i)),
      });
      const told = `${place} = ${isReal ? `real ${value}` : value}${frame ? `, in inference ${frame}` : ""} `;
      return el("li", {}, told, back);
    }),
  );
}

async function showEffect() {
  if (!state.changes.length || !state.answer?.classes) return effect.replaceChildren();
  const before = await ask("answer", present({ changes: undefined }));
  const both = [
    ["as it is", before],
    ["as you set it", state.answer],
  ];
  const columns = both.map(([name, answer]) => {
    const best = answer.classes[answer.label];
    return el("div", {}, el("h3", { textContent: `${name}: ${best.name}` }), bars(answer.classes));
  });
  effect.replaceChildren(el("div", { className: "two" }, columns));
}

// ---- inferences in turn ------------------------------------------------------------------------------------------------

async function showTime() {
  const count = state.answer?.frames ?? 0;
  if (count < 2) {
    const text =
      "This network remembers. Give it a file with several inferences (.npy, .npz, .wav) to go through them in turn.";
    const hint = [el("h2", { textContent: "In turn" }), el("p", { className: "hint", textContent: text })];
    time.replaceChildren(...(known.remembers ? hint : []));
    return;
  }
  const told = await ask("timeline", present());
  const step = (by, name) =>
    el("button", {
      textContent: name,
      id: `frame-${name.toLowerCase()}`,
      disabled: !(state.frame + by in told.scores),
      onclick: () => enter(state.frame + by),
    });
  refill(
    time,
    el("h2", { textContent: "In turn" }),
    el(
      "div",
      { className: "tools" },
      step(-1, "Previous"),
      el("span", { textContent: `inference ${state.frame} of ${count}` }),
      step(1, "Next"),
    ),
    chart(told),
  );
}

function enter(frame) {
  state.frame = frame;
  again();
}

function chart({ names, scores }) {
  const canvas = el("canvas", {
    width: 700,
    height: 180,
    className: "chart",
    role: "img",
    "aria-label": "scores over time",
  });
  const context = canvas.getContext("2d");
  const flat = scores
    .flatMap((row) => row ?? [])
    .map(Number)
    .filter(Number.isFinite);
  const [low, high] = [Math.min(0, ...flat), Math.max(1e-9, ...flat)];
  const x = (frame) => 10 + (680 * frame) / Math.max(1, scores.length - 1);
  const y = (score) => 170 - (160 * (score - low)) / (high - low);
  names.forEach((_, i) => {
    context.strokeStyle = COLOURS[i % COLOURS.length];
    context.beginPath();
    scores.forEach((row, frame) => row && context.lineTo(x(frame), y(Number(row[i]))));
    context.stroke();
  });
  context.strokeStyle = "#888";
  context.strokeRect(x(state.frame) - 2, 2, 4, 176);
  canvas.onclick = (event) => {
    const part = (event.offsetX * (700 / canvas.clientWidth) - 10) / 680;
    enter(Math.min(scores.length - 1, Math.max(0, Math.round(part * (scores.length - 1)))));
  };
  const key = names.map((name, i) => {
    const mark = el("span", { className: "mark", textContent: "━ " });
    mark.style.color = COLOURS[i % COLOURS.length];
    return el("span", {}, mark, name);
  });
  return el(
    "div",
    {},
    canvas,
    el("p", { className: "key" }, key),
    el("p", { className: "hint", textContent: `from ${short(low)} to ${short(high)}` }),
  );
}
