// The scenario `fixture`, in JavaScript: runs one fixture and looks at everything the
// contract promises about a generation. guests/scenarios/fixture is the same in Rust; this
// one goes through `cortex-blocking`, because its toolchain has no async functions yet.

import { Session } from 'rusty-genius:genius/cortex-blocking@0.2.0';
import { append } from 'rusty-genius:genius/journal@0.2.0';
import { emit } from 'rusty-genius:genius/reply@0.2.0';
import { answerReadsBack, noEscape } from './files.js';
import { Watch, askedOf, check, kind, questions, then } from './watch.js';

/** Runs one case. */
export function runCase(testCase) {
  const observation = hosted(() => observe(testCase));
  observation.checks.push(answerReadsBack(observation.answer));
  observation.checks.push(noEscape());

  const held = observation.checks.filter(({ passed }) => passed).length;
  const note = `${testCase.name}: ${held} of ${observation.checks.length} checks held`;
  hosted(() => append('info', note));
  return observation;
}

/** Asks each question when the one before it has been answered. */
function observe({ model, turns, config }) {
  const asked = askedOf(config);
  const session = Session.open(model);
  try {
    return questions(turns)
      .map((question) => answer(session, question, config, asked))
      .reduce(then);
  } finally {
    session[Symbol.dispose]();
  }
}

/** Forwards what comes of one generation, and watches it. */
function answer(session, question, config, asked) {
  const inference = session.infer(question, config);
  try {
    const watch = new Watch();
    for (let event; (event = inference.next()) !== undefined; ) {
      watch.see(event);
      // Content and thoughts are named alike among events and fragments.
      if (event.tag === 'content' || event.tag === 'thought') emit([event]);
    }

    // There is no second stream here; what is at its end must stay there.
    const rest = inference.next();
    const second = rest && `it gave ${kind(rest)}`;
    const observation = watch.finish(asked);
    observation.checks.push(check('a second stream is at its end', second));
    return observation;
  } finally {
    inference[Symbol.dispose]();
  }
}

/** What the host refuses is the run's failure; anything else is a fault of this guest. */
function hosted(act) {
  try {
    return act();
  } catch (e) {
    if (e?.payload === undefined) throw e;
    throw { tag: 'host', val: e.payload };
  }
}
