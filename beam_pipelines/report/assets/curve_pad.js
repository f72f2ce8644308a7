// The pad on which a reader draws curves: with mouse, finger or keys, one curve for each target.
"use strict";
(() => {
  const POINTS = CineAffect.POINTS, HIGH = 230, EDGE = 10;
  const PLACES = 11;  // where the keys can set a height: every tenth of the film

  CineAffect.CurvePad = class {
    // onChange(): the curves are another
    constructor(canvas, { targets, range }, onChange) {
      Object.assign(this, { canvas, targets, range, onChange, target: targets[0], drawn: {}, place: 0, keys: false });
      canvas.addEventListener("pointerdown", (event) => this.press(event));
      canvas.addEventListener("pointermove", (event) => this.move(event));
      for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { this.last = null; });
      canvas.addEventListener("keydown", (event) => this.key(event));
      for (const name of ["focus", "blur"]) canvas.addEventListener(name, () => this.draw());
      new ResizeObserver(() => this.draw()).observe(canvas.parentElement);
      CineAffect.onScheme(() => this.draw());
    }

    // Target -> 100 values, for each target that has been drawn; what wasn't is filled from its neighbours.
    curves() {
      const found = {};
      for (const target of this.targets) {
        const points = this.drawn[target];
        if (!points) continue;
        const known = [];
        points.forEach((value, i) => { if (!Number.isNaN(value)) known.push(i); });
        let next = 0;
        found[target] = points.map((_, i) => {
          while (next < known.length && known[next] < i) next++;
          const right = known[Math.min(next, known.length - 1)], left = known[Math.max(0, right === i ? next : next - 1)];
          return right <= left ? points[right] : points[left] + ((points[right] - points[left]) * (i - left)) / (right - left);
        });
      }
      return found;
    }

    set(target, values) {
      this.drawn[target] = Float64Array.from(values);
      this.changed();
    }

    clear() {
      this.drawn = {};
      this.changed();
    }

    changed() {
      this.draw();
      this.onChange();
    }

    press(event) {
      event.preventDefault();
      this.canvas.focus({ preventScroll: true });
      this.keys = false;
      this.canvas.setPointerCapture(event.pointerId);
      this.last = null;
      this.stroke(event);
    }

    move(event) {
      if (!this.last) return;
      // All places that the pointer was at since the last picture: fast strokes stay smooth.
      const all = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
      for (const one of all.length ? all : [event]) this.stroke(one);
    }

    stroke(event) {
      const box = this.canvas.getBoundingClientRect(), [low, high] = this.range;
      const share = (event.clientX - box.left - EDGE) / (box.width - 2 * EDGE);
      const height = 1 - (event.clientY - box.top - EDGE) / (box.height - 2 * EDGE);
      const x = Math.min(POINTS - 1, Math.max(0, share * POINTS - 0.5));
      const y = low + Math.min(1, Math.max(0, height)) * (high - low);
      const points = (this.drawn[this.target] = this.drawn[this.target] || new Float64Array(POINTS).fill(NaN));
      const from = this.last;
      if (!from) points[Math.round(x)] = y;
      else if (from[0] !== x)
        for (let i = Math.ceil(Math.min(from[0], x)); i <= Math.max(from[0], x); i++)
          points[i] = from[1] + ((y - from[1]) * (i - from[0])) / (x - from[0]);
      this.last = [x, y];
      this.changed();
    }

    key(event) {
      if (event.altKey || event.ctrlKey || event.metaKey) return;
      const [low, high] = this.range, step = (high - low) / 20;
      const actions = {
        ArrowLeft: () => { this.place = Math.max(0, this.place - 1); },
        ArrowRight: () => { this.place = Math.min(PLACES - 1, this.place + 1); },
        ArrowUp: () => this.lift(step),
        ArrowDown: () => this.lift(-step),
        Delete: () => this.clear(),
        Backspace: () => this.clear(),
      };
      if (!actions[event.key]) return;
      event.preventDefault();
      this.keys = true;
      actions[event.key]();
      this.changed();
    }

    // The height at the key's place; the curve runs straight to the places beside it.
    lift(step) {
      const [low, high] = this.range, at = (place) => Math.min(POINTS - 1, Math.round((place * POINTS) / (PLACES - 1)));
      const now = this.curves()[this.target] || new Float64Array(POINTS).fill((low + high) / 2);
      const here = at(this.place), height = Math.min(high, Math.max(low, now[here] + step));
      for (const beside of [this.place - 1, this.place + 1]) {
        if (beside < 0 || beside >= PLACES) continue;
        const there = at(beside), far = now[there];
        for (let i = Math.min(here, there); i <= Math.max(here, there); i++)
          now[i] = far + ((height - far) * (i - there)) / (here - there);
      }
      this.set(this.target, now);
    }

    // Where the keys are, for those who don't see it.
    said() {
      if (!this.keys) return "";
      const curve = this.curves()[this.target], percent = (this.place * 100) / (PLACES - 1);
      const at = Math.min(POINTS - 1, Math.round((this.place * POINTS) / (PLACES - 1)));
      return `${this.target} at ${percent} % of the film: ${curve ? CineAffect.signed(curve[at]) : "not drawn"}. `;
    }

    draw() {
      const width = this.canvas.parentElement.clientWidth;
      if (!width) return;
      const context = CineAffect.surface(this.canvas, width, HIGH), colours = CineAffect.colours();
      const [low, high] = this.range, inner = width - 2 * EDGE, tall = HIGH - 2 * EDGE;
      const xOf = (i) => EDGE + ((i + 0.5) / POINTS) * inner;
      const yOf = (value) => EDGE + (1 - (value - low) / (high - low)) * tall;
      context.strokeStyle = colours.line;
      context.lineWidth = 1;
      for (let n = 0; n <= 4; n++) {
        context.beginPath();
        context.moveTo(EDGE + (n / 4) * inner, EDGE);
        context.lineTo(EDGE + (n / 4) * inner, HIGH - EDGE);
        if (n % 2 === 0) {
          context.moveTo(EDGE, EDGE + (n / 4) * tall);
          context.lineTo(width - EDGE, EDGE + (n / 4) * tall);
        }
        context.stroke();
      }
      context.fillStyle = colours.quiet;
      context.font = "12px system-ui, sans-serif";
      context.textBaseline = "bottom";
      context.textAlign = "left";
      context.fillText("beginning", EDGE + 4, HIGH - EDGE - 2);
      context.textAlign = "right";
      context.fillText("end of the film", width - EDGE - 4, HIGH - EDGE - 2);
      const curves = this.curves();
      context.lineJoin = context.lineCap = "round";
      for (const target of Object.keys(curves)) {
        context.strokeStyle = colours[target];
        context.lineWidth = target === this.target ? 3 : 1.8;
        context.beginPath();
        curves[target].forEach((value, i) => (i ? context.lineTo(xOf(i), yOf(value)) : context.moveTo(xOf(i), yOf(value))));
        context.stroke();
      }
      if (!Object.keys(curves).length && document.activeElement !== this.canvas) {
        context.textAlign = "center";
        context.textBaseline = "middle";
        context.font = "15px system-ui, sans-serif";
        context.fillText("Draw here", width / 2, HIGH / 2 - 16);
      }
      if (document.activeElement === this.canvas && this.keys) {
        const at = Math.min(POINTS - 1, Math.round((this.place * POINTS) / (PLACES - 1))), curve = curves[this.target];
        context.beginPath();
        context.arc(xOf(at), yOf(curve ? curve[at] : (low + high) / 2), 6, 0, 2 * Math.PI);
        context.fillStyle = colours[this.target];
        context.strokeStyle = colours.panel;
        context.lineWidth = 2;
        context.fill();
        context.stroke();
      }
    }
  };
})();
