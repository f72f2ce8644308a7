// Charts and tables of the pages of a training run and of a study.
"use strict";
(() => {
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const charts = [];
  const minus = (text) => String(text).replace("-", "−");

  CineAffect.number = (value, digits = 4) =>
    value === null || value === undefined || Number.isNaN(value) ? "–" : minus(Number(value).toFixed(digits));

  const short = (value) => (value === null ? "" : minus(Number(value.toPrecision(4))));

  // Round places of a logarithmic axis, 1, 2, 5, 10, … of it or powers of ten, as study_plot.py has them; uPlot itself
  // marks powers of ten only, of which units from 32 to 256 hold one.
  const MOST_PLACES = 5;
  const decades = (low, high) => {
    const powers = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) powers.push(power);
    const inside = (place) => place >= low * (1 - 1e-9) && place <= high * (1 + 1e-9);
    const tens = powers.map((power) => Number(`1e${power}`)).filter(inside);
    const all = powers.flatMap((power) => [1, 2, 5].map((digit) => Number(`${digit}e${power}`))).filter(inside);
    const places = all.length > MOST_PLACES ? tens.filter((_, i) => i % Math.ceil(tens.length / MOST_PLACES) === 0) : all;
    return places.length > 1 ? places : [low, high].map((end) => Number(end.toPrecision(2)));
  };
  const shortLog = (value) => (value < 1e-3 ? minus(value.toExponential(0)) : short(value));
  // Words that don't fit side by side stand in two rows.
  const staggered = (words) => (words.join("").length > 24 ? words.map((word, i) => (i % 2 ? `\n${word}` : word)) : words);

  // series: [{label, values, colour, width, dash, alpha, points, line}]; options: {height, xLabel, clock, range, marker,
  // bands: [{series: [upper, lower], colour}], filled between two series, counted from 1}
  CineAffect.chart = (holder, xs, series, options = {}) => {
    // Around a single point uPlot would lay an axis from nothing to a hundred.
    if (xs.length === 1 && !options.xRange && !options.logarithmic) options = { ...options, xRange: [xs[0] - 1, xs[0] + 1] };
    holder.classList.toggle("keyed", options.keyed === true);
    const make = () => {
      const axis = { stroke: colour("quiet"), grid: { stroke: colour("line"), width: 1 }, ticks: { show: false },
        font: "11px system-ui, sans-serif", labelFont: "12px system-ui, sans-serif" };
      const plot = new uPlot({
        width: Math.max(120, holder.clientWidth), height: options.height || 220, padding: [8, 14, 0, 0],
        legend: { show: series.length > 1 || options.legend === true },
        scales: { x: { time: false, distr: options.logarithmic ? 3 : 1, ...(options.xRange ? { range: options.xRange } : {}) },
          y: options.range ? { range: options.range } : {} },
        axes: [
          { ...axis, values: (_, at) => at.map(short), label: options.xLabel, labelSize: options.xLabel ? 20 : 0, size: 26, space: 56,
            ...(options.ticks ? { splits: () => options.ticks.map((_, i) => i), values: () => staggered(options.ticks),
              size: staggered(options.ticks) === options.ticks ? 26 : 42 } : {}),
            ...(options.logarithmic ? { splits: (u) => decades(u.scales.x.min, u.scales.x.max), filter: (_, at) => at,
              values: (_, at) => at.map(shortLog) } : {}),
            ...(options.clock ? { incrs: [1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600],
              values: (_, at) => at.map(CineAffect.clock) } : {}),
            ...(options.whole ? { incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000] } : {}) },
          { ...axis, size: 56, values: (_, at) => at.map(short) },
        ],
        series: [{ label: options.xLabel || "time", value: (_, at) => (at === null ? "–" : options.clock ? CineAffect.clock(at) : Number(at.toPrecision(6))) },
          ...series.map((one) => ({
            label: one.label, stroke: colour(one.colour), width: one.line === false ? 0 : one.width ?? 2, dash: one.dash,
            alpha: one.alpha || 1, spanGaps: one.spanGaps === true, value: (_, at) => CineAffect.number(at),
            ...(one.stepped ? { paths: uPlot.paths.stepped({ align: 1 }) } : {}),
            ...(one.line === false ? { paths: () => null } : {}),
            points: { show: one.points === true || xs.length === 1, size: 7, fill: colour(one.colour), stroke: colour(one.colour),
              ...(one.shape === "diamond" ? { paths: diamonds } : {}) } }))],
        bands: (options.bands || []).map((band) => ({ series: band.series, fill: `${colour(band.colour)}30` })),
        hooks: { draw: [(u) => options.marker !== undefined && mark(u, options.marker), (u) => options.draw && options.draw(u)] },
      }, [xs, ...series.map((one) => one.values)], holder);
      return plot;
    };
    const entry = { holder, make, plot: make() };
    charts.push(entry);
    new ResizeObserver(() => {
      if (holder.clientWidth && entry.plot) entry.plot.setSize({ width: holder.clientWidth, height: options.height || 220 });
    }).observe(holder);
    return entry;
  };

  CineAffect.removeChart = (entry) => {
    charts.splice(charts.indexOf(entry), 1);
    entry.plot.destroy();
    entry.plot = null;
  };

  const diamonds = (u, index) => {
    const path = new Path2D(), size = 5 * devicePixelRatio;
    u.data[0].forEach((at, i) => {
      const value = u.data[index][i];
      if (value === null || value === undefined) return;
      const x = u.valToPos(at, "x", true), y = u.valToPos(value, "y", true);
      path.moveTo(x, y - size);
      path.lineTo(x + size, y);
      path.lineTo(x, y + size);
      path.lineTo(x - size, y);
      path.closePath();
    });
    return { fill: path, stroke: path };
  };

  // Figures of a few named things beside each other: a dot a figure, a whisker for its spread, a dashed line for what is
  // to be beaten. options: {height, colour, line, rows: [{shape, colour, values, spread, offset}]}
  CineAffect.dots = (holder, names, options) => {
    const known = options.rows.flatMap((row) => row.values.flatMap((value, i) => {
      const wide = (row.spread && row.spread[i]) || 0;
      return value === null ? [] : [value - wide, value + wide];
    })).concat(options.line === null ? [] : [options.line]);
    const low = Math.min(...known), high = Math.max(...known), margin = (high - low || Math.abs(high) || 1) * 0.12;
    const draw = (u) => {
      const context = u.ctx, size = 5 * devicePixelRatio;
      const x = (at) => u.valToPos(at, "x", true), y = (value) => u.valToPos(value, "y", true);
      context.save();
      context.lineWidth = 1.5 * devicePixelRatio;
      if (options.line !== null) {
        context.strokeStyle = colour("label");
        context.setLineDash([6 * devicePixelRatio, 4 * devicePixelRatio]);
        context.strokeRect(u.bbox.left, y(options.line), u.bbox.width, 0);
        context.setLineDash([]);
      }
      for (const row of options.rows) row.values.forEach((value, i) => {
        if (value === null) return;
        const at = x(i + row.offset), place = y(value), wide = row.spread && row.spread[i];
        context.strokeStyle = context.fillStyle = colour(row.colour || options.colour);
        if (wide) context.strokeRect(at, y(value + wide), 0, y(value - wide) - y(value + wide));
        context.beginPath();
        if (row.shape === "round") context.arc(at, place, size, 0, 2 * Math.PI);
        else if (row.shape === "square") context.rect(at - size, place - size, 2 * size, 2 * size);
        else for (const [dx, dy] of [[0, -1.3], [1.3, 0], [0, 1.3], [-1.3, 0]]) context.lineTo(at + dx * size, place + dy * size);
        context.closePath();
        if (row.shape === "square") context.stroke();
        else context.fill();
      });
      context.restore();
    };
    return CineAffect.chart(holder, names.map((_, i) => i), [{ label: "", values: names.map(() => null), colour: "text", line: false }],
      { height: options.height, ticks: names, xRange: [-0.5, names.length - 0.5], range: [low - margin, high + margin], draw });
  };

  const mark = (u, at) => {
    const x = u.valToPos(at, "x", true), context = u.ctx;
    context.save();
    context.strokeStyle = colour("text");
    context.lineWidth = devicePixelRatio;
    context.setLineDash([2 * devicePixelRatio, 3 * devicePixelRatio]);
    context.beginPath();
    context.moveTo(x, u.bbox.top);
    context.lineTo(x, u.bbox.top + u.bbox.height);
    context.stroke();
    context.restore();
  };

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const entry of charts) {
      entry.plot.destroy();
      entry.plot = entry.make();
    }
  });

  // heads: texts or nodes; rows: {cells: [text, number or node], className}
  CineAffect.table = (table, heads, rows) => {
    const head = CineAffect.element("thead"), body = CineAffect.element("tbody"), first = CineAffect.element("tr");
    const isFigure = (value) => typeof value === "number" || value === null || Boolean(value && value.classList && value.classList.contains("figure"));
    for (const [place, text] of heads.entries()) {
      const cell = CineAffect.element("th", rows.length && rows.every((row) => isFigure(row.cells[place])) ? "number" : "");
      cell.scope = "col";
      cell.append(text);
      first.append(cell);
    }
    head.append(first);
    for (const row of rows) {
      const line = CineAffect.element("tr", row.className);
      for (const value of row.cells) {
        const cell = CineAffect.element("td", isFigure(value) ? "number" : "");
        cell.append(typeof value === "number" || value === null ? CineAffect.number(value) : value);
        line.append(cell);
      }
      body.append(line);
    }
    table.replaceChildren(head, body);
  };

  CineAffect.summary = (list, entries) => {
    for (const [name, value] of entries) {
      const group = CineAffect.element("div");
      group.append(CineAffect.element("dt", "", name), CineAffect.element("dd", "", value));
      list.append(group);
    }
  };
})();
