// What JupyterLab and Notebook 7 show of a lab whose model is not there: the still beside it, and what to do.
//
// A page that is loaded anew looks for the models of its outputs for two seconds, and then says "model not found" for
// good: where the kernel or the page is busy that is too early. Outputs of flowlab name a mime type of their own, for
// which this draws the widget view as Jupyter does, again and again until the model has come.

(() => {
  const OURS = 'application/vnd.flowlab.view+json', WIDGET = 'application/vnd.jupyter.widget-view+json', EVERY = 1000;
  const LOADING = 'This picture is live as soon as the kernel answers.';
  const LOST = 'The kernel does not have this lab any more: run the cell to have it live again.';

  // A line of words and the still, in place of what Jupyter says.
  function still(inner, model, words) {
    const line = Object.assign(document.createElement('div'), { className: 'flowlab-waits', textContent: words });
    line.setAttribute('role', 'status');
    line.style = 'padding: 4px 8px; color: var(--jp-ui-font-color2)';
    inner.node.replaceChildren(line);
    const picture = model.data['image/png'];
    if (!picture) return;
    const image = Object.assign(document.createElement('img'), { src: `data:image/png;base64,${picture}`, alt: 'still of a lab' });
    image.style = 'max-width: 100%; opacity: 0.75';
    inner.node.append(image);
  }

  const says = (inner, words) => !inner.isDisposed && inner.node.textContent.startsWith(words);

  async function come(manager, id, inner) {
    while (!inner.isDisposed && !manager.has_model(id)) await new Promise((done) => setTimeout(done, EVERY));
  }

  // The renderer that Jupyter has for widgets, with more patience.
  function patient(inner) {
    const render = inner.renderModel.bind(inner), managed = inner._manager?.promise;
    inner.renderModel = async (model) => {
      const slow = setTimeout(() => { if (says(inner, 'Loading widget')) still(inner, model, LOADING); }, EVERY);
      await render(model);
      clearTimeout(slow);
      while (says(inner, 'Error displaying widget: model not found')) {
        still(inner, model, LOST);
        inner.removeClass('jupyter-widgets');
        await come(await managed, model.data[WIDGET].model_id, inner);
        if (!inner.isDisposed) await render(model);
      }
    };
    return inner;
  }

  const plugin = {
    id: 'flowlab:patient-views',
    autoStart: true,
    activate: (app) => app.docRegistry?.addWidgetExtension('Notebook', {
      createNew: ({ content: { rendermime } }) => {
        const createRenderer = () => patient(rendermime.createRenderer(WIDGET));
        rendermime.addFactory({ safe: false, mimeTypes: [OURS], createRenderer }, -20);
        return { isDisposed: false, dispose() { this.isDisposed = true; } };
      },
    }),
  };
  (globalThis._JUPYTERLAB ??= {}).flowlab = {
    init: () => {},
    get: async () => () => ({ __esModule: true, default: plugin }),
  };
})();
