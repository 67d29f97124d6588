// The view Draw: what the network saw of the drawing, and how other networks and dialects answer it.

import { el, offer, percent, picture, refill } from "./element.js";
import { ask } from "./server.js";
import { attempt, latest, on, state } from "./state.js";

export const title = "Draw";

let steps, rows, network, numerics;
const others = []; // [network, dialect]

export function mount(section) {
  steps = el("div", { className: "steps" });
  rows = el("tbody");
  network = el("select", { "aria-label": "network to add" });
  numerics = el("select", { "aria-label": "dialect to add" });
  const head = ["network", "dialect", "answer", "confidence"].map((name) => el("th", { textContent: name }));
  section.append(
    el("h2", { textContent: "What the network saw" }),
    steps,
    el("h2", { textContent: "How others answer the same drawing" }),
    el(
      "div",
      { className: "scroll" },
      el("table", { id: "others" }, el("thead", {}, el("tr", {}, head, el("td"))), rows),
    ),
    el("div", { className: "tools" }, network, numerics, el("button", { id: "add", textContent: "Add", onclick: add })),
  );
  on("choices", offerChoices);
  offerChoices();
  others.push(...state.choices.networks.filter((name) => /^(dense|esp32)_int8$/.test(name)).map((n) => [n, "tflm"]));
  others.push([state.network, "litert"]);
}

function offerChoices() {
  offer(network, state.choices.networks);
  offer(numerics, state.choices.dialects);
}

function add() {
  others.push([network.value, numerics.value]);
  refresh();
}

export function refresh() {
  showSteps(state.answer?.saw ?? []);
  showOthers();
}

function showSteps(saw) {
  steps.replaceChildren(
    ...saw.map((step) => {
      const shown = step.data ? picture(step) : el("p", { textContent: step.text });
      const size = step.data ? ` (${step.height}×${step.width})` : "";
      return el("figure", {}, shown, el("figcaption", { textContent: step.name + size }));
    }),
  );
  if (!saw.length)
    steps.textContent = state.answer
      ? "This input is no picture."
      : "Draw something first: then each step of its way into the network is here.";
}

const showOthers = latest(async () => {
  const drawing = state.drawing;
  const told = drawing ? await Promise.all(others.map(([name, dialect]) => answerOf(name, dialect, drawing))) : [];
  refill(rows, ...told.map((cells, i) => row(others[i], cells, i)));
});

// [answer, confidence], or why there is none.
async function answerOf(name, dialect, drawing) {
  try {
    const answer = await ask("answer", { network: name, numerics: dialect, drawing });
    if (answer.task !== "classification") return [answer.task, ""];
    const best = answer.classes[answer.label];
    return [best.name, percent(best.score)];
  } catch (refusal) {
    return [refusal.message, ""];
  }
}

function row([name, dialect], [answer, confidence], i) {
  const remove = el("button", { textContent: "Remove", "aria-label": `remove ${name}, ${dialect}` });
  remove.onclick = () => {
    others.splice(i, 1);
    attempt(refresh);
  };
  const cells = [name, dialect, answer, confidence].map((text) => el("td", { textContent: text }));
  return el("tr", {}, cells, el("td", {}, remove));
}
