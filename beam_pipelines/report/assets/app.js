// The page: loads the run, then shows the catalogue or one film, as the address says (#film=<id>&t=<seconds>).
"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const make = CineAffect.element;
  const KEPT_FILMS = 4;
  const SCOPES = { pooled: "all seconds" };  // as the other pages call it
  let run, byId, catalogue, explore, film, left = null;
  const opened = [];

  const start = async () => {
    try {
      run = await CineAffect.load("run");
      const names = Array.from({ length: run.rowFiles }, (_, n) => `rows-${String(n).padStart(3, "0")}`);
      const rows = (await Promise.all(names.map(CineAffect.load))).flat();
      byId = new Map(rows.map((row) => [row.id, row]));
      about(rows);
      addEventListener("hashchange", route);
      $("loading").hidden = true;
      // Shown before it is built: the list asks the layout how many rows are in sight.
      $("catalogue").hidden = false;
      catalogue = new CineAffect.Catalogue(rows, run);
      explore = new CineAffect.Explore(rows, run, catalogue);
      await route();
    } catch (error) {
      $("loading").hidden = false;
      $("loading").textContent = `This report is incomplete: ${error.message}. Write it again with cineaffect report.`;
    }
  };

  const about = (rows) => {
    const failed = rows.filter((row) => row.failed || row.stale).length;
    const scored = rows.filter((row) => !row.failed).length;
    const hours = rows.reduce((sum, row) => sum + (row.seconds || 0), 0) / 3600;
    const warned = rows.filter((row) => row.warnings).length;
    const facts = [["films scored", scored], ["failed", failed], ...(warned ? [["with warnings", warned]] : []),
      [hours >= 1 ? "hours" : "minutes", (hours >= 1 ? hours : hours * 60).toFixed(1)],
      ["model version", run.model || "–"], ["smoothing", smoothing(run.smoothing)]];
    for (const [name, value] of facts) {
      const group = make("div");
      group.append(make("dt", "", name), make("dd", "", String(value)));
      $("summary").append(group);
    }
    if (run.untrained.length) {
      $("untrained").hidden = false;
      $("untrained").textContent = `The networks for ${run.untrained.join(", ")} are untrained here: this shows the way `
        + "from film to curve, not what people feel.";
    }
    if (run.about) {
      $("about-model").hidden = false;
      $("about-model").textContent = run.about;
    }
    CineAffect.hideTargets(run.targets);
    // The mean of a film that has a range of its own says nothing: it is the same for all.
    document.body.classList.toggle("own-range", run.ownRange);
    if (run.ownRange) for (const option of document.querySelectorAll("#sort [data-target]")) option.remove();
    const versions = Object.entries(run.versions).map(([name, version]) => `${name} ${version}`);
    $("footer").textContent = versions.join(" · ");
    evaluation(run.evaluation);
  };

  const smoothing = (settings) => ({
    butterworth: `Butterworth, ${settings.cutoff_hz} Hz`,
    moving_average: `average over ${settings.width_s} s`,
    none: "none",
  })[settings.method] || "–";

  const evaluation = (rows) => {
    if (!rows.length) return;
    $("evaluation").hidden = false;
    const head = make("tr");
    for (const name of ["predictor", "over", "target", "MSE", "PCC", "CCC"]) head.append(make("th", "", name));
    const number = (value) => make("td", "number", typeof value === "number" ? value.toFixed(3) : "–");
    const body = rows.map((row) => {
      const line = make("tr");
      line.append(make("th", "", row.predictor), make("td", "", SCOPES[row.scope] || row.scope), make("td", `${row.target}-text`, row.target),
        number(row.mse), number(row.pcc), number(row.ccc));
      return line;
    });
    $("evaluation-table").append(head, ...body);
  };

  const route = async () => {
    const wanted = new URLSearchParams(location.hash.slice(1).replace(/\+/g, "%2B"));
    const id = wanted.get("film");
    if (film) {
      film.close();
      film = null;
    }
    $("catalogue").hidden = id !== null;
    $("film").hidden = id === null;
    if (id === null) {
      document.title = "CineAffect report";
      if (left === null) catalogue.later(true);
      else catalogue.back(left);
      left = null;
      return;
    }
    left = id;
    const row = byId.get(id), name = row ? row.name : id;
    document.title = `${name} – CineAffect`;
    $("film-title").replaceChildren(make("bdi", "", name));
    scrollTo(0, 0);
    const why = !row ? ["This report has no film of this name."] : row.failed || null;
    $("film-body").hidden = Boolean(why);
    $("film-failure").hidden = !why;
    if (why) {
      $("film-facts").textContent = "";
      $("film-warnings").replaceChildren();
      $("film-notes").replaceChildren();
      failure(row, why);
      return;
    }
    await open(row, Number(wanted.get("t")) || 0);
  };

  const failure = (row, why) => {
    const parts = row
      ? [make("p", "", "This film has no curve."), make("p", "", why[2]), pair("film", row.source), pair("step", why[0]),
        pair("reason", why[1])]
      : [make("p", "", why[0])];
    $("film-failure").replaceChildren(...parts);
  };

  const pair = (name, value) => {
    const line = make("p");
    line.append(make("span", "quiet", `${name}: `), make("bdi", "", value));
    return line;
  };

  const open = async (row, time) => {
    const name = `film-${row.key}`, hash = location.hash;
    let data;
    try {
      data = await CineAffect.load(name);
    } catch (error) {
      $("film-body").hidden = true;
      $("film-failure").hidden = false;
      $("film-failure").replaceChildren(make("p", "", `${error.message}. Write the report again with cineaffect report.`));
      return;
    }
    // Another film may have been asked for while this one was loading.
    if (location.hash !== hash || film) return;
    opened.push(name);
    while (opened.length > KEPT_FILMS) {
      const oldest = opened.shift();
      if (!opened.includes(oldest)) CineAffect.forget(oldest);
    }
    film = new CineAffect.Film(data, row, run);
    const shown = film;
    explore.like(row, () => film === shown);
    if (time) film.seek(time);
    $("film-title").focus({ preventScroll: true });
  };

  start();
})();
