// The map of the catalogue: a point for every film, by its mean valence and arousal.
"use strict";
(() => {
  const EDGE = 22, REACH_PX = 14;

  CineAffect.CatalogueMap = class {
    // onSay(text): what is under the pointer or chosen by keys
    constructor(canvas, rows, range, onSay) {
      this.rows = rows.filter((row) => row.valence && row.valence[1] !== null && row.arousal[1] !== null);
      Object.assign(this, { canvas, range, onSay, kept: new Set(this.rows), chosen: null });
      canvas.addEventListener("pointermove", (event) => this.point(event));
      canvas.addEventListener("pointerleave", () => this.choose(null));
      canvas.addEventListener("click", (event) => {
        this.point(event);
        this.open();
      });
      canvas.addEventListener("keydown", (event) => this.key(event));
      new ResizeObserver(() => this.draw()).observe(canvas.parentElement);
      CineAffect.onScheme(() => this.draw());
    }

    // The rows of the list are drawn strong, the others faint.
    show(kept) {
      this.kept = new Set(kept);
      this.draw();
    }

    place(row) {
      const [low, high] = this.range, inner = this.size - 2 * EDGE;
      const share = (value) => (value - low) / (high - low);
      return [EDGE + share(row.valence[1]) * inner, this.size - EDGE - share(row.arousal[1]) * inner];
    }

    point(event) {
      const box = this.canvas.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
      let best = null, least = REACH_PX ** 2;
      for (const row of this.rows) {
        const [left, top] = this.place(row), far = (left - x) ** 2 + (top - y) ** 2 + (this.kept.has(row) ? 0 : 25);
        if (far < least) [best, least] = [row, far];
      }
      this.choose(best);
    }

    choose(row) {
      if (row === this.chosen) return;
      this.chosen = row;
      this.canvas.style.cursor = row ? "pointer" : "default";
      this.onSay(row ? `${row.name}: valence ${CineAffect.signed(row.valence[1])}, arousal ${CineAffect.signed(row.arousal[1])}` : "");
      this.draw();
    }

    open() {
      if (this.chosen) location.hash = CineAffect.address(this.chosen.id);
    }

    key(event) {
      if (event.altKey || event.ctrlKey || event.metaKey) return;
      const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (way) this.go(way);
      else if (event.key === "Enter" || event.key === " ") this.open();
      else return;
      event.preventDefault();
    }

    // The nearest film of the list in a direction, no further to the side than ahead.
    go([right, down]) {
      const [x, y] = this.chosen ? this.place(this.chosen) : [this.size / 2, this.size / 2];
      let best = null, least = Infinity;
      for (const row of this.kept) {
        if (row === this.chosen || !row.valence) continue;
        const [left, top] = this.place(row), dx = left - x, dy = top - y;
        const ahead = dx * right + dy * down, beside = Math.abs(dx * down) + Math.abs(dy * right);
        if (this.chosen && (ahead <= 0 || beside > ahead)) continue;
        const far = dx * dx + dy * dy;
        if (far < least) [best, least] = [row, far];
      }
      if (best) this.choose(best);
    }

    draw() {
      const size = Math.min(340, this.canvas.parentElement.clientWidth);
      if (!size) return;
      this.size = size;
      const context = CineAffect.surface(this.canvas, size, size), colours = CineAffect.colours();
      CineAffect.drawPlane(context, size, EDGE);
      const radius = this.rows.length > 1000 ? 2 : 3.2;
      for (const strong of [false, true]) {
        context.fillStyle = strong ? colours.text : colours.quiet;
        context.globalAlpha = strong ? 0.75 : 0.18;
        context.beginPath();
        for (const row of this.rows) {
          if (this.kept.has(row) !== strong) continue;
          const [x, y] = this.place(row);
          context.moveTo(x + radius, y);
          context.arc(x, y, radius, 0, 2 * Math.PI);
        }
        context.fill();
      }
      context.globalAlpha = 1;
      if (!this.chosen) return;
      const [x, y] = this.place(this.chosen);
      context.beginPath();
      context.arc(x, y, 7, 0, 2 * Math.PI);
      context.fillStyle = colours.arousal;
      context.strokeStyle = colours.panel;
      context.lineWidth = 2;
      context.fill();
      context.stroke();
    }
  };
})();
