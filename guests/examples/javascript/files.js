// The scratch directory works, and nothing beyond it does. JavaScript has no files of its
// own: these are WASI's.

import { getDirectories } from 'wasi:filesystem/preopens@0.2.12';
import { check } from './watch.js';

const ANSWER = '/scratch/answer.md';
// Bytes a read.
const CHUNK = 1n << 20n;

/** Leaves the answer in the scratch directory and reads it again. */
export function answerReadsBack(answer) {
  const said = new TextEncoder().encode(answer);
  let fault;
  try {
    write(ANSWER, said);
    const back = read(ANSWER);
    const same = back.length === said.length && back.every((byte, at) => byte === said[at]);
    if (!same) fault = `${back.length} bytes of ${said.length}`;
  } catch (e) {
    fault = `${ANSWER}: ${reason(e)}`;
  }
  return check('answer file reads back', fault);
}

/** Tries a path upwards and an absolute one, to read and to write. */
export function noEscape() {
  const opens = (path, create, flags) => {
    try {
      using(path, create, flags, () => {});
      return true;
    } catch (e) {
      reason(e);
      return false;
    }
  };
  for (const path of ['/scratch/../outside', '/etc/passwd']) {
    if (opens(path, {}, { read: true })) {
      return check('no escape', `${path} could be read`);
    }
    if (opens(path, { create: true }, { write: true })) {
      return check('no escape', `${path} could be written`);
    }
  }
  return check('no escape');
}

function write(path, bytes) {
  using(path, { create: true, truncate: true }, { write: true }, (file) => {
    for (let at = 0; at < bytes.length; ) {
      at += Number(file.write(bytes.subarray(at), BigInt(at)));
    }
  });
}

function read(path) {
  return using(path, {}, { read: true }, (file) => {
    const bytes = [];
    for (;;) {
      const [chunk, end] = file.read(CHUNK, BigInt(bytes.length));
      for (const byte of chunk) bytes.push(byte);
      if (end || chunk.length === 0) return Uint8Array.from(bytes);
    }
  });
}

/**
 * Opens a file, does something with it and closes it. A path goes to the directory whose
 * name it begins with, as a C library would send it; where there is none, to nobody.
 */
function using(path, create, flags, act) {
  const directories = getDirectories();
  try {
    const [directory, name] =
      directories
        .filter(([, name]) => path.startsWith(`${name}/`))
        .sort(([, one], [, other]) => other.length - one.length)[0] ?? [];
    if (!directory) throw { payload: 'no-entry' };
    const file = directory.openAt({ symlinkFollow: true }, path.slice(name.length + 1), create, flags);
    try {
      return act(file);
    } finally {
      file[Symbol.dispose]();
    }
  } finally {
    for (const [directory] of directories) directory[Symbol.dispose]();
  }
}

/** Why WASI refused, by its own word. What it did not refuse is a fault of this guest. */
function reason(e) {
  if (typeof e?.payload !== 'string') throw e;
  return e.payload;
}
