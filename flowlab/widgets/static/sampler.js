// A multilevel density of ±1 spins that draws in the browser: the coarsest lattice from its table, then group after
// group, each spin from its log-odds given the sites in its window; at last the odd sites of the lattice, exactly.

const sigmoid = (a) => 1 / (1 + Math.exp(-a));
// ln sigmoid(a), for large |a| too.
const logSigmoid = (a) => (a < 0 ? a : 0) - Math.log1p(Math.exp(-Math.abs(a)));
// ln 2cosh(a), likewise.
const log2Cosh = (a) => Math.abs(a) + Math.log1p(Math.exp(-2 * Math.abs(a)));
const dot = (w, x) => { let sum = 0; for (let i = 0; i < w.length; i++) sum += w[i] * x[i]; return sum; };
function logSum(terms) {
  const most = Math.max(...terms);
  return most + Math.log(terms.reduce((sum, a) => sum + Math.exp(a - most), 0));
}

const LOG_ODDS = {
  constant: ({ value }) => value,
  // of a site whose odd neighbours are summed over: each is in the field K t of its other neighbours
  exact: ({ sums }, v, K) => sums.reduce((all, row) => {
    const t = dot(row, v);
    return all + log2Cosh(K * (t + 1)) - log2Cosh(K * (t - 1));
  }, 0),
  network({ skip, output, bias, layers }, v) {
    let units = layers[0].map((row, k) => Math.tanh((dot(row, v) + bias[k]) / 2));
    for (const layer of layers.slice(1)) units = layer.map((row) => Math.tanh(dot(row, units) / 4));
    return dot(skip, v) + bias[bias.length - 1] + dot(output, units) / 2;
  },
};

// Σ_k T_k tree_k: numbers in like places of arrays and objects.
function combined(trees, T) {
  const [first] = trees;
  if (typeof first === 'number') return trees.reduce((sum, tree, k) => sum + T[k] * tree, 0);
  if (Array.isArray(first)) return first.map((_, i) => combined(trees.map((tree) => tree[i]), T));
  if (first === null) return null;
  return Object.fromEntries(Object.keys(first).map((key) => [key, combined(trees.map((tree) => tree[key]), T)]));
}

// ln Z of the Ising model on an L x L torus, L even (Kaufman 1949): four products over the modes of two kinds.
function exactLogZ(L, K) {
  const mode = (q) => {
    const c = Math.cosh(2 * K) / Math.tanh(2 * K) - Math.cos((Math.PI * q) / L);
    return q === 0 ? 2 * K + Math.log(Math.tanh(K)) : Math.acosh(Math.max(1, c));
  };
  const products = [1, 0].flatMap((odd) => {
    const halves = Array.from({ length: L }, (_, r) => (L / 2) * mode(2 * r + odd));
    const sinh = halves.map((a) => Math.abs(a) + Math.log(-Math.expm1(-2 * Math.abs(a)) || 1e-300));
    const sign = halves.reduce((all, a) => all * (a < 0 ? -1 : 1), 1);
    return [[1, halves.reduce((all, a) => all + log2Cosh(a), 0)], [sign, sinh.reduce((all, a) => all + a, 0)]];
  });
  const most = Math.max(...products.map(([, log]) => log));
  const sum = products.reduce((all, [sign, log]) => all + sign * Math.exp(log - most), 0);
  return -Math.LN2 + (L * L / 2) * Math.log(2 * Math.sinh(2 * K)) + most + Math.log(sum);
}

class Sampler {
  // `model`: what `exported()` of the density says, with `place` and `neighbours` of the lattice, and J and beta.
  constructor(model) {
    this.model = model;
    this.sites = model.order.length;
    const [name, low, high] = model.over;
    this.at(name === '' ? null : Math.min(high, Math.max(low, name === 'beta' ? model.beta : 1 / model.beta)));
  }

  // Go to a coupling of the range: weights are polynomials in it.
  at(value) {
    const { over: [name, low, high], learned, table, networks, J, beta } = this.model;
    const t = value === null ? 0 : (2 * value - low - high) / (high - low), T = [1, t];
    while (T.length < learned.length) T.push(2 * t * T[T.length - 1] - T[T.length - 2]);
    const found = combined(learned, T);
    this.value = value;
    this.K = J * (name === '' ? beta : name === 'beta' ? value : 1 / value);
    this.networks = Object.fromEntries(Object.entries(networks).map(([key, one]) => [key, { ...one, ...found.networks[key] }]));
    const { logits, sign } = found.table, total = logSum(logits);
    const half = (s) => logits.map((a, k) => a - total + (sign ? logSigmoid(s * sign[k]) : -Math.LN2));
    this.table = { patterns: table.patterns, up: half(1), down: half(-1) };
  }

