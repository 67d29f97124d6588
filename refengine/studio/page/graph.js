// The network's graph as the server draws it: boxes are links, and choosing one is told to whoever asked.

import { el } from "./element.js";

export class Graph {
  // `chosen(key)` is called with "step4" or "tensor0".
  constructor(chosen) {
    this.chosen = chosen;
    this.marked = "";
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
    this.marked = "";
  }

  mark(key) {
    for (const link of this.element.querySelectorAll("a")) {
      const isHere = link.getAttribute("href") === `#${key}`;
      link.classList.toggle("here", isHere);
      if (isHere) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
      if (isHere && key !== this.marked) this.reveal(link);
    }
    this.marked = key;
  }

  // A box that is out of sight comes into the middle of the graph's window; the page stays where it is.
  reveal(link) {
    const [box, own] = [link, this.element].map((each) => each.getBoundingClientRect());
    if (box.top < own.top || box.bottom > own.bottom) {
      this.element.scrollTop += box.top - own.top - (own.height - box.height) / 2;
    }
    if (box.left < own.left || box.right > own.right) {
      this.element.scrollLeft += box.left - own.left - (own.width - box.width) / 2;
    }
  }
}
