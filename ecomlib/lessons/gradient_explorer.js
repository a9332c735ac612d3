// The gradient explorer: a gradient on its way back through the weeks, in a simple RNN and in an LSTM.
//
// `rnnBack` and `lstmBack` are pure functions; `rnn_backward` and `lstm_backward` in ecomlib.gates are their NumPy
// twins and a test compares them.
//
// Weights as in Keras, for one input: [W (1, n u), U (u, n u), b (n u)]; n is 1 for the RNN, 4 for the LSTM, whose
// blocks stand in the order i, f, g, o. `last` is dL/dh of the last week, of length 1. Norms are by lag: entry 0 is
// the last week, entry k is k weeks before.

import { clicked, fill, key, plate, player, polyline, range, tell, text, value } from "./explorer_base.js";

const sigmoid = (z) => 0.5 * Math.tanh(0.5 * z) + 0.5;
const norm = (v) => Math.sqrt(v.reduce((sum, one) => sum + one * one, 0));

// Multiply W and U by a scale; give the forget gates a bias.
export function scaled([W, U, b], scale, forgetBias) {
  const times = (matrix) => matrix.map((row) => row.map((w) => w * scale));
  const u = U.length, forget = (k) => U[0].length > u && k >= u && k < 2 * u;
  return [times(W), times(U), b.map((one, k) => (forget(k) ? forgetBias : one))];
}

// x W + h U + b for one step.
function sums(x, h, [W, U, b]) {
  return b.map((bias, k) => h.reduce((sum, one, j) => sum + one * U[j][k], x * W[0][k] + bias));
}

// dz U^T: what goes from a step's sums back to the state before it.
const back = (dz, U) => U.map((row) => row.reduce((sum, w, k) => sum + w * dz[k], 0));

export function rnnBack(xs, weights, last) {
  const states = [last.map(() => 0)];
  for (const x of xs) states.push(sums(x, states.at(-1), weights).map(Math.tanh));
  const norms = [norm(last)];
  let dh = last;
  for (let t = xs.length; t > 0; t--) {
    dh = back(dh.map((d, k) => d * (1 - states[t][k] ** 2)), weights[1]);
    norms.push(norm(dh));
  }
  return norms;
}

// Norms of dL/dh_t and dL/dC_t by lag, and the mean of the forget gates of the week.
export function lstmBack(xs, weights, last) {
  const u = last.length, steps = [];
  let h = last.map(() => 0), c = h;
  for (const x of xs) {
    const z = sums(x, h, weights), before = c;
    const part = (n, f) => z.slice(n * u, (n + 1) * u).map(f);
    const i = part(0, sigmoid), f = part(1, sigmoid), g = part(2, Math.tanh), o = part(3, sigmoid);
    c = before.map((one, k) => f[k] * one + i[k] * g[k]);
    const tanhC = c.map(Math.tanh);
    h = tanhC.map((one, k) => o[k] * one);
    steps.push({ i, f, g, o, before, tanhC });
  }
  const out = { dh: [norm(last)], dc: [], forget: [] };
  let dh = last, dc = last.map(() => 0);
  for (const { i, f, g, o, before, tanhC } of steps.reverse()) {
    const d = dc.map((one, k) => one + dh[k] * o[k] * (1 - tanhC[k] ** 2));
    out.dc.push(norm(d));
    out.forget.push(f.reduce((sum, one) => sum + one, 0) / u);
    const dz = [
      ...d.map((one, k) => one * g[k] * i[k] * (1 - i[k])),
      ...d.map((one, k) => one * before[k] * f[k] * (1 - f[k])),
      ...d.map((one, k) => one * i[k] * (1 - g[k] ** 2)),
      ...dh.map((one, k) => one * tanhC[k] * o[k] * (1 - o[k])),
    ];
    dh = back(dz, weights[1]);
    dc = d.map((one, k) => one * f[k]);
    out.dh.push(norm(dh));
  }
  return { ...out, dc: [...out.dc, norm(dc)] };
}

const LEFT = 52, TOP = 16, BOTTOM = 190, KEY = 128, HEIGHT = 232; // of the drawing, in its own units
const LOW = -10, HIGH = 8; // powers of ten that the drawing shows
const PLAY = "▶ Send the gradient back";
const START = { scale: 1, bias: 1, lag: 0 };
const part = (v) => (Math.log10(Math.max(v, 1e-300)) - LOW) / (HIGH - LOW); // place of a norm between LOW and HIGH
const spoken = (v) => (v >= 0.001 && v < 1000 ? v.toPrecision(3) : v.toExponential(1));

