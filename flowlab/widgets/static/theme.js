// What all views share: the colours of the page they lie in, and when these change.

// Roles that take their colour from JupyterLab's theme, with what they are where a page has no theme.
const ROLES = {
  ink: '--jp-ui-font-color1',
  quiet: '--jp-ui-font-color2',
  rule: '--jp-border-color1',
  grid: '--jp-border-color2',
};

function pageColor(name, otherwise) {
  return getComputedStyle(document.body).getPropertyValue(name).trim() || otherwise;
}

// The colour that an element lies on.
function backdrop(el) {
  for (let at = el; at; at = at.parentElement) {
    const color = getComputedStyle(at).backgroundColor;
    if (color && !/^(transparent|rgba\(.*, 0\))$/.test(color)) return color;
  }
  return '#ffffff';
}

function isDark() {
  const light = document.body.dataset.jpThemeLight;
  if (light) return light === 'false';
  const [r, g, b] = rgb(pageColor('--jp-layout-color0', '#ffffff'));
  return 0.3 * r + 0.59 * g + 0.11 * b < 128;
}

// Red, green and blue of any colour that CSS knows, 0 to 255.
function rgb(color) {
  const pen = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  pen.fillStyle = color;
  pen.fillRect(0, 0, 1, 1);
  return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
}

// Call back when the page changes between light and dark; returns what ends that.
function onThemeChange(callback) {
  const observer = new MutationObserver(() => requestAnimationFrame(callback));
  observer.observe(document.body, { attributes: true, attributeFilter: ['data-jp-theme-light', 'data-jp-theme-name'] });
  return () => observer.disconnect();
}

// Call back with the width of an element whenever it changes, 0 while it is hidden; returns what ends that.
function onWidthChange(el, callback) {
  let width = -1;
  const observer = new ResizeObserver(() => {
    if (el.clientWidth !== width) callback((width = el.clientWidth));
  });
  observer.observe(el);
  return () => observer.disconnect();
}

// Call back with the keys that are pressed in an element before JupyterLab and Notebook 7 take them for themselves, which
// they do for arrow keys wherever no text is written; returns what ends that.
function onKeys(el, callback) {
  const hear = (event) => { if (el.contains(event.target)) callback(event); };
  globalThis.addEventListener('keydown', hear, true);
  return () => globalThis.removeEventListener('keydown', hear, true);
}

const BEAT = 30_000, ENDED = 'The kernel has ended; run the cell again: a run that has a directory goes on from it.';

// Ask the kernel for what it has, in case a message went by while this view was being built, and tell it from time to
// time that somebody looks; say in a line of the output where the kernel has ended. Returns what says goodbye.
function greet(model, el) {
  const view = Math.random().toString(36).slice(2), kernel = model.widget_manager?.kernel;
  const tell = (type) => model.send({ type, view, version: model.get('version') });
  // what is sent while a cell runs is heard all at once when it has ended
  const beat = setInterval(() => { if (kernel?.status !== 'busy') tell('here'); }, BEAT);
  const heed = (_, status) => { if (/dead|restarting|terminating/.test(status)) sayEnded(el); };
  const over = () => sayEnded(el);
  kernel?.statusChanged?.connect(heed);
  kernel?.disposed?.connect(over);
  tell('built');
  return () => {
    clearInterval(beat);
    kernel?.statusChanged?.disconnect(heed);
    kernel?.disposed?.disconnect(over);
    tell('gone');
  };
}

function sayEnded(el) {
  const home = el.closest('.jp-OutputArea-output, .flowlab-gallery');
  if (!home || home.querySelector('.flowlab-ended')) return;
  const line = document.createElement('div');
  Object.assign(line, { className: 'flowlab-ended', textContent: ENDED });
  line.setAttribute('role', 'status');
  line.style = 'padding: 6px 8px; font-weight: bold; color: var(--jp-warn-color0, #a35a00)';
  home.prepend(line);
}
