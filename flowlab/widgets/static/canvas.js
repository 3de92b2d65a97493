// What the views share that draw configurations on a canvas.

// 256 colours of a scale of [place, colour], which may have steps.
function lookUp(scale) {
  const stops = scale.map(([place, color]) => [place, rgb(color)]);
  return Array.from({ length: 256 }, (_, k) => {
    const t = k / 255, n = stops.findLastIndex(([place]) => place <= t);
    const [a, low] = stops[n], [b, high] = stops[Math.min(n + 1, stops.length - 1)];
    const part = b > a ? (t - a) / (b - a) : 0;
    return low.map((c, each) => Math.round(c + part * (high[each] - c)));
  });
}

// The colour of each number that a model sends, on its scale.
function colorsOf(model) {
  const [scale, lower, upper] = ['scale', 'lower', 'upper'].map((name) => model.get(name));
  const colors = lookUp(model.get('colors'));
  return (unit) => colors[Math.max(0, Math.min(255, Math.round((255 * (unit * scale - lower)) / (upper - lower))))];
}

// Numbers, row by row from below, as a canvas of a pixel a site; `from` says which site a site without a value shows.
function raster(units, columns, nothing, color, from = null) {
  const canvas = document.createElement('canvas'), rows = units.length / columns;
  Object.assign(canvas, { width: columns, height: rows });
  const pen = canvas.getContext('2d'), image = pen.createImageData(columns, rows);
  units.forEach((unit, k) => {
    const pale = unit === nothing, source = pale && from ? from[k] : k;
    if (source < 0 || units[source] === nothing) return;
    const at = 4 * ((rows - 1 - Math.floor(k / columns)) * columns + (k % columns));
    image.data.set([...color(units[source]), pale ? 64 : 255], at);
  });
  pen.putImageData(image, 0, 0);
  return canvas;
}

function element(parent, tag, className = '') {
  const made = document.createElement(tag);
  made.className = className;
  parent.append(made);
  return made;
}

// How much larger an element is seen than it is laid out: not 1 on a stage. To ask costs a layout: once a drawing.
function magnified(el) {
  return el.getBoundingClientRect().width / el.offsetWidth || 1;
}

function sharp(canvas, width, height, scale) {
  const ratio = (globalThis.devicePixelRatio || 1) * scale;
  Object.assign(canvas, { width: Math.round(width * ratio), height: Math.round(height * ratio) });
  Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
  const pen = canvas.getContext('2d');
  pen.scale(ratio, ratio);
  pen.imageSmoothingEnabled = false;
  return pen;
}

// The bar of the colours, 160 pixels wide, with its ticks and the symbol of what is drawn.
function colorBar(model, bar, ticks) {
  const [lower, upper] = [model.get('lower'), model.get('upper')];
  const step = (place, color) => `${color} ${100 * place}%`;
  bar.style.background = `linear-gradient(to right, ${model.get('colors').map(([p, c]) => step(p, c)).join(', ')})`;
  bar.style.width = ticks.style.width = '160px';
  ticks.replaceChildren();
  for (const [value, text] of [...model.get('ticks'), [upper + (upper - lower) / 8, model.get('symbol')]]) {
    const tick = element(ticks, 'span');
    tick.textContent = text;
    tick.style.left = `${(160 * (value - lower)) / (upper - lower)}px`;
  }
}

function valueText(value, signed) {
  const number = Number(value.toPrecision(3));
  return number > 0 && signed ? `+${number}` : String(number).replace('-', '−');
}