export function render({ model, el }) {
  const weeks = model.get("weeks"), dollars = model.get("dollars"), colors = model.get("colors");
  const xs = dollars.map((one) => Math.log10(1 + one)), n = weeks.length;
  const state = { ...START };
  const id = `ge-${Math.random().toString(36).slice(2)}`;
  const root = plate("Gradient explorer: how much of a gradient is left, week by week back", `
    <svg viewBox="0 0 720 ${HEIGHT}" role="img" aria-labelledby="${id}-title"><title id="${id}-title"></title><g></g></svg>
    <div class="ge-bar">
      <button type="button" data-name="play">${PLAY}</button>
      <label class="ge-grow">${range("lag", "lag", 0, n - 1, 1, "", false)}</label>
      <button type="button" data-name="reset">Reset</button>
    </div>
    <div class="ge-columns">
      <fieldset class="ge-in"><legend>What you set</legend>
        ${range("scale", "weights W and U times", 0.25, 6, 0.05)}
        ${range("bias", "bias of the LSTM's forget gates", -2, 6, 0.1)}
        <p class="ge-note" data-name="note"></p>
      </fieldset>
      <fieldset aria-live="polite" data-name="computed"><legend>What is left of a gradient of length 1</legend>
        ${value("rnn", "RNN, along h")}${value("dh", "LSTM, along h")}${value("dc", "LSTM, along C")}
        ${value("forget", "forget gates")}
        <p class="ge-note">The bars of the gradients are logarithmic and begin at 1. The gates: their mean in that week.</p>
      </fieldset>
    </div>`);
  el.replaceChildren(root);
  const find = (name) => root.querySelector(`[data-name="${name}"]`);
  const grey = "color-mix(in srgb, currentColor 60%, transparent)";

  function update() {
    const rnn = rnnBack(xs, scaled(model.get("rnn"), state.scale), model.get("last"));
    const lstm = lstmBack(xs, scaled(model.get("lstm"), state.scale, state.bias), model.get("last"));
    const week = weeks[n - 1 - state.lag];
    for (const name of ["lag", "scale", "bias"]) find(name).value = state[name];
    tell(root, "lag", `${state.lag} weeks back, week of ${week}`);
    tell(root, "scale", state.scale.toFixed(2));
    tell(root, "bias", state.bias.toFixed(1));
    for (const [name, norms, color] of [["rnn", rnn, grey], ["dh", lstm.dh, colors.h], ["dc", lstm.dc, colors.c]]) {
      tell(root, name, spoken(norms[state.lag]));
      fill(root, name, part(1), part(norms[state.lag]), color);
    }
    tell(root, "forget", lstm.forget[state.lag].toFixed(3));
    fill(root, "forget", 0, lstm.forget[state.lag], colors.f);
    find("note").textContent = `Week of ${week}: the household spent ${dollars[n - 1 - state.lag].toFixed(2)} dollars.`;
    root.querySelector("svg title").textContent =
      `Norm of the gradient by lag. ${state.lag} weeks back: simple RNN ${spoken(rnn[state.lag])}, ` +
      `LSTM along h ${spoken(lstm.dh[state.lag])}, along C ${spoken(lstm.dc[state.lag])}.`;
    draw(root.querySelector("svg"), rnn.slice(0, n), lstm, state.lag, colors, grey, id);
    root.dataset.last = lstm.dc[state.lag].toExponential(9);
  }

  const rewind = () => (state.lag = state.lag >= n - 1 ? -1 : state.lag);
  const stop = player(find("play"), PLAY, find("computed"), rewind, () => {
    if (state.lag >= n - 1) return false;
    state.lag += 1;
    update();
    return true;
  });
  root.addEventListener("input", (event) => {
    stop();
    state[event.target.dataset.name] = Number(event.target.value);
    update();
  });
  find("reset").addEventListener("click", () => {
    stop();
    Object.assign(state, START);
    update();
  });
  root.querySelector("svg").addEventListener("click", (event) => {
    stop();
    const right = event.currentTarget.viewBox.baseVal.width - KEY;
    state.lag = Math.min(n - 1, Math.max(0, Math.round(((clicked(event) - LEFT) / (right - LEFT)) * (n - 1))));
    update();
  });
  update();
}

function draw(svg, rnn, lstm, lag, colors, grey, id) {
  const width = svg.clientWidth && svg.clientWidth < 560 ? 420 : 720; // on a phone: fewer units, so larger letters
  svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  const right = width - KEY, n = rnn.length;
  const x = (k) => LEFT + (k / (n - 1)) * (right - LEFT), y = (v) => BOTTOM - part(v) * (BOTTOM - TOP);
  const line = (norms, color, extra) => polyline(norms.slice(0, n).map((v, k) => [x(k), y(v)]), color, extra);
  const power = (p) => `10<tspan dy="-5" font-size="9">${String(p).replace("-", "−")}</tspan>`;
  const grid = [-8, -4, 0, 4, 8].map((p) => `<line x1="${LEFT}" x2="${right}" y1="${y(10 ** p)}" y2="${y(10 ** p)}"
    stroke="currentColor" opacity="${p ? 0.2 : 0.6}"/>${text(LEFT - 6, y(10 ** p) + 4, p ? power(p) : 1)}`).join("");
  const dot = (v, color) => `<circle cx="${x(lag)}" cy="${y(v)}" r="4.5" fill="${color}"/>`;
  const ticks = [0, 10, 20, 30, 40].filter((k) => k < n)
    .map((k) => text(x(k), BOTTOM + 18, k, "middle")).join("");
  svg.querySelector("g").innerHTML = `
    <clipPath id="${id}-frame"><rect x="${LEFT}" y="${TOP}" width="${right - LEFT}" height="${BOTTOM - TOP}"/></clipPath>
    ${text(LEFT, 11, "length of the gradient", "start")}${grid}
    <line x1="${x(lag)}" x2="${x(lag)}" y1="${TOP}" y2="${BOTTOM}" stroke="currentColor" stroke-width="5" opacity=".2"/>
    <g clip-path="url(#${id}-frame)">${line(rnn, grey)}${line(lstm.dh, colors.h, 'stroke-dasharray="5 3"')}
      ${line(lstm.dc, colors.c)}
      ${dot(rnn[lag], grey)}${dot(lstm.dh[lag], colors.h)}${dot(lstm.dc[lag], colors.c)}</g>
    ${key([["simple RNN, h", grey], ["LSTM, h", colors.h], ["LSTM, C", colors.c]], right + 10, TOP + 10)}
    ${ticks}${text((LEFT + right) / 2, BOTTOM + 36, "lag: weeks back from the last one", "middle")}`;
}

export default { render };
