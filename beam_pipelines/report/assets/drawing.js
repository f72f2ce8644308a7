// What is drawn on canvases besides the charts: colours of the scheme, the small arcs, the plane, the thin tracks.
"use strict";
(() => {
  let cache = null;
  const names = ["valence", "arousal", "text", "quiet", "line", "panel", "label", "faces", "sound", "page"];

  CineAffect.colours = () => {
    if (!cache) {
      const style = getComputedStyle(document.documentElement);
      cache = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
    }
    return cache;
  };
  const listeners = new Set();
  CineAffect.onScheme = (listener) => listeners.add(listener);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", () => {
    cache = null;
    for (const listener of listeners) listener();
  });

  // Sets a canvas to a size in CSS pixels and gives its context, scaled and cleared.
  CineAffect.surface = (canvas, width, height) => {
    const ratio = Math.min(window.devicePixelRatio || 1, 3);
    const w = Math.max(1, Math.round(width * ratio)), h = Math.max(1, Math.round(height * ratio));
    if (canvas.width !== w || canvas.height !== h) {
      canvas.width = w;
      canvas.height = h;
      canvas.style.width = `${width}px`;
      canvas.style.height = `${height}px`;
    }
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    return context;
  };

  const trace = (context, points) => {
    context.beginPath();
    let down = false;
    for (const [x, y] of points) {
      if (x === null || y === null) down = false;
      else if (down) context.lineTo(x, y);
      else {
        context.moveTo(x, y);
        down = true;
      }
    }
    context.stroke();
  };

  // The empty plane of valence and arousal: its frame, its axes, and their words in the edge.
  CineAffect.drawPlane = (context, size, edge) => {
    const colours = CineAffect.colours();
    context.lineWidth = 1;
    context.strokeStyle = colours.line;
    context.strokeRect(edge, edge, size - 2 * edge, size - 2 * edge);
    trace(context, [[size / 2, edge], [size / 2, size - edge]]);
    trace(context, [[edge, size / 2], [size - edge, size / 2]]);
    context.fillStyle = colours.quiet;
    context.font = "12px system-ui, sans-serif";
    context.textBaseline = "middle";
    context.textAlign = "center";
    context.fillText("excited", size / 2, edge / 2);
    context.fillText("calm", size / 2, size - edge / 2);
    for (const [word, x] of [["unpleasant", edge / 2], ["pleasant", size - edge / 2]]) {
      context.save();
      context.translate(x, size / 2);
      context.rotate(-Math.PI / 2);
      context.fillText(word, 0, 0);
      context.restore();
    }
  };

  // Time as colour: from blue to yellow, as in cividis, which all kinds of colour vision read alike; the ends are
  // drawn in so far that each can be seen on its page.
  const ON_LIGHT = [[0, 34, 78], [40, 70, 120], [70, 100, 140], [120, 120, 110], [165, 140, 60], [196, 150, 0]];
  const ON_DARK = [[90, 130, 200], [110, 140, 180], [140, 150, 160], [175, 170, 130], [220, 200, 100], [254, 232, 56]];
  CineAffect.timeColour = (share) => {
    const stops = dark.matches ? ON_DARK : ON_LIGHT;
    const place = Math.min(Math.max(share, 0), 1) * (stops.length - 1);
    const index = Math.min(Math.floor(place), stops.length - 2), rest = place - index;
    const mix = stops[index].map((from, i) => Math.round(from + (stops[index + 1][i] - from) * rest));
    return `rgb(${mix.join(",")})`;
  };

  const drawPath = (context, xs, ys, colours) => {
    const step = Math.max(1, Math.ceil(xs.length / colours));
    for (let first = 0; first < xs.length - 1; first += step) {
      context.strokeStyle = CineAffect.timeColour(first / xs.length);
      const points = [];
      for (let i = first; i <= Math.min(first + step, xs.length - 1); i++) points.push([xs[i], ys[i]]);
      trace(context, points);
    }
  };

  // The arc of a row: valence to the right, arousal upwards.
  CineAffect.drawArc = (canvas, valence, arousal, size) => {
    const context = CineAffect.surface(canvas, size, size), colours = CineAffect.colours();
    context.strokeStyle = colours.line;
    context.lineWidth = 1;
    context.strokeRect(0.5, 0.5, size - 1, size - 1);
    trace(context, [[size / 2, 1], [size / 2, size - 1]]);
    trace(context, [[1, size / 2], [size - 1, size / 2]]);
    const place = (level) => (level === null ? null : 3 + level * (size - 6));
    const ys = arousal.map((level) => (level === null ? null : size - place(level)));
    context.lineWidth = 1.5;
    context.lineJoin = context.lineCap = "round";
    drawPath(context, valence.map(place), ys, 9);
  };

  CineAffect.drawSpark = (canvas, lines, width, height) => {
    const context = CineAffect.surface(canvas, width, height), colours = CineAffect.colours();
    context.strokeStyle = colours.line;
    trace(context, [[0, height / 2], [width, height / 2]]);
    context.lineWidth = 1.6;
    context.lineJoin = "round";
    for (const [name, levels] of lines) {
      context.strokeStyle = colours[name];
      const last = Math.max(1, levels.length - 1);
      trace(context, levels.map((level, i) => [
        1 + (i / last) * (width - 2), level === null ? null : height - 2 - level * (height - 4)]));
    }
  };

  // The word for a place on the plane, as webvtt.py has it for chapters: near the middle of an axis it is on neither side.
  // Where each film has a range of its own, on which side of the film's mean it lies.
  const NEUTRAL_SHARE = 0.1;
  const MOODS = [["sad", "unpleasant", "tense"], ["calm", "neutral", "excited"], ["serene", "pleasant", "joyful"]];
  const BESIDE_THE_MEAN = ["below", "near", "above"];
  CineAffect.mood = (valence, arousal, [low, high], ownRange) => {
    if (valence === null || arousal === null) return "";
    const middle = (low + high) / 2, near = NEUTRAL_SHARE * (high - low) / 2;
    // Undefined is a target that the model doesn't predict.
    const side = (value) => (value === undefined || Math.abs(value - middle) < near ? 1 : value > middle ? 2 : 0);
    if (ownRange) {
      const sides = [["valence", valence], ["arousal", arousal]].filter(([, value]) => value !== undefined);
      const named = sides.map(([target, value]) => (sides.length > 1 ? `${target} ` : "") + BESIDE_THE_MEAN[side(value)]);
      return `${named.join(", ")} the film's mean`;
    }
    return MOODS[side(valence)][side(arousal)];
  };

  // The valence-arousal plane with the film's path: drawn once, then only the dot moves over it.
  CineAffect.Plane = class {
    constructor(canvas) {
      this.canvas = canvas;
      this.picture = document.createElement("canvas");
    }

    set(valence, arousal, range) {
      Object.assign(this, { valence, arousal, range });
      this.draw();
    }

    draw() {
      if (!this.valence) return;
      const size = Math.max(160, Math.floor(this.canvas.parentElement.clientWidth));
      this.size = size;
      const [low, high] = this.range, edge = 22;
      this.place = (value) => edge + ((value - low) / (high - low)) * (size - 2 * edge);
      const context = CineAffect.surface(this.picture, size, size), colours = CineAffect.colours();
      CineAffect.drawPlane(context, size, edge);
      context.globalAlpha = 0.9;
      context.textAlign = "left";
      context.fillText("tense", edge + 6, edge + 11);
      context.fillText("sad", edge + 6, size - edge - 11);
      context.textAlign = "right";
      context.fillText("joyful", size - edge - 6, edge + 11);
      context.fillText("serene", size - edge - 6, size - edge - 11);
      context.globalAlpha = this.valence.length > 1200 ? 0.6 : 1;
      context.lineWidth = this.valence.length > 1200 ? 1.2 : 2;
      context.lineJoin = context.lineCap = "round";
      const at = (value) => (value === null ? null : this.place(value));
      drawPath(context, this.valence.map(at), this.arousal.map((v) => (v === null ? null : size - this.place(v))), 400);
      this.dot(this.now || [null, null]);
    }

    dot(now) {
      this.now = now;
      const context = CineAffect.surface(this.canvas, this.size, this.size), colours = CineAffect.colours();
      context.drawImage(this.picture, 0, 0, this.size, this.size);
      const [valence, arousal] = now;
      if (valence === null || arousal === null) return;
      context.beginPath();
      context.arc(this.place(valence), this.size - this.place(arousal), 7, 0, 2 * Math.PI);
      context.fillStyle = colours.text;
      context.strokeStyle = colours.panel;
      context.lineWidth = 3;
      context.stroke();
      context.fill();
    }

    // The second whose point on the path is nearest to a place on the canvas.
    nearest(x, y) {
      let best = 0, least = Infinity;
      for (let i = 0; i < this.valence.length; i++) {
        if (this.valence[i] === null || this.arousal[i] === null) continue;
        const distance = (this.place(this.valence[i]) - x) ** 2
          + (this.size - this.place(this.arousal[i]) - y) ** 2;
        if (distance < least) [best, least] = [i, distance];
      }
      return best;
    }
  };

  // Thin tracks under the charts on the charts' own time axis: faces, sound, thumbnails.
  CineAffect.drawTracks = (canvas, width, film, sprite, view, gutter, right) => {
    const rows = [];
    if (film.faces) rows.push(["faces", 18]);
    if (film.sound) rows.push(["sound", 10]);
    if (sprite) rows.push(["thumbs", 46]);
    const gap = 6, height = rows.reduce((sum, row) => sum + row[1] + gap, 0);
    canvas.hidden = !rows.length;
    if (!rows.length) return;
    const context = CineAffect.surface(canvas, width, height), colours = CineAffect.colours();
    const inner = width - gutter - right, [from, to] = view;
    const xOf = (t) => gutter + ((t - from) / (to - from)) * inner;
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "right";
    context.textBaseline = "middle";
    let top = 0;
    for (const [name, tall] of rows) {
      if (name !== "thumbs") {
        context.fillStyle = colours.quiet;
        context.fillText(name, gutter - 6, top + tall / 2);
        drawPresence(context, film[name], colours[name], colours.line, from, to, xOf, top, tall);
      } else drawThumbnails(context, sprite, film.sprite, view, gutter, inner, top, tall);
      top += tall + gap;
    }
  };

  const drawPresence = (context, digits, colour, line, from, to, xOf, top, tall) => {
    context.fillStyle = line;
    context.fillRect(xOf(from), top + tall - 1, xOf(to) - xOf(from), 1);
    context.fillStyle = colour;
    // Seconds narrower than half a pixel are drawn together, by their largest value.
    const step = Math.max(1, Math.floor(0.5 / Math.max(1e-9, xOf(1) - xOf(0))));
    for (let t = Math.max(0, Math.floor(from)); t < Math.min(digits.length, to); t += step) {
      let most = 0;
      for (let i = t; i < Math.min(t + step, digits.length); i++) most = Math.max(most, Number(digits[i]));
      if (!most) continue;
      // Whole pixels: between neighbouring seconds no seam shows.
      const x0 = Math.round(Math.max(xOf(from), xOf(t))), x1 = Math.round(Math.min(xOf(to), xOf(t + step)));
      const high = (Math.min(most, 2) / (tall > 12 ? 2 : 1)) * tall;
      context.fillRect(x0, top + tall - Math.min(high, tall), Math.max(1, x1 - x0), Math.min(high, tall));
    }
  };

  const drawThumbnails = (context, image, sprite, view, gutter, inner, top, tall) => {
    const wide = (tall * sprite.width) / sprite.height, places = Math.max(1, Math.round(inner / wide));
    const slot = inner / places, [from, to] = view;
    for (let place = 0; place < places; place++) {
      const time = from + ((place + 0.5) / places) * (to - from);
      const n = Math.min(sprite.count - 1, Math.max(0, Math.floor(time / sprite.step)));
      const shown = Math.min(sprite.width, (slot / wide) * sprite.width);
      context.drawImage(image, n * sprite.width + (sprite.width - shown) / 2, 0, shown, sprite.height,
        gutter + place * slot, top, Math.max(1, slot - 1), tall);
    }
  };
})();
