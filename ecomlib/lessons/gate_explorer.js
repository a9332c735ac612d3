// The gate explorer: one LSTM unit reads a household's weeks; every number can be moved.
//
// `lstmStep` and `trace` are pure functions; ecomlib.lessons.gate_explorer holds their NumPy twins and a test compares them.
//
// Weights: {i: [w, u, b], f: [...], g: [...], o: [...]}: of the input x_t, of the hidden state h_{t-1}, bias.
// Held gates: {i: 0 | 1, f: 0 | 1, o: 0 | 1}; a gate that is not named is free.

import { clicked, escape, fill, key, plate, player, polyline, range, tell, text, value } from "./explorer_base.js";

export const sigmoid = (z) => 0.5 * Math.tanh(0.5 * z) + 0.5;

export function lstmStep(x, h, c, weights, held = {}) {
  const z = (name) => weights[name][0] * x + weights[name][1] * h + weights[name][2];
  const gate = (name) => held[name] ?? sigmoid(z(name));
  const i = gate("i"), f = gate("f"), g = Math.tanh(z("g")), o = gate("o");
  const cNew = f * c + i * g;
  return { i, f, g, o, c: cNew, h: o * Math.tanh(cNew) };
}

export function trace(xs, weights, held = {}, h0 = 0, c0 = 0) {
  let h = h0, c = c0;
  return xs.map((x) => {
    const step = lstmStep(x, h, c, weights, held);
    ({ h, c } = step);
    return step;
  });
}

// What the network reads: the logarithm (base 10) of one plus the dollars of the week. 0 is an inactive week.
export const toInput = (dollars) => Math.log10(1 + dollars);

const LEFT = 46, KEY = 96, HEIGHT = 236; // of the drawing, in its own units; KEY: room for the names of the lines
const PLAY = "▶ Play the weeks";
const NAMES = { i: "input gate i", f: "forget gate f", g: "candidate g", o: "output gate o" };

