// The catalogue: search, sort, and a list that holds only the rows in sight, however many films there are.
"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const OVERSCAN = 6;
  const words = (text) => text.normalize("NFC").toLocaleLowerCase();

  const keys = {
    id: (row) => row.name,
    seconds: (row) => row.seconds,
    valence: (row) => row.valence && row.valence[1],
    arousal: (row) => row.arousal && row.arousal[1],
    events: (row) => row.events,
    // The mean over the targets that have one: a label that never changes correlates with nothing.
    agreement: (row) => {
      const known = (row.agreement || []).filter((pcc) => pcc !== null);
      return known.length ? known.reduce((sum, pcc) => sum + pcc, 0) / known.length : null;
    },
  };

  CineAffect.Catalogue = class {
    constructor(rows, { targets }) {
      this.rows = rows;
      this.targets = targets;
      this.show = "all";
      this.sort = "id";
      this.down = false;
      this.live = new Map();
      for (const row of rows)
        row.words = words([row.name, row.split || "", row.stale || "", ...(row.failed || []), ...(row.warnings || [])].join(" "));
      this.collator = new Intl.Collator(undefined, { numeric: true });
      this.list = $("list");
      this.space = CineAffect.element("div", "space");
      this.list.replaceChildren(this.space);
      this.warnings();
      this.families();
      this.listen();
      this.update();
    }

    // The choice of warnings: every code that a film of this page has, with how many films have it.
    warnings() {
      const counts = new Map();
      for (const row of this.rows)
        for (const code of row.warnings || []) counts.set(code, (counts.get(code) || 0) + 1);
      $("warning-choice").hidden = !counts.size;
      const option = (value, text) => Object.assign(CineAffect.element("option", "", text), { value });
      const some = this.rows.filter((row) => row.warnings).length;
      $("warning").replaceChildren(option("", "with or without"), option("*", `any (${some})`),
        ...[...counts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([code, count]) => option(code, `${code} (${count})`)));
    }

    // The choice of families, with how many films each has.
    families() {
      const counts = new Map();
      for (const row of this.rows) if (row.family) counts.set(row.family, (counts.get(row.family) || 0) + 1);
      $("family-choice").hidden = !counts.size;
      const option = (value, text) => Object.assign(CineAffect.element("option", "", text), { value });
      $("family").replaceChildren(option("", "all"),
        ...[...counts].sort(([a], [b]) => a - b).map(([family, count]) => option(String(family), `${family} (${count})`)));
    }

    listen() {
      const list = this.list;
      list.addEventListener("scroll", () => this.later(), { passive: true });
      new ResizeObserver(() => this.later(true)).observe(list);
      CineAffect.onScheme(() => this.later(true));
      $("search").addEventListener("input", () => this.update());
      $("sort").addEventListener("change", () => this.sortBy($("sort").value, this.down));
      $("warning").addEventListener("change", () => this.update());
      $("family").addEventListener("change", () => this.update());
      $("direction").addEventListener("click", () => this.sortBy(this.sort, !this.down));
      for (const button of $("list-head").querySelectorAll("button"))
        button.addEventListener("click", () => this.sortBy(
          button.dataset.sort, this.sort === button.dataset.sort ? !this.down : button.dataset.sort !== "id"));
      for (const button of document.querySelectorAll("[data-show]"))
        button.addEventListener("click", () => {
          this.show = button.dataset.show;
          this.update();
        });
      list.addEventListener("keydown", (event) => this.key(event));
    }

    sortBy(key, down) {
      if (this.order && this.onSort) this.onSort();
      this.sort = key;
      this.down = down;
      this.update();
    }

    update() {
      const wanted = words($("search").value).split(/\s+/).filter(Boolean);
      const warning = $("warning").value, family = $("family").value;
      const key = keys[this.sort], sign = this.down ? -1 : 1;
      let kept = this.rows.filter((row) =>
        (this.show === "all" || (this.show === "failed" ? row.failed || row.stale : !row.failed))
        && (!warning || (row.warnings || []).some((code) => warning === "*" || code === warning))
        && (!family || String(row.family) === family)
        && wanted.every((word) => row.words.includes(word)));
      // An order that a drawn curve asks for: the nearest films and how far they are.
      const nearest = this.order && this.order(kept);
      this.far = new Map(nearest || []);
      if (nearest) kept = nearest.map(([row]) => row);
      else this.sortRows(kept, key, sign);
      this.kept = kept;
      this.shown();
      if (this.onUpdate) this.onUpdate();
    }

    sortRows(kept, key, sign) {
      // What has no value (films that failed, films without labels) comes last, whichever way the rest runs.
      const absent = (value) => value === undefined || value === null || Number.isNaN(value);
      kept.sort((a, b) => {
        const x = key(a), y = key(b);
        if (absent(x) || absent(y)) {
          if (absent(x) !== absent(y)) return absent(x) ? 1 : -1;
        } else {
          const order = typeof x === "string" ? this.collator.compare(x, y) : x - y;
          if (order) return sign * order;
        }
        return this.collator.compare(a.name, b.name) || this.collator.compare(a.id, b.id);
      });
    }

    shown() {
      const kept = this.kept;
      for (const button of document.querySelectorAll("[data-show]"))
        button.setAttribute("aria-pressed", String(button.dataset.show === this.show));
      for (const button of $("list-head").querySelectorAll("button")) {
        const order = !this.order && button.dataset.sort === this.sort ? (this.down ? "down" : "up") : "";
        button.dataset.order = order;
        button.setAttribute("aria-label",
          button.textContent + (order && `, sorted ${order === "down" ? "descending" : "ascending"}`));
      }
      $("sort").value = this.order ? "drawn" : this.sort;
      $("direction").textContent = this.down ? "↓" : "↑";
      const films = this.rows.length === 1 ? "1 film" : `${this.rows.length} films`;
      $("count").textContent = kept.length === this.rows.length ? films : `${kept.length} of ${films}`;
      $("nothing").hidden = kept.length > 0;
      this.list.hidden = kept.length === 0;
      this.list.scrollTop = 0;
      this.render(true);
    }

    later(anew) {
      this.anew = this.anew || anew;
      if (this.frame) return;
      this.frame = requestAnimationFrame(() => {
        this.frame = 0;
        this.render(this.anew);
        this.anew = false;
      });
    }

    render(anew) {
      if (!this.list.clientHeight) return;
      const high = parseFloat(getComputedStyle(this.list).getPropertyValue("--row-height")) || 64;
      this.high = high;
      this.space.style.height = `${this.kept.length * high}px`;
      this.list.style.setProperty("--content", `${this.kept.length * high + 2}px`);
      const first = Math.max(0, Math.floor(this.list.scrollTop / high) - OVERSCAN);
      const last = Math.min(
        this.kept.length, Math.ceil((this.list.scrollTop + this.list.clientHeight) / high) + OVERSCAN);
      for (const [index, node] of this.live)
        if (anew || index < first || index >= last) {
          node.remove();
          this.live.delete(index);
        }
      for (let index = first; index < last; index++)
        if (!this.live.has(index)) {
          const node = this.row(this.kept[index], index);
          this.space.append(node);
          this.live.set(index, node);
          this.draw(node, this.kept[index]);
        }
    }

    row(row, index) {
      const make = CineAffect.element;
      const item = make("div", "row");
      item.setAttribute("role", "listitem");
      item.setAttribute("aria-setsize", this.kept.length);
      item.setAttribute("aria-posinset", index + 1);
      item.style.transform = `translateY(${index * this.high}px)`;
      const link = make("a", "row-grid");
      link.href = CineAffect.address(row.id);
      link.dataset.index = index;
      const name = make("span", "name");
      const title = make("bdi", "title", row.name);
      title.title = row.name;
      name.append(title);
      const far = this.far.get(row), distance = far === undefined ? "" : `distance ${far.toFixed(2)}`;
      const under = [distance, row.stale, row.split].filter(Boolean).join(" · ");
      if (under) name.append(make("span", "quiet split", under));
      if (row.warnings) name.append(make("span", "warned", row.warnings.join(" · ")));
      link.append(name);
      if (row.failed) {
        item.classList.add("failed");
        const why = make("span", "why");
        const [step, reason, sentence] = row.failed;
        why.append(make("b", "", sentence), make("span", "quiet", `No curve: ${step}, ${reason}`));
        why.title = sentence;
        link.append(why);
      } else {
        if (this.targets.length > 1) link.append(make("canvas", "arc"));
        link.append(make("canvas", "spark"));
        for (const target of this.targets)
          link.append(make("span", `number ${target}-text`, CineAffect.signed(row[target][1])));
        link.append(make("span", "number events-number", String(row.events)));
        link.append(make("span", "number length", CineAffect.length(row.seconds)));
      }
      item.append(link);
      return item;
    }

    draw(node, row) {
      if (row.failed) return;
      const lines = this.targets.map((target) => [target, CineAffect.levels(row[`${target}_line`])]);
      const spark = node.querySelector(".spark");
      // Width comes from the grid, not from the canvas, so that it is asked before the canvas has one.
      spark.style.width = "100%";
      const arc = node.querySelector(".arc");
      if (arc) CineAffect.drawArc(arc, lines[0][1], lines[1][1], 52);
      CineAffect.drawSpark(spark, lines, Math.max(40, spark.clientWidth), 48);
    }

    key(event) {
      const move = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8, Home: -1e9, End: 1e9 }[event.key];
      if (!move || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      const focused = document.activeElement && document.activeElement.dataset.index;
      const before = focused === undefined ? (move > 0 ? -1 : 0) : Number(focused);
      this.focus(Math.min(this.kept.length - 1, Math.max(0, before + move)));
    }

    // Back from a film: its row has the focus again, or the list where the row isn't shown.
    back(id) {
      this.render(true);
      const index = this.kept.findIndex((row) => row.id === id);
      if (index < 0) this.list.focus({ preventScroll: true });
      else this.focus(index);
    }

    focus(index) {
      const top = index * this.high, seen = this.list.clientHeight;
      if (top < this.list.scrollTop) this.list.scrollTop = top;
      if (top + this.high > this.list.scrollTop + seen) this.list.scrollTop = top + this.high - seen;
      this.render(false);
      this.live.get(index).querySelector("a").focus({ preventScroll: true });
    }
  };

  CineAffect.address = (id, time) => `#film=${encodeURIComponent(id.toWellFormed ? id.toWellFormed() : id)}`
    + (time ? `&t=${Math.floor(time)}` : "");
})();
