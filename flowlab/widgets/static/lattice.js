// Configurations after each layer, drawn on a canvas from one block of numbers: slider, play, hover and zoom are
// answered here, without the kernel.
//
// State: `frames`, (layer, sample, row, column) as int8 or int16, row by row from below, `nothing` where there is no
// value; `shape`; `scale`, of one unit; `lower`, `upper` and `colors`, the scale of the colours; `ticks` and `symbol` of
// the colour bar; `names` of the layers, `word` for one of them; `labels` of the sites, empty on a lattice (y, x);
// `tiles`, the names of samples that stand side by side in place of the layers, empty where they do not;
// `turns`, whether values are angles, whose vortices are marked; `marks`, whether a dot marks what a layer changed;
// `sides` of a lattice on which a site without a value shows its nearest neighbour, pale, empty of a graph or a line;
// `planes`, [row, column, name] of the lower left site of each of its planes (y, x);
// `layer`, `sample`, `playing` and `interval` in milliseconds, which a person sets.

const STYLE = `
.flowlab-lattice { outline: none; position: relative; color: var(--jp-ui-font-color1, #22303c); max-width: 100%;
  font: 12px system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif; }
.flowlab-lattice:focus-visible { box-shadow: 0 0 0 2px var(--jp-brand-color1, #1c6e8c); border-radius: 3px; }
.flowlab-lattice .flowlab-title { font-size: 14px; line-height: 20px; min-height: 40px; padding: 0 30px 0 4px; }
.flowlab-lattice canvas { display: block; cursor: crosshair; }
.flowlab-lattice .thumbs { display: flex; flex-wrap: wrap; gap: 4px; margin: 6px 0 0 34px; }
.flowlab-lattice .thumbs canvas { border: 2px solid transparent; cursor: pointer; border-radius: 2px; }
.flowlab-lattice .thumbs canvas.on { border-color: var(--jp-brand-color1, #1c6e8c); }
.flowlab-lattice .tip { position: absolute; pointer-events: none; display: none; padding: 2px 6px; border-radius: 3px;
  background: var(--jp-layout-color1, #fff); border: 1px solid #8f9ba5; white-space: nowrap; z-index: 2; }
.flowlab-lattice .bar { height: 10px; margin: 8px 0 2px; }
.flowlab-lattice .ticks { position: relative; height: 16px; color: var(--jp-ui-font-color2, #5f6f7c); font-size: 11px; }
.flowlab-lattice .ticks span { position: absolute; transform: translateX(-50%); }
.flowlab-lattice .foot { margin-left: 34px; }
.flowlab-lattice.tiled { display: grid; grid-template-columns: max-content minmax(0, 1fr); column-gap: 20px; }
.flowlab-lattice.tiled .flowlab-title { grid-column: 1 / -1; min-height: 24px; }
.flowlab-lattice.tiled .thumbs { grid-column: 2; grid-row: 2 / 4; margin: 0; align-content: flex-start; gap: 8px; }
.flowlab-lattice.tiled.narrow { grid-template-columns: minmax(0, 1fr); }
.flowlab-lattice.tiled.narrow .thumbs { grid-column: 1; grid-row: auto; margin: 8px 0 0 34px; }
.flowlab-lattice .tile { font-size: 11px; line-height: 14px; color: var(--jp-ui-font-color2, #5f6f7c); cursor: pointer; }
.flowlab-lattice .tile div { white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
`;
const LEFT = 34, BELOW = 34, MARK = '#16202a';

