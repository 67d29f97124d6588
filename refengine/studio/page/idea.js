// The view The idea: how a network reads a digit, for pupils, without formulas. All of it moves with the drawing.

import { bars, isUnsure, sentence } from "./drawing.js";
import { el, picture } from "./element.js";
import { askedHeat, heatMap } from "./heat.js";
import { Maps } from "./maps.js";
import { ask } from "./server.js";
import { inference, latest, state } from "./state.js";
import { valuesOf } from "./tensors.js";

export const title = "The idea";

const found = new Set(); // names of classes that were read without a doubt
let seen, pieces, larger, votes, mattered, tasks; // what moves in each station
let stations; // all of these, with their headings and questions
let maps; // of the first and of the last pictures
let covered = ""; // the inference whose places were covered
let known = null; // what the server says of the network
let knownOf = ""; // of which

export function mount(section) {
  maps = ["what the patterns have found", "larger pieces"].map((name) => new Maps(name, () => {}));
  for (const { canvas } of maps) canvas.tabIndex = -1; // to be looked at only
  [seen, pieces, larger, votes, mattered, tasks] = Array.from({ length: 6 }, () => el("div"));
  const button = el("button", { id: "idea-heat", textContent: "Cover each place once", onclick: cover });
  stations = [
    station("1 · It sees squares", seen, "Stand back from the screen: can you still read it?"),
    station("2 · It looks for little pieces", pieces, "Draw one more line. Which of the pictures change?"),
    station("3 · It puts pieces together", larger, "Can you still tell what you have drawn? The computer can."),
    station("4 · The pieces vote", votes, "Take a part of your drawing away. Who gets the votes now?"),
    station("5 · What mattered?", el("div", {}, button, mattered), "What must you change to make it another digit?"),
    station("6 · Now you", tasks, "Draw a face. It names a digit all the same: it has never been shown anything else."),
  ];
  const begin = "How can a computer read what you write? Draw a digit, and follow it.";
  section.append(el("p", { textContent: begin }), ...stations);
}

const station = (heading, body, question) =>
  el(
    "section",
    { className: "station" },
    el("h2", { textContent: heading }),
    body,
    el("p", { className: "question", textContent: question }),
  );

// Whether a station's question has something to be about.
const asks = (each, has) => (each.querySelector(".question").hidden = !has);

const paragraph = (textContent) => el("p", { textContent });

export const refresh = latest(async () => {
  const wanted = state.network;
  if (knownOf !== wanted) {
    known = await ask("graph", { network: wanted, numerics: state.numerics });
    knownOf = wanted;
  }
  const answer = state.answer;
  if (inference() !== covered) mattered.replaceChildren();
  if (answer?.task !== "classification") return nothing();
  for (const each of stations) each.hidden = false;
  const shown = drawnMaps();
  const values = await Promise.all(shown.map((tensor) => valuesOf(tensor)));
  if (answer !== state.answer) return; // another one is there
  showSeen(answer.saw ?? []);
  showPieces(shown, values);
  const voters = shown.length ? "pieces" : "squares";
  stations[3].querySelector("h2").textContent = `4 · The ${voters} vote`;
  const each = shown.length ? "piece that was found" : "square that is bright";
  votes.replaceChildren(
    paragraph(
      `Each ${each} speaks for some digits and against others. The one with the most votes wins. Nobody has ` +
        "written down rules for it: the networks that come with the studio have practised on 60,000 digits of many " +
        "people. After each they were changed a little, so that they would have done better.",
    ),
    el("p", { className: `big ${isUnsure(answer) ? "unsure" : "sure"}`, textContent: sentence(answer) }),
    bars(answer.classes.slice(0, 20)),
  );
  if (!isUnsure(answer)) found.add(answer.classes[answer.label].name);
  showTasks(answer);
});

function nothing() {
  for (const each of [seen, pieces, larger, votes, mattered, tasks]) each.replaceChildren();
  const other = "This page is about networks that read digits: choose one of those at the top.";
  seen.append(paragraph(state.answer ? other : "Nothing is drawn yet."));
  stations.forEach((each, i) => (each.hidden = i > 0));
  asks(stations[0], false);
}

// The first and the last layer's pictures; none of a network that has no patterns to move about.
function drawnMaps() {
  const written = known.steps.flatMap(({ writes }) => writes.map((index) => known.tensors[index]));
  const pictures = written.filter(({ shape }) => shape.length === 4 && shape[1] > 1 && shape[2] > 1 && shape[3] > 1);
  return pictures.length > 1 ? [pictures[0], pictures.at(-1)] : pictures;
}

function showSeen(saw) {
  const last = saw.filter(({ data }) => data).at(-1);
  const count = last ? `${last.width * last.height} little squares` : "a long row of numbers";
  const moved = saw.some(({ name }) => name === "thickened")
    ? " Your drawing was moved into the middle first and made as thick as the digits it has practised on."
    : "";
  asks(stations[0], last);
  seen.replaceChildren(
    paragraph(
      `You see a digit. The computer is given ${count}, each of them darker or brighter, and nothing else.${moved}`,
    ),
    el("div", { className: "steps" }, last ? el("figure", {}, picture(last)) : null),
  );
}

function showPieces(shown, values) {
  [stations[1], stations[2]].forEach((each, i) => asks(each, shown[i]));
  if (!shown.length) {
    const text = "This network has no little patterns: it looks at all the squares at once, each at its place.";
    pieces.replaceChildren(paragraph(`${text} Choose stm32f746_int8 at the top for one that has.`));
    larger.replaceChildren(paragraph("So there are no pieces to put together, either."));
    return;
  }
  const texts = [
    `It knows ${shown[0].shape[3]} little patterns: an edge, a slope, a corner. Each is moved all over the squares. Each ` +
      "of these pictures belongs to one pattern, and is bright where that was found.",
    "Then it looks for patterns in these pictures: pieces made of pieces. The pictures get smaller and smaller, as it " +
      "matters less and less where exactly a piece was. These are the last ones.",
  ];
  [pieces, larger].forEach((place, i) => {
    if (!shown[i]) return place.replaceChildren(paragraph("This network stops at the first pieces."));
    place.replaceChildren(paragraph(texts[i]), maps[i].element);
    maps[i].show(shown[i], values[i]);
  });
}

async function cover({ target }) {
  target.disabled = true;
  let name;
  const told = await askedHeat(() => {
    const { classes, label } = state.answer ?? {};
    name = classes?.[label].name;
    return classes ? { label, way: "occlusion" } : null;
  });
  if (told) {
    covered = told.inference;
    mattered.replaceChildren(heatMap(told.rows, name), paragraph(coveredText(name)));
  }
  target.disabled = false;
}

const coveredText = (name) =>
  "A bit of paper was laid on every place, one after the other, and the computer was asked each time. Orange: without " +
  `this place it believes less in the ${name}. Blue: without it, it would believe more.`;

function showTasks({ classes }) {
  const isFew = classes.length <= 20;
  const chips = classes.map(({ name }) => {
    const [className, how] = found.has(name) ? ["found", "read"] : ["", "not yet"];
    return el("li", { className, textContent: name, "aria-label": `${name}, ${how}` });
  });
  tasks.replaceChildren(
    paragraph("Can you make it read every one of them, without it guessing?"),
    isFew ? el("ul", { className: "chips" }, chips) : paragraph(`${found.size} of ${classes.length} so far.`),
    paragraph("Then the other way round: draw a digit that your neighbour can read, but the computer cannot."),
  );
}
