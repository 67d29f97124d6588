// The drawing beside every view: where it comes from, when it is run, and what the network says to it.

import { byId, el, percent, picture, refill, short } from "./element.js";
import { Pad } from "./pad.js";
import { ask, Refusal } from "./server.js";
import { again, attempt, change, forget, latest, on, run, state, tell } from "./state.js";

const UNSURE = 0.8; // below it, an answer is told as a doubtful one

let pad;
let file = null; // what was dropped, as long as nothing is drawn on it
let underway = null; // the answer that was asked for last, to be waited for

// Wait for the answer to what is there now: until it comes, `state` is of what was there before.
export const settled = () => underway;

const runDrawing = () => (underway = answerLatest());

// Run what is there now. What is only begun may be no digit yet: that is no trouble while the pen is down, and what was
// answered last stays as long.
const answerLatest = latest(async () => {
  const digit = byId("digit").checked ? 1 : 0;
  try {
    if (file) await run({ name: file.name, digit }, file);
    else if (!pad.isEmpty) await run({ name: "drawing.png", digit }, await pad.png());
  } catch (error) {
    if (error instanceof Refusal && pad.isDown) return;
    forget();
    throw error;
  }
});

export function mountDrawing() {
  pad = new Pad(byId("pad"), drawn, () => Number(byId("thickness").value));
  byId("run").onclick = runDrawing;
  byId("undo").onclick = () => pad.undo();
  byId("clear").onclick = () => pad.clear();
  byId("digit").onchange = runDrawing;
  byId("sample").onclick = () => given("sample", { sample: Math.floor(Math.random() * 100) });
  byId("noise").onclick = () => given("noise", { noise: Math.floor(Math.random() * 1e6) });
  byId("file").onchange = ({ target }) => {
    if (target.files.length) take(target.files[0]);
    target.value = "";
  };
  listenForFiles();
  on("answer", showAnswer);
}

function drawn() {
  file = null;
  byId("source").textContent = "";
  if (byId("live").checked && !pad.isEmpty) runDrawing();
  else forget(); // what was answered is not what is there
}

// What the server makes itself: a sample of the data, or noise.
async function given(what, parameters) {
  file = null;
  state.frame = 0;
  await (underway = attempt(() => run(parameters)));
  const seen = state.answer?.saw ?? [];
  pad.put(seen.length && seen[0].data ? picture(seen[0], what === "sample") : null);
  byId("source").textContent = what === "noise" ? "Noise: every code as likely as any other." : (seen[0]?.name ?? "");
}

