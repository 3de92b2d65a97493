// Pictures of configurations side by side on canvases; the first may be painted on.
//
// State: `frames`, all pictures one after the other as int16, row by row from below, `NOTHING` where there is no value;
// `shapes`, [rows, columns] of each; `captions`; `marks`, the sites of each that have a dot; `planes` of each that shows
// several of one lattice, [row, column, y of the name, name], row and column of the lower left site; `title`; `scale`, of one
// unit; `lower`, `upper`, `colors`, `ticks`, `symbol`, `bar`: the scale of the colours and whether its bar is drawn;
// `signed`, whether a value is told with its sign; `side` of a picture in pixels and how many stand `across`;
// `paints`: "values", a stroke turns sites over, "dots", it marks them, or nothing; `seen`, the newest stroke that the
// state knows of: what was painted after it is drawn here until the kernel has answered.

const STYLE = `
.flowlab-strip { color: var(--jp-ui-font-color1, #22303c); position: relative;
  font: 12px system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif; }
.flowlab-strip .flowlab-title { font-size: 14px; line-height: 20px; min-height: 24px; padding: 0 30px 0 4px; }
.flowlab-strip .row { display: flex; flex-wrap: wrap; gap: 8px 14px; }
.flowlab-strip .caption { line-height: 16px; min-height: 16px; text-align: center; }
.flowlab-strip canvas { display: block; cursor: crosshair; }
.flowlab-strip canvas.paints { cursor: cell; touch-action: none; }
.flowlab-strip canvas:focus-visible { outline: 2px solid var(--jp-brand-color1, #1c6e8c); outline-offset: 2px; }
.flowlab-strip .tip { position: absolute; pointer-events: none; display: none; padding: 2px 6px; border-radius: 3px;
  background: var(--jp-layout-color1, #fff); border: 1px solid #8f9ba5; white-space: nowrap; z-index: 2; }
.flowlab-strip .bar { height: 10px; margin: 8px 0 2px; }
.flowlab-strip .foot { margin-left: 16px; }
.flowlab-strip .ticks { position: relative; height: 16px; color: var(--jp-ui-font-color2, #5f6f7c); font-size: 11px; }
.flowlab-strip .ticks span { position: absolute; transform: translateX(-50%); }
`;
const NOTHING = -32768, MARK = '#16202a', EVERY = 200;

