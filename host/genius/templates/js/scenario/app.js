// Asks the model what a case says, one user turn after the other, and reports the answers and what
// it checked itself. What the fixture expects of an answer, the runner judges.

import { Session } from "rusty-genius:genius/cortex-blocking@{{version}}";
import { emit } from "rusty-genius:genius/reply@{{version}}";

export function runCase(testCase) {
  try {
    return observe(testCase);
  } catch (e) {
    // What a host function threw carries the `error` of the contract; all else is a fault here.
    throw e.payload === undefined ? e : { tag: "host", val: e.payload };
  }
}

function observe({ model, turns, config }) {
  const session = Session.open(model);
  const answers = rounds(turns).map((said) => ask(session, said, config));

  const silent = answers.some(({ text, calls }) => text === "" && calls.length === 0);
  const ragged = answers.some(({ ends }) => ends.length !== 1);
  const checks = [
    check("it says something", silent && "an answer is empty"),
    check("one end each", ragged && "an answer has none, or several"),
  ];

  const last = answers.pop() ?? nothing();
  // Until the stream says otherwise.
  const finish = last.ends.at(-1)?.finish ?? { tag: "failed", val: "backend-failed" };
  return {
    answer: last.text,
    thoughts: last.thoughts,
    calls: last.calls,
    finish,
    usage: total([...answers, last].flatMap(({ ends }) => ends.map(({ usage }) => usage))),
    checks,
    earlier: answers.map(({ text }) => text),
  };
}

/** One answer, before anything of it was seen. */
function nothing() {
  // `ends`: the completions that the stream gave: one, if all is well.
  return { text: "", thoughts: "", calls: [], ends: [] };
}

/** One generation: says what comes, and gathers it. */
function ask(session, turns, config) {
  const inference = session.infer(turns, config);
  const answer = nothing();
  for (let event = inference.next(); event !== undefined; event = inference.next()) {
    switch (event.tag) {
      case "content":
        answer.text += event.val;
        emit([event]);
        break;
      case "thought":
        if (event.val.tag === "delta") answer.thoughts += event.val.val;
        emit([event]);
        break;
      case "tool-call":
        answer.calls.push(event.val);
        break;
      case "complete":
        answer.ends.push(event.val);
        break;
    }
  }
  return answer;
}

/** What is said at once: a user turn ends it, and the model answers before the next. */
function rounds(turns) {
  const found = [[]];
  for (const turn of turns) {
    found.at(-1).push(turn);
    if (turn.role === "user") found.push([]);
  }
  return found.filter((said) => said.length > 0);
}

/** A check that held unless there is a fault. */
function check(name, fault) {
  return { name, passed: !fault, detail: fault || "" };
}

/** Times are BigInts, tokens are numbers. */
function total(usages) {
  const sum = { promptTokens: 0, cachedTokens: 0, completionTokens: 0, thoughtTokens: 0, prefillUs: 0n, decodeUs: 0n };
  for (const usage of usages) {
    for (const key of Object.keys(sum)) sum[key] += usage[key];
  }
  return sum;
}
