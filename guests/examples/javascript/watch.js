// The rules every generation's events follow.
//
// Knows nothing of the bindings but the shape of what they give: `{ tag, val }` for a
// variant, camelCase for the fields of a record, and a bigint for a u64.

const U32 = 0xffff_ffff;
const U64 = 0xffff_ffff_ffff_ffffn;
const NOTHING = {
  promptTokens: 0,
  cachedTokens: 0,
  completionTokens: 0,
  thoughtTokens: 0,
  prefillUs: 0n,
  decodeUs: 0n,
};

/** A check that held unless there is a fault. */
export function check(name, fault) {
  return { name, passed: fault === undefined, detail: fault ?? '' };
}

/**
 * What a case sets of what is watched here. What it leaves to the host is not known. Of a
 * setting given twice the last one counts.
 */
export function askedOf(config) {
  const asked = {};
  for (const { tag, val } of config) {
    if (tag === 'max-tokens') asked.maxTokens = val;
    if (tag === 'logprobs') asked.logprobs = val;
  }
  return asked;
}

/** An event's name in the contract. */
export function kind(event) {
  return event.tag === 'thought' ? `thought ${event.val.tag}` : event.tag;
}

/** What was seen so far of one generation, and the first fault against each rule. */
export class Watch {
  #seen = 0;
  #thinking = false;
  #answer = '';
  #thoughts = '';
  #calls = [];
  #ids = new Set();
  #completion;
  #logprobs = 0;
  #most = 0;
  #faults = {};

  #fault(rule, what) {
    this.#faults[rule] ??= what;
  }

  /** Looks at the next event. */
  see(event) {
    const at = this.#seen;
    this.#seen += 1;
    const name = kind(event);
    const fault = (rule, what) => this.#fault(rule, `event ${at}: ${what}`);

    if ((at === 0) !== (name === 'process-start')) fault('start', name);
    if (this.#completion) fault('last', `${name} after complete`);
    const inside = event.tag === 'thought' || event.tag === 'logprobs';
    if (this.#thinking && !inside) fault('brackets', `${name} inside a thought`);

    switch (name) {
      case 'thought start':
        if (this.#thinking) fault('brackets', 'a thought inside a thought');
        this.#thinking = true;
        break;
      case 'thought delta':
        if (!this.#thinking) fault('brackets', 'a delta outside a thought');
        if (event.val.val === '') fault('empty', 'an empty thought delta');
        this.#thoughts += event.val.val;
        break;
      case 'thought stop':
        if (!this.#thinking) fault('brackets', 'a stop without a start');
        this.#thinking = false;
        break;
      case 'content':
        if (event.val === '') fault('empty', 'an empty content delta');
        this.#answer += event.val;
        break;
      case 'tool-call': {
        const { id } = event.val;
        if (id === '') fault('malformed', 'a call without an id');
        else if (this.#ids.has(id)) fault('malformed', 'a call with the id of another');
        this.#ids.add(id);
        this.#calls.push(event.val);
        break;
      }
      case 'logprobs': {
        this.#logprobs += 1;
        this.#most = Math.max(this.#most, event.val.top.length);
        const what = unlikely(event.val);
        if (what) fault('logprobs', what);
        break;
      }
      case 'complete':
        this.#completion ??= event.val;
        break;
    }
  }

  /** What there is to report once the stream has ended. */
  finish(asked) {
    if (this.#seen === 0) this.#fault('start', 'no event at all');
    if (!this.#completion) this.#fault('last', 'it never came');
    // A stream that breaks off reports no usage, and what it says is not a finish.
    const { finish, usage } = this.#completion ?? {
      finish: { tag: 'failed', val: 'backend-failed' },
      usage: NOTHING,
    };
    const faults = this.#faults;
    const checks = [
      check('process-start first and once', faults.start),
      check('complete last and once', faults.last),
      check('thoughts bracketed', faults.brackets),
      check('no empty delta', faults.empty),
      check('calls well formed', faults.malformed),
      check('usage adds up', usageFault(usage)),
    ];
    if (asked.logprobs !== undefined) {
      checks.push(check('logprobs as asked', this.#logprobsFault(asked.logprobs, usage)));
    }
    if (asked.maxTokens !== undefined) {
      const fault =
        usage.completionTokens > asked.maxTokens
          ? `${usage.completionTokens} tokens, ${asked.maxTokens} allowed`
          : undefined;
      checks.push(check('within max-tokens', fault));
    }
    return {
      answer: this.#answer,
      thoughts: this.#thoughts,
      calls: this.#calls,
      finish,
      usage,
      checks,
      earlier: [],
    };
  }

  /** What is wrong with the `logprobs` events together; else with the first bad one. */
  #logprobsFault(asked, usage) {
    const count = this.#logprobs;
    if (asked === 0 && count > 0) return `${count} events, none was asked for`;
    if (this.#most > asked) return `${this.#most} tokens in one event, ${asked} asked for`;
    if (count > usage.completionTokens) return `${count} events for ${usage.completionTokens} tokens`;
    return this.#faults.logprobs;
  }
}

/** What cannot be in the usage of one generation. */
function usageFault({ promptTokens, cachedTokens, completionTokens, thoughtTokens }) {
  if (thoughtTokens > completionTokens) {
    return `${thoughtTokens} thought tokens among ${completionTokens} generated`;
  }
  if (cachedTokens > promptTokens) {
    return `${cachedTokens} tokens cached of a prompt of ${promptTokens}`;
  }
  return undefined;
}

/** What cannot be in the event of one token. */
function unlikely({ chosen, top }) {
  // Asked this way round, because a NaN is in no range.
  if (![chosen, ...top].every(({ logprob }) => logprob <= 0)) {
    return 'a probability over one, or none';
  }
  const sorted = top.every(({ logprob }, at) => at === 0 || top[at - 1].logprob >= logprob);
  return sorted ? undefined : 'the likeliest is not first';
}

/** What there is to report of an answer and the one that came after it. */
export function then(before, after) {
  const [a, b] = [before.usage, after.usage];
  // The contract's numbers end somewhere; these would go on.
  const tokens = (one, other) => Math.min(one + other, U32);
  const micros = (one, other) => (one + other > U64 ? U64 : one + other);
  return {
    ...after,
    usage: {
      promptTokens: tokens(a.promptTokens, b.promptTokens),
      cachedTokens: tokens(a.cachedTokens, b.cachedTokens),
      completionTokens: tokens(a.completionTokens, b.completionTokens),
      thoughtTokens: tokens(a.thoughtTokens, b.thoughtTokens),
      prefillUs: micros(a.prefillUs, b.prefillUs),
      decodeUs: micros(a.decodeUs, b.decodeUs),
    },
    // The first fault against a rule is the one that is told.
    checks: before.checks.map((first, at) => (first.passed ? after.checks[at] : first)),
    earlier: [...before.earlier, before.answer],
  };
}

/**
 * The turns of a case, a list for each time the model is asked. Each ends with a user turn;
 * what comes after the last one is asked by itself. Of no turns at all the host itself says
 * what is wrong, so they are asked too.
 */
export function questions(turns) {
  const asked = [[]];
  for (const turn of turns) {
    asked.at(-1).push(turn);
    if (turn.role === 'user') asked.push([]);
  }
  if (asked.length > 1 && asked.at(-1).length === 0) asked.pop();
  return asked;
}