function render({ model, el }) {
  const box = element(el, 'div', 'flowlab-strip');
  element(box, 'style').textContent = STYLE;
  const title = element(box, 'div', 'flowlab-title'), row = element(box, 'div', 'row');
  const foot = element(box, 'div', 'foot'), tip = element(box, 'div', 'tip');
  const bar = element(foot, 'div', 'bar'), ticks = element(foot, 'div', 'ticks');
  let pictures = [], color = null, cursor = null, stroke = null, timer = null, number = Date.now();
  const ends = [];
  const painted = new Map(); // site of the first picture -> [what it was painted, the stroke's number]

  function load() {
    const bytes = model.get('frames'), start = bytes.byteOffset ?? 0, buffer = bytes.buffer ?? bytes;
    const units = new Int16Array(buffer.slice(start, start + bytes.byteLength));
    let at = 0;
    pictures = model.get('shapes').map(([rows, columns], k) => {
      const values = units.subarray(at, (at += rows * columns));
      return { rows, columns, values, caption: model.get('captions')[k] ?? '', marks: model.get('marks')[k] ?? [],
        planes: model.get('planes')?.[k] ?? [] };
    });
    for (const [site, [, since]] of painted) if (since <= model.get('seen')) painted.delete(site);
    color = colorsOf(model);
    foot.style.display = model.get('bar') ? 'block' : 'none';
    if (model.get('bar')) colorBar(model, bar, ticks);
    draw();
  }

  function draw() {
    if (el.clientWidth === 0) return;
    title.textContent = model.get('title');
    while (row.children.length > pictures.length) row.lastChild.remove();
    while (row.children.length < pictures.length) add(row.children.length);
    const scale = magnified(box), across = Math.max(1, Math.min(pictures.length, model.get('across')));
    const side = Math.min(model.get('side'), Math.floor((el.clientWidth - 14 * (across - 1) - 4) / across));
    pictures.forEach((picture, k) => {
      const [caption, canvas] = row.children[k].children;
      caption.textContent = picture.caption;
      caption.style.display = pictures.some((each) => each.caption) ? 'block' : 'none';
      one(picture, canvas, side, k === 0, scale);
    });
  }

  function add(k) {
    const part = element(row, 'div');
    element(part, 'div', 'caption');
    const canvas = element(part, 'canvas');
    canvas.addEventListener('pointermove', (event) => move(event, canvas, k));
    canvas.addEventListener('pointerleave', () => { tip.style.display = 'none'; });
    if (k > 0 || !model.get('paints')) return;
    canvas.classList.add('paints');
    canvas.tabIndex = 0;
    canvas.setAttribute('role', 'application');
    canvas.setAttribute('aria-label', 'lattice to paint on: arrow keys choose a site, space paints it');
    canvas.addEventListener('pointerdown', (event) => press(event, canvas));
    canvas.addEventListener('pointerup', lift);
    canvas.addEventListener('pointercancel', lift);
    ends.push(onKeys(canvas, key));
    canvas.addEventListener('blur', () => { cursor = null; draw(); });
  }

  function unitOf(picture, site, first) {
    return first && model.get('paints') === 'values' && painted.has(site) ? painted.get(site)[0] : picture.values[site];
  }

  function one(picture, canvas, side, first, scale) {
    const { rows, columns, planes } = picture, cell = side / Math.max(rows, columns);
    const units = picture.values.map((_, site) => unitOf(picture, site, first));
    const pen = sharp(canvas, cell * columns, cell * rows, scale);
    pen.drawImage(raster(units, columns, NOTHING, color), 0, 0, cell * columns, cell * rows);
    if (cell >= 10) {
      pen.strokeStyle = backdrop(box);
      pen.beginPath();
      for (let x = 1; x < columns; x++) { pen.moveTo(x * cell, 0); pen.lineTo(x * cell, rows * cell); }
      for (let y = 1; y < rows; y++) { pen.moveTo(0, y * cell); pen.lineTo(columns * cell, y * cell); }
      pen.stroke();
    }
    Object.assign(pen, { fillStyle: pageColor('--jp-ui-font-color2', '#5f6f7c'), textAlign: 'left' });
    pen.font = `11px ${getComputedStyle(box).fontFamily}`;
    if (planes.length && planes[1][1] * cell > 40)
      for (const [, column, y, name] of planes) pen.fillText(name, column * cell, (rows - y - 0.5) * cell + 4);
    const dots = first && model.get('paints') === 'dots' && painted.size ? [...painted.keys()] : picture.marks;
    const radius = Math.max(1.2, Math.min(6, 0.15 * cell)), middle = (site) =>
      [((site % columns) + 0.5) * cell, (rows - Math.floor(site / columns) - 0.5) * cell];
    Object.assign(pen, { fillStyle: '#ffffff', strokeStyle: MARK, lineWidth: radius > 2.5 ? 1.2 : 0.7 });
    for (const site of dots) {
      pen.beginPath();
      pen.arc(...middle(site), radius, 0, 2 * Math.PI);
      pen.fill();
      pen.stroke();
    }
    if (first && cursor !== null) {
      const [x, y] = middle(cursor);
      pen.lineWidth = 2;
      pen.strokeRect(x - cell / 2 + 1, y - cell / 2 + 1, cell - 2, cell - 2);
    }
  }

  // The site of a picture under the pointer, null beside it.
  function site(event, canvas, { rows, columns }) {
    const bounds = canvas.getBoundingClientRect();
    const x = Math.floor(((event.clientX - bounds.left) / bounds.width) * columns);
    const y = Math.floor(((bounds.bottom - event.clientY) / bounds.height) * rows);
    return x >= 0 && y >= 0 && x < columns && y < rows ? y * columns + x : null;
  }

  // What a site of a picture is called: x, y and its plane; empty between two planes.
  function called({ columns, planes, values }, at) {
    const [x, y] = [at % columns, Math.floor(at / columns)];
    if (!planes.length) return [x, y];
    const [row, column, , name] = planes.findLast(([row, column]) => row <= y && column <= x);
    return values[at] === NOTHING ? [] : [x - column, y - row, name];
  }

  function move(event, canvas, k) {
    const picture = pictures[k], at = picture ? site(event, canvas, picture) : null;
    const [x, y, plane] = at === null ? [] : called(picture, at);
    tip.style.display = x === undefined ? 'none' : 'block';
    if (at === null) return;
    if (stroke && k === 0) go(at);
    const unit = unitOf(picture, at, k === 0);
    const text = unit === NOTHING ? 'not yet drawn' : valueText(unit * model.get('scale'), model.get('signed'));
    tip.textContent = `x ${x}, y ${y}${plane ? `, ${plane}` : ''}: ${text}`;
    const bounds = canvas.getBoundingClientRect(), home = box.getBoundingClientRect();
    const scale = magnified(box), beside = event.clientX - bounds.left > bounds.width / 2 ? -tip.offsetWidth - 10 : 12;
    const left = (event.clientX - home.left) / scale + beside;
    Object.assign(tip.style, { left: `${left}px`, top: `${(event.clientY - home.top) / scale + 12}px` });
  }

  function press(event, canvas) {
    const at = site(event, canvas, pictures[0]);
    if (at === null || event.button > 0) return;
    canvas.setPointerCapture(event.pointerId);
    begin(at);
  }

  function begin(at) {
    if (model.get('paints') === 'dots') painted.clear();
    stroke = { value: -unitOf(pictures[0], at, true), sites: [] };
    go(at);
    send();
  }

  function go(at) {
    if (stroke.sites.includes(at)) return;
    stroke.sites.push(at);
    stroke.unsent = true;
    painted.set(at, [stroke.value, Infinity]);
    draw();
    timer ??= setTimeout(send, EVERY);
  }

  // All of the stroke so far: no site is lost with a message.
  function send() {
    clearTimeout(timer);
    timer = null;
    if (!stroke?.unsent) return;
    number = Math.max(number + 1, Date.now());
    stroke.unsent = false;
    for (const at of stroke.sites) painted.set(at, [stroke.value, number]);
    const sites = stroke.sites.map((at) => [at % pictures[0].columns, Math.floor(at / pictures[0].columns)]);
    const [x, y] = sites.at(-1);
    model.send({ type: 'click', x, y, trace: 0, sites, value: stroke.value * model.get('scale'), stroke: number });
  }

  function lift() {
    send();
    stroke = null;
  }

  function key(event) {
    const { rows, columns } = pictures[0], at = cursor ?? 0, [x, y] = [at % columns, Math.floor(at / columns)];
    const to = { ArrowRight: [x + 1, y], ArrowLeft: [x - 1, y], ArrowUp: [x, y + 1], ArrowDown: [x, y - 1], ' ': [x, y] }[event.key];
    if (!to) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.key === ' ') { begin(at); lift(); }
    cursor = cursor === null ? 0 : ((to[1] + rows) % rows) * columns + ((to[0] + columns) % columns);
    draw();
  }

  // One row a site of each picture.
  function numbers() {
    const several = pictures.some(({ planes }) => planes.length);
    const rows = [['picture', 'x', 'y', ...(several ? ['plane'] : []), 'value']];
    pictures.forEach((picture, k) => picture.values.forEach((unit, at) => {
      const place = called(picture, at), value = unit === NOTHING ? '' : Number((unit * model.get('scale')).toPrecision(5));
      if (place.length) rows.push([picture.caption || k, ...place, ...(several && place.length < 3 ? [''] : []), value]);
    }));
    return rows;
  }
  ends.push(menu(box, [
    ['Data (CSV)', () => save(fileName(title.textContent, 'csv'), csv(numbers()), 'text/csv')],
    ['Picture (PNG)', () => save(fileName(title.textContent, 'png'),
      pngOf([...row.querySelectorAll('canvas')], pictures.map(({ caption }) => caption), box))],
  ], () => model.get('code') ?? ''));
  model.on('change:version', load);
  load();
  ends.push(onThemeChange(draw), onWidthChange(el, draw), greet(model, el));
  return () => {
    clearTimeout(timer);
    model.off('change:version', load);
    ends.forEach((end) => end());
  };
}

export default { render };
