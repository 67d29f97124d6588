// Heat maps: how much each place of the drawing speaks for a class, orange for it, blue against it.

import { Maps } from "./maps.js";
import { ask } from "./server.js";
import { attempt, inference, present } from "./state.js";

// What the server answers to `question()`, { label, way }, and of which `inference`; null if there is no question, or a
// refusal. What is drawn on while the network is asked is asked about once more.
export async function askedHeat(question) {
  let told, asked;
  do {
    asked = inference();
    const wanted = question();
    told = wanted ? await attempt(() => ask("heat", present(wanted))) : null;
  } while (told && asked !== inference());
  return told && { ...told, inference: asked };
}

// Rows of numbers as a picture to point at.
export function heatMap(rows, name) {
  const maps = new Maps(`heat map for ${name}`, (place) => maps.light([], place), true);
  maps.canvas.classList.add("heat");
  maps.show({ shape: [rows.length, rows[0].length], scale: [], dtype: "float32" }, rows.flat());
  return maps.element;
}

export const largest = (rows) => Math.max(0, ...rows.flat().map(Math.abs));
