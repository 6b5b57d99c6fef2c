// Builds the component. Beside this file lie node_modules and the sources.
//
//   node build.mjs WIT OUT
//
// WIT is the folder with the contract, OUT the file to write.

import { componentize } from '@bytecodealliance/componentize-js';
import { cp, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

// As files.js imports it, and as jco has it.
const WASI = '0.2.12';

// The contract names what the host gives; files are WASI's, and a language that has none
// must ask for them itself.
const WORLD = `package examples:fixture;

world fixture {
    include rusty-genius:genius/scenario-blocking@0.2.0;
    import wasi:filesystem/types@${WASI};
    import wasi:filesystem/preopens@${WASI};
}
`;

const [contract, out] = process.argv.slice(2);
if (!out) {
  console.error('usage: node build.mjs WIT OUT');
  process.exit(2);
}
const here = dirname(fileURLToPath(import.meta.url));
const wit = join(here, 'wit');
const deps = join(wit, 'deps');
const wasi = join(here, 'node_modules/@bytecodealliance/jco/lib/wit/builtin', WASI);

await rm(wit, { recursive: true, force: true });
await mkdir(join(deps, 'genius'), { recursive: true });
for (const file of await readdir(contract)) {
  if (file.endsWith('.wit')) await cp(join(contract, file), join(deps, 'genius', file));
}
for (const name of ['wasi-clocks', 'wasi-filesystem', 'wasi-io']) {
  await cp(join(wasi, name), join(deps, name), { recursive: true });
}
await writeFile(join(wit, 'world.wit'), WORLD);

const { component } = await componentize({
  sourcePath: join(here, 'fixture.js'),
  witPath: wit,
  worldName: 'fixture',
  // It needs no console, no time and no dice; there is no network to need.
  disableFeatures: ['stdio', 'random', 'clocks', 'http', 'fetch-event'],
});
await writeFile(out, component);
