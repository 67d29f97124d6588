// A heat map on a canvas: what the network would lose without a place.

import { el } from "./element.js";

// Rows of numbers, a pixel each: orange above 0, blue below it.
export function heatMap(rows, name) {
  const canvas = el("canvas", { className: "heat", width: rows[0].length, height: rows.length, role: "img" });
  canvas.setAttribute("aria-label", `heat map for ${name}`);
  const context = canvas.getContext("2d");
  const most = largest(rows);
  rows.forEach((row, y) =>
    row.forEach((value, x) => {
      const part = Math.round((100 * Math.abs(value)) / most);
      context.fillStyle =
        value >= 0 ? `color-mix(in srgb, #ff8c1a ${part}%, #14171b)` : `color-mix(in srgb, #4a9bff ${part}%, #14171b)`;
      context.fillRect(x, y, 1, 1);
    }),
  );
  return canvas;
}

export const largest = (rows) => Math.max(1e-9, ...rows.flat().map(Math.abs));
