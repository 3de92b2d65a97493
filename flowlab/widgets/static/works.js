// Says beside a click that the kernel works, where it does not answer at once: it is asked after each click in what the
// nearest element of class flowlab-watched holds, and hears that when it has done what came before.

const WATCHED = '.flowlab-watched', SOON = 300;
const LOOK = `position: fixed; z-index: 10001; padding: 1px 8px; border-radius: 3px; pointer-events: none; white-space: nowrap;
  font: 12px system-ui, -apple-system, sans-serif; color: var(--jp-warn-color0, #a35a00); background: var(--jp-layout-color2, #eee);
  border: 1px solid var(--jp-border-color1, #c3ccd3);`;

function render({ model, el }) {
  const works = document.createElement('div'), view = Math.random().toString(36).slice(2);
  let asked = 0, answered = 0;
  Object.assign(works, { className: 'flowlab-works', textContent: 'working: the kernel is busy …', hidden: true });
  works.setAttribute('role', 'status');
  works.style = LOOK;
  el.style.display = 'none';
  document.body.append(works);

  const ended = () => /dead|restarting|terminating/.test(model.widget_manager?.kernel?.status); // pictures say so

  // One question at a time: while a cell runs they would pile up.
  function ask(event) {
    const part = el.closest(WATCHED), { target } = event;
    if (!part || target.closest?.(WATCHED) !== part || answered < asked) return;
    const number = ++asked, box = target.getBoundingClientRect();
    const at = event.detail && event.clientX !== undefined ? [event.clientX, event.clientY] : [box.left, box.bottom];
    model.send({ type: 'asked', view, number });
    setTimeout(() => { if (answered < number && el.isConnected && !ended()) say(...at); }, SOON);
  }

  // On a screen that is filled only what lies in the element that fills it is seen.
  function say(x, y) {
    (document.fullscreenElement ?? document.body).append(works);
    works.hidden = false;
    const left = Math.min(x + 12, innerWidth - works.offsetWidth - 8), top = Math.min(y + 14, innerHeight - 30);
    Object.assign(works.style, { left: `${Math.max(8, left)}px`, top: `${Math.max(8, top)}px` });
  }

  function answer({ view: whose, number }) {
    if (whose !== view) return; // another page's
    answered = number;
    works.hidden = answered >= asked;
  }

  for (const kind of ['click', 'keyup', 'change']) document.addEventListener(kind, ask, true);
  model.on('msg:custom', answer);
  return () => {
    for (const kind of ['click', 'keyup', 'change']) document.removeEventListener(kind, ask, true);
    model.off('msg:custom', answer);
    works.remove();
  };
}

export default { render };
