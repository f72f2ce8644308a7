// Films by the way they go: the pad that orders the catalogue's list, the map, and the films like one on its own page.
"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const make = CineAffect.element;
  const MANY = 20000;  // their arcs take 8 megabytes: not for everybody who opens a film
  const SHOWN = 50, FIRST = 4, LIKE = 8;
  const FAR = 0.6;  // by shape: nearer than this, two of the six shapes of stories don't come to each other

  CineAffect.Explore = class {
    constructor(rows, run, catalogue) {
      Object.assign(this, { rows, run, catalogue, arcs: null, map: null, drawn: [] });
      // Where every film has a range of its own, its shape is all that can be compared.
      if (run.ownRange) for (const node of [...document.querySelectorAll("[data-levels]"), $("map-side")]) node.hidden = true;
      $("explore").addEventListener("toggle", () => $("explore").open && this.begin());
    }

    async begin() {
      if (this.pad) return;
      this.pad = new CineAffect.CurvePad($("pad"), this.run, () => this.later());
      this.catalogue.onSort = () => this.clear();
      try {
        this.arcs = await CineAffect.loadArcs(this.rows, this.run);
      } catch (error) {
        $("explore-loading").textContent = `${error.message}. Write the report again with cineaffect report.`;
        return;
      }
      $("explore-loading").hidden = true;
      $("explore-body").hidden = false;
      this.tools();
      if (!$("map-side").hidden)
        this.map = new CineAffect.CatalogueMap($("map"), this.rows, this.run.range, (text) => { $("map-said").textContent = text; });
      this.catalogue.onUpdate = () => this.show();
      this.show();
      this.pad.draw();
    }

    tools() {
      const { targets, range } = this.run, option = (value, text) => Object.assign(make("option", "", text), { value });
      $("pad-targets").replaceChildren(...targets.map((target) => {
        const button = make("button", `${target}-text`, target);
        button.type = "button";
        button.addEventListener("click", () => this.choose(target));
        return button;
      }));
      $("pad-targets").hidden = targets.length < 2;
      $("pad-preset").replaceChildren(option("", "nothing"), ...CineAffect.STORIES.map((name) => option(name, name)));
      this.choose(targets[0]);
      $("pad-preset").addEventListener("change", () => {
        const name = $("pad-preset").value;
        if (name) this.pad.set(this.pad.target, CineAffect.story(name, range));
        else this.pad.clear();
      });
      // What is drawn now is no longer that shape, which can be chosen again.
      for (const name of ["pointerdown", "keydown"])
        $("pad").addEventListener(name, () => { $("pad-preset").value = ""; });
      $("pad-by").addEventListener("change", () => this.later());
      $("pad-clear").addEventListener("click", () => this.clear());
    }

    clear() {
      $("pad-preset").value = "";
      this.pad.clear();
      this.search();
    }

    choose(target) {
      this.pad.target = target;
      $("pad-preset").value = "";
      for (const button of $("pad-targets").children) button.setAttribute("aria-pressed", String(button.textContent === target));
      $("pad").setAttribute("aria-label", `The curve of ${target} that you look for`);
      this.pad.draw();
    }

    // Once for each picture of the screen, however fast the pointer is.
    later() {
      if (this.frame) return;
      this.frame = requestAnimationFrame(() => {
        this.frame = 0;
        this.search();
      });
    }

    search() {
      if (!this.arcs) return;
      const query = this.arcs.drawn(this.pad.curves());
      this.drawn = Object.keys(query);
      this.catalogue.order = this.drawn.length ? (rows) => this.arcs.nearest(query, rows, $("pad-by").value, SHOWN) : null;
      this.catalogue.update();
    }

    // What the list shows, also after a filter: on the map, and the nearest films under the pad.
    show() {
      const { kept, far } = this.catalogue, { drawn } = this, by = $("pad-by").value;
      if (this.map) this.map.show(kept);
      $("pad-found").replaceChildren(...(drawn.length ? kept.slice(0, FIRST) : []).map((row) => this.entry(row, far.get(row))));
      const none = kept.length && by === "shape" && far.get(kept[0]) > FAR ? " No film goes quite that way." : "";
      $("pad-said").textContent = this.pad.said() + (!drawn.length ? ""
        : kept.length ? `By ${drawn.join(" and ")}: ${kept.length} films, nearest first.${none}` : "No film matches.");
    }

    // The films like one, on its page. `still()` says whether it is still the one that is shown.
    async like(row, still) {
      const list = $("like"), by = $("like-by");
      if (this.rows.length > MANY && !this.asked) {
        const button = make("button", "", `Compare with all ${this.rows.length} films`);
        button.addEventListener("click", () => {
          this.asked = true;
          this.like(row, still);
        });
        const item = make("li");
        item.append(button);
        list.replaceChildren(item);
        return;
      }
      list.replaceChildren(make("li", "quiet", "Loading…"));
      let arcs;
      try {
        arcs = await CineAffect.loadArcs(this.rows, this.run);
      } catch (error) {
        if (still()) list.replaceChildren(make("li", "quiet", `${error.message}. Write the report again with cineaffect report.`));
        return;
      }
      const fill = () => {
        const film = arcs.films.get(row);
        const found = film ? arcs.nearest(film, this.rows.filter((other) => other !== row), by.value, LIKE) : [];
        list.replaceChildren(...found.map(([other, far]) => this.entry(other, far)));
        if (!found.length) list.append(make("li", "quiet", "There is no other film to compare."));
        else if (by.value === "shape" && found[0][1] > FAR) list.prepend(make("li", "quiet", "No other film goes quite this way. Nearest:"));
      };
      if (!still()) return;
      by.onchange = fill;
      fill();
    }

    entry(row, far) {
      const item = make("li"), link = make("a", "like"), spark = make("canvas", "spark");
      link.href = CineAffect.address(row.id);
      link.append(make("bdi", "title", row.name), spark, make("span", "number quiet", far.toFixed(2)));
      item.append(link);
      const lines = this.run.targets.map((target) => [target, CineAffect.levels(row[`${target}_line`])]);
      CineAffect.drawSpark(spark, lines, 120, 34);
      return item;
    }
  };
})();
