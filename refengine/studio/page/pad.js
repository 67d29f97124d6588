// A drawing area: strokes by mouse, finger, pen or keyboard, over a picture if one was given.

const STEP = 6; // pixels that an arrow key moves the pen

export class Pad {
  // `changed` is called whenever there is something else to see.
  constructor(canvas, changed, width = () => 20) {
    Object.assign(this, { canvas, changed, width, strokes: [], picture: null, pen: null, down: null });
    this.context = canvas.getContext("2d");
    canvas.addEventListener("pointerdown", (event) => this.begin(event));
    canvas.addEventListener("pointermove", (event) => this.follow(event));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => this.end());
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("blur", () => this.lift());
    this.paint();
  }

  get isEmpty() {
    return !this.strokes.length && !this.picture;
  }

  place({ clientX, clientY }) {
    const box = this.canvas.getBoundingClientRect();
    const scale = this.canvas.width / box.width;
    return [(clientX - box.left) * scale, (clientY - box.top) * scale];
  }

  begin(event) {
    if (event.button) return;
    event.preventDefault();
    this.canvas.focus({ preventScroll: true });
    this.canvas.setPointerCapture(event.pointerId);
    this.down = event.pointerId;
    this.strokes.push({ width: this.width(), points: [this.place(event)] });
    this.show();
  }

  follow(event) {
    if (this.down !== event.pointerId) return;
    const events = event.getCoalescedEvents?.() ?? [];
    this.strokes.at(-1).points.push(...(events.length ? events : [event]).map((each) => this.place(each)));
    this.show();
  }

  get isDown() {
    return this.down !== null;
  }

  end() {
    if (!this.isDown) return;
    this.down = null;
    this.changed();
  }

  key(event) {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (move) this.step(move);
    else if (event.key === " ") this.toggle();
    else if (event.key === "z" || event.key === "Z") this.undo();
    else if (event.key === "Delete") this.clear();
    else return;
    event.preventDefault();
  }

  step([dx, dy]) {
    const [x, y] = this.pen ?? [this.canvas.width / 2, this.canvas.height / 2];
    const within = (value) => Math.min(Math.max(value, 0), this.canvas.width);
    this.pen = [within(x + STEP * dx), within(y + STEP * dy)];
    if (this.writing) this.strokes.at(-1).points.push(this.pen);
    this.show(Boolean(this.writing));
  }

  toggle() {
    this.pen ??= [this.canvas.width / 2, this.canvas.height / 2];
    this.writing = !this.writing;
    if (this.writing) this.strokes.push({ width: this.width(), points: [this.pen] });
    this.show(this.writing);
  }

  lift() {
    this.writing = false;
    this.pen = null;
    this.paint();
  }

  undo() {
    this.writing = false;
    if (this.strokes.length) this.strokes.pop();
    else this.picture = null;
    this.show();
  }

  clear() {
    this.writing = false;
    this.strokes = [];
    this.picture = null;
    this.show();
  }

  // Put a picture (anything that a canvas draws) in the place of all that is there.
  put(picture) {
    this.strokes = [];
    this.picture = picture;
    this.paint();
  }

  show(changed = true) {
    this.paint();
    if (changed) this.changed();
  }

  paint(context = this.context) {
    const { width, height } = this.canvas;
    context.fillStyle = "#fff";
    context.fillRect(0, 0, width, height);
    if (this.picture) {
      const scale = Math.min(width / this.picture.width, height / this.picture.height);
      const [w, h] = [this.picture.width * scale, this.picture.height * scale];
      context.imageSmoothingEnabled = this.picture.width > 64;
      context.drawImage(this.picture, (width - w) / 2, (height - h) / 2, w, h);
    }
    context.strokeStyle = "#000";
    context.lineCap = context.lineJoin = "round";
    for (const { width: thickness, points } of this.strokes) {
      context.lineWidth = thickness;
      context.beginPath();
      context.moveTo(...points[0]);
      for (const point of points.length > 1 ? points : [points[0], points[0]]) context.lineTo(...point);
      context.stroke();
    }
    if (this.pen && context === this.context) this.cursor();
  }

  cursor() {
    this.context.strokeStyle = this.writing ? "#c33" : "#36c";
    this.context.lineWidth = 2;
    this.context.beginPath();
    this.context.arc(...this.pen, this.width() / 2 + 2, 0, 7);
    this.context.stroke();
  }

  // What is drawn, as a PNG without the cursor.
  async png() {
    const copy = document.createElement("canvas");
    [copy.width, copy.height] = [this.canvas.width, this.canvas.height];
    this.paint(copy.getContext("2d"));
    return new Promise((resolve) => copy.toBlob(resolve, "image/png"));
  }
}
