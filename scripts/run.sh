#!/usr/bin/env bash
# The main job: asks the default model, through the workflow `ask`.
#
#   ./scripts/run.sh "Why is the sky blue?"
#
# The answer is on stdout, everything else on stderr. Exits as `genius` does. Settings:
#
#   GENIUS_FEATURES=real-engine   builds llama.cpp in (metal, cuda: on these); it needs cmake
#                                 and libclang, and some minutes more. Default: without.
#   GENIUS_MODEL=SPEC             asks this model. Default: narf-1m, which comes with the house.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

if [ $# = 0 ]; then
    echo 'usage: ./scripts/run.sh "PROMPT…"' >&2
    exit 2
fi
features=${GENIUS_FEATURES:-}
[ -z "$features" ] || setup_llama
if [ ! -x "${CARGO_TARGET_DIR:-target}/release/genius" ]; then
    echo "run: the first build takes some minutes" >&2
fi
exec cargo run --quiet --release --locked -p rusty-genius --features "$features" --bin genius -- \
    run ask ${GENIUS_MODEL:+--model "$GENIUS_MODEL"} -- "$@"