export function render({ model, el }) {
  const households = model.get("households");
  const presets = model.get("presets");
  const colors = model.get("colors");
  const copy = (value) => JSON.parse(JSON.stringify(value));
  const state = {
    household: 0, week: 0, follow: true, x: 0, h: 0, c: 0,
    weights: copy(model.get("weights")), held: copy(model.get("held") ?? {}),
  };
  // Random: the web book writes a copy of this module into the page for every explorer.
  const id = `ge-${Math.random().toString(36).slice(2)}`;
  const root = plate("Gate explorer: one LSTM unit reads a household's weeks", `
    <div class="ge-bar">
      <label>Household <select data-name="household">${households
        .map((one, k) => `<option value="${k}">${escape(one.name)}</option>`).join("")}</select></label>
      <label>Start from <select data-name="preset">${Object.keys(presets)
        .map((name) => `<option>${escape(name)}</option>`).join("")}</select></label>
      <button type="button" data-name="reset">Reset</button>
    </div>
    <svg viewBox="0 0 720 ${HEIGHT}" role="img" data-name="trace" aria-labelledby="${id}-title">
      <title id="${id}-title"></title><g></g></svg>
    <div class="ge-bar">
      <button type="button" data-name="play">${PLAY}</button>
      <label class="ge-grow">${range("week", "week", 1, 1, 1, "", false)}</label>
    </div>
    <div class="ge-columns">
      <fieldset class="ge-in"><legend>What comes in</legend>
        ${range("x", "input x<sub>t</sub>", 0, 3, 0.01)}
        ${range("h", "hidden state before, h<sub>t-1</sub>", -1, 1, 0.01)}
        ${range("c", "cell state before, C<sub>t-1</sub>", -5, 5, 0.01)}
        <p class="ge-note" data-name="note"></p>
      </fieldset>
      <fieldset aria-live="polite" data-name="computed"><legend>What the cell computes</legend>
        ${["i", "f", "g", "o"].map((name) => value(name, NAMES[name])).join("")}
        ${value("c-new", "cell state C<sub>t</sub>")}${value("h-new", "hidden state h<sub>t</sub>")}
        <p class="ge-note">C<sub>t</sub> = f · C<sub>t-1</sub> + i · g &nbsp; h<sub>t</sub> = o · tanh C<sub>t</sub></p>
      </fieldset>
    </div>
    <details class="ge-weights"><summary>Weights, and gates held fixed</summary><div class="ge-gates">
      ${["i", "f", "g", "o"].map((name) => gateColumn(name, colors[name])).join("")}
    </div></details>`);
  el.replaceChildren(root);
  const show = (name, words) => tell(root, name, words);
  const find = (name) => root.querySelector(`[data-name="${name}"]`);

  function readPreset(name) {
    state.weights = copy(presets[name].weights);
    state.held = copy(presets[name].held ?? {});
  }

  function current() {
    const spend = households[state.household].spend;
    const steps = trace(spend.map(toInput), state.weights, state.held);
    if (state.follow) {
      const before = steps[state.week - 1] ?? { h: 0, c: 0 };
      Object.assign(state, { x: toInput(spend[state.week]), h: before.h, c: before.c });
    }
    return { spend, steps, now: lstmStep(state.x, state.h, state.c, state.weights, state.held) };
  }

  function update() {
    const { spend, steps, now } = current();
    const { weeks, name } = households[state.household];
    const week = find("week");
    week.max = spend.length;
    week.value = state.week + 1;
    show("week", weeks[state.week]);
    for (const key of ["x", "h", "c"]) {
      find(key).value = state[key];
      show(key, state[key].toFixed(2));
    }
    for (const gate of ["i", "f", "g", "o"]) {
      state.weights[gate].forEach((w, k) => {
        find(`${gate}${k}`).value = w;
        show(`${gate}${k}`, w.toFixed(1));
      });
      if (gate !== "g") find(`${gate}-held`).value = String(state.held[gate] ?? "free");
      bar(gate, now[gate], gate === "g" ? [-1, 1] : [0, 1], colors[gate]);
    }
    bar("c-new", now.c, [-5, 5], colors.c);
    bar("h-new", now.h, [-1, 1], colors.h);
    find("note").innerHTML = state.follow
      ? `Week of ${weeks[state.week]}: ${spend[state.week].toFixed(2)} dollars.`
      : "What if: these are your values. Move the week to follow the household again.";
    draw(root.querySelector("svg"), households[state.household], steps, state.week, colors);
    root.querySelector("svg title").textContent =
      `${name}: spending, gates, cell state and hidden state by week. In the last week C is ${steps.at(-1).c.toFixed(2)}.`;
    root.dataset.last = steps.at(-1).h.toFixed(6);
  }

  function bar(name, number, [low, high], color) {
    show(name, number.toFixed(4));
    const place = (v) => (v - low) / (high - low);
    fill(root, name, place(0), place(number), color);
  }

  // The weeks one after the other; a click stops them, so does the year's end.
  const last = () => households[state.household].spend.length - 1;
  const rewind = () => (state.week = state.week >= last() ? -1 : state.week);
  const stop = player(find("play"), PLAY, find("computed"), rewind, () => {
    if (state.week >= last()) return false;
    Object.assign(state, { week: state.week + 1, follow: true });
    update();
    return true;
  });
  // Where the weights are open, what comes in and out makes room: the curve stays on the screen.
  const folded = root.querySelector("details");
  folded.addEventListener("toggle", () => (root.querySelector(".ge-columns").hidden = folded.open));

  function send() {
    model.set("weights", copy(state.weights));
    model.set("held", copy(state.held));
    model.save_changes();
  }

  root.addEventListener("input", (event) => {
    stop();
    const name = event.target.dataset.name, number = Number(event.target.value);
    if (name === "week") Object.assign(state, { week: number - 1, follow: true });
    else if (["x", "h", "c"].includes(name)) Object.assign(state, { [name]: number, follow: false });
    else if (name === "household") Object.assign(state, { household: number, week: 0, follow: true });
    else if (name === "preset") readPreset(event.target.value);
    else if (name.endsWith("-held")) {
      if (event.target.value === "free") delete state.held[name[0]];
      else state.held[name[0]] = number;
    } else state.weights[name[0]][Number(name[1])] = number;
    update();
    send();
  });
  find("reset").addEventListener("click", () => {
    stop();
    readPreset(find("preset").value);
    Object.assign(state, { week: 0, follow: true });
    update();
    send();
  });
  root.querySelector("svg").addEventListener("click", (event) => {
    const at = clicked(event), width = event.currentTarget.viewBox.baseVal.width;
    const n = households[state.household].spend.length;
    state.week = Math.min(n - 1, Math.max(0, Math.floor(((at - LEFT) / (width - KEY - LEFT)) * n)));
    state.follow = true;
    update();
  });
  update();
}

