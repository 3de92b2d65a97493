// A multilevel density of ±1 spins that draws in the browser: the coarsest lattice from its table, then group after
// group, each spin from its log-odds given the sites in its window; at last the odd sites of the lattice, exactly.

const sigmoid = (a) => 1 / (1 + Math.exp(-a));
// ln sigmoid(a), for large |a| too.
const logSigmoid = (a) => (a < 0 ? a : 0) - Math.log1p(Math.exp(-Math.abs(a)));

const LOG_ODDS = {
  constant: ({ value }) => value,
  exact({ sums, powers }, v) {
    let total = 0;
    for (const row of sums) {
      const t = row.reduce((sum, w, i) => sum + w * v[i], 0);
      total += powers.reduceRight((sum, power) => sum * t + power, 0);
    }
    return total;
  },
  network({ skip, output, bias, layers }, v) {
    const dot = (w, x) => { let sum = 0; for (let i = 0; i < w.length; i++) sum += w[i] * x[i]; return sum; };
    let units = layers[0].map((row, k) => Math.tanh((dot(row, v) + bias[k]) / 2));
    for (const layer of layers.slice(1)) units = layer.map((row) => Math.tanh(dot(row, units) / 4));
    return dot(skip, v) + bias[bias.length - 1] + dot(output, units) / 2;
  },
};

class Sampler {
  // `model`: what `exported()` of the density says, with `place`, `neighbours` and `K` of the lattice.
  constructor(model) {
    Object.assign(this, model);
    this.sites = this.order.length;
  }

  // Rows in the order of drawing, their ln q, the whole lattice and its ln q. A row given is kept, NaN is drawn;
  // so is a site of the whole lattice in `whole`.
  draw({ given = null, whole = null, random = Math.random } = {}) {
    const state = new Float64Array(this.sites + 1);
    let logQ = this.coarsest(state, given, random), row = this.first;
    for (const { key, windows } of this.groups) {
      const network = this.networks[key], drawn = [];
      for (const window of windows) {
        const odds = LOG_ODDS[network.kind](network, window.map((r) => state[r]));
        const spin = given ? given[row + drawn.length] : random() < sigmoid(odds) ? 1 : -1;
        logQ += logSigmoid(odds * spin);
        drawn.push(spin);
      }
      state.set(drawn, row);
      row += drawn.length;
    }
    return this.restored(state, logQ, whole, random);
  }

  coarsest(state, given, random) {
    const { patterns, up, down } = this.table, n = patterns.length;
    const pattern = (k) => patterns[k % n].map((s) => (k < n ? s : -s));
    const logP = (k) => (k < n ? up[k] : down[k - n]);
    let k = 0;
    if (given) while (pattern(k).some((s, i) => s !== given[i])) k++;
    else for (let left = random() - Math.exp(logP(0)); left > 0 && k < 2 * n - 1; ) left -= Math.exp(logP(++k));
    state.set(pattern(k));
    return logP(k);
  }

  restored(state, logQ, whole, random) {
    const even = new Float64Array(this.sites);
    this.order.forEach((site, row) => { even[site] = state[row]; });
    const N = this.place.length, x = new Float64Array(N);
    for (let i = 0; i < N; i++) if (this.place[i] < this.sites) x[i] = even[this.place[i]];
    let energy = 0;
    for (let i = 0; i < N; i++) {
      if (this.place[i] < this.sites) continue;
      const field = this.neighbours[i].reduce((sum, j) => sum + x[j], 0), odds = 2 * this.K * field;
      x[i] = whole ? whole[i] : random() < sigmoid(odds) ? 1 : -1;
      logQ += logSigmoid(odds * x[i]);
      energy -= x[i] * field;
    }
    return { state, x, logQ, energy, logW: -this.K * energy - logQ };
  }

