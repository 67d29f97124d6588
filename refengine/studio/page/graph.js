// The network's graph as the server draws it: boxes are links, and choosing one is told to whoever asked.

import { el } from "./element.js";

export class Graph {
  // `chosen(key)` is called with "step4" or "tensor0".
  constructor(chosen) {
    this.chosen = chosen;
    this.element = el("nav", { className: "graph", "aria-label": "graph of the network" });
    this.element.addEventListener("click", (event) => {
      const link = event.target.closest("a");
      if (!link) return;
      event.preventDefault();
      this.chosen(link.getAttribute("href").slice(1));
    });
  }

  show(svg) {
    this.element.innerHTML = svg; // our own server's, with all names escaped
  }

  mark(key) {
    for (const link of this.element.querySelectorAll("a")) {
      const isHere = link.getAttribute("href") === `#${key}`;
      link.classList.toggle("here", isHere);
      if (isHere) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }
}
