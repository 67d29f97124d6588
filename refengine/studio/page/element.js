// Small helpers for the document.

// <tag> with properties, attributes (names with a hyphen, and role) and children, strings or elements.
export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role" || name === "for") made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

export const byId = (id) => document.getElementById(id);

// Other children for `part`. Who was at one of its controls with the keyboard is at the same one of the new ones, or at
// the last if there are fewer.
export function refill(part, ...children) {
  const controls = () => [...part.querySelectorAll("a, button:enabled, input:enabled, select:enabled, [tabindex='0']")];
  const at = controls().indexOf(document.activeElement);
  part.replaceChildren(...children);
  if (at >= 0) (controls()[at] ?? controls().at(-1))?.focus({ preventScroll: true });
}

// <select> gets these choices; the one chosen stays if it is among them.
export function offer(select, choices, chosen = select.value) {
  select.replaceChildren(...choices.map((choice) => el("option", { value: choice, textContent: choice })));
  if (choices.includes(chosen)) select.value = chosen;
}

export const percent = (score) => `${(100 * score).toFixed(1)} %`;

// A number with the digits that tell it from its neighbours in float32.
export const short = (x) =>
  Number.isInteger(x)
    ? String(x)
    : Number(x)
        .toPrecision(6)
        .replace(/\.?0+(e|$)/, "$1");

// A picture of the server (rows of bytes in base64, 1, 3 or 4 a pixel) on a canvas of its size.
export function picture({ height, width, channels, data }, invert = false) {
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  const canvas = el("canvas", { width, height });
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) {
      const grey = bytes[i * channels + (channels >= 3 ? c : 0)];
      image.data[4 * i + c] = invert ? 255 - grey : grey;
    }
    image.data[4 * i + 3] = channels === 4 ? bytes[4 * i + 3] : 255;
  }
  context.putImageData(image, 0, 0);
  return canvas;
}
