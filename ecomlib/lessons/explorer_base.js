// What the explorers share: their style, their sliders, their bars and a play button.
//
// An explorer is one module in two homes: JupyterLab loads it through anywidget, the web book through a script
// tag. Neither can import a second file, so `Explorer` in gate_explorer.py puts this text in place of the import.

export const STYLE = `
.ge { font: 14px/1.4 system-ui, sans-serif; color: inherit; max-width: 860px; }
.ge-bar { display: flex; flex-wrap: wrap; gap: .3em 1em; align-items: center; margin: .3em 0; }
.ge-bar label.ge-grow { flex: 1 1 12em; }
.ge-columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(300px, 1fr)); gap: .8em; }
.ge fieldset { border: 1px solid color-mix(in srgb, currentColor 35%, transparent); border-radius: 6px;
  padding: .1em .8em .4em; margin: 0; min-width: 0; }
.ge legend { font-weight: 600; padding: 0 .3em; width: auto; font-size: 1em; margin: 0; float: none; }
.ge label { display: block; margin: .1em 0; }
.ge input[type=range] { width: 100%; margin: 0; accent-color: #1f8fd6; }
.ge select, .ge button { font: inherit; color: inherit; background: transparent; padding: .1em .5em;
  border: 1px solid color-mix(in srgb, currentColor 50%, transparent); border-radius: 4px; }
.ge option { color: #111; background: #fff; }
.ge :focus-visible { outline: 3px solid #1f8fd6; outline-offset: 2px; }
.ge-number, .ge output { float: right; font-variant-numeric: tabular-nums; }
.ge details.ge-weights { border: 0; padding: 0; margin: .5em 0 0; background: none; }
.ge summary { cursor: pointer; font-weight: 600; }
.ge-gates { display: grid; grid-template-columns: repeat(auto-fit, minmax(118px, 1fr)); gap: .3em 1em; }
.ge-gates b { display: block; border-bottom: 3px solid; margin-bottom: .2em; }
.ge-value { display: grid; grid-template-columns: 9.5em 1fr 4.6em; gap: .6em; align-items: center; margin: .1em 0; }
.ge-value output { float: none; text-align: right; }
.ge-track { position: relative; height: 11px; border-radius: 3px;
  background: color-mix(in srgb, currentColor 14%, transparent); overflow: hidden; }
.ge-track i { position: absolute; top: 0; bottom: 0; }
.ge svg { width: 100%; height: auto; display: block; cursor: pointer; }
.ge svg text { fill: currentColor; font: 12px system-ui, sans-serif; }
.ge [hidden] { display: none; }
.ge-note { margin: .2em 0 0; font-size: .92em; }
@media print { .ge-bar, .ge-in, .ge-weights { display: none; } }
`;

export const escape = (text) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);

export function range(name, label, min, max, step, spoken = "", wrapped = true) {
  // The number is a span: an <output> inside the label would be what the label names.
  const inner = `${label} <span class="ge-number" data-for="${name}"></span>
    <input type="range" data-name="${name}" min="${min}" max="${max}" step="${step}" ${spoken}>`;
  return wrapped ? `<label>${inner}</label>` : inner;
}

export function value(name, label) {
  return `<div class="ge-value"><span>${label}</span><span class="ge-track" data-bar="${name}"><i></i></span>
    <output data-for="${name}"></output></div>`;
}

// The root element of an explorer, with a name that a screen reader says.
export function plate(label, html) {
  const root = document.createElement("div");
  root.className = "ge";
  root.setAttribute("role", "group");
  // JupyterLab's notebook would take the arrow keys away from the sliders.
  root.dataset.lmSuppressShortcuts = "true";
  root.addEventListener("keydown", (event) => event.stopPropagation());
  root.setAttribute("aria-label", label);
  root.innerHTML = `<style>${STYLE}</style>${html}`;
  return root;
}

// Write a number beside its slider or bar.
export function tell(root, name, text) {
  root.querySelector(`[data-for="${name}"]`).textContent = text;
}

// Fill a bar between two places, each from 0 to 1.
export function fill(root, name, from, to, color) {
  const place = (v) => 100 * Math.min(1, Math.max(0, v));
  const [left, right] = [place(Math.min(from, to)), place(Math.max(from, to))];
  root.querySelector(`[data-bar="${name}"] i`).style.cssText =
    `left:${left}%;width:${right - left}%;background:${color}`;
}

// A play button calls `next` at every tick, until that returns false or the button is pressed again.
// `rewind` runs when it is pressed; while it plays, a screen reader is not told every number of `spoken`.
export function player(button, label, spoken, rewind, next) {
  let clock = null;
  const stop = () => {
    clearInterval(clock);
    clock = null;
    button.textContent = label;
    spoken.setAttribute("aria-live", "polite");
  };
  const tick = () => {
    if (!button.isConnected || !next()) stop();
  };
  button.addEventListener("click", () => {
    if (clock) return stop();
    rewind();
    button.textContent = "⏸ Pause";
    spoken.setAttribute("aria-live", "off");
    clock = setInterval(tick, 300);
    tick();
  });
  return stop;
}

// The parts of a drawing, as SVG text.
export const text = (at, y, words, anchor = "end") =>
  `<text x="${at}" y="${y}" text-anchor="${anchor}">${words}</text>`;
export const polyline = (points, color, extra = "") => `<polyline fill="none" stroke="${color}" stroke-width="2" ${extra}
    points="${points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ")}"/>`;
export const key = (names, left, top) => names.map(([label, color], k) => `<rect x="${left}" y="${top + 17 * k}" width="12"
    height="4" fill="${color}"/>${text(left + 17, top + 17 * k + 6, label, "start")}`).join("");

// The place of a click in the drawing's own units.
export function clicked(event) {
  const box = event.currentTarget.getBoundingClientRect();
  return ((event.clientX - box.left) / box.width) * event.currentTarget.viewBox.baseVal.width;
}
