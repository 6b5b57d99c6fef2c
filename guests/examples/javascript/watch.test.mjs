// The same sequences of events give the same report as in Rust; see ../README.md.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Watch, askedOf, questions, then } from './watch.js';

const SEQUENCES = JSON.parse(readFileSync(new URL('../sequences.json', import.meta.url), 'utf8'));

/** An event as the bindings would have it. */
function event([name, value]) {
  const [tag, inner] = name.split(' ');
  switch (tag) {
    case 'thought':
      return { tag, val: { tag: inner, val: value } };
    case 'logprobs':
      return { tag, val: { chosen: likely(value.chosen), top: value.top.map(likely) } };
    case 'complete':
      return { tag, val: { usage: usage(value), finish: finish(value) } };
    default:
      return { tag, val: value };
  }
}

// JSON has no word for what is no number, or not finite.
const likely = (value) => ({ logprob: Number(value) });

const finish = ({ finish }) =>
  finish === 'failed' ? { tag: finish, val: 'backend-failed' } : { tag: finish };

function usage({ usage: [promptTokens, cachedTokens, completionTokens, thoughtTokens, prefill, decode] }) {
  return {
    promptTokens,
    cachedTokens,
    completionTokens,
    thoughtTokens,
    prefillUs: BigInt(prefill),
    decodeUs: BigInt(decode),
  };
}

function watched(answer, asked) {
  const watch = new Watch();
  for (const told of answer) watch.see(event(told));
  return watch.finish(asked);
}

function checkNames(asked) {
  return [
    'process-start first and once',
    'complete last and once',
    'thoughts bracketed',
    'no empty delta',
    'calls well formed',
    'usage adds up',
    ...(asked.logprobs === undefined ? [] : ['logprobs as asked']),
    ...(asked.maxTokens === undefined ? [] : ['within max-tokens']),
  ];
}

for (const { name, asked: config, answers, seen, faults } of SEQUENCES) {
  test(`as in Rust: ${name}`, () => {
    const asked = askedOf(Object.entries(config).map(([tag, val]) => ({ tag, val })));
    const { checks, ...whole } = answers.map((answer) => watched(answer, asked)).reduce(then);
    assert.deepEqual(whole, {
      answer: seen.answer,
      thoughts: seen.thoughts,
      calls: whole.calls,
      finish: finish(seen),
      usage: usage(seen),
      earlier: seen.earlier,
    });
    assert.deepEqual(
      whole.calls.map((call) => `${call.id} ${call.name} ${call.arguments}`),
      seen.calls,
    );
    assert.deepEqual(
      checks.map(({ name }) => name),
      checkNames(asked),
    );
    const told = checks.filter(({ passed }) => !passed).map(({ name, detail }) => [name, detail]);
    assert.deepEqual(Object.fromEntries(told), faults);
    assert.ok(checks.every(({ passed, detail }) => passed === (detail === '')));
  });
}

test('of a setting given twice the last one counts', () => {
  const config = [
    { tag: 'max-tokens', val: 1 },
    { tag: 'seed', val: 3n },
    { tag: 'max-tokens', val: 2 },
  ];
  assert.deepEqual(askedOf(config), { maxTokens: 2 });
});

test('each question ends with a user turn where there is one', () => {
  const roles = { s: 'system', u: 'user', a: 'assistant' };
  const asked = (turns) =>
    questions([...turns].map((letter) => ({ role: roles[letter], letter }))).map((question) =>
      question.map(({ letter }) => letter).join(''),
    );
  assert.deepEqual(asked(''), ['']);
  assert.deepEqual(asked('u'), ['u']);
  assert.deepEqual(asked('su'), ['su']);
  assert.deepEqual(asked('suu'), ['su', 'u']);
  assert.deepEqual(asked('suau'), ['su', 'au']);
  assert.deepEqual(asked('sus'), ['su', 's']);
  assert.deepEqual(asked('s'), ['s']);
});
