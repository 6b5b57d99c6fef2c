#!/usr/bin/env bash
# The end-to-end tests on llama.cpp: on Apple's Metal, on Linux with CUDA where nvcc is
# found, else on the processor. The fixtures of narf-1m, which comes with the house, always
# run; those of other models where their files are, or can be fetched.
# Arguments go to the test programs. Settings:
#
#   GENIUS_GPU=metal|cuda|none   what computes. Default: what is there.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
setup_llama

gpu=${GENIUS_GPU:-}
if [ -z "$gpu" ]; then
    gpu=none
    [ "$(uname -s)" = Darwin ] && gpu=metal
    command -v nvcc >/dev/null && gpu=cuda
fi
case $gpu in
metal) feature=metal what="Apple's Metal" ;;
cuda) feature=cuda what="CUDA ($(nvcc --version | awk '/release/ { print $5 }' | tr -d ,))" ;;
none) feature=real-engine what="the processor" ;;
*) setup_fail "GENIUS_GPU is $gpu" "say metal, cuda or none" ;;
esac
echo "metal: llama.cpp on $what" >&2

tests=(cargo test --locked -p rusty-genius--teaser --features "$feature")
"${tests[@]}" --test narf -- --nocapture "$@"

# Each model's fixtures, if its files are here. To fetch gigabytes is for a person to decide.
genius=(cargo run --quiet --locked -p rusty-genius --features "$feature" --)
for folder in fixtures/Qwen/*/*/; do
    model=${folder#fixtures/} model=${model%/}
    model=${model%/*}:${model##*/}
    if "${genius[@]}" models show "$model" >/dev/null 2>&1; then
        "${tests[@]}" --test fixtures -- --nocapture "${model%:*}" "$@"
    else
        echo "metal: $model is not on this machine; its fixtures were not run" >&2
        echo "hint: cargo run --release -p rusty-genius -- models pull $model" >&2
    fi
done