// The values of a model as numbers, and what is known of them.
class Frames {
  constructor(model) {
    const bytes = model.get('frames');
    [this.layers, this.samples, this.rows, this.columns] = model.get('shape');
    const Kind = model.get('dtype') === 'int8' ? Int8Array : Int16Array;
    const start = bytes.byteOffset ?? 0, buffer = bytes.buffer ?? bytes;
    this.values = new Kind(buffer.slice(start, start + bytes.byteLength));
    this.nothing = Kind === Int8Array ? -128 : -32768;
    this.scale = model.get('scale');
    this.size = this.rows * this.columns;
    this.sides = model.get('sides') ?? [];
    this.planes = model.get('planes') ?? [];
  }
  // Where in the picture each site of the lattice is, in the order of its sides.
  get places() {
    if (this.found) return this.found;
    const [rows, columns] = this.sides.slice(-2);
    this.found = this.planes.flatMap(([row, column]) => Array.from({ length: rows * columns }, (_, k) =>
      (row + Math.floor(k / columns)) * this.columns + column + (k % columns)));
    return this.found;
  }
  at(layer, sample) {
    const start = (layer * this.samples + sample) * this.size;
    return this.values.subarray(start, start + this.size);
  }
  value(layer, sample, site) {
    const unit = this.at(layer, sample)[site];
    return unit === this.nothing ? NaN : unit * this.scale;
  }
  // The plaquettes around which angles turn once: the site at their lower left, and +1 or -1.
  vortices(layer, sample) {
    const units = this.at(layer, sample), found = [], half = Math.PI / this.scale;
    if (units.includes(this.nothing)) return found;
    const unit = (y, x) => units[(y % this.rows) * this.columns + (x % this.columns)];
    const step = (a, b) => b - a - 2 * half * Math.round((b - a) / (2 * half));
    for (let y = 0; y < this.rows; y++)
      for (let x = 0; x < this.columns; x++) {
        const around = [unit(y, x), unit(y, x + 1), unit(y + 1, x + 1), unit(y + 1, x)];
        const turns = Math.round(around.reduce((sum, one, k) => sum + step(one, around[(k + 1) % 4]), 0) / (2 * half));
        if (turns) found.push([y * this.columns + x, turns]);
      }
    return found;
  }
  changed(layer, sample) {
    if (layer === 0) return [];
    const now = this.at(layer, sample), before = this.at(layer - 1, sample), found = [];
    for (let k = 0; k < this.size; k++)
      if (now[k] !== before[k] && now[k] !== this.nothing && before[k] !== this.nothing) found.push(k);
    return found;
  }
  // The root of the mean square of what a layer adds.
  moved(layer, sample) {
    if (layer === 0) return NaN;
    let sum = 0, count = 0;
    for (let k = 0; k < this.size; k++) {
      const change = this.value(layer, sample, k) - this.value(layer - 1, sample, k);
      if (change === change) { sum += change * change; count++; }
    }
    return Math.sqrt(sum / count);
  }
  there(layer, sample) {
    return this.at(layer, sample).reduce((count, unit) => count + (unit !== this.nothing), 0);
  }
  // For each site without a value the nearest site that has one, on the torus.
  nearest(layer, sample) {
    const now = this.at(layer, sample), from = new Int32Array(this.size).fill(-1), { places, sides } = this;
    const front = [];
    for (const [site, k] of places.entries()) if (now[k] !== this.nothing) { from[k] = k; front.push(site); }
    for (let next = 0; next < front.length; next++) {
      const site = front[next];
      let step = 1;
      for (let axis = sides.length - 1; axis >= 0; step *= sides[axis--]) {
        const at = Math.floor(site / step) % sides[axis];
        for (const by of [1, sides[axis] - 1]) {
          const to = site + (((at + by) % sides[axis]) - at) * step;
          if (from[places[to]] < 0) { from[places[to]] = from[places[site]]; front.push(to); }
        }
      }
    }
    return from;
  }
}

