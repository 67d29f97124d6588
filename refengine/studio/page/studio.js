// The page: choices at the top, the drawing beside, and one view at a time.

import * as board from "./board.js";
import * as collect from "./collect.js";
import * as compare from "./compare.js";
import * as draw from "./draw.js";
import * as pin from "./pin.js";
import * as play from "./play.js";
import { mountDrawing } from "./drawing.js";
import { byId, el, offer } from "./element.js";
import * as idea from "./idea.js";
import { ask } from "./server.js";
import { again, attempt, on, state, tell } from "./state.js";
import * as walk from "./walk.js";

const VIEWS = { draw, idea, walk, play, compare, pin, collect, board };
const isNarrow = matchMedia("(max-width: 52rem)"); // as the style sheet has it: the drawing stands above the views
let chosen = "";

async function start() {
  state.choices = await ask("choices");
  state.network = state.choices.networks[0];
  offerChoices();
  byId("network").onchange = choose;
  byId("numerics").onchange = choose;
  on("choices", offerChoices);
  mountDrawing();
  Object.entries(VIEWS).forEach(mountView);
  on("answer", () => VIEWS[chosen].refresh());
  on("network", () => {
    state.changes = [];
    state.frame = 0;
    again();
  });
  const wanted = location.hash.slice(1);
  show(wanted in VIEWS ? wanted : "draw");
  document.body.dataset.ready = "yes";
}

function offerChoices() {
  offer(byId("network"), state.choices.networks, state.network);
  offer(byId("numerics"), state.choices.dialects, state.numerics);
}

function choose() {
  state.network = byId("network").value;
  state.numerics = byId("numerics").value;
  tell("network");
}

function mountView([name, view]) {
  const tab = el("button", {
    id: `tab-${name}`,
    role: "tab",
    textContent: view.title,
    "aria-controls": `view-${name}`,
  });
  tab.onclick = () => goTo(name);
  tab.onkeydown = ({ key }) => {
    const names = Object.keys(VIEWS);
    const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
    if (!step) return;
    const next = names[(names.indexOf(name) + step + names.length) % names.length];
    goTo(next);
    byId(`tab-${next}`).focus({ preventScroll: true });
  };
  byId("tabs").append(tab);
  const section = el("section", { id: `view-${name}`, role: "tabpanel", hidden: true, "aria-labelledby": tab.id });
  byId("views").append(section);
  view.mount(section);
}

// Show a view, and move it into sight where it stands below the drawing.
function goTo(name) {
  show(name);
  byId(`tab-${name}`).scrollIntoView({ block: "nearest", inline: "center" });
  if (!isNarrow.matches) return;
  if (name === "draw") scrollTo(0, 0);
  else byId(`view-${name}`).scrollIntoView();
}

function show(name) {
  chosen = name;
  for (const each of Object.keys(VIEWS)) {
    byId(`tab-${each}`).setAttribute("aria-selected", each === name);
    byId(`tab-${each}`).tabIndex = each === name ? 0 : -1;
    byId(`view-${each}`).hidden = each !== name;
  }
  document.querySelector("main").classList.toggle("wide", Boolean(VIEWS[name].wide));
  history.replaceState(null, "", `#${name}`);
  VIEWS[name].refresh();
}

attempt(start);
