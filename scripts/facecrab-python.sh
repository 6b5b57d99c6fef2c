#!/usr/bin/env bash
# Makes sure that Hugging Face's own client is in target/tmp/venv, for the tests that share
# a cache with it. They are skipped without it, unless FACECRAB_PYTHON=required.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

venv=target/tmp/venv
"$venv/bin/python" -c 'import huggingface_hub' 2>/dev/null && exit 0
setup_python
[ -z "${GENIUS_NO_INSTALL:-}" ] || setup_fail "huggingface_hub is not in $venv" \
    "python3 -m venv $venv && $venv/bin/pip install huggingface_hub"
rm -rf "$venv"
python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check 'huggingface_hub>=1,<3' >&2
