// A number by slider or by typing, with the place marked where it is critical.

function render({ model, el }) {
  const [least, most, at] = ['least', 'most', 'at'].map((name) => model.get(name));
  const id = `flowlab-${Math.random().toString(36).slice(2)}`;
  el.classList.add('flowlab-marked');
  el.innerHTML = `
    <label for="${id}"></label>
    <span class="track"><input type="range" min="${least}" max="${most}" step="${(most - least) / 300}"><span class="mark"></span></span>
    <input type="text" id="${id}" inputmode="decimal" autocomplete="off" spellcheck="false">`;
  const [label, range, text, mark] = ['label', '[type=range]', '[type=text]', '.mark'].map((part) => el.querySelector(part));
  label.textContent = model.get('name');
  range.setAttribute('aria-label', `${model.get('name')}, slider`);
  mark.textContent = `▴ ${model.get('mark')}`;
  const share = (at - least) / (most - least);
  mark.style.left = `calc(${100 * share}% + ${8 - 16 * share}px)`;
  const place = (value) => {
    range.value = value.trim() && Number.isFinite(Number(value)) ? value : at;
  };
  const send = (value) => {
    model.set('value', value);
    model.save_changes();
  };
  const show = () => {
    text.disabled = range.disabled = model.get('disabled');
    if (el.contains(document.activeElement)) return; // what is being typed or moved is newer
    text.value = model.get('value');
    place(text.value);
  };
  const slide = () => {
    text.value = String(Number(Number(range.value).toPrecision(4)));
    send(text.value);
  };
  range.addEventListener('input', slide);
  const unhear = onKeys(range, (event) => {
    const steps = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 30, PageDown: -30 }[event.key];
    if (!steps) return;
    event.preventDefault();
    event.stopPropagation();
    range.stepUp(steps);
    slide();
  });
  text.addEventListener('input', () => {
    place(text.value);
    send(text.value);
  });
  model.on('change:value', show);
  model.on('change:disabled', show);
  show();
  return () => {
    unhear();
    model.off('change:value', show);
    model.off('change:disabled', show);
  };
}

export default { render };
