// The menu of a picture: its numbers, itself as a file, and the lines of Python that make it.

const MENU = `
.flowlab-menu { position: absolute; right: 2px; top: 0; z-index: 5; font: 13px system-ui, -apple-system, sans-serif; }
.flowlab-menu button { font: inherit; color: var(--jp-ui-font-color1, #22303c); background: none; border: 0; cursor: pointer;
  padding: 3px 10px; border-radius: 3px; text-align: left; white-space: nowrap; }
.flowlab-menu > button { color: var(--jp-ui-font-color2, #5f6f7c); font-weight: bold; }
.flowlab-menu button:hover, .flowlab-menu button:focus-visible { background: var(--jp-layout-color2, #eee);
  outline: 1px solid var(--jp-brand-color1, #1c6e8c); }
.flowlab-menu .items { position: absolute; right: 0; display: flex; flex-direction: column; padding: 4px;
  background: var(--jp-layout-color1, #fff); border: 1px solid var(--jp-border-color1, #c3ccd3); border-radius: 4px; }
.flowlab-menu .items[hidden] { display: none; }
.flowlab-menu pre { margin: 4px 10px; padding: 6px 8px; user-select: text; background: var(--jp-layout-color2, #eee); }
.flowlab-plot .modebar { right: 34px !important; }
`;

// `entries` are [name, what it does]; `code` gives the lines of Python, empty for none. Returns what ends it.
function menu(box, entries, code) {
  const home = document.createElement('div'), style = document.createElement('style');
  home.className = 'flowlab-menu';
  style.textContent = MENU;
  const button = Object.assign(document.createElement('button'), { textContent: '⋮', ariaLabel: 'menu of this picture' });
  const items = Object.assign(document.createElement('div'), { className: 'items', hidden: true });
  button.setAttribute('aria-haspopup', 'menu');
  button.setAttribute('aria-expanded', 'false');
  items.setAttribute('role', 'menu');
  home.append(style, button, items);
  box.style.position = 'relative';
  box.append(home);

  function open(yes) {
    items.hidden = !yes;
    button.setAttribute('aria-expanded', String(yes));
    if (!yes) return;
    items.replaceChildren(...[...entries, ...(code() ? [['Python', python]] : [])].map(item));
    place();
    items.firstChild.focus({ preventScroll: true });
  }

  // Beneath the button, and not beyond the left edge of the picture.
  function place() {
    items.style.right = '0';
    const beyond = box.getBoundingClientRect().left - items.getBoundingClientRect().left;
    if (beyond > 0) items.style.right = `${-beyond}px`;
  }

  function item([name, does]) {
    const made = Object.assign(document.createElement('button'), { textContent: name });
    made.setAttribute('role', 'menuitem');
    made.onclick = async () => {
      await does();
      if (does !== python) close();
    };
    return made;
  }

  function python() {
    const lines = Object.assign(document.createElement('pre'), { textContent: code() });
    items.replaceChildren(lines, item(['Copy', () => navigator.clipboard?.writeText(code())]));
    place();
    items.lastChild.focus({ preventScroll: true });
  }

  function close() {
    open(false);
    button.focus({ preventScroll: true });
  }

  button.onclick = () => open(items.hidden);
  home.addEventListener('focusout', ({ relatedTarget }) => {
    if (relatedTarget && !home.contains(relatedTarget)) open(false);
  });
  return onKeys(home, (event) => {
    const all = [...items.querySelectorAll('button')], at = all.indexOf(document.activeElement);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && !items.hidden) all[(at + step + all.length) % all.length].focus();
    else if (event.key === 'Escape' && !items.hidden) close();
    else if (!['Enter', ' '].includes(event.key)) return;
    event.stopPropagation();
    if (step || event.key === 'Escape') event.preventDefault();
  });
}

function save(name, content, type) {
  const url = typeof content === 'string' && content.startsWith('data:') ? content : URL.createObjectURL(new Blob([content], { type }));
  Object.assign(document.createElement('a'), { href: url, download: name }).click();
  if (url.startsWith('blob:')) setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

// Rows as comma-separated values; what holds a comma stands in quotes.
function csv(rows) {
  const cell = (value) => (/[",\n]/.test(String(value)) ? `"${String(value).replaceAll('"', '""')}"` : String(value ?? ''));
  return `${rows.map((row) => row.map(cell).join(',')).join('\n')}\n`;
}

// What a file of a picture is called: the words of its title.
function fileName(title, ending) {
  const words = title.replace(/<[^>]*>/g, '').normalize('NFKD').replace(/[^A-Za-z0-9]+/g, '-').replace(/^-|-$/g, '');
  return `${words.slice(0, 60) || 'flowlab'}.${ending}`;
}

// Canvases under their captions, on the colour of the page, as a PNG.
function pngOf(canvases, captions, el) {
  const ratio = globalThis.devicePixelRatio || 1, gap = 14 * ratio, top = 22 * ratio, made = document.createElement('canvas');
  made.width = canvases.reduce((sum, canvas) => sum + canvas.width + gap, gap);
  made.height = Math.max(...canvases.map((canvas) => canvas.height)) + top + gap;
  const pen = made.getContext('2d');
  pen.fillStyle = backdrop(el);
  pen.fillRect(0, 0, made.width, made.height);
  Object.assign(pen, { fillStyle: pageColor('--jp-ui-font-color1', '#22303c'), font: `${12 * ratio}px sans-serif` });
  let x = gap;
  canvases.forEach((canvas, k) => {
    pen.fillText(captions[k] ?? '', x, 15 * ratio);
    pen.drawImage(canvas, x, top);
    x += canvas.width + gap;
  });
  return made.toDataURL('image/png');
}
