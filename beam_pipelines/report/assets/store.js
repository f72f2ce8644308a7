// Data of the page, loaded as scripts: a page opened from disk may not fetch files. Each script calls CineAffect.data.
"use strict";
const CineAffect = { received: new Map(), waiting: new Map() };

CineAffect.data = (name, value) => {
  CineAffect.received.set(name, value);
};

// Loads data/<name>.js once; names are the page's own (run, rows-000, film-<hex>), never a film's.
CineAffect.load = (name) => {
  if (!CineAffect.waiting.has(name)) {
    CineAffect.waiting.set(name, new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = `data/${name}.js`;
      script.onload = () => {
        script.remove();
        const value = CineAffect.received.get(name);
        if (value === undefined) reject(new Error(`data/${name}.js holds no data`));
        else resolve(value);
      };
      script.onerror = () => {
        script.remove();
        CineAffect.waiting.delete(name);
        reject(new Error(`data/${name}.js can't be loaded`));
      };
      document.head.append(script);
    }));
  }
  return CineAffect.waiting.get(name);
};

// Three-hour films are a few hundred kilobytes each: the last ones stay, the others may go.
CineAffect.forget = (name) => {
  CineAffect.received.delete(name);
  CineAffect.waiting.delete(name);
};

// An element with text; text is never read as markup.
CineAffect.element = (tag, className, text) => {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
};

// What belongs to a target that the model doesn't predict is hidden, and so is what needs both.
CineAffect.hideTargets = (targets) => {
  document.body.classList.toggle("one-target", targets.length < 2);
  for (const node of document.querySelectorAll("[data-target]")) {
    node.hidden = !targets.includes(node.dataset.target);
    // Safari shows hidden choices.
    if (node.hidden && node.tagName === "OPTION") node.remove();
  }
  for (const node of document.querySelectorAll("[data-both]")) node.hidden = targets.length < 2;
};

CineAffect.clock = (seconds) => {
  const whole = Math.max(0, Math.floor(seconds + 1e-6));
  const two = (n) => String(n).padStart(2, "0");
  const h = Math.floor(whole / 3600), m = Math.floor(whole / 60) % 60, s = whole % 60;
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
};

// A length, in whole seconds as the curves have them: one that has begun counts.
CineAffect.length = (seconds) => CineAffect.clock(Math.ceil(seconds - 1e-6));

CineAffect.signed = (value, digits = 2) => {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const shown = Math.abs(value).toFixed(digits);
  return (value < 0 && Number(shown) !== 0 ? "−" : "+") + shown;
};

const LEVELS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// A row's line -> shares of the label range from 0 to 1; null where there is no value.
CineAffect.levels = (letters) => Array.from(letters, (letter) => {
  const level = LEVELS.indexOf(letter);
  return level < 0 ? null : level / 63;
});
