// What stands in for a kernel in a page that has none: models that hold their state and tell who listens.

class Model {
  constructor(state, others = {}) {
    this.state = state;
    this.listeners = {};
    this.sent = [];
    this.widget_manager = { get_model: async (id) => others[id] };
  }
  get(name) {
    return this.state[name];
  }
  set(name, value) {
    if (this.state[name] === value) return;
    this.state[name] = value;
    (this.listeners[`change:${name}`] ?? []).slice().forEach((call) => call());
  }
  change(state) {
    for (const [name, value] of Object.entries({ ...state, version: (this.state.version ?? 0) + 1 })) this.set(name, value);
  }
  on(event, call) {
    (this.listeners[event] ??= []).push(call);
  }
  off(event, call) {
    this.listeners[event] = (this.listeners[event] ?? []).filter((each) => each !== call);
  }
  save_changes() {}
  send(message) {
    this.sent.push(message);
  }
}