  // Rows in the order of drawing, their ln q, the whole lattice and its ln q. A row given is kept, NaN is drawn;
  // so is a site of the whole lattice in `whole`.
  draw({ given = null, whole = null, random = Math.random } = {}) {
    const state = new Float64Array(this.sites + 1), { groups, first } = this.model;
    let logQ = this.coarsest(state, given, random), row = first;
    for (const { key, windows } of groups) {
      const network = this.networks[key], drawn = [];
      for (const window of windows) {
        const odds = LOG_ODDS[network.kind](network, window.map((r) => state[r]), this.K);
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
    const { order, place, neighbours } = this.model, even = new Float64Array(this.sites);
    order.forEach((site, row) => { even[site] = state[row]; });
    const N = place.length, x = new Float64Array(N);
    for (let i = 0; i < N; i++) if (place[i] < this.sites) x[i] = even[place[i]];
    let energy = 0;
    for (let i = 0; i < N; i++) {
      if (place[i] < this.sites) continue;
      const field = neighbours[i].reduce((sum, j) => sum + x[j], 0), odds = 2 * this.K * field;
      x[i] = whole ? whole[i] : random() < sigmoid(odds) ? 1 : -1;
      logQ += logSigmoid(odds * x[i]);
      energy -= x[i] * field;
    }
    return { state, x, logQ, energy, logW: -this.K * energy - logQ };
  }

  // The lattice as it is known after so many rows, 0 where it is not.
  known({ state, x }, rows) {
    if (rows > this.sites) return x;
    const even = new Float64Array(this.sites), { order, place } = this.model;
    order.slice(0, rows).forEach((site, row) => { even[site] = state[row]; });
    return x.map((_, i) => (place[i] < this.sites ? even[place[i]] : 0));
  }

  // For every site the one that is known after so many rows and nearest to it: itself, or found along bonds.
  nearest(rows) {
    this.found ??= new Map();
    if (this.found.has(rows)) return this.found.get(rows);
    const { place, neighbours, order } = this.model, known = new Set(rows > this.sites ? order : order.slice(0, rows));
    const from = place.map((at, i) => (rows > this.sites || known.has(at) ? i : -1)), queue = from.filter((i) => i >= 0);
    for (let next = 0; next < queue.length; next++)
      for (const j of neighbours[queue[next]]) if (from[j] < 0) { from[j] = from[queue[next]]; queue.push(j); }
    this.found.set(rows, from);
    return from;
  }

  get logZ() {
    return exactLogZ(this.model.L, this.K);
  }
}

const mean = (x) => x.reduce((sum, s) => sum + s, 0) / x.length;

function make(parent, tag, properties = {}) {
  const made = Object.assign(document.createElement(tag), properties);
  parent.append(made);
  return made;
}

// The page: buttons, a slider over couplings where there are some, a picture of each level, and numbers.
class SamplerPage {
  constructor(model, main) {
    this.sampler = new Sampler(model);
    this.model = model;
    this.levels = [...model.levels, [`${model.L} × ${model.L}`, Infinity]];
    this.level = this.levels.length - 1;
    this.header(main);
    for (const line of model.words) make(main, 'p', { innerHTML: line });
    this.controls(main);
    this.strip = make(main, 'div', { className: 'strip', role: 'group', ariaLabel: 'levels' });
    this.small = this.levels.map(([name], k) => this.thumbnail(name, k));
    const beside = make(main, 'div', { className: 'beside sampler' });
    this.canvas = make(beside, 'canvas', { width: model.L, height: model.L, id: 'lattice', title: 'a fresh draw' });
    this.canvas.setAttribute('role', 'img');
    this.canvas.onclick = () => this.fresh();
    const right = make(beside, 'div');
    this.name = make(right, 'h2');
    this.said = make(right, 'p', { id: 'said', ariaLive: 'polite' });
    this.together = make(right, 'p', { id: 'together' });
    if (this.slider) this.curve = new Curve(make(right, 'div'), this.sampler, (value) => this.go(value));
    make(main, 'section', { className: 'words', innerHTML: model.after });
    this.fresh();
  }

  header(main) {
    const dark = (yes) => { document.body.dataset.jpThemeLight = String(!yes); };
    dark(matchMedia('(prefers-color-scheme: dark)').matches);
    const header = make(main, 'header');
    make(header, 'h1', { textContent: this.model.title });
    make(header, 'p', { textContent: this.model.about });
    make(header, 'button', { textContent: '◐', ariaLabel: 'light or dark' }).onclick = () =>
      dark(document.body.dataset.jpThemeLight === 'true');
  }

  controls(main) {
    const row = make(main, 'div', { className: 'controls' });
    make(row, 'button', { textContent: 'draw one', id: 'draw' }).onclick = () => this.fresh();
    this.many = make(row, 'button', { textContent: 'draw on', id: 'many' });
    this.many.onclick = () => this.repeat(this.many, 'draw on', 60, () => this.fresh());
    const [name, low, high] = this.model.over;
    if (!name) return;
    const label = make(row, 'label', { textContent: name === 'beta' ? 'β' : name });
    this.slider = make(label, 'input', { type: 'range', min: low, max: high, step: (high - low) / 128, value: this.sampler.value });
    this.value = make(label, 'output');
    this.slider.oninput = () => this.go(Number(this.slider.value));
    this.sweep = make(row, 'button', { textContent: 'sweep', id: 'sweep' });
    let by = (high - low) / 128;
    this.sweep.onclick = () => this.repeat(this.sweep, 'sweep', 60, () => {
      if (this.sampler.value + by > high || this.sampler.value + by < low) by = -by;
      this.go(this.sampler.value + by);
    });
  }

  // A button that goes on until it, or the other one, is pressed again.
  repeat(button, text, interval, call) {
    const stop = this.timer && this.running === button;
    clearInterval(this.timer);
    for (const [other, its] of [[this.many, 'draw on'], [this.sweep, 'sweep']]) if (other) other.textContent = its;
    this.timer = stop ? null : setInterval(call, interval);
    this.running = button;
    button.textContent = stop ? text : 'stop';
  }

  thumbnail(name, k) {
    const button = make(this.strip, 'button', { title: name });
    const canvas = make(button, 'canvas', { width: this.model.L, height: this.model.L });
    make(button, 'span', { textContent: name });
    button.onclick = () => { this.level = k; this.paint(); };
    return [button, canvas];
  }

  // Fresh random numbers; the same ones serve at every coupling.
  fresh() {
    this.random = Float64Array.from({ length: this.model.place.length + 1 }, Math.random);
    this.draw();
    this.weights.push(this.shown.logW);
    if (this.curve) this.curve.begin(this.random);
    this.paint();
  }

  go(value) {
    const [, low, high] = this.model.over;
    this.sampler.at(Math.min(high, Math.max(low, value)));
    this.slider.value = this.sampler.value;
    this.draw();
    this.weights = [this.shown.logW];
    this.paint();
  }

  draw() {
    let next = 0;
    this.shown = this.sampler.draw({ random: () => this.random[next++] });
    this.weights ??= [];
  }

  image(canvas, rows) {
    const { L } = this.model, image = new ImageData(L, L), colors = { '-1': [44, 93, 138], 1: [231, 165, 72] };
    const known = this.sampler.known(this.shown, rows), from = this.sampler.nearest(rows);
    known.forEach((s, i) => image.data.set([...colors[known[from[i]]], s ? 255 : 90], 4 * i));
    canvas.getContext('2d').putImageData(image, 0, 0);
  }

  paint() {
    const { L } = this.model, N = L * L, { x, logQ, logW, energy } = this.shown, [text, rows] = this.levels[this.level];
    this.small.forEach(([button, canvas], k) => {
      this.image(canvas, this.levels[k][1]);
      button.setAttribute('aria-pressed', k === this.level);
    });
    this.image(this.canvas, rows);
    const seen = this.sampler.known(this.shown, rows).filter((s) => s);
    this.name.textContent = `after level ${text}`;
    this.canvas.setAttribute('aria-label', `${seen.length} of ${N} spins are drawn, magnetization ${mean(seen).toFixed(2)}; press for a fresh draw`);
    this.said.innerHTML = `${seen.length} of ${N} spins, magnetization of these ${mean(seen).toFixed(3)}<br>whole lattice: ln q = ${logQ.toFixed(3)}, `
      + `ln w = ${logW.toFixed(3)}, energy per site ${(energy / N).toFixed(3)} J, magnetization ${mean(x).toFixed(3)}`;
    if (this.value) this.value.textContent = this.sampler.value.toFixed(4);
    if (this.curve) this.curve.draw();
    const n = this.weights.length, logSums = [1, 2].map((k) => logSum(this.weights.map((a) => k * a)));
    const ess = Math.exp(2 * logSums[0] - logSums[1]) / n, error = Math.sqrt(Math.max(0, (1 / ess - 1) / n)) / N;
    const bound = mean(this.weights), spread = Math.sqrt(mean(this.weights.map((a) => (a - bound) ** 2)) / (n - 1));
    const lines = n === 1 ? ['<b>1 draw</b>', `ln w / N = ${(bound / N).toFixed(5)}`] : [`<b>${n} draws</b>`,
      `ln Z / N = ${((logSums[0] - Math.log(n)) / N).toFixed(5)} ± ${error.toFixed(5)} from weights`,
      `ln Z / N ≥ ${(bound / N).toFixed(5)} ± ${(spread / N).toFixed(5)}, the mean of ln w / N`, `ESS ${ess.toFixed(3)}`];
    lines.push(`exact ln Z / N = ${(this.sampler.logZ / N).toFixed(5)}`, ...(n === 1 ? ['draw more: the mean of ln w is a bound'] : []));
    this.together.innerHTML = lines.join('<br>');
  }
}

// |m| of one draw at every coupling, as the same random numbers give it, beside the infinite lattice's (Yang 1952).
class Curve {
  constructor(parent, sampler, go) {
    Object.assign(this, { sampler, go, points: [] });
    const [name, low, high] = sampler.model.over;
    Object.assign(this, { name, low, high, probe: new Sampler(sampler.model) });
    this.svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
    this.svg.setAttribute('viewBox', '0 -12 320 182');
    this.svg.setAttribute('class', 'curve');
    this.svg.setAttribute('role', 'img');
    this.svg.setAttribute('aria-label', '|m| of this draw against the coupling, from the same random numbers');
    this.svg.onclick = ({ clientX }) => {
      const { left, width } = this.svg.getBoundingClientRect();
      go(low + ((clientX - left) * 320 / width - 30) / 280 * (high - low));
    };
    parent.append(this.svg);
  }

  begin(random) {
    clearTimeout(this.timer);
    this.points = [];
    const step = () => {
      const value = this.low + (this.points.length / 32) * (this.high - this.low);
      let next = 0;
      this.probe.at(value);
      this.points.push([value, Math.abs(mean(this.probe.draw({ random: () => random[next++] }).x))]);
      if (this.points.length % 4 === 1) this.draw();
      if (this.points.length <= 32) this.timer = setTimeout(step, 0);
    };
    this.timer = setTimeout(step, 250);
  }

  draw() {
    const { low, high, name } = this, at = ([value, m]) => `${(30 + 280 * (value - low) / (high - low)).toFixed(1)},${(140 - 130 * m).toFixed(1)}`;
    const line = (points, style) => `<polyline points="${points.map(at).join(' ')}" style="fill:none;${style}"/>`;
    const exact = Array.from({ length: 200 }, (_, k) => low + (k / 199) * (high - low)).map((value) => {
      const s = Math.sinh(2 * this.sampler.model.J * (name === 'beta' ? value : 1 / value));
      return [value, s > 1 ? (1 - s ** -4) ** 0.125 : 0];
    });
    const [x] = at([this.sampler.value, 0]).split(',');
    const word = (px, py, text, more = '') => `<text x="${px}" y="${py}" ${more}>${text}</text>`;
    this.svg.innerHTML = `<path d="M30 10V140H310" class="axis"/>${line(exact, 'stroke:var(--jp-ui-font-color2);stroke-dasharray:4 3')}`
      + `${line(this.points, 'stroke:var(--jp-brand-color1);stroke-width:2')}<path d="M${x} 10V140" style="stroke:#d9822b;stroke-width:2"/>`
      + word(24, 16, '1', 'text-anchor="end"') + word(24, 144, '0', 'text-anchor="end"') + word(30, 0, '|m| of this draw; dashed: infinite lattice')
      + word(30, 158, low) + word(310, 158, high, 'text-anchor="end"') + word(170, 166, name === 'beta' ? 'β' : name, 'text-anchor="middle"');
  }
}

function showSampler(model, main) {
  return new SamplerPage(model, main).sampler;
}
