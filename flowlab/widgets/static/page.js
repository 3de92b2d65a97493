// What stands in for a kernel in a page that has none: models that hold their state and tell who listens.

class Model {
  constructor(state, others = {}) {
    this.state = state;
    this.listeners = {};
    this.sent = [];
    this.widget_manager = { get_model: async (id) => others[id] };
  }
  get(name) {
    return this.state[name];
  }
  set(name, value) {
    if (this.state[name] === value) return;
    this.state[name] = value;
    (this.listeners[`change:${name}`] ?? []).slice().forEach((call) => call());
  }
  change(state) {
    for (const [name, value] of Object.entries({ ...state, version: (this.state.version ?? 0) + 1 })) this.set(name, value);
  }
  on(event, call) {
    (this.listeners[event] ??= []).push(call);
  }
  off(event, call) {
    this.listeners[event] = (this.listeners[event] ?? []).filter((each) => each !== call);
  }
  save_changes() {}
  send(message) {
    this.sent.push(message);
  }
}

function link(a, b, name) {
  a.on(`change:${name}`, () => b.set(name, a.get(name)));
  b.on(`change:${name}`, () => a.set(name, b.get(name)));
  b.set(name, a.get(name));
}

function make(parent, tag, properties = {}) {
  const made = document.createElement(tag);
  Object.assign(made, properties);
  parent.append(made);
  return made;
}

function binary(text) {
  const raw = atob(text), bytes = new Uint8Array(raw.length);
  for (let k = 0; k < raw.length; k++) bytes[k] = raw.charCodeAt(k); // of two million, Uint8Array.from takes 0.2 s
  return new DataView(bytes.buffer);
}

// The text that an element of the page holds as base64 of gzip, which is a third of it.
async function unpacked(id) {
  const packed = new Blob([binary(document.getElementById(id).textContent)]);
  return new Response(packed.stream().pipeThrough(new DecompressionStream('gzip'))).text();
}

// The parts of a tab, each from what a panel has written; all of a tab's share the values of its controls.
class Tab {
  constructor(parts, views, palette, code) {
    Object.assign(this, { parts, views, palette, code });
    this.el = document.createElement('section');
    this.values = new Model({ layer: 0, sample: 0, playing: false });
    this.values.on('change:playing', () => this.play());
  }

  build() {
    for (const part of this.parts) this[part.kind](part, this.el);
  }

  // Which frame is on show, of frames for every value of some controls.
  frame({ by, frames }) {
    return frames[by.reduce((at, [name, count]) => at * count + Math.min(this.values.get(name) ?? 0, count - 1), 0)];
  }

  follow({ by }, call) {
    by.forEach(([name]) => this.values.on(`change:${name}`, call));
    call();
  }

  controls({ parts }, parent) {
    const row = make(parent, 'div', { className: 'controls' });
    for (const part of parts) this[part.kind](part, row);
  }

  beside({ parts }, parent) {
    const row = make(parent, 'div', { className: 'beside' });
    for (const part of parts) this[part.kind](part, row);
  }

  slider({ name, max, value, label, texts = [], interval = 700 }, parent) {
    Object.assign(this, { max, interval });
    const play = make(parent, 'button', { textContent: '▶', ariaLabel: 'play' });
    play.onclick = () => this.values.set('playing', !this.values.get('playing'));
    this.values.on('change:playing', () => { play.textContent = this.values.get('playing') ? '❚❚' : '▶'; });
    const row = make(parent, 'label', { textContent: label });
    const input = make(row, 'input', { type: 'range', min: 0, max, value }), out = make(row, 'output');
    input.oninput = () => this.values.set(name, Number(input.value));
    const tell = () => { out.textContent = texts[this.values.get(name)] ?? this.values.get(name); };
    this.values.on(`change:${name}`, () => { input.value = this.values.get(name); tell(); });
    this.values.set(name, value);
    tell();
  }

