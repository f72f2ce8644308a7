// The page of a study.
"use strict";
(async () => {
  const page = await CineAffect.load("page"), by = (id) => document.getElementById(id);
  const LOGARITHMIC = /(^|\.)(l2|learning_rate|units|filters)$/;
  const done = page.trials.filter((trial) => trial.state === "complete" && trial.value !== null);
  const better = page.direction === "minimize" ? Math.min : Math.max;
  const count = (state) => page.trials.filter((trial) => trial.state === state).length;
  const best = page.trials.find((trial) => trial.number === page.best);
  const figure = page.selection.toUpperCase();

  CineAffect.summary(by("summary"), [
    [`best validation ${figure}`, best ? CineAffect.number(best.value) : "–"], ["best trial", best ? String(best.number) : "–"],
    ["finished", String(count("complete"))], ["ended early", String(count("pruned"))], ["failed", String(count("fail"))],
  ]);
  by("course-caption").textContent = `Validation ${figure}, ${page.direction === "minimize" ? "lower" : "higher"} is better`;
  let record = null;
  CineAffect.chart(by("course"), done.map((trial) => trial.number), [
    { label: "trial", values: done.map((trial) => trial.value), colour: "valence", points: true, line: false },
    { label: "best so far", values: done.map((trial) => (record = record === null ? trial.value : better(record, trial.value))),
      colour: "arousal", stepped: true },
  ], { xLabel: "trial", whole: true, height: 260 });

  const shares = Object.entries(page.importances || {});
  by("importances").hidden = !shares.length;
  CineAffect.table(by("importance"), ["parameter", "share", ""], shares.map(([name, share]) => {
    const bar = CineAffect.element("span", "share");
    bar.style.width = `${Math.round(200 * share)}px`;
    return { cells: [name, share, bar] };
  }));

  for (const name of page.parameters) {
    const points = done.filter((trial) => trial[name] !== null && trial[name] !== undefined);
    if (!points.length) continue;
    const panel = CineAffect.element("figure", "panel"), holder = CineAffect.element("div");
    panel.append(CineAffect.element("figcaption", "", name), holder);
    by("slices").append(panel);
    const words = points.some((trial) => typeof trial[name] !== "number");
    const choices = words ? [...new Set(points.map((trial) => String(trial[name])))].sort() : null;
    const place = (trial) => (words ? choices.indexOf(String(trial[name])) : trial[name]);
    points.sort((a, b) => place(a) - place(b));
    const ends = [place(points[0]), place(points.at(-1))], wide = ends[1] - ends[0];
    const logarithmic = !words && LOGARITHMIC.test(name) && ends[0] > 0 && wide > 0;
    const xRange = words ? [-0.5, choices.length - 0.5] : logarithmic ? [ends[0] / 1.2, ends[1] * 1.2]
      : wide ? [ends[0] - 0.05 * wide, ends[1] + 0.05 * wide] : [ends[0] - (Math.abs(ends[0]) || 1), ends[0] + (Math.abs(ends[0]) || 1)];
    CineAffect.chart(holder, points.map(place), [
      { label: figure, values: points.map((trial) => trial.value), colour: "valence", points: true, line: false }],
    { height: 170, ticks: choices, logarithmic, xRange, whole: points.every((trial) => Number.isInteger(trial[name])) });
  }

  // A column in which no trial has anything is left out.
  const names = ["number", "state", "value", "epochs", "seconds", "why", ...page.parameters].filter((name) =>
    ["number", "state", "value"].includes(name) || page.trials.some((trial) => ![null, undefined, ""].includes(trial[name])));
  // Long names may break after a dot, so that more columns are in sight.
  const heading = (name) => (name === "value" ? `validation ${figure}` : name.replaceAll(".", ".\u200b"));
  let sorted = { name: "number", down: false };
  const text = (value) => (value === null || value === undefined ? "–" : typeof value === "number" && !Number.isInteger(value)
    ? String(Number(value.toPrecision(4))) : String(value));
  const showTrials = () => {
    const sign = sorted.down ? -1 : 1;
    const order = [...page.trials].sort((a, b) => {
      const [x, y] = [a[sorted.name], b[sorted.name]], lacks = (one) => one === null || one === undefined || one === "";
      if (lacks(x) || lacks(y)) return lacks(x) - lacks(y);
      return sign * (typeof x === "number" ? x - y : String(x).localeCompare(String(y))) || a.number - b.number;
    });
    const heads = names.map((name) => {
      const button = CineAffect.element("button", "", heading(name) + (name === sorted.name ? (sorted.down ? "\u00a0▾" : "\u00a0▴") : ""));
      button.dataset.name = name;
      button.addEventListener("click", () => {
        sorted = { name, down: name === sorted.name && !sorted.down };
        showTrials();
        by("trials").querySelector(`[data-name="${CSS.escape(name)}"]`).focus();
      });
      return button;
    });
    CineAffect.table(by("trials"), heads, order.map((trial) => ({
      className: trial.number === page.best ? "chosen" : trial.state === "fail" ? "failed" : "",
      cells: names.map((name) => text(trial[name])) })));
    by("trials").querySelector(`[data-name="${CSS.escape(sorted.name)}"]`).closest("th").ariaSort =
      sorted.down ? "descending" : "ascending";
  };
  showTrials();
  by("configuration").textContent = page.configuration;
})();