function gateColumn(name, color) {
  const weights = ["of x<sub>t</sub>", "of h<sub>t-1</sub>", "bias"];
  const held = name === "g" ? "" : `<label>gate <select data-name="${name}-held" aria-label="${NAMES[name]}">
    <option>free</option><option value="0">held at 0</option><option value="1">held at 1</option></select></label>`;
  return `<div role="group" aria-label="${NAMES[name]}"><b style="border-color:${color}">${NAMES[name]}</b>
    ${weights.map((label, k) => range(`${name}${k}`, label, -6, 6, 0.1,
      `aria-label="${NAMES[name]}: ${["weight of the input", "weight of the hidden state", "bias"][k]}"`)).join("")}
    ${held}</div>`;
}

function draw(svg, { spend, weeks }, steps, week, colors) {
  const width = svg.clientWidth && svg.clientWidth < 560 ? 420 : 720; // on a phone: fewer units, so larger letters
  svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  const right = width - KEY, n = spend.length, wide = (right - LEFT) / n;
  const x = (t) => LEFT + (t + 0.5) * wide;
  const scale = (top, bottom, low, high) => (v) => bottom - ((v - low) / (high - low)) * (bottom - top);
  const line = (values, y, color, extra) => polyline(values.map((v, t) => [x(t), y(v)]), color, extra);
  const axis = (y, low, high) => [low, high].map((v) => `<line x1="${LEFT}" x2="${right}" y1="${y(v)}" y2="${y(v)}"
    stroke="currentColor" opacity=".25"/>${text(LEFT - 5, y(v) + 4, Number(v.toFixed(1)))}`).join("");
  const most = Math.max(...spend, 1), far = Math.max(1, ...steps.map((s) => Math.abs(s.c)));
  const money = scale(18, 62, 0, most), unit = scale(84, 134, 0, 1), cell = scale(156, 214, -far, far);
  svg.querySelector("g").innerHTML = `
    <rect x="${x(week) - wide / 2}" y="14" width="${wide}" height="206" fill="currentColor" opacity=".13"/>
    ${text(LEFT, 12, "spending, dollars per week", "start")}${axis(money, 0, most)}
    ${spend.map((v, t) => `<rect x="${x(t) - wide * 0.4}" width="${wide * 0.8}" y="${money(v)}"
      height="${62 - money(v)}" fill="currentColor" opacity=".55"/>`).join("")}
    ${text(LEFT, 78, "gates, 0 closed to 1 open", "start")}${axis(unit, 0, 1)}
    ${["i", "f", "o"].map((name) => line(steps.map((s) => s[name]), unit, colors[name],
      name === "i" ? 'style="stroke-width:5;opacity:.5"' : "")).join("")}
    ${key([["input", colors.i], ["forget", colors.f], ["output", colors.o]], right + 8, 92)}
    ${text(LEFT, 150, "states", "start")}${axis(cell, -far, far)}${axis(cell, 0, 0)}
    ${line(steps.map((s) => s.c), cell, colors.c)}${line(steps.map((s) => s.h), cell, colors.h, 'stroke-dasharray="5 3"')}
    ${key([["cell C", colors.c], ["hidden h", colors.h]], right + 8, 174)}
    ${text(LEFT, 232, `week of ${weeks[0]}`, "start")}${text(right, 232, `week of ${weeks[n - 1]}`)}`;
}

export default { render };
