// The charts of a film, one time axis for all: smoothed bold, raw faint, labels dashed, a calibrated model's bands
// or else an ensemble's spread around the smoothed curve, a playhead above.
"use strict";
(() => {
  const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 86400];
  const CLICK_PX = 4;
  CineAffect.RIGHT = 24;
  CineAffect.gutter = () => (matchMedia("(max-width: 700px)").matches ? 40 : 56);

  // Two hexadecimal digits more: a quarter of the colour, or an eighth, so that what lies below still shows.
  const translucent = (colour, share = "40") => `${colour}${share}`;

  CineAffect.Charts = class {
    // options: seconds, range, curves {valence: {smoothed, raw, label, spread, bands}}, offset (of the times on the axis), events,
    // onSeek(t), onView([from, to])
    constructor(holders, options) {
      this.options = options;
      this.holders = holders;
      this.view = [0, Math.max(1, options.duration)];
      this.charts = Object.entries(holders).map(([target, holder]) => this.chart(target, holder));
      this.watch = new ResizeObserver(() => this.resize());
      this.watch.observe(Object.values(holders)[0]);
    }

    chart(target, holder) {
      const colours = CineAffect.colours(), { seconds, range, curves, offset } = this.options, curve = curves[target];
      const times = Array.from({ length: seconds }, (_, t) => t);
      const series = [{}], data = [times];
      const add = (values, style) => {
        if (!values) return;
        data.push(values);
        series.push({ points: { show: seconds === 1 }, spanGaps: false, ...style });
      };
      const bands = [];
      // The two edges of a band are series that only the band between them shows.
      const band = (far, share) => {
        const [low, high] = range;
        const edge = (sign) => curve.smoothed.map((value, t) =>
          (value === null || far(t) === null ? null : Math.min(high, Math.max(low, value + sign * far(t)))));
        add(edge(1), { width: 0 });
        add(edge(-1), { width: 0 });
        bands.push({ series: [series.length - 2, series.length - 1], fill: translucent(colours[target], share) });
      };
      for (const [, half] of [...curve.bands].reverse()) band(() => half, "22");
      if (curve.spread && !curve.bands.length) band((t) => curve.spread[t]);
      add(curve.raw, { stroke: colours[target], width: 1.2, alpha: 0.6 });
      add(curve.label, { stroke: colours.label, width: 1.5, dash: [6, 4] });
      add(curve.smoothed, { stroke: colours[target], width: 2.4 });
      const axis = { stroke: colours.quiet, grid: { stroke: colours.line, width: 1 }, ticks: { show: false },
        font: "11px system-ui, sans-serif" };
      const margin = 0.06 * (range[1] - range[0]), middle = (range[0] + range[1]) / 2;
      const plot = new uPlot({
        width: Math.max(120, holder.clientWidth), height: this.height(),
        padding: [6, CineAffect.RIGHT, 0, 0],
        legend: { show: false },
        scales: { x: { time: false, range: () => this.view },
          y: { range: [range[0] - margin, range[1] + margin] } },
        axes: [
          { ...axis, incrs: STEPS_S, space: 64, size: 24,
            values: (_, splits) => splits.map((time) => CineAffect.clock(time + offset)) },
          { ...axis, size: CineAffect.gutter(), splits: () => [range[0], middle, range[1]], gap: 6,
            values: (_, splits) => splits.map((value) => String(value).replace("-", "−")) },
        ],
        series,
        bands,
        // The charts share where the pointer is, but not its buttons: a drag on one would zoom the other once more.
        cursor: { sync: { key: "film", setSeries: false, filters: { pub: (kind) => kind === "mousemove" } },
          // uPlot takes a click with a tremor of one pixel for a drag; here that is for clicks() to tell.
          drag: { x: true, y: false, setScale: false, dist: 6, click: () => {} },
          y: false, points: { show: false }, dblclick: false },
        hooks: { setSelect: [(u) => this.zoomed(u)], draw: [(u) => this.marks(u, target), (u) => u.line && this.place(u)] },
      }, data, holder);
      this.playhead(plot);
      this.clicks(plot);
      return plot;
    }

    height() {
      return matchMedia("(max-width: 700px)").matches ? 128 : 146;
    }

    playhead(plot) {
      const line = CineAffect.element("div", "playhead");
      plot.over.append(line);
      plot.line = line;
    }

    clicks(plot) {
      let pressed = null;
      plot.over.addEventListener("mousedown", (event) => { pressed = event.clientX; });
      plot.over.addEventListener("click", (event) => {
        if (pressed !== null && Math.abs(event.clientX - pressed) > CLICK_PX) return;
        this.options.onSeek(plot.posToVal(event.clientX - plot.over.getBoundingClientRect().left, "x"));
      });
      plot.over.addEventListener("dblclick", () => this.setView(null));
    }

    zoomed(plot) {
      const { left, width } = plot.select;
      if (width < CLICK_PX) return;
      const from = plot.posToVal(left, "x"), to = plot.posToVal(left + width, "x");
      plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
      this.setView([from, Math.max(to, from + 4)]);
    }

    // Shows a stretch of the film; null shows all of it.
    setView(view) {
      const whole = [0, Math.max(1, this.options.duration)];
      this.view = view ? [Math.max(0, view[0]), Math.min(whole[1], view[1])] : whole;
      this.isWhole = !view;
      for (const chart of this.charts) chart.setScale("x", { min: this.view[0], max: this.view[1] });
      this.moveTo(this.time);
      this.options.onView(this.view, !view);
    }

    // Peaks point up, lows down, turning points are diamonds: told apart by form, not by colour alone.
    marks(plot, target) {
      const context = plot.ctx, size = 4.5 * devicePixelRatio, colours = CineAffect.colours();
      context.save();
      context.fillStyle = colours[target];
      context.strokeStyle = colours.panel;
      context.lineWidth = devicePixelRatio;
      for (const [time, of, kind, value] of this.options.events) {
        if (of !== target || time < this.view[0] || time > this.view[1] || value === null) continue;
        const x = plot.valToPos(time, "x", true), y = plot.valToPos(value, "y", true);
        const at = { peak: -size, low: size }[kind] || 0, tip = kind === "low" ? size : -size;
        context.beginPath();
        context.moveTo(x, y + at + tip);
        context.lineTo(x + size, y + at + (at ? -tip * 0.7 : 0));
        if (!at) context.lineTo(x, y - tip);
        context.lineTo(x - size, y + at + (at ? -tip * 0.7 : 0));
        context.closePath();
        context.fill();
        context.stroke();
      }
      context.restore();
    }

    moveTo(time) {
      this.time = time;
      for (const plot of this.charts) {
        this.place(plot);
      }
      // Zoomed in, the view turns the page when the playhead leaves it.
      if (!this.isWhole && this.isWhole !== undefined && time > this.view[1] && this.follow) {
        const wide = this.view[1] - this.view[0];
        this.setView([time, time + wide]);
      }
    }

    // From the view itself: uPlot takes over a new view only when it draws next.
    place(plot) {
      const [from, to] = this.view, wide = plot.bbox.width / devicePixelRatio;
      plot.line.hidden = this.time < from - 1e-6 || this.time > to + 1e-6;
      plot.line.style.transform = `translateX(${((this.time - from) / (to - from)) * wide}px)`;
    }

    resize() {
      for (const plot of this.charts) {
        const holder = plot.root.parentElement;
        if (holder.clientWidth) plot.setSize({ width: holder.clientWidth, height: this.height() });
      }
      this.moveTo(this.time);
      this.options.onView(this.view, this.isWhole !== false);
    }

    destroy() {
      this.watch.disconnect();
      for (const plot of this.charts) plot.destroy();
    }
  };
})();
