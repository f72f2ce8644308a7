// Why a curve is as it is: what each modality adds, stacked under the curve, and one moment with its frames.
"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const make = CineAffect.element;
  const TALL = 58, FRAMES = 3;

  const colour = (number) => getComputedStyle(document.documentElement).getPropertyValue(`--share-${number % 6}`).trim();

  // Parts as [name, values], the base first: it is no part of the stack, whose middle line it is.
  CineAffect.drawShares = (canvas, width, parts, most, view, gutter, right) => {
    const context = CineAffect.surface(canvas, width, TALL), colours = CineAffect.colours();
    const inner = Math.max(1, Math.floor(width - gutter - right)), [from, to] = view;
    const middle = TALL / 2, scale = (TALL / 2 - 3) / most;
    const paints = parts.map((_, number) => colour(number - 1));
    for (let x = 0; x < inner; x++) {
      const t = Math.round(from + ((x + 0.5) / inner) * (to - from));
      let up = middle, down = middle;
      for (let number = 1; number < parts.length; number++) {
        const value = parts[number][1][t];
        if (!value) continue;
        context.fillStyle = paints[number];
        const tall = Math.abs(value) * scale;
        if (value > 0) up -= tall;
        context.fillRect(gutter + x, value > 0 ? up : down, 1, tall);
        if (value < 0) down += tall;
      }
    }
    context.fillStyle = colours.quiet;
    context.fillRect(gutter, middle, inner, 1);
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (const [value, y] of [[most, 7], [-most, TALL - 7]]) context.fillText(CineAffect.signed(value), gutter - 6, y);
  };

  // The largest sum of either sign, to two decimals: all of a film's bands have one scale.
  CineAffect.mostShare = (shares) => {
    let most = 0.01;
    for (const [, ...parts] of Object.values(shares)) {
      for (let t = 0; t < parts[0][1].length; t++) {
        let up = 0, down = 0;
        for (const [, values] of parts) {
          if (values[t] > 0) up += values[t];
          else down -= values[t] || 0;
        }
        most = Math.max(most, up, down);
      }
    }
    return Math.ceil(most * 100) / 100;
  };

  CineAffect.shareLegend = (shares, targets) => {
    const holder = $("share-legend"), [first] = Object.values(shares || {});
    holder.hidden = !first;
    if (!first) return;
    const entries = first.slice(1).map(([name], number) => {
      const entry = make("span"), swatch = make("i", "swatch");
      swatch.style.background = `var(--share-${number % 6})`;
      entry.append(swatch, name);
      return entry;
    });
    const base = targets.map((target) => {
      const values = shares[target][0][1].filter((value) => value !== null);
      return `${target} ${CineAffect.signed(values[Math.floor(values.length / 2)])}`;
    });
    holder.replaceChildren(make("b", "", "What each adds "), ...entries,
      make("span", "", `Base, without any: ${base.join(", ")}`));
  };

  // One moment: a sentence, three frames around it, the loudest second near it.
  CineAffect.Moment = class {
    constructor(film, shown, seek, around) {
      Object.assign(this, { film, shown, seek, around, turn: 0, video: null });
      $("moment").hidden = true;
    }

    show([time, target, kind, , , because], image) {
      const { film, shown, around } = this, last = Math.max(0, film.duration - 0.05);
      $("moment").hidden = false;
      $("moment-text").textContent = `${target} ${kind} at ${shown(time)}${because ? `: ${because.replaceAll("-", "−")}` : ""}`;
      this.loudest(time);
      const times = Array.from({ length: FRAMES }, (_, n) => Math.min(last, Math.max(0, time + (n - 1) * around)));
      const figures = times.map((at) => {
        const figure = make("figure"), canvas = make("canvas"), button = make("button", "", shown(at));
        button.type = "button";
        button.addEventListener("click", () => this.seek(at));
        figure.append(canvas, button);
        return figure;
      });
      $("moment-frames").replaceChildren(...figures);
      this.draw(times, figures.map((figure) => figure.firstChild), image, ++this.turn);
    }

    loudest(time) {
      const { loudness } = this.film, near = [];
      for (let t = Math.max(0, time - this.around); loudness && t <= time + this.around && t < loudness.length; t++)
        if (loudness[t] !== null) near.push([loudness[t], t]);
      const button = $("moment-loudest");
      button.hidden = !near.length;
      if (!near.length) return;
      const [level, at] = near.reduce((most, one) => (one[0] > most[0] ? one : most));
      button.textContent = `Loudest second near it: ${this.shown(at)} (${String(level).replace("-", "−")} LUFS)`;
      button.onclick = () => this.seek(at);
    }

    async draw(times, canvases, image, turn) {
      const note = $("moment-note");
      note.textContent = "";
      if (!this.video && this.film.video) {
        // Not earlier: it loads the film a second time.
        this.video = make("video");
        Object.assign(this.video, { muted: true, preload: "auto", playsInline: true, src: this.film.video });
      }
      for (const [number, time] of times.entries()) {
        const frame = this.video && await this.frame(time + (this.film.offset || 0));
        if (turn !== this.turn) return;
        const { sprite } = this.film, canvas = canvases[number];
        if (frame) {
          const tall = 120, wide = Math.round((tall * frame.videoWidth) / frame.videoHeight);
          CineAffect.surface(canvas, wide, tall).drawImage(frame, 0, 0, wide, tall);
        } else if (image) {
          const place = Math.min(sprite.count - 1, Math.round(time / sprite.step));
          CineAffect.surface(canvas, sprite.width, sprite.height).drawImage(image, place * sprite.width, 0, sprite.width,
            sprite.height, 0, 0, sprite.width, sprite.height);
          note.textContent = "These are the nearest thumbnails: the film can't be played here, or only from its start.";
        } else {
          canvas.parentElement.classList.add("empty");
          note.textContent = "No frames: the film is not at hand here.";
        }
      }
    }

    // The video at a time, or null if the browser can't play it or go there: without byte ranges it stays at the start.
    frame(time) {
      const video = this.video;
      return new Promise((resolve) => {
        const done = () => {
          if (video.seeking && !video.error) return;  // that was the moment before
          for (const name of ["seeked", "error"]) video[`on${name}`] = null;
          resolve(!video.error && Math.abs(video.currentTime - time) < 0.5 ? video : null);
        };
        if (video.error) return resolve(null);
        video.onseeked = video.onerror = done;
        if (video.readyState > 0) video.currentTime = time;
        else video.onloadedmetadata = () => { video.currentTime = time; };
        return undefined;
      });
    }

    close() {
      this.turn++;
      if (!this.video) return;
      this.video.removeAttribute("src");
      this.video.load();
    }
  };
})();
