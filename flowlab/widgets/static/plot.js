// A plotly figure that is always drawn whole from the state of its model: late, twice or after a reload.
//
// State: `figure`, a figure as JSON; `version`, which counts its changes; `selections`, the boxes and lassos of a
// person, kept here so that both sides know them; `library`, the model that holds plotly.js, once a page; `place`, a
// number that a slider sets: a line stands at that one of `meta.places`, values on the x axes, where a figure has them.

const PLOTLY = Symbol.for('flowlab.plotly');

function library(model) {
  globalThis[PLOTLY] ??= load(model).catch((error) => {
    delete globalThis[PLOTLY]; // the next picture tries anew
    throw error;
  });
  return globalThis[PLOTLY];
}

// The model that holds plotly.js: JupyterLab gives up on one that comes later than the picture.
async function holderOf(model) {
  for (;;) {
    try {
      return await model.widget_manager.get_model(model.get('library').replace('IPY_MODEL_', ''));
    } catch {
      await new Promise((done) => setTimeout(done, 500));
    }
  }
}

async function load(model) {
  const holder = await holderOf(model);
  if (!holder.get('source')?.byteLength)
    await new Promise((done) => { // a page that was loaded anew
      const page = Math.random().toString(36).slice(2), ask = () => holder.send({ type: 'wanted', page });
      // should the answer be lost; what is asked while a cell runs is heard when it has ended
      const again = setInterval(() => { if (model.widget_manager.kernel?.status !== 'busy') ask(); }, BEAT);
      holder.on('change:source', () => { clearInterval(again); done(); });
      ask();
    });
  const url = URL.createObjectURL(new Blob([holder.get('source')], { type: 'text/javascript' }));
  await new Promise((done, failed) => {
    const script = document.createElement('script');
    Object.assign(script, { src: url, onload: done, onerror: failed });
    document.head.append(script);
  });
  URL.revokeObjectURL(url);
  return globalThis.Plotly;
}

// The figure in the colours of the page. Its own are those of a light page; `palette` says what each becomes.
function themed(text, palette, el) {
  const dark = isDark();
  for (const [role, color] of Object.entries(palette.roles))
    text = text.replaceAll(`"${color}"`, JSON.stringify(role === 'page' ? backdrop(el) : pageColor(ROLES[role], color)));
  if (dark)
    for (const [light, instead] of Object.entries(palette.dark)) text = text.replaceAll(light, instead);
  const figure = JSON.parse(text);
  figure.layout = { ...figure.layout, paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)' };
  figure.layout.hoverlabel = { bgcolor: pageColor('--jp-layout-color1', '#ffffff'), bordercolor: '#8f9ba5',
                               font: { color: pageColor('--jp-ui-font-color1', '#22303c') } };
  figure.layout.modebar = { bgcolor: 'rgba(0,0,0,0)', color: '#8f9ba5', activecolor: pageColor('--jp-ui-font-color1', '#22303c') };
  return figure;
}

// A title in lines that fit into a width.
function wrapped(text, width) {
  if (text.includes('<br>')) return text;
  const room = Math.floor(width / 8);
  let used = 0;
  return text.split(' ').map((word) => {
    const length = word.replace(/<[^>]*>/g, '').length + 1, next = used > 0 && used + length > room;
    used = next ? length : used + length;
    return (next ? '<br>' : ' ') + word;
  }).join('').trim();
}

// The shapes of a figure, and a line in each of its plots at the place on show.
function withMark({ meta, shapes = [], ...layout }, place) {
  const x = meta?.places?.[Math.min(place ?? 0, meta.places.length - 1)];
  if (x === undefined) return shapes;
  const line = { color: pageColor('--jp-brand-color1', '#1c6e8c'), width: 2 };
  const axes = Object.keys(layout).filter((name) => name.startsWith('xaxis')).map((name) => name.slice(5));
  return [...shapes, ...axes.map((n) => ({ type: 'line', xref: `x${n}`, yref: `y${n} domain`, x0: x, x1: x, y0: 0, y1: 1, line }))];
}

