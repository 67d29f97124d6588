// The view PIN: a lock of four drawn digits. The digits are compared as they are recognised, not as they are drawn.

import { isUnsure } from "./drawing.js";
import { el, percent } from "./element.js";
import { Pad } from "./pad.js";
import { ask } from "./server.js";
import { attempt, latest, on, state } from "./state.js";

export const title = "PIN lock";
export const wide = true;

const PLACES = 4;

let password = null;
let isLocked = false;
let areas = [];
let says, lock, set, unlock;

export function mount(section) {
  areas = Array.from({ length: PLACES }, (_, i) => area(i));
  says = el("p", { className: "big", id: "pin-says", "aria-live": "assertive" });
  lock = el("p", { id: "lock", className: "lock" });
  set = el("button", {
    id: "set-password",
    className: "main",
    textContent: "Set Password",
    onclick: () => attempt(setPassword),
  });
  unlock = el("button", {
    id: "unlock",
    className: "main",
    textContent: "Unlock",
    onclick: () => attempt(tryToUnlock),
  });
  const clear = el("button", { id: "pin-clear", textContent: "Clear", onclick: clearAll });
  section.append(
    el("h2", { textContent: "Draw four digits" }),
    el(
      "div",
      { className: "pin" },
      areas.map(({ element }) => element),
    ),
    el("div", { className: "tools" }, set, unlock, clear),
    lock,
    says,
    el("p", {
      className: "hint",
      textContent: "The password is kept in this page only, as digits, until it is closed.",
    }),
  );
  on("network", () => areas.forEach((each) => each.look()));
  showLock();
}

export function refresh() {}

function area(number) {
  const canvas = el("canvas", {
    className: "pad",
    width: 280,
    height: 280,
    tabIndex: 0,
    role: "img",
    id: `pin-${number}`,
  });
  canvas.setAttribute("aria-label", `drawing area for digit ${number + 1}`);
  const read = el("p", { className: "read", textContent: " ", "aria-live": "polite" });
  const made = { element: el("div", {}, canvas, read), canvas, digit: null, answer: null, why: "" };
  made.pad = new Pad(canvas, () => made.look());
  made.look = latest(() => look(made, read));
  return made;
}

// What the network says to a drawing area.
async function look(made, read) {
  made.digit = made.answer = null;
  made.why = made.pad.isEmpty ? "is empty" : "";
  made.canvas.classList.remove("again");
  read.textContent = " ";
  if (made.pad.isEmpty || made.pad.isDown) return;
  try {
    const asked = { network: state.network, numerics: state.numerics, name: "drawing.png", digit: 1 };
    const answer = await ask("answer", asked, await made.pad.png());
    if (answer.task !== "classification" || answer.classes.length !== 10)
      throw new Error("the network reads no digits: choose another one");
    const { name, score } = answer.classes[answer.label];
    made.answer = answer;
    made.digit = answer.label;
    made.why = isUnsure(answer) ? `may be ${name}, or ${second(answer)}` : "";
    read.textContent = `${name} (${percent(score)})`;
  } catch (error) {
    made.why = error.message;
    read.textContent = error.message;
  }
}

const second = ({ classes, label }) =>
  classes.filter((each) => each.label !== label).sort((a, b) => b.score - a.score)[0].name;

// The four digits; null if one of them has to be drawn again, which is said.
async function digits() {
  await Promise.all(areas.map((each) => settled(each)));
  const doubtful = areas.filter(({ why }) => why);
  areas.forEach((each) => each.canvas.classList.toggle("again", Boolean(each.why)));
  if (!doubtful.length) return areas.map(({ digit }) => digit).join("");
  const which = doubtful.map((each) => `digit ${areas.indexOf(each) + 1} ${each.why}`);
  tell(`Not sure: ${which.join("; ")}. Draw ${doubtful.length > 1 ? "them" : "it"} again.`, false);
  return null;
}

// Wait for an answer that is still under way.
async function settled(each) {
  await new Promise((resolve) => setTimeout(resolve, 60));
  for (let i = 0; i < 100 && !each.pad.isEmpty && each.digit === null && !each.why; i++) {
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
  if (each.pad.isEmpty) each.why = "is empty";
}

async function setPassword() {
  const found = await digits();
  if (found === null) return;
  password = found;
  isLocked = true;
  clearAll();
  tell("Password set. The lock is closed.", true);
  showLock();
}

async function tryToUnlock() {
  const found = await digits();
  if (found === null) return;
  if (found !== password) {
    tell(`${found} is wrong. The lock stays closed.`, false);
    return;
  }
  isLocked = false;
  clearAll();
  tell("Right. The lock is open.", true);
  showLock();
}

function clearAll() {
  for (const each of areas) each.pad.clear();
  says.textContent = "";
}

function tell(text, isGood) {
  says.textContent = text;
  says.className = `big ${isGood ? "sure" : "unsure"}`;
}

function showLock() {
  lock.textContent = isLocked ? "Locked" : password === null ? "Open: there is no password yet" : "Open";
  lock.classList.toggle("unsure", isLocked);
  unlock.disabled = !isLocked;
  set.disabled = isLocked;
}
