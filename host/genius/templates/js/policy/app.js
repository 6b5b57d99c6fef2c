// Lets every request run, loads what is asked for, and unloads a model as soon as nobody uses it.

export function configure(settings) {
  for (const [key] of settings) {
    // What is thrown is said to the operator.
    throw `there is no setting ${JSON.stringify(key)}: this policy has none`;
  }
  return {
    name: "{{name}}",
    // It is asked about these, and hears of no others.
    events: { requestArrived: true, modelIdle: true, memoryPressure: true, engineDied: true },
    tick: undefined,
    prompts: false,
  };
}

export function decide(event, state) {
  switch (event.tag) {
    case "request-arrived": {
      const { id, model } = event.val.request;
      return [{ tag: "admit", val: id }, ...load(model, state)];
    }
    case "model-idle":
      return [{ tag: "unload", val: event.val }];
    case "memory-pressure":
      return makeRoom(state.models(), event.val.needed).map((val) => ({ tag: "unload", val }));
    case "engine-died": {
      // Requests still wait for it, or it need not come back.
      const waiting = state.model(event.val)?.waiting ?? 0;
      return waiting > 0 ? [{ tag: "load", val: event.val }] : [];
    }
    default:
      return [];
  }
}

/** Brings the model into memory, unless it is there or on its way in. */
function load(model, state) {
  const residency = state.model(model)?.residency;
  return residency === "loading" || residency === "resident" ? [] : [{ tag: "load", val: model }];
}

/**
 * The models to take out, least recently used first, until enough becomes free. Only those that
 * nobody uses or waits for. Bytes and times are BigInts.
 */
function makeRoom(models, needed) {
  const idle = models.filter((m) => m.residency === "resident" && m.users === 0 && m.waiting === 0);
  idle.sort((a, b) => Number(a.lastUsed - b.lastUsed) || a.id - b.id);
  const leaving = [];
  let freed = 0n;
  for (const model of idle) {
    if (freed >= needed) break;
    freed += model.memory;
    leaving.push(model.id);
  }
  return leaving;
}
