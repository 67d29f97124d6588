// What is chosen and what was answered, for all views. Whoever changes it says so; whoever shows it listens.

import { ask, Refusal } from "./server.js";
import { byId } from "./element.js";

export const state = {
  network: "",
  numerics: "tflm",
  choices: { networks: [], dialects: [] },
  drawing: "", // the id that the server knows it by
  frame: 0,
  changes: [], // [tensor, at, value, real, frame], as the server has them
  answer: null,
  wanted: null, // a number that shall be set: { tensor, at }
  times: null, // of the operators on a board, as the view Compare shows them, and of which `inference`
};

const listeners = {};

export const on = (event, listener) => (listeners[event] ||= []).push(listener);

export const tell = (event) => (listeners[event] || []).forEach((listener) => listener());

// The parameters by which the server finds the present inference.
export const present = (more = {}) => ({
  network: state.network,
  numerics: state.numerics,
  drawing: state.drawing,
  frame: state.frame || undefined,
  changes: state.changes.length ? JSON.stringify(state.changes) : undefined,
  ...more,
});

// Which inference that is: what was found of another one is out of date.
export const inference = () => JSON.stringify(present());

let begun = 0; // attempts so far
let troubled = 0; // how many they were when the trouble that is shown came up

// Run `work`; a refusal is shown in the page's one place for trouble, until something succeeds that began later; and
// everything else is an error of ours.
export async function attempt(work) {
  const trouble = byId("trouble");
  const mine = ++begun;
  try {
    const result = await work();
    if (mine > troubled) trouble.hidden = true;
    return result;
  } catch (error) {
    if (!(error instanceof Refusal)) console.error(error);
    troubled = begun;
    trouble.textContent = error.message;
    trouble.hidden = false;
    return null;
  }
}

// Runs `work` again and again as long as it is asked for meanwhile, but never twice at once: as fast as answers come.
// Whoever asks may wait until nothing is asked for any more.
export function latest(work) {
  let running = null;
  let wanted = false;
  const runAll = async () => {
    while (wanted) {
      wanted = false;
      await attempt(work);
    }
    running = null;
  };
  return () => {
    wanted = true;
    return (running ??= runAll());
  };
}

let serial = 0;

// The answer to `body`, or with parameters to what the server knows; the views are told.
export async function run(parameters, body = null) {
  const mine = ++serial;
  const started = performance.now();
  const answer = await ask("answer", { ...present(), drawing: undefined, saw: 1, ...parameters }, body);
  if (mine !== serial) return; // a later one is under way
  state.drawing = answer.drawing;
  state.answer = { ...answer, milliseconds: performance.now() - started };
  tell("answer");
}

// There is no drawing any more, and what is still being answered is nobody's.
export function forget() {
  serial++;
  Object.assign(state, { drawing: "", answer: null, frame: 0 });
  tell("answer");
}

// The same drawing once more, after something else was chosen.
export const again = latest(async () => {
  if (!state.drawing) return tell("answer");
  try {
    await run({ drawing: state.drawing });
  } catch (error) {
    state.answer = null; // the old one was another network's
    tell("answer");
    throw error;
  }
});

// Set other numbers by hand: the answer is computed again, or the old ones stay if the server refuses these.
export async function change(changes) {
  const before = state.changes;
  state.changes = changes;
  await attempt(async () => {
    try {
      if (state.drawing) await run({ drawing: state.drawing });
    } catch (error) {
      state.changes = before;
      throw error;
    }
  });
}