function listenForFiles() {
  const canvas = byId("pad");
  for (const name of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(name, (event) => {
      event.preventDefault();
      canvas.classList.toggle("over", name === "dragover");
      if (name === "drop" && event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
    });
  }
  document.addEventListener("paste", (event) => {
    if (event.clipboardData.files.length) take(event.clipboardData.files[0]);
  });
}

async function take(given) {
  if (given.name.toLowerCase().endsWith(".tflite")) return takeNetwork(given);
  file = given;
  state.frame = 0;
  const shown = given.type.startsWith("image/") ? await createImageBitmap(given).catch(() => null) : null;
  pad.put(shown);
  byId("source").textContent = `${given.name}, ${given.size.toLocaleString("en")} bytes`;
  runDrawing();
}

async function takeNetwork(given) {
  const told = await attempt(() => ask("drop", { name: given.name }, given));
  if (!told) return;
  state.choices = told;
  state.network = told.network;
  tell("choices");
  tell("network");
}

// ---- the answer --------------------------------------------------------------------------------------------------

function showAnswer() {
  refill(byId("answer"), ...(state.answer ? told(state.answer) : []));
  const aloud = byId("answer").querySelector(".big")?.textContent ?? "";
  if (byId("said").textContent !== aloud) byId("said").textContent = aloud; // for those who hear the page, once
  showFrames(state.answer?.frames ?? 1);
}

function told(answer) {
  const time = el("p", {
    className: "hint",
    textContent: `answered within ${answer.milliseconds.toFixed(0)} ms, ${answer.numerics}`,
  });
  const lines = { classification: classes, detection: things, segmentation: parts, none: values }[answer.task](answer);
  return [...lines, ...changed(answer), time];
}

export const isUnsure = (answer) => answer.classes[answer.label].score < UNSURE;

export function sentence(answer) {
  const best = answer.classes[answer.label];
  const what = /^\d+$/.test(best.name) ? `It looks like the number ${best.name}` : `It looks like ${best.name}`;
  return `${what}${isUnsure(answer) ? ", but that is a guess" : ""}`;
}

function classes(answer) {
  const line = el("p", { className: `big ${isUnsure(answer) ? "unsure" : "sure"}`, textContent: sentence(answer) });
  const shown = [...answer.classes];
  if (shown.length > 20) shown.sort((a, b) => b.score - a.score).splice(20);
  return [line, bars(shown)];
}

export function bars(classes) {
  const scores = classes.map(({ score }) => score);
  const [low, high] = [Math.min(0, ...scores), Math.max(1e-9, ...scores)];
  const end = low >= 0 && high <= 1.01 ? 1 : high; // probabilities go to 1
  const rows = classes.flatMap(({ name, score, code }) => {
    const bar = el("div");
    bar.style.width = `${(100 * (score - low)) / (end - low)}%`;
    const text = end === 1 && low === 0 ? percent(score) : short(score);
    return [
      el("span", { textContent: name }),
      el("div", { className: "bar", title: `code ${code}` }, bar),
      el("span", { className: "number", textContent: text }),
    ];
  });
  return el("div", { className: "bars" }, rows);
}

// Where things were found, on the picture that was given.
function boxed(saw, best) {
  const given = saw?.find(({ data }) => data);
  if (!given) return [];
  const canvas = el("canvas", {
    className: "found",
    width: 320,
    height: Math.round((320 * given.height) / given.width),
  });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "the picture with a box around each thing found");
  const context = canvas.getContext("2d");
  context.drawImage(picture(given), 0, 0, canvas.width, canvas.height);
  context.strokeStyle = context.fillStyle = "#ff8c1a";
  context.lineWidth = 3;
  for (const { name, score, box } of best) {
    const [top, left, bottom, right] = box.map((edge, i) => edge * (i % 2 ? canvas.width : canvas.height));
    context.strokeRect(left, top, right - left, bottom - top);
    context.fillText(`${name} ${percent(score)}`, left + 4, top + 12);
  }
  return [canvas];
}

function things({ detections, saw }) {
  const best = detections.filter(({ score }) => score >= 0.3).slice(0, 10);
  const lines = best.map(({ name, score, box }) => {
    const place = box.map((edge) => edge.toFixed(2)).join(", ");
    return el("li", { textContent: `${name}: ${percent(score)} (top, left, bottom, right: ${place})` });
  });
  return [el("p", { className: "big", textContent: `${best.length} found` }), ...boxed(saw, best), el("ul", {}, lines)];
}

// A colour for each class of a map.
function mapped(map) {
  const canvas = el("canvas", { className: "found", width: map[0].length, height: map.length });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "the class of each pixel, in colours");
  const context = canvas.getContext("2d");
  map.forEach((row, y) =>
    row.forEach((label, x) => {
      context.fillStyle = `hsl(${(label * 137) % 360} 65% 50%)`;
      context.fillRect(x, y, 1, 1);
    }),
  );
  return canvas;
}

function parts({ map, shares }) {
  const rows = Object.entries(shares).map(([name, score]) => ({ name, score, code: name }));
  return [el("p", { className: "big", textContent: "Parts of the picture" }), mapped(map), bars(rows)];
}

function values({ outputs }) {
  return outputs.map(({ name, dtype, shape, values: codes, real }) =>
    el(
      "div",
      {},
      el("h3", { textContent: `${name}: ${dtype} ${shape.join("×")}` }),
      el("p", { className: "hint", textContent: (real ?? codes).map(short).join("  ") }),
    ),
  );
}

// That this is no answer to the drawing as it is.
function changed({ changes }) {
  if (!changes) return [];
  const back = el("button", { textContent: "Take all back", onclick: () => change([]) });
  const text = `${changes} ${changes === 1 ? "number is" : "numbers or rows are"} set by hand (Play) `;
  return [el("p", { className: "unsure" }, text, back)];
}

// Of a file with several inferences, which one this is. The slider stays the same one, for who is dragging it.
function showFrames(count) {
  const box = byId("frames");
  if (count < 2) return box.replaceChildren();
  const slider = box.querySelector("input") ?? el("input", { type: "range", min: 0, "aria-label": "inference" });
  slider.oninput = () => {
    state.frame = Number(slider.value);
    again();
  };
  Object.assign(slider, { max: count - 1, value: state.frame });
  if (!box.firstChild) box.append(el("label", { className: "tools" }, el("span"), slider));
  box.querySelector("span").textContent = `inference ${state.frame} of ${count}: `;
}
