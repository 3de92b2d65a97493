// A button that gives a lab the whole screen, as large as can be read from the last row; Escape takes that back.
//
// The lab is laid out on as few pixels as it needs and magnified by a transform, which its pictures and sliders allow
// for. Every tab has such a button; what is so at present stands in the page and not in one of them.

const ROOM = [1000, 660]; // pixels that a lab needs
const TOLD = 'flowlab-stage-changed';
const STYLE = `
.flowlab-stage { overflow: auto; background: var(--jp-layout-color1, #fff); }
.flowlab-stage > .jupyter-widget-tab { flex: 0 0 auto; }
.flowlab-stage:not(:fullscreen) { position: fixed; inset: 0; z-index: 10000; margin: 0; }
.flowlab-present { font: 12px system-ui, -apple-system, sans-serif; padding: 2px 10px; cursor: pointer; white-space: nowrap;
  color: var(--jp-ui-font-color2, #5f6f7c); background: none; border: 1px solid var(--jp-border-color1, #c3ccd3);
  border-radius: 3px; }
.flowlab-present:hover, .flowlab-present:focus-visible { color: var(--jp-ui-font-color1, #22303c);
  outline: 1px solid var(--jp-brand-color1, #1c6e8c); }
`;

function render({ el }) {
  const style = document.createElement('style'), button = document.createElement('button');
  style.textContent = STYLE;
  Object.assign(button, { className: 'flowlab-present', type: 'button' });
  el.append(style, button);
  const lab = () => el.closest('.jupyter-widget-tab'), stage = () => el.closest('.flowlab-stage');

  function tell() {
    button.textContent = stage() ? 'Leave' : 'Present';
    button.title = stage() ? 'back to the notebook (Escape)' : 'fill the screen, for a projector';
  }

  function fit() {
    if (!stage()) return;
    const scale = Math.max(1, Math.min(innerWidth / ROOM[0], innerHeight / ROOM[1]));
    Object.assign(lab().style, { transformOrigin: '0 0', transform: `scale(${scale})`, width: `${innerWidth / scale - 4}px` });
  }

  async function enter() {
    const home = lab().parentElement;
    lab().dataset.width = lab().style.width;
    home.classList.add('flowlab-stage');
    await home.requestFullscreen?.().catch(() => {}); // where that is not allowed, the lab fills the page
    fit();
    document.dispatchEvent(new Event(TOLD));
  }

  function leave() {
    const home = stage();
    if (!home) return;
    home.classList.remove('flowlab-stage');
    Object.assign(lab().style, { transform: '', transformOrigin: '', width: lab().dataset.width });
    if (document.fullscreenElement === home) document.exitFullscreen();
    document.dispatchEvent(new Event(TOLD));
  }

  button.onclick = () => (stage() ? leave() : enter());
  const left = () => { if (stage() && !document.fullscreenElement) leave(); };
  const key = (event) => { if (event.key === 'Escape') leave(); };
  const heard = [[document, 'fullscreenchange', left], [document, TOLD, tell], [globalThis, 'resize', fit]];
  for (const [from, kind, call] of heard) from.addEventListener(kind, call, true);
  document.addEventListener('keydown', key, true);
  tell();
  return () => {
    leave();
    for (const [from, kind, call] of heard) from.removeEventListener(kind, call, true);
    document.removeEventListener('keydown', key, true);
  };
}

export default { render };
