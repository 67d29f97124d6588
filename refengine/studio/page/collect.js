// The view Collect: drawings that are kept with what they are, and those of them that the network misreads.

import { settled } from "./drawing.js";
import { el, percent, picture, refill } from "./element.js";
import { ask, link } from "./server.js";
import { attempt, latest, on, present, state } from "./state.js";

export const title = "Collect";

let labels, summary, gallery, only, use;

export function mount(section) {
  labels = el("div", { className: "tools", id: "labels" });
  summary = el("p", { id: "collected" });
  only = el("input", { type: "checkbox", id: "only-misread" });
  only.onchange = () => refresh();
  gallery = el("div", { className: "gallery" });
  use = el("pre", { className: "hint" });
  section.append(
    el("h2", { textContent: "Keep the drawing as" }),
    labels,
    summary,
    el("label", { className: "tools" }, only, " misread ones only"),
    gallery,
    el("h2", { textContent: "Use them" }),
    use,
    el("a", { id: "download", href: link("download", {}), download: "drawings.npz", textContent: "drawings.npz" }),
  );
  on("answer", showLabels);
}

export const refresh = latest(async () => {
  showLabels();
  show(await ask("kept", { network: state.network, numerics: state.numerics }));
});

function showLabels() {
  const classes = state.answer?.classes ?? [];
  refill(
    labels,
    ...classes.map(({ label, name }) =>
      el("button", { textContent: name, "aria-label": `keep as ${name}`, onclick: () => attempt(() => keep(label)) }),
    ),
  );
  if (!classes.length) labels.textContent = "Draw something first, with a network that tells classes apart.";
}

// The drawing as it is now, however fast the button was.
async function keep(label) {
  await settled();
  show(await ask("keep", present({ label })));
}

function show(told) {
  const right =
    told.correct === null
      ? ""
      : ` ${told.correct} of them ${told.correct === 1 ? "is" : "are"} read right by ${state.network}.`;
  summary.textContent = `${told.count} ${told.count === 1 ? "drawing is" : "drawings are"} kept in ${told.folder}.${right} ${told.fits}`;
  const shown = told.drawings.filter(
    ({ label, answer }) => !only.checked || (answer !== undefined && answer !== label),
  );
  refill(gallery, ...shown.map(figure));
  use.textContent = [
    `${told.command} evaluate ${state.network} --data ${told.folder}`,
    `${told.command} health ${state.network} --data ${told.folder}`,
    "# in a checkout, with the extra `train`:",
    `${told.command.replace(/refengine$/, "python")} tools/train.py stm32f746 --out models --add ${told.folder}`,
  ].join("\n");
}

function figure(drawing) {
  const { name, label, place, answer, score } = drawing;
  const isWrong = answer !== undefined && answer !== label;
  const said =
    answer === undefined
      ? ""
      : isWrong
        ? `, read as ${answer} (${percent(score)})`
        : `, read right (${percent(score)})`;
  const forget = el("button", { textContent: "Forget", "aria-label": `forget drawing ${place}, a ${name}` });
  forget.onclick = () =>
    attempt(async () => show(await ask("forget", { ...present(), drawing: undefined, changes: undefined, place })));
  return el(
    "figure",
    { className: isWrong ? "wrong" : "" },
    picture(drawing, true),
    el("figcaption", { textContent: `${name}${said}` }),
    forget,
  );
}
