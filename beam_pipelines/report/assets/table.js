// The page of `cineaffect reproduce`, the paper's Table 1 beside ours, and of `cineaffect compare`, without a paper.
"use strict";
(async () => {
  const page = await CineAffect.load("page"), by = (id) => document.getElementById(id), make = CineAffect.element;
  const TARGETS = page.targets, FIGURES = ["mse", "pcc", "ccc"], CONSTANT = "constant mean", RATERS = "raters";
  const SCOPES = { "mean of films": "mean of films", pooled: "all seconds" };
  const columns = TARGETS.flatMap((target) => FIGURES.map((figure) => [target, figure]));
  const heading = ([target, figure]) => `${target} ${figure.toUpperCase()}`;
  const runs = page.predictors.filter((name) => name !== CONSTANT && name !== RATERS);
  const ours = (predictor, scope, target, figure) => page.summary.find((one) => one.predictor === predictor
    && one.scope === scope && one.target === target && one.figure === figure) || { mean: null, sd: null, undefined: 0 };
  const papers = (predictor, target, figure) => (page.published[predictor] || {})[`${target}_${figure}`] ?? null;
  const withSpread = ({ mean, sd }) => {
    const cell = make("span", "figure", CineAffect.number(mean));
    if (sd !== null) cell.append(make("span", "quiet", ` ±${CineAffect.number(sd)}`));
    return cell;
  };

  document.querySelectorAll(Object.keys(page.published).length ? ".own" : ".papers").forEach((one) => one.remove());
  by("untrained").hidden = !page.untrained.length;
  by("untrained").textContent = `Made from untrained networks (${page.untrained.join(", ")}): for demonstration only.`;
  CineAffect.summary(by("summary"), [["runs", String(runs.length)], ["seeds", String(page.seeds)],
    ["test films", String(page.films.length)]]);
  by("about-spread").textContent = page.seeds > 1
    ? ` Ours are means over ${page.seeds} seeds, ± their sample standard deviation.` : " Ours are of one seed: of the spread over seeds they say nothing.";

  const rows = [];
  for (const name of [CONSTANT, RATERS, ...runs]) {
    if (!page.predictors.includes(name)) continue;
    const first = rows.length, published = page.published[name];
    if (published) rows.push({ className: "paper", cells: ["", "paper", ...columns.map(([t, f]) => papers(name, t, f))] });
    for (const [scope, words] of Object.entries(SCOPES))
      rows.push({ className: "", cells: ["", words, ...columns.map(([t, f]) => withSpread(ours(name, scope, t, f)))] });
    rows[first].cells[0] = make("b", "", name);
    rows[first].className += " first";
  }
  CineAffect.table(by("table"), ["run", "", ...columns.map(heading)], rows);

  const lacking = runs.flatMap((name) => TARGETS.map((target) => [name, target, ours(name, "mean of films", target, "pcc").undefined]))
    .filter(([, , count]) => count);
  by("undefined").hidden = !lacking.length;
  by("undefined").textContent = `Left out of the mean PCC, for a film's curve was constant: ${lacking
    .map(([name, target, count]) => `${name}, ${target}: ${count}`).join("; ")}.`;

  for (const [target, figure] of columns.filter(([, name]) => name !== "ccc")) {
    const panel = make("figure", "panel"), holder = make("div");
    const direction = figure === "mse" ? "lower is better" : "higher is better";
    panel.append(make("figcaption", `${target}-text`, `${heading([target, figure])}, ${direction}`), holder);
    by("charts").append(panel);
    const of = (scope) => runs.map((name) => ours(name, scope, target, figure));
    CineAffect.dots(holder, runs, {
      height: 230, colour: target, line: ours(CONSTANT, "mean of films", target, figure).mean,
      rows: [
        { shape: "diamond", colour: "label", values: runs.map((name) => papers(name, target, figure)), offset: -0.2 },
        { shape: "round", values: of("mean of films").map((one) => one.mean), spread: of("mean of films").map((one) => one.sd), offset: 0 },
        { shape: "square", values: of("pooled").map((one) => one.mean), spread: of("pooled").map((one) => one.sd), offset: 0.2 },
      ] });
  }

  const signed = (value) => (value > 0 ? "+" : "") + CineAffect.number(value);
  if (by("differences")) CineAffect.table(by("differences"), ["difference", "target", "figure", "films", "mean", "interval", ""],
    page.differences.map((one) => ({ cells: [`${one.first} − ${one.second}`, one.target, one.figure.toUpperCase(), String(one.films),
      signed(one.mean), one.low === null ? "–" : `${signed(one.low)} to ${signed(one.high)}`, one.verdict] })));

  columns.forEach((column, number) => {
    const option = make("option", "", heading(column));
    option.value = number;
    by("figure").append(option);
  });
  const showFilms = () => {
    const [target, figure] = columns[Number(by("figure").value)];
    const value = (film, name) => page.byFilm.find((one) => one.film_id === film && one.predictor === name
      && one.target === target && one.figure === figure) || { mean: null, sd: null };
    const names = [CONSTANT, RATERS, ...runs].filter((name) => page.predictors.includes(name));
    CineAffect.table(by("films"), ["film", ...names], page.films.map((film) => {
      const values = names.map((name) => value(film, name));
      const isRun = (i) => runs.includes(names[i]);
      const known = values.filter((_, i) => isRun(i)).map((one) => one.mean).filter((mean) => mean !== null);
      const best = figure === "mse" ? Math.min(...known) : Math.max(...known);
      return { cells: [page.names[film], ...values.map((one, i) => {
        const cell = withSpread(one);
        cell.classList.toggle("best", isRun(i) && one.mean === best);
        return cell;
      })] };
    }));
    document.body.dataset.figure = heading([target, figure]);
  };
  by("figure").addEventListener("change", showFilms);
  showFilms();
  by("settings").textContent = JSON.stringify(page.settings, null, 2);
})();
