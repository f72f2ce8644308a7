// One film: the video, its curves with a cursor that follows it, the plane, tracks, events; everything seeks.
"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const make = CineAffect.element;
  const KINDS = { peak: "peak ▲", low: "low ▼", rise: "turns up ◆", fall: "turns down ◆" };

  CineAffect.Film = class {
    constructor(film, row, { range, ownRange, targets, smoothing, explained }) {
      this.film = film;
      this.range = range;
      this.ownRange = ownRange;
      this.targets = targets;
      // Without a filter both are one curve.
      this.hasRaw = smoothing.method !== "none";
      // The film's time counts from its first picture, a player's from the start of its file. Shown is the player's.
      this.offset = film.offset || 0;
      this.time = 0;
      this.stopped = new AbortController();
      const curve = (name) => film[name].map((number) => (number === null ? null : number / film.scale));
      this.curves = {};
      for (const target of targets) {
        const label = film.labels && film.labels[target];
        this.curves[target] = { smoothed: curve(target), raw: this.hasRaw && curve(`${target}_raw`),
          spread: film[`${target}_spread`] && curve(`${target}_spread`),
          bands: (film.bands || {})[target] || [],
          label: label && label.map((number) => (number === null ? null : number / film.scale)) };
      }
      this.seconds = film[targets[0]].length;
      this.explained = explained;
      this.shares = film.shares && Object.fromEntries(Object.entries(film.shares).map(([target, parts]) =>
        [target, parts.map(([name, values]) => [name, values.map((v) => (v === null ? null : v / film.scale))])]));
      this.mostShare = this.shares && CineAffect.mostShare(this.shares);
      this.moment = new CineAffect.Moment(film, (time) => this.shown(time), (time) => this.seek(time), 4);
      this.facts(row);
      this.screen(row);
      this.plane = null;
      if (targets.length > 1) {
        this.plane = new CineAffect.Plane($("plane"));
        this.plane.set(this.curves.valence.smoothed, this.curves.arousal.smoothed, range);
      }
      this.sprite();
      this.makeCharts();
      this.lists("all");
      this.listen();
      this.seek(0);
    }

    on(node, name, listener, options) {
      node.addEventListener(name, listener, { signal: this.stopped.signal, ...options });
    }

    facts(row) {
      const film = this.film, fit = (row.agreement || []).map((pcc) => CineAffect.signed(pcc)).join(" and ");
      const parts = [CineAffect.length(film.duration), film.events.length === 1 ? "1 peak or turning point" : `${film.events.length} peaks and turning points`];
      if (row.split) parts.push(`split: ${row.split}`);
      if (row.family) parts.push(`family ${row.family}`);
      if (row.agreement) parts.push(`correlation with the labels ${fit} (${this.targets.join(", ")})`);
      $("film-facts").textContent = parts.join(" · ");
      $("film-warnings").replaceChildren(...film.warnings.map(([code, , sentence]) => {
        const line = make("li");
        line.append(make("b", "", code), `: ${sentence}`);
        return line;
      }));
      const notes = this.shares && this.explained ? [...film.notes, `What each modality adds: ${this.explained}. `
        + "A modality's share is what it changes when it joins the others, averaged over all orders in which they can join. "
        + "It is what the model goes by, not what viewers feel."] : film.notes;
      $("film-notes").replaceChildren(...notes.map((note) => make("li", "", note)));
      CineAffect.shareLegend(this.shares, this.targets);
      const legend = this.hasRaw ? [make("i", "stroke bold"), "smoothed ", make("i", "stroke thin"), "raw "] : [];
      const levels = (film.bands || {})[this.targets[0]] || [];
      for (const [index, [level]] of levels.entries()) {
        // Where both lie over each other the inner one is twice as strong.
        legend.push(make("i", `stroke band${index === levels.length - 1 ? " outer" : ""}`), `${level} % band `);
      }
      if (film[`${this.targets[0]}_spread`] && !levels.length)
        legend.push(make("i", "stroke band"), "spread of the ensemble ");
      if (film.labels) legend.push(make("i", "stroke dashed"), "label");
      $("legend").replaceChildren(...legend);
      // It stands beside the first chart's title, in that chart's colour.
      document.querySelector(`.chart-title[data-target="${this.targets[0]}"]`).append($("legend"));
      $("timeline").setAttribute("aria-valuemax", String(this.seconds - 1));
    }

    screen(row) {
      const holder = $("screen");
      this.video = null;
      holder.replaceChildren();
      $("play").hidden = !this.film.video;
      $("film-body").classList.toggle("without-video", !this.film.video);
      if (!this.film.video) return;
      const video = make("video");
      video.controls = true;
      video.setAttribute("aria-label", `The film ${row.name}`);
      video.preload = "metadata";
      video.playsInline = true;
      video.src = this.film.video;
      this.video = video;
      this.on(video, "error", () => {
        holder.replaceChildren();
        $("film-notes").append(make("li", "", "This browser can't play the film: it was moved, or its format is unknown to "
          + "the browser. The curves work without it."));
        $("film-body").classList.add("without-video");
        $("play").hidden = true;
        this.video = null;
      });
      for (const name of ["timeupdate", "seeking", "seeked", "loadedmetadata"])
        this.on(video, name, () => this.follow());
      this.on(video, "play", () => {
        $("play").textContent = "Pause";
        this.run();
      });
      this.on(video, "pause", () => { $("play").textContent = "Play"; });
      holder.append(video);
    }

    // While the film plays the cursor moves with every frame of the screen, not four times a second.
    run() {
      const step = () => {
        if (this.stopped.signal.aborted || !this.video || this.video.paused) return;
        this.follow();
        requestAnimationFrame(step);
      };
      requestAnimationFrame(step);
    }

    follow() {
      if (this.video && this.video.readyState > 0) this.moveTo(Math.max(0, this.video.currentTime - this.offset));
    }

    sprite() {
      const { sprite } = this.film;
      this.image = null;
      if (!sprite) return;
      const image = new Image();
      image.onload = () => {
        this.image = image;
        this.tracks();
      };
      image.src = sprite.source;
    }

    makeCharts() {
      if (this.charts) this.charts.destroy();
      const { film, seconds, range, curves } = this;
      this.charts = new CineAffect.Charts(
        Object.fromEntries(this.targets.map((target) => [target, $(`chart-${target}`)])),
        { seconds, range, curves, duration: film.duration, offset: this.offset, events: film.events,
          onSeek: (time) => this.seek(time),
          onView: (view, whole) => {
            this.view = view;
            $("unzoom").hidden = whole;
            this.tracks();
          } });
      this.charts.follow = true;
      this.charts.moveTo(this.time);
      this.view = this.charts.view;
      this.tracks();
    }

    tracks() {
      const canvas = $("tracks"), width = $("timeline").clientWidth;
      if (width && this.view) CineAffect.drawTracks(
        canvas, width, this.film, this.image, this.view, CineAffect.gutter(), CineAffect.RIGHT);
      for (const target of this.targets) {
        const holder = $(`shares-${target}`), parts = this.shares && this.shares[target];
        holder.hidden = !parts;
        if (!parts || !width || !this.view) continue;
        holder.setAttribute("aria-label", `What ${parts.slice(1).map(([name]) => name).join(", ")} add to ${target}`);
        CineAffect.drawShares(holder, width, parts, this.mostShare, this.view, CineAffect.gutter(), CineAffect.RIGHT);
      }
    }

    seek(time) {
      const wanted = Math.min(Math.max(0, time), Math.max(0, this.film.duration - 0.01));
      if (this.video) this.video.currentTime = wanted + this.offset;
      this.moveTo(wanted);
    }

    moveTo(time) {
      this.time = time;
      const second = Math.min(this.seconds - 1, Math.max(0, Math.floor(time + 1e-6)));
      this.charts.moveTo(time);
      if (second === this.second) {
        this.clock();
        return;
      }
      this.second = second;
      const [valence, arousal] = ["valence", "arousal"].map((target) =>
        this.curves[target] && this.curves[target].smoothed[second]);
      if (this.plane) this.plane.dot([valence, arousal]);
      const said = this.targets.map((target) => `${target} ${CineAffect.signed(this.curves[target].smoothed[second])}`);
      for (const target of this.targets)
        $(`now-${target}`).textContent = CineAffect.signed(this.curves[target].smoothed[second]);
      $("now-mood").textContent = CineAffect.mood(valence, arousal, this.range, this.ownRange);
      this.clock();
      const slider = $("timeline");
      slider.setAttribute("aria-valuenow", String(second));
      slider.setAttribute("aria-valuetext", [this.shown(second), ...said].join(", "));
      this.markCurrent();
    }

    shown(time) {
      return CineAffect.clock(time + this.offset);
    }

    clock() {
      $("clock").textContent = `${this.shown(this.time)} / ${CineAffect.length(this.film.duration + this.offset)}`;
    }

    lists(target) {
      const entry = (time, className, event, ...texts) => {
        const item = make("li"), button = make("button", className);
        button.type = "button";
        button.dataset.time = time;
        button.append(make("time", "", this.shown(time)), ...texts);
        this.on(button, "click", () => {
          this.seek(time);
          if (event) this.moment.show(event, this.image);
        });
        item.append(button);
        return item;
      };
      const shown = this.film.events.filter((event) => target === "all" || event[1] === target);
      const size = (kind, prominence) => (kind === "peak" || kind === "low" ? "stands out by " : "step of ")
        + prominence.toFixed(2);
      $("events").replaceChildren(...shown.map((event) => {
        const [time, of, kind, value, prominence, because] = event;
        return entry(time, "event", event, make("b", `${of}-text`, `${of} ${KINDS[kind]}`),
        make("span", "number", CineAffect.signed(value)), make("span", "quiet", size(kind, prominence)),
          ...(because ? [make("span", "why", because.replaceAll("-", "−"))] : []));
      }));
      if (!shown.length) $("events").append(make("li", "quiet", "None that stand out."));
      $("chapters").replaceChildren(...this.film.chapters.map(([start, , name]) =>
        entry(start, "event chapter", null, make("span", "", name))));
      $("downloads").replaceChildren(...this.film.downloads.map(([what, address]) => {
        const item = make("li"), link = make("a", "", what);
        link.href = address;
        link.download = "";
        item.append(link);
        return item;
      }));
      for (const button of $("event-choices").children)
        button.setAttribute("aria-pressed", String(button.dataset.events === target));
      this.markCurrent();
    }

    markCurrent() {
      for (const list of [$("events"), $("chapters")]) {
        let current = null;
        for (const button of list.querySelectorAll("button")) {
          button.removeAttribute("aria-current");
          if (Number(button.dataset.time) <= this.time + 1e-6) current = button;
        }
        if (current) current.setAttribute("aria-current", "true");
      }
    }

    listen() {
      this.on($("play"), "click", () => this.toggle());
      this.on($("unzoom"), "click", () => this.charts.setView(null));
      if (this.plane)
        this.on($("plane"), "click", (event) => this.seek(this.plane.nearest(event.offsetX, event.offsetY)));
      this.on($("tracks"), "click", (event) => {
        const inner = $("timeline").clientWidth - CineAffect.gutter() - CineAffect.RIGHT;
        const share = (event.offsetX - CineAffect.gutter()) / inner;
        if (share >= 0 && share <= 1) this.seek(this.view[0] + share * (this.view[1] - this.view[0]));
      });
      for (const button of $("event-choices").children)
        this.on(button, "click", () => this.lists(button.dataset.events));
      // Before the video's own controls see the key, which would seek by their own step as well.
      this.on(document, "keydown", (event) => this.key(event), { capture: true });
      this.redrawn = () => {
        if (this.stopped.signal.aborted) return;
        this.makeCharts();
        if (this.plane) this.plane.draw();
      };
      CineAffect.onScheme(this.redrawn);
      if (!this.plane) return;
      this.watch = new ResizeObserver(() => this.plane.draw());
      this.watch.observe($("plane").parentElement);
    }

    key(event) {
      if (event.altKey || event.ctrlKey || event.metaKey) return;
      if (event.target.closest && event.target.closest("input, select, textarea")) return;
      const onButton = event.target.closest && event.target.closest("button, a, summary");
      const onSlider = event.target === $("timeline");
      const step = event.shiftKey ? 10 : 1;
      const actions = {
        ArrowLeft: () => this.seek(Math.floor(this.time + 1e-6) - step),
        ArrowRight: () => this.seek(Math.floor(this.time + 1e-6) + step),
        n: () => this.toEvent(1),
        p: () => this.toEvent(-1),
        Escape: () => { location.hash = ""; },
      };
      if (!onButton) actions[" "] = () => this.toggle();
      if (onSlider) {
        actions.Home = () => this.seek(0);
        actions.End = () => this.seek(this.film.duration);
        actions.PageUp = () => this.seek(this.time + 60);
        actions.PageDown = () => this.seek(this.time - 60);
      }
      const action = actions[event.key.length === 1 ? event.key.toLowerCase() : event.key];
      if (!action) return;
      event.preventDefault();
      event.stopPropagation();
      action();
    }

    toggle() {
      if (!this.video) return;
      if (this.video.paused) this.video.play().catch(() => {});
      else this.video.pause();
    }

    toEvent(direction) {
      const { events } = this.film;
      const next = direction > 0 ? events.find(([time]) => time > this.time + 0.01)
        : events.filter(([time]) => time < this.time - 0.01).pop();
      if (!next) return;
      this.seek(next[0]);
      this.moment.show(next, this.image);
    }

    close() {
      this.stopped.abort();
      this.moment.close();
      if (this.watch) this.watch.disconnect();
      this.charts.destroy();
      if (this.video) {
        this.video.pause();
        this.video.removeAttribute("src");
        this.video.load();
      }
      $("screen").replaceChildren();
    }
  };
})();
