// How films are compared: the same arcs and distances as beam_pipelines/report/arcs has them, which `cineaffect similar`
// prints. Arcs are loaded when a reader first compares films.
"use strict";
(() => {
  const POINTS = 100, BAND = 10, FLAT = 0.01;
  const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const VALUE = new Map(Array.from(LETTERS, (letter, value) => [letter, value]));

  // Mean and spread of 100 points, and their shape: without level and range.
  const apart = (arc, range) => {
    let mean = 0, squares = 0;
    for (const value of arc) mean += value / POINTS;
    for (const value of arc) squares += (value - mean) ** 2 / POINTS;
    const spread = Math.sqrt(squares), divisor = Math.max(spread, FLAT * (range[1] - range[0]));
    return { arc, mean, spread, shape: arc.map((value) => (value - mean) / divisor) };
  };

  // Per film and target: {arc, mean, spread, shape}; null for a film without a curve.
  const read = (letters, targets, range) => {
    if (letters.length !== targets.length * POINTS * 2) return null;
    const film = {};
    targets.forEach((target, place) => {
      const arc = new Float64Array(POINTS);
      for (let i = 0; i < POINTS; i++) {
        const at = 2 * (place * POINTS + i);
        arc[i] = range[0] + ((VALUE.get(letters[at]) * 64 + VALUE.get(letters[at + 1])) / 4095) * (range[1] - range[0]);
      }
      film[target] = apart(arc, range);
    });
    return film;
  };

  // The highest and lowest value of the query within the band: no warped film comes nearer than its distance from these.
  const envelope = (values) => {
    const upper = new Float64Array(POINTS), lower = new Float64Array(POINTS);
    for (let i = 0; i < POINTS; i++) {
      const near = values.subarray(Math.max(0, i - BAND), Math.min(POINTS, i + BAND + 1));
      upper[i] = Math.max(...near);
      lower[i] = Math.min(...near);
    }
    return { upper, lower };
  };

  const lowerBound = (envelopes, film) => {
    let sum = 0;
    for (let d = 0; d < film.length; d++) {
      const { upper, lower } = envelopes[d], values = film[d];
      for (let i = 0; i < POINTS; i++) {
        const value = values[i], over = value - upper[i], under = lower[i] - value;
        if (over > 0) sum += over * over;
        else if (under > 0) sum += under * under;
      }
    }
    return sum;
  };

  // The squared distance along the best path within the band, all targets on one path; Infinity once it exceeds `limit`.
  const warped = (one, other, limit) => {
    let before = new Float64Array(POINTS + 2).fill(Infinity), now = new Float64Array(POINTS + 2).fill(Infinity);
    before[0] = 0;
    for (let i = 0; i < POINTS; i++) {
      const first = Math.max(0, i - BAND), last = Math.min(POINTS - 1, i + BAND);
      now[first] = Infinity;
      let least = Infinity;
      for (let j = first; j <= last; j++) {
        let step = 0;
        for (let d = 0; d < one.length; d++) {
          const gap = one[d][i] - other[d][j];
          step += gap * gap;
        }
        const best = Math.min(before[j], before[j + 1], now[j]);
        now[j + 1] = best + step;
        if (now[j + 1] < least) least = now[j + 1];
      }
      now[last + 2] = Infinity;
      if (least > limit) return Infinity;
      [before, now] = [now, before];
    }
    return before[POINTS];
  };

  const byLevel = (query, films, targets) => films.map((film) => {
    let sum = 0;
    for (const target of targets)
      sum += (film[target].mean - query[target].mean) ** 2 + (film[target].spread - query[target].spread) ** 2;
    return Math.sqrt(sum / (2 * targets.length));
  });

  CineAffect.Arcs = class {
    // letters: one text for each row, in the order of the rows
    constructor(rows, letters, { targets, range }) {
      this.targets = targets;
      this.range = range;
      this.films = new Map();
      rows.forEach((row, n) => {
        const film = read(letters[n] || "", targets, range);
        if (film) this.films.set(row, film);
      });
    }

    // The film of an arc that somebody drew: target -> 100 values.
    drawn(curves) {
      return Object.fromEntries(Object.entries(curves).map(([target, arc]) => [target, apart(arc, this.range)]));
    }

    // The `top` of these rows that are nearest to a film, as [row, distance], nearest first, equal ones in their order.
    nearest(query, rows, by, top) {
      const targets = this.targets.filter((target) => query[target]);
      const kept = rows.filter((row) => this.films.has(row)), films = kept.map((row) => this.films.get(row));
      if (!targets.length) return [];
      if (by === "level") {
        const far = byLevel(query, films, targets);
        const order = kept.map((_, n) => n).sort((a, b) => far[a] - far[b] || a - b);
        return order.slice(0, top).map((n) => [kept[n], far[n]]);
      }
      const part = by === "shape" ? "shape" : "arc";
      const asked = targets.map((target) => query[target][part]), envelopes = asked.map(envelope);
      const others = films.map((film) => targets.map((target) => film[target][part]));
      const bounds = others.map((other) => lowerBound(envelopes, other));
      const order = kept.map((_, n) => n).sort((a, b) => bounds[a] - bounds[b] || a - b);
      let best = [];
      for (const n of order) {
        const limit = best.length < top ? Infinity : best[best.length - 1][1];
        // Bounds only grow from here on.
        if (bounds[n] > limit) break;
        const far = warped(asked, others[n], limit);
        if (far === Infinity || (best.length >= top && far > limit)) continue;
        let place = best.length;
        while (place && (best[place - 1][1] > far || (best[place - 1][1] === far && best[place - 1][0] > n))) place--;
        best.splice(place, 0, [n, far]);
        if (best.length > top) best.pop();
      }
      return best.map(([n, far]) => [kept[n], Math.sqrt(far / (POINTS * targets.length))]);
    }
  };

  let loaded = null;
  CineAffect.loadArcs = (rows, run) => {
    loaded = loaded || Promise.all(
      Array.from({ length: run.rowFiles }, (_, n) => CineAffect.load(`arcs-${String(n).padStart(3, "0")}`)),
    ).then((parts) => new CineAffect.Arcs(rows, parts.flat(), run));
    return loaded;
  };

  // The six shapes of stories by Reagan et al. (2016), as report/arcs/story_shapes.py has them.
  const HALF_WAVES = { "rags to riches": -1, "riches to rags": 1, "man in a hole": 2, "Icarus": -2, "Cinderella": -3,
    "Oedipus": 3 };
  CineAffect.STORIES = Object.keys(HALF_WAVES);
  CineAffect.story = (name, [low, high]) => Float64Array.from({ length: POINTS }, (_, i) =>
    (low + high) / 2 + ((high - low) / 4) * Math.sign(HALF_WAVES[name])
      * Math.cos(Math.abs(HALF_WAVES[name]) * Math.PI * ((i + 0.5) / POINTS)));
  CineAffect.POINTS = POINTS;
})();