  // The lattice as it is known after so many rows, 0 where it is not.
  known({ state, x }, rows) {
    if (rows > this.sites) return x;
    const even = new Float64Array(this.sites);
    this.order.slice(0, rows).forEach((site, row) => { even[site] = state[row]; });
    return x.map((_, i) => (this.place[i] < this.sites ? even[this.place[i]] : 0));
  }
}

function showSampler(model, main) {
  const dark = (yes) => { document.body.dataset.jpThemeLight = String(!yes); };
  dark(matchMedia('(prefers-color-scheme: dark)').matches);
  const sampler = new Sampler(model), { L } = model;
  const make = (parent, tag, properties = {}) => {
    const made = Object.assign(document.createElement(tag), properties);
    parent.append(made);
    return made;
  };
  const header = make(main, 'header');
  make(header, 'h1', { textContent: model.title });
  make(header, 'p', { textContent: model.about });
  make(header, 'button', { textContent: '◐', ariaLabel: 'light or dark' }).onclick = () =>
    dark(document.body.dataset.jpThemeLight === 'true');
  for (const line of model.words) make(main, 'p', { innerHTML: line });
  const row = make(main, 'div', { className: 'controls' });
  const fresh = make(row, 'button', { textContent: 'draw one', id: 'draw' });
  const many = make(row, 'button', { textContent: 'draw on', id: 'many' });
  const label = make(row, 'label', { textContent: 'level' });
  const levels = [...model.levels, [`${L} × ${L}`, Infinity]];
  const level = make(label, 'input', { type: 'range', min: 0, max: levels.length - 1, value: levels.length - 1 });
  const name = make(label, 'output');
  const canvas = make(main, 'canvas', { width: L, height: L, role: 'img' });
  canvas.style = 'width: min(100%, 480px); image-rendering: pixelated; display: block; margin: 12px 0; touch-action: manipulation';
  const said = make(main, 'p', { id: 'said', ariaLive: 'polite' }), together = make(main, 'p', { id: 'together' });
  const weights = [];
  let shown = null, timer = null;

  function paint() {
    const [text, rows] = levels[level.value], x = sampler.known(shown, rows);
    const image = new ImageData(L, L), colors = { '-1': [44, 93, 138], 0: [140, 150, 158], 1: [231, 165, 72] };
    x.forEach((s, i) => image.data.set([...colors[s], s ? 255 : 40], 4 * i));
    canvas.getContext('2d').putImageData(image, 0, 0);
    name.textContent = text;
    const mean = shown.x.reduce((sum, s) => sum + s, 0) / shown.x.length;
    canvas.ariaLabel = `${text} spins, magnetization ${mean.toFixed(2)}`;
    said.textContent = `ln q = ${shown.logQ.toFixed(3)} · energy per site ${(shown.energy / (L * L)).toFixed(3)} · `
      + `magnetization ${mean.toFixed(3)} · ln w = ${shown.logW.toFixed(3)}`;
  }

  function draw() {
    shown = sampler.draw();
    weights.push(shown.logW);
    const most = Math.max(...weights), w = weights.map((a) => Math.exp(a - most));
    const sum = w.reduce((a, b) => a + b, 0), square = w.reduce((a, b) => a + b * b, 0), n = w.length;
    const logZ = most + Math.log(sum / n), ess = sum * sum / square / n, bound = weights.reduce((a, b) => a + b, 0) / n;
    together.textContent = `${n} draws: ln Z / N = ${(logZ / (L * L)).toFixed(5)} ± ${(Math.sqrt((1 / ess - 1) / n) / (L * L)).toFixed(5)}`
      + ` from weights, ≥ ${(bound / (L * L)).toFixed(5)} as a bound`
      + `${model.exact === null ? '' : `, exact ${(model.exact / (L * L)).toFixed(5)}`} · ESS ${ess.toFixed(3)}`;
    paint();
  }
  fresh.onclick = draw;
  many.onclick = () => {
    clearInterval(timer);
    timer = timer ? null : setInterval(draw, 60);
    many.textContent = timer ? 'stop' : 'draw on';
  };
  level.oninput = paint;
  draw();
  return sampler;
}
