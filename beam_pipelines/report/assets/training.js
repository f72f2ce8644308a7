// The page of a training run.
"use strict";
(async () => {
  const page = await CineAffect.load("page"), by = (id) => document.getElementById(id);
  const TARGETS = page.targets, FIGURES = ["mse", "pcc", "ccc"];
  const history = page.history, epochs = history.map((entry) => entry.epoch), best = page.card.best_epoch;
  const column = (name) => history.map((entry) => entry[name] ?? null);
  const smoothingWords = (one) => (!one ? "–" : one.method === "butterworth"
    ? `Butterworth, order ${one.order}, ${one.cutoff_hz} Hz`
    : one.method === "none" ? "none (raw)" : one.method.replaceAll("_", " "));

  by("untrained").hidden = !page.untrained.length;
  by("untrained").textContent = `Made from untrained networks (${page.untrained.join(", ")}): for demonstration only.`;
  CineAffect.summary(by("summary"), [
    ["model version", page.card.version ?? "–"], ["epochs run", String(epochs.length)],
    ["chosen epoch", best ? String(best) : "–"], ["training films", String(page.trainFilms)],
    ["validation films", String(page.films.length)], ["loss", page.configuration.loss?.replace("_", " ") ?? "–"],
    ["smoothing", smoothingWords(page.card.smoothing)],
    ["seconds seen", `${page.card.back_s ?? "all"} before, ${page.card.ahead_s ?? "all"} after`],
  ].filter(([name]) => epochs.length || !["epochs run", "chosen epoch", "loss"].includes(name)).concat(
    Object.entries(page.card.penalty ?? {}).map(([target, value]) => [`ridge penalty, ${target}`, String(value)])));
  by("epochs").hidden = !epochs.length;
  for (const target of ["valence", "arousal"]) document.querySelectorAll(`.of-${target}`).forEach((one) => { one.hidden = !TARGETS.includes(target); });

  const marker = best || undefined;
  if (epochs.length) CineAffect.chart(by("loss"), epochs, [{ label: "loss", values: column("loss"), colour: "text", points: true }],
    { xLabel: "epoch", whole: true, marker });
  let shown = null;
  const showFigure = () => {
    const figure = by("figure").value;
    if (shown) CineAffect.removeChart(shown);
    by("figure-caption").textContent = `${figure.toUpperCase()} on the validation films, before smoothing`;
    shown = CineAffect.chart(by("validation"), epochs, TARGETS.map((target) => ({
      label: target, values: column(`${target}_${figure}`), colour: target, points: true, dash: target === "arousal" ? [7, 4] : undefined,
      shape: target === "arousal" ? "diamond" : undefined })), { xLabel: "epoch", whole: true, marker });
  };
  by("figure").value = page.selection || "mse";
  by("figure").addEventListener("change", showFigure);
  by("configuration").textContent = JSON.stringify(page.configuration, null, 2);

  const validated = page.films.length > 0;
  by("validated").hidden = !validated;
  by("unvalidated").hidden = validated;
  if (!validated) {
    by("validation").closest("figure").hidden = true;
    by("figure").closest("div").hidden = true;
    return;
  }
  if (epochs.length) showFigure();

  const find = (predictor, scope, film) => TARGETS.flatMap((target) => {
    const row = page.rows.find((one) => one.predictor === predictor && one.scope === scope
      && one.target === target && one.film_id === film) || {};
    return FIGURES.map((figure) => row[figure] ?? null);
  });
  const overall = (predictor) => find(predictor, "pooled", "");
  const worseThan = (other, words) => {
    const worse = TARGETS.flatMap((target, i) => {
      const [ours, theirs] = ["smoothed", other].map((predictor) => overall(predictor)[i * FIGURES.length]);
      return ours !== null && theirs !== null && ours > theirs
        ? [`${target}, MSE ${CineAffect.number(ours)} against ${CineAffect.number(theirs)}`] : [];
    });
    return worse.length ? [`On all seconds of the validation films this model does worse than ${words}: ${worse.join("; ")}.`] : [];
  };
  const worse = [...worseThan("constant mean", "the constant mean"), ...worseThan("ridge, smoothed", "ridge regression, whose model is in ridge/exports")];
  by("worse").hidden = !worse.length;
  by("worse").textContent = worse.join(" ");
  const predictors = [...new Set(page.rows.map((row) => row.predictor))];
  const heads = TARGETS.flatMap((target) => FIGURES.map((figure) => `${target} ${figure.toUpperCase()}`));
  CineAffect.table(by("pooled"), ["predictor", "over", ...heads], predictors.flatMap((predictor) =>
    [["pooled", "all seconds"], ["mean of films", "mean of films"]].map(([scope, words]) =>
      ({ cells: [predictor, words, ...find(predictor, scope, "")] }))));
  CineAffect.table(by("films"), ["film", "predictor", ...heads], page.films.flatMap((film) =>
    predictors.map((predictor, i) => ({ cells: [i ? "" : page.names[film], predictor, ...find(predictor, "film", film)] }))));

  const tried = page.smoothing.map((one) => ({
    className: one.chosen ? "chosen" : "",
    cells: [smoothingWords(one), ...TARGETS.flatMap((t) => FIGURES.map((f) => one[`${t}_${f}`])), one.chosen ? "◀ chosen" : ""] }));
  if (!page.smoothing.some((one) => one.method === "none"))
    tried.unshift({ className: "", cells: ["none (raw)", ...find("raw", "pooled", ""), ""] });
  CineAffect.table(by("smoothing"), ["filter", ...heads, ""], tried);

  // One axis for both: each target's bins have places of their own on it.
  const places = [...new Set(TARGETS.flatMap((t) => page.calibration[t].map((bin) => bin.predicted)))].sort((a, b) => a - b);
  const labelled = (target) => places.map((at) => page.calibration[target].find((bin) => bin.predicted === at)?.labelled ?? null);
  CineAffect.chart(by("calibration"), places, [
    { label: "diagonal", values: places, colour: "quiet", dash: [4, 4], width: 1 },
    ...TARGETS.map((target) => ({ label: target, values: labelled(target), colour: target, points: true, spanGaps: true,
      shape: target === "arousal" ? "diamond" : undefined })),
  ], { xLabel: "predicted", height: 360 });

  let curves = [];
  const showFilm = async (number) => {
    const film = await CineAffect.load(`film-${number}`);
    if (Number(by("film").value) !== number) return;
    curves.forEach(CineAffect.removeChart);
    const margin = 0.05 * (page.range[1] - page.range[0]), range = [page.range[0] - margin, page.range[1] + margin];
    const edge = (one, sign) => one.label.map((value, t) =>
      (value === null || one.deviation[t] === null ? null : value + sign * one.deviation[t]));
    by("raters").hidden = !TARGETS.some((target) => film[target].deviation);
    curves = TARGETS.map((target) => CineAffect.chart(by(target), film[target].raw.map((_, t) => t), [
      { label: "raw", values: film[target].raw, colour: target, width: 1, alpha: 0.6 },
      { label: "labels", values: film[target].label, colour: "label", width: 1.5, dash: [6, 4] },
      { label: "smoothed", values: film[target].smoothed, colour: target, width: 2.5 },
      ...(film[target].deviation ? [1, -1].map((sign) => ({ label: sign > 0 ? "raters, above" : "raters, below",
        values: edge(film[target], sign), colour: "label", width: 0 })) : []),
    ], { clock: true, height: 190, range, xLabel: "", keyed: true,
      bands: film[target].deviation ? [{ series: [4, 5], colour: "label" }] : [] }));
    document.body.dataset.film = page.films[number];
  };
  page.films.forEach((film, number) => {
    const option = CineAffect.element("option", "", page.names[film]);
    option.value = number;
    by("film").append(option);
  });
  by("film").addEventListener("change", () => showFilm(Number(by("film").value)));
  await showFilm(0);
})();
