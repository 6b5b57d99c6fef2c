// Makes build/{{name}}.wasm of app.js.
import { componentize } from "@bytecodealliance/componentize-js";
import { writeFile } from "node:fs/promises";

const { component } = await componentize({
  sourcePath: "app.js",
  witPath: "wit",
  worldName: "{{world}}",
  // The sandbox has no network.
  disableFeatures: ["http", "fetch-event"],
});
await writeFile("build/{{name}}.wasm", component);