function render({ model, el }) {
  const box = element(el, 'div', 'flowlab-lattice');
  element(box, 'style').textContent = STYLE;
  Object.assign(box, { tabIndex: 0 });
  box.setAttribute('role', 'application');
  box.setAttribute('aria-label', 'lattice: arrow keys step through layers and samples, space plays');
  const title = element(box, 'div', 'flowlab-title'), main = element(box, 'canvas', 'main');
  const foot = element(box, 'div', 'foot'), bar = element(foot, 'div', 'bar'), ticks = element(foot, 'div', 'ticks');
  const thumbs = element(box, 'div', 'thumbs'), tip = element(box, 'div', 'tip');
  let frames, color, zoom = null, place = null, queued = false, timer = null, drag = null;
  const pictures = new Map();

  const clamp = (name, count) => Math.max(0, Math.min(count - 1, model.get(name)));
  const layer = () => clamp('layer', frames.layers), sample = () => clamp('sample', frames.samples);

  function load() {
    frames = new Frames(model);
    color = colorsOf(model);
    zoom = null;
    pictures.clear();
    colorBar(model, bar, ticks);
    redraw();
  }

  function set(name, value) {
    model.set(name, value);
    model.save_changes();
  }

  function redraw() {
    if (queued) return;
    queued = true;
    requestAnimationFrame(() => { queued = false; draw(); });
  }

  function pictureOf(k, n) {
    const at = k * frames.samples + n;
    if (pictures.size > 400) pictures.clear();
    if (!pictures.has(at)) {
      const units = frames.at(k, n), from = frames.sides.length && frames.there(k, n) < frames.places.length ? frames.nearest(k, n) : null;
      pictures.set(at, raster(units, frames.columns, frames.nothing, color, from));
    }
    return pictures.get(at);
  }

  function draw() {
    const width = Math.min(el.clientWidth, model.get('width'));
    if (width <= LEFT) return;
    const [k, n] = [layer(), sample()], scale = magnified(box);
    const turns = model.get('turns') ? frames.vortices(k, n) : [];
    title.textContent = words(k, n, turns);
    const view = zoom ?? { x: 0, y: 0, w: frames.columns, h: frames.rows };
    const side = width - LEFT - 8, cell = side / Math.max(view.w, view.h);
    place = { left: LEFT, cell, view, height: cell * view.h };
    const pen = sharp(main, width, place.height + BELOW, scale);
    const picture = pictureOf(k, n);
    pen.drawImage(picture, view.x, frames.rows - view.y - view.h, view.w, view.h, LEFT, 0, cell * view.w, place.height);
    if (cell >= 10 && model.get('discrete')) lines(pen, cell, view);
    if (model.get('marks')) dots(pen, frames.changed(k, n), cell);
    vortices(pen, turns, cell);
    axes(pen, cell, view);
    if (drag?.to) rubber(pen);
    drawThumbs(k, n, scale);
  }

  function words(k, n, turns) {
    const tiles = model.get('tiles') ?? [], name = model.get('names')[k];
    const parts = tiles.length ? [name, tiles[n]] : frames.layers === 1 ? [`sample ${n}`] : [`${model.get('word')} ${k} of ${frames.layers - 1}`, name, `sample ${n}`];
    const there = frames.there(k, n), all = model.get('sites');
    if (there === 0) return model.get('names')[k];
    if (there < all) parts.push(`${there} of ${all} sites are drawn; pale: the nearest one that is`);
    else if (k > 0 && model.get('marks')) parts.push(`${frames.changed(k, n).length} of ${all} sites changed`);
    else if (k > 0 && !model.get('discrete') && !tiles.length && model.get('word') === 'layer') parts.push(`changed by ${Number(frames.moved(k, n).toPrecision(2))} rms`);
    if (model.get('turns') && there === all) {
      const up = turns.filter(([, one]) => one > 0).length;
      parts.push(`vortices: ${up} + and ${turns.length - up} −`);
    }
    return parts.join(' · ');
  }

  function lines(pen, cell, { w, h }) {
    pen.strokeStyle = backdrop(box);
    pen.lineWidth = 1;
    pen.beginPath();
    for (let x = 1; x < w; x++) { pen.moveTo(LEFT + x * cell, 0); pen.lineTo(LEFT + x * cell, h * cell); }
    for (let y = 1; y < h; y++) { pen.moveTo(LEFT, y * cell); pen.lineTo(LEFT + w * cell, y * cell); }
    pen.stroke();
  }

  function dots(pen, sites, cell) {
    const radius = Math.max(1.2, Math.min(6, 0.15 * cell));
    pen.fillStyle = '#ffffff';
    pen.strokeStyle = MARK;
    pen.lineWidth = radius > 2.5 ? 1.2 : 0.7;
    for (const site of sites) {
      const [x, y] = middle(site);
      if (x === null) continue;
      pen.beginPath();
      pen.arc(x, y, radius, 0, 2 * Math.PI);
      pen.fill();
      pen.stroke();
    }
  }

  // A disc with its sign on the corner where four sites meet.
  function vortices(pen, found, cell) {
    const radius = Math.max(2.5, Math.min(8, 0.3 * cell));
    for (const [site, turns] of found) {
      const [x, y] = middle(site);
      if (x === null) continue;
      const at = [x + cell / 2, y - cell / 2];
      pen.fillStyle = turns > 0 ? '#ffffff' : MARK;
      pen.strokeStyle = turns > 0 ? MARK : '#ffffff';
      pen.lineWidth = 1.4;
      pen.beginPath();
      pen.arc(...at, radius, 0, 2 * Math.PI);
      pen.fill();
      pen.stroke();
      if (radius < 4) continue;
      const arm = 0.55 * radius;
      pen.beginPath();
      pen.moveTo(at[0] - arm, at[1]);
      pen.lineTo(at[0] + arm, at[1]);
      if (turns > 0) { pen.moveTo(at[0], at[1] - arm); pen.lineTo(at[0], at[1] + arm); }
      pen.stroke();
    }
  }

  function middle(site) {
    const { view, cell } = place, x = (site % frames.columns) - view.x, y = Math.floor(site / frames.columns) - view.y;
    if (x < 0 || y < 0 || x >= view.w || y >= view.h) return [null, null];
    return [LEFT + (x + 0.5) * cell, (view.h - y - 0.5) * cell];
  }

  // Above each plane its name, where there is room for it.
  function names(pen, cell, view) {
    const [first, second] = frames.planes, height = frames.sides.at(-2), gap = second[1] - first[1] - frames.sides.at(-1);
    if (gap * cell < 9) return;
    pen.textAlign = 'left';
    for (const [row, column, name] of frames.planes) {
      const x = column - view.x, y = view.h - (row + height + gap / 2 - view.y);
      if (x >= 0 && x < view.w && y >= 0 && y < view.h) pen.fillText(name, LEFT + x * cell, y * cell + 4);
    }
  }

  function axes(pen, cell, view) {
    pen.fillStyle = pageColor('--jp-ui-font-color2', '#5f6f7c');
    pen.font = `11px ${getComputedStyle(box).fontFamily}`;
    if (frames.planes.length > 1) {
      names(pen, cell, view);
      pen.textAlign = 'center';
      pen.fillText('in every plane x to the right and y up', LEFT + (view.w * cell) / 2, view.h * cell + 20);
    }
    if (model.get('labels').length) return;
    const step = Math.max(1, Math.ceil(Math.max(view.w, view.h) / 8));
    pen.textAlign = 'center';
    for (let x = Math.ceil(view.x / step) * step; x < view.x + view.w; x += step)
      pen.fillText(x, LEFT + (x - view.x + 0.5) * cell, view.h * cell + 14);
    pen.fillText('x', LEFT + (view.w * cell) / 2, view.h * cell + 28);
    pen.textAlign = 'right';
    for (let y = Math.ceil(view.y / step) * step; y < view.y + view.h; y += step)
      pen.fillText(y, LEFT - 5, (view.h - (y - view.y) - 0.5) * cell + 4);
    pen.fillText('y', 9, (view.h * cell) / 2);
  }

  function rubber(pen) {
    const [a, b] = [drag.from, drag.to];
    pen.strokeStyle = MARK;
    pen.setLineDash([4, 3]);
    pen.strokeRect(Math.min(a.px, b.px), Math.min(a.py, b.py), Math.abs(a.px - b.px), Math.abs(a.py - b.py));
  }

  // The samples side by side under their names, after layer k.
  function drawTiles(k, n, names, scale) {
    const narrow = el.clientWidth < 560, beside = narrow ? LEFT : Math.min(el.clientWidth, model.get('width')) + 28;
    const room = el.clientWidth - beside, tall = Math.max(frames.rows, frames.columns);
    box.classList.toggle('narrow', narrow);
    const fits = Math.sqrt((Math.max(room, 40) * (place.height + 60)) / names.length) - 22;
    const side = Math.floor(Math.max(24, Math.min(128, fits)));
    while (thumbs.children.length < names.length) {
      const tile = element(thumbs, 'div', 'tile');
      element(tile, 'canvas');
      element(tile, 'div');
    }
    while (thumbs.children.length > names.length) thumbs.lastChild.remove();
    [...thumbs.children].forEach((tile, each) => {
      const [canvas, caption] = tile.children, width = (side * frames.columns) / tall, height = (side * frames.rows) / tall;
      sharp(canvas, width, height, scale).drawImage(pictureOf(k, each), 0, 0, width, height);
      canvas.className = each === n ? 'on' : '';
      tile.style.width = `${Math.max(width, 24) + 4}px`;
      caption.textContent = caption.title = names[each];
      tile.onclick = () => set('sample', each);
    });
  }

  function drawThumbs(k, n, scale) {
    const tiles = (model.get('tiles') ?? []).slice(0, frames.samples);
    if (box.classList.contains('tiled') !== tiles.length > 0) {
      box.classList.toggle('tiled');
      thumbs.replaceChildren();
      thumbs.style.display = 'flex';
    }
    if (tiles.length) return drawTiles(k, n, tiles, scale);
    const count = frames.layers, width = Math.min(el.clientWidth, model.get('width')) - LEFT - 8;
    thumbs.style.display = count > 2 && count <= 48 ? 'flex' : 'none';
    if (thumbs.style.display === 'none') return;
    while (thumbs.children.length < count) element(thumbs, 'canvas');
    while (thumbs.children.length > count) thumbs.lastChild.remove();
    const across = count <= 6 ? count : Math.ceil(count / Math.ceil(count / 8));
    const side = Math.max(16, Math.min(72, Math.floor((width + 4) / across) - 8)), tall = Math.max(frames.rows, frames.columns);
    [...thumbs.children].forEach((canvas, each) => {
      const picture = pictureOf(each, n);
      const pen = sharp(canvas, (side * frames.columns) / tall, (side * frames.rows) / tall, scale);
      pen.drawImage(picture, 0, 0, (side * frames.columns) / tall, (side * frames.rows) / tall);
      canvas.className = each === k ? 'on' : '';
      canvas.title = `${each} · ${model.get('names')[each]}`;
      canvas.onclick = () => set('layer', each);
    });
  }

  // The site under the mouse, null beside the lattice.
  function site(event) {
    const bounds = main.getBoundingClientRect(), scale = magnified(main);
    const px = (event.clientX - bounds.left) / scale, py = (event.clientY - bounds.top) / scale;
    const { view, cell, height } = place ?? {};
    const x = Math.floor((px - LEFT) / cell), y = Math.floor((height - py) / cell);
    if (!(x >= 0 && y >= 0 && x < view.w && y < view.h)) return null;
    return { x: x + view.x, y: y + view.y, px, py };
  }

  function hover(event) {
    const at = site(event);
    if (drag && at) {
      drag.to = Math.abs(at.px - drag.from.px) + Math.abs(at.py - drag.from.py) > 6 ? at : null;
      redraw();
    }
    tip.style.display = at ? 'block' : 'none';
    if (!at) return;
    const k = at.y * frames.columns + at.x, value = frames.value(layer(), sample(), k), labels = model.get('labels');
    const text = Number.isNaN(value) ? 'not yet drawn' : valueText(value, model.get('signed'));
    tip.textContent = `${labels.length ? labels[k] : `x ${at.x}, y ${at.y}`}: ${text}`;
    if (labels.length && !labels[k]) tip.style.display = 'none';
    const side = at.px > main.clientWidth / 2 ? -tip.offsetWidth - 10 : 12;
    Object.assign(tip.style, { left: `${main.offsetLeft + at.px + side}px`, top: `${main.offsetTop + at.py + 12}px` });
  }

  function release(event) {
    const { from, to } = drag ?? {};
    drag = null;
    if (to) {
      zoom = { x: Math.min(from.x, to.x), y: Math.min(from.y, to.y), w: Math.abs(from.x - to.x) + 1, h: Math.abs(from.y - to.y) + 1 };
      redraw();
    } else if (from && site(event)) model.send({ type: 'click', x: from.x, y: from.y, trace: 0 });
  }

  function key(event) {
    const last = frames.layers - 1, moves = {
      ArrowRight: ['layer', Math.min(last, layer() + 1)], ArrowLeft: ['layer', Math.max(0, layer() - 1)],
      Home: ['layer', 0], End: ['layer', last],
      ArrowUp: ['sample', Math.min(frames.samples - 1, sample() + 1)], ArrowDown: ['sample', Math.max(0, sample() - 1)],
      ' ': ['playing', !model.get('playing')],
    };
    if (event.target !== box || !moves[event.key]) return;
    event.preventDefault();
    event.stopPropagation();
    set(...moves[event.key]);
  }

  function play() {
    clearInterval(timer);
    timer = null;
    if (!model.get('playing') || !model.get('plays')) return;
    timer = setInterval(() => set('layer', (layer() + 1) % frames.layers), model.get('interval'));
  }

  // All layers of the sample on show, one row a site.
  function numbers() {
    const labels = model.get('labels'), rows = [[model.get('word'), ...(labels.length ? ['site'] : ['x', 'y']), model.get('symbol')]];
    for (let k = 0; k < frames.layers; k++)
      for (let site = 0; site < frames.size; site++) {
        const value = frames.value(k, sample(), site);
        if (labels.length && !labels[site]) continue;
        const at = labels.length ? [labels[site]] : [site % frames.columns, Math.floor(site / frames.columns)];
        rows.push([k, ...at, Number.isNaN(value) ? '' : Number(value.toPrecision(5))]);
      }
    return rows;
  }
  const closeMenu = menu(box, [
    ['Data (CSV)', () => save(fileName(title.textContent, 'csv'), csv(numbers()), 'text/csv')],
    ['Picture (PNG)', () => save(fileName(title.textContent, 'png'), pngOf([main], [title.textContent], box))],
  ], () => (model.get('code') ?? '').replace('{layer}', layer()).replace('{sample}', sample()));
  main.addEventListener('mousemove', hover);
  main.addEventListener('mouseleave', () => { tip.style.display = 'none'; });
  main.addEventListener('mousedown', (event) => { const at = site(event); drag = at && { from: at, to: null }; box.focus({ preventScroll: true }); });
  main.addEventListener('mouseup', release);
  main.addEventListener('dblclick', () => { zoom = null; redraw(); });
  const calls = { 'change:version': load, 'change:layer': redraw, 'change:sample': redraw, 'change:playing': play };
  for (const [event, call] of Object.entries(calls)) model.on(event, call);
  load();
  play();
  const ends = [closeMenu, onKeys(box, key), onThemeChange(redraw), onWidthChange(el, redraw), greet(model, el)];
  return () => {
    clearInterval(timer);
    for (const [event, call] of Object.entries(calls)) model.off(event, call);
    ends.forEach((end) => end());
  };
}

export default { render };
