#!/usr/bin/env bash
# Builds the scenario and runs the fixtures on Pinky, the stub engine: no model, no network.
{{test-head}}# Runs leave their files here.
export RUSTY_GENIUS_TMP=$PWD/build/tmp

"$genius" test fixtures --engine pinky

echo "ok  $component"
