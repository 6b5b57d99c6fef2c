// Asks the run's default model what the arguments say, and streams the reply.

import { Session } from "rusty-genius:genius/cortex-blocking@{{version}}";
import { emit } from "rusty-genius:genius/reply@{{version}}";

export function run(args) {
  const prompt = args.join(" ");
  if (prompt.trim() === "") {
    // What is thrown is the `failure` of the contract.
    throw { tag: "usage", val: "it takes a prompt: WORDS…" };
  }
  let finish;
  try {
    finish = ask(prompt);
  } catch (e) {
    throw hostFailure(e);
  }
  if (finish.tag === "failed") {
    throw { tag: "host", val: { tag: "engine", val: finish.val } };
  }
}

/** Puts the question and says what the model answers as it comes. */
function ask(prompt) {
  // The empty name is the run's default model. No settings: every choice is left to the
  // model's and the host's defaults.
  const session = Session.open("");
  const inference = session.infer([{ role: "user", content: prompt }], []);
  let finish = { tag: "cancelled" };
  for (let event = inference.next(); event !== undefined; event = inference.next()) {
    switch (event.tag) {
      case "content":
      case "thought":
        emit([event]);
        break;
      case "complete":
        finish = event.val.finish;
        break;
    }
  }
  return finish;
}

/** What a host function threw carries the `error` of the contract; all else is a fault here. */
function hostFailure(e) {
  return e.payload === undefined ? e : { tag: "host", val: e.payload };
}