  number({ name, max, value, label }, parent) {
    const row = make(parent, 'label', { textContent: label });
    const input = make(row, 'input', { type: 'number', min: 0, max, value });
    input.oninput = () => this.values.set(name, Math.max(0, Math.min(max, Math.round(Number(input.value)))));
    this.values.on(`change:${name}`, () => { input.value = this.values.get(name); });
    this.values.set(name, value);
  }

  choice({ name, options }, parent) {
    const input = make(make(parent, 'label', { textContent: name }), 'select');
    options.forEach((text, value) => make(input, 'option', { value, textContent: text }));
    input.onchange = () => this.values.set(name, Number(input.value));
    this.values.set(name, 0);
  }

  text(part, parent) {
    const line = make(parent, 'div', { className: 'text', ariaLive: part.by.length ? 'polite' : 'off' });
    this.follow(part, () => { line.innerHTML = this.frame(part); });
  }

  plot(part, parent) {
    const model = new Model({ figure: this.frame(part), palette: this.palette, code: this.code, selections: [], version: 0 });
    this.follow(part, () => {
      if (model.get('figure') !== this.frame(part)) model.change({ figure: this.frame(part) });
    });
    if (part.marks) {
      const move = () => model.set('place', this.values.get(part.marks));
      this.values.on(`change:${part.marks}`, move);
      move();
    }
    this.views.plot.render({ model, el: make(parent, 'div') });
  }

  strip(part, parent) {
    const { picks } = part, paints = picks ? { paints: 'dots', seen: Infinity } : {};
    const state = () => ({ ...this.frame(part), frames: binary(this.frame(part).frames), ...paints });
    const model = new Model({ ...state(), code: this.code, version: 0 });
    if (picks) model.send = ({ type, x, y, stroke }) => {
      if (type !== 'click') return;
      const wanted = picks.at[y][x], again = this.values.get(picks.name) === wanted && this.stroke !== stroke;
      this.stroke = stroke;
      this.values.set(picks.name, again ? 0 : wanted);
    };
    this.follow(part, () => model.change(state()));
    this.views.strip.render({ model, el: make(parent, 'div') });
  }

  lattice({ state }, parent) {
    const model = new Model({ code: this.code, ...state, frames: binary(state.frames), version: 0 });
    for (const name of ['layer', 'sample', 'playing']) link(this.values, model, name);
    this.views.lattice.render({ model, el: make(parent, 'div') });
  }

  play() {
    clearInterval(this.timer);
    if (this.values.get('playing'))
      this.timer = setInterval(() => this.values.set('layer', (this.values.get('layer') + 1) % (this.max + 1)), this.interval);
  }
}

// A whole lab in an empty page.
function showLab(lab, views, main) {
  const dark = (yes) => { document.body.dataset.jpThemeLight = String(!yes); };
  dark(matchMedia('(prefers-color-scheme: dark)').matches);
  const header = make(main, 'header');
  make(header, 'h1', { textContent: lab.title });
  make(header, 'p', { textContent: lab.about });
  make(header, 'button', { textContent: '◐', ariaLabel: 'light or dark' }).onclick = () =>
    dark(document.body.dataset.jpThemeLight === 'true');
  const list = make(main, 'nav', { role: 'tablist', hidden: lab.tabs.length === 1 });
  const tabs = lab.tabs.map(({ title, parts, code }) => {
    const tab = new Tab(parts, views, lab.palette, code);
    const button = make(list, 'button', { role: 'tab', textContent: title });
    main.append(tab.el);
    button.onclick = () => show(tab, button);
    return [tab, button];
  });
  function show(front, chosen) {
    for (const [tab, button] of tabs) {
      button.setAttribute('aria-selected', button === chosen);
      tab.el.hidden = tab !== front;
    }
    if (!front.el.childElementCount) front.build();
  }
  make(main, 'section', { className: 'words', innerHTML: lab.after });
  show(...tabs[0]);
}