// No button sends what is drawn to a server.
const CONFIG = { displaylogo: false, responsive: false, showSendToCloud: false, modeBarButtonsToRemove: ['toImage'] };

async function render({ model, el }) {
  const picture = document.createElement('div');
  picture.className = 'flowlab-plot';
  el.style.width = '100%';
  el.append(picture);
  let busy = false, stale = true, closed = false, listening = false, own = null, moving = false;

  async function draw() {
    stale = true;
    if (busy || closed) return;
    busy = true;
    try {
      while (stale && !closed && el.clientWidth > 0) {
        stale = false;
        const figure = themed(model.get('figure'), model.get('palette'), el);
        const { height = 320, width } = figure.layout;
        picture.style.minHeight = `${height}px`;
        Object.assign(figure.layout, { width: Math.min(width ?? Infinity, el.clientWidth), height, autosize: false });
        const title = figure.layout.title;
        if (title?.text) title.text = wrapped(title.text, figure.layout.width - 32);
        figure.layout.selections = model.get('selections');
        own = { ...figure.layout };
        figure.layout.shapes = withMark(own, model.get('place'));
        const Plotly = await library(model);
        if (closed) return;
        if (!picture.querySelector('.main-svg')) picture.replaceChildren(); // what went wrong before
        await Plotly.react(picture, figure.data, figure.layout, CONFIG);
        if (!listening) listen();
      }
    } catch (error) {
      picture.textContent = `this picture could not be drawn: ${error.message ?? error}`;
    } finally {
      busy = false;
      move();
    }
  }

  function move() {
    if (moving || !own?.meta?.places || !listening) return;
    moving = true;
    requestAnimationFrame(() => {
      moving = false;
      if (!closed && !busy) globalThis.Plotly.relayout(picture, { shapes: withMark(own, model.get('place')) });
    });
  }

  // One row a point: x, y with its error, of a heat map z at x and y.
  function numbers() {
    const rows = [['trace', 'x', 'y', 'error', 'z']];
    (picture._fullData ?? []).forEach(({ name, type, x, y, z, error_y }, k) => {
      const label = name?.replace(/<[^>]*>/g, '') ?? k;
      if (type === 'heatmap')
        z.forEach((row, j) => Array.from(row).forEach((value, i) => rows.push([label, x?.[i] ?? i, y?.[j] ?? j, '', value])));
      else Array.from(y ?? []).forEach((value, i) => rows.push([label, x?.[i] ?? i, value, error_y?.array?.[i] ?? '', '']));
    });
    return rows;
  }

  const name = () => picture.layout?.title?.text ?? '';
  const file = async (format) => {
    const layout = { ...picture.layout, paper_bgcolor: backdrop(el) }, { width, height } = picture.layout;
    const Plotly = await library(model);
    save(fileName(name(), format), await Plotly.toImage({ data: picture.data, layout }, { format, width, height, scale: 2 }));
  };
  const closeMenu = menu(el, [
    ['Data (CSV)', () => save(fileName(name(), 'csv'), csv(numbers()), 'text/csv')],
    ['Picture (PNG)', () => file('png')],
    ['Drawing (SVG)', () => file('svg')],
  ], () => model.get('code') ?? '');

  function listen() {
    listening = true;
    picture.on('plotly_click', ({ points }) => {
      const { x, y, curveNumber } = points[0];
      model.send({ type: 'click', x, y, trace: curveNumber });
    });
    picture.on('plotly_relayout', (change) => {
      if (!Object.keys(change).some((key) => key.startsWith('selections'))) return;
      model.set('selections', JSON.parse(JSON.stringify(picture.layout.selections ?? [])));
      model.save_changes();
    });
  }

  model.on('change:version', draw);
  model.on('change:selections', draw);
  model.on('change:place', move);
  const ends = [closeMenu, onThemeChange(draw), onWidthChange(el, draw), greet(model, el)];
  await draw();
  return () => {
    closed = true;
    model.off('change:version', draw);
    model.off('change:selections', draw);
    model.off('change:place', move);
    ends.forEach((end) => end());
    if (listening) globalThis.Plotly.purge(picture);
  };
}

export default { render };
