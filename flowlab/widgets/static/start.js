// A button that sends what some controls hold with its click: nothing that was typed before can come later.

function render({ model, el }) {
  const button = document.createElement('button');
  button.className = 'jupyter-button widget-button mod-primary';
  Object.assign(button, { textContent: model.get('description'), title: model.get('tooltip') });
  Object.assign(button.style, { width: 'auto', margin: '2px' });
  el.append(button);
  const held = async (name) => {
    const control = await model.widget_manager.get_model(name.replace('IPY_MODEL_', ''));
    return control.get('index') ?? control.get('value');
  };
  button.onclick = async () => model.send({ type: 'click', values: await Promise.all(model.get('controls').map(held)) });
}

export default { render };
