#!/usr/bin/env bash
# The scenario `fixture` once more, in Python and in JavaScript: builds
# target/examples/fixture-python.wasm and target/examples/fixture-javascript.wasm, each only
# if something it is made of has changed.
#
#   ./scripts/examples.sh            builds both
#   ./scripts/examples.sh --test     tests what is plain Python and JavaScript; builds nothing
#
# Their toolchains come from PyPI and npm, into target/tmp: 70 MiB and 400 MiB.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

componentize_py=componentize-py==0.25.1
sources=guests/examples
out=target/examples
venv=target/tmp/venv-examples

need_python() {
    # The sources say `match`.
    if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
        setup_fail "python3, 3.10 or newer, was not found" \
            "Debian: apt-get install python3" "Fedora: dnf install python3" "macOS: brew install python3"
    fi
}

need_node() {
    setup_node
    local version
    version=$(node --version)
    if ! node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)'; then
        setup_fail "node is $version, and the JavaScript toolchain wants 20 or newer" \
            "install a newer one as its home page says, and put it first in PATH"
    fi
}

# --- only the tests

case ${1:-} in
"") ;;
--test)
    need_python
    need_node
    PYTHONDONTWRITEBYTECODE=1 python3 -m unittest discover -s "$sources/python"
    node --test "$sources/javascript/watch.test.mjs"
    exit
    ;;
*)
    echo "usage: ./scripts/examples.sh [--test]" >&2
    exit 2
    ;;
esac

# --- what is up to date is left alone

digest() {
    if command -v sha256sum >/dev/null; then sha256sum -- "$@"; else shasum -a 256 -- "$@"; fi
}

# is_fresh NAME INPUT…: whether the component was built of these very files
is_fresh() {
    local name=$1
    shift
    digest "$@" >"$TMPDIR/$name.stamp"
    [ -f "$out/$name.wasm" ] && cmp -s "$TMPDIR/$name.stamp" "$out/$name.stamp"
}

# finish NAME FILE SECONDS: the stamp comes last, so that half a build is none
finish() {
    rm -f "$out/$1.stamp"
    mv "$2" "$out/$1.wasm"
    mv "$TMPDIR/$1.stamp" "$out/$1.stamp"
    echo "examples: $out/$1.wasm, $(($(wc -c <"$out/$1.wasm") >> 10)) KiB in $3 s" >&2
}

# quietly LOG WHAT COMMAND…: shows what the command said only if it fails
quietly() {
    local log=$TMPDIR/$1 what=$2
    shift 2
    "$@" >"$log" 2>&1 && return
    cat "$log" >&2
    echo "error: $what failed: $*" >&2
    exit 1
}

# --- Python

build_python() {
    local start=$SECONDS work=target/tmp/examples-python
    need_python
    if ! "$venv/bin/pip" freeze 2>/dev/null | grep -qx "$componentize_py"; then
        setup_python
        [ -z "${GENIUS_NO_INSTALL:-}" ] || setup_fail "$componentize_py is not in $venv" \
            "python3 -m venv $venv && $venv/bin/pip install $componentize_py"
        echo "examples: pip install $componentize_py" >&2
        rm -rf "$venv"
        quietly examples-python.log "making $venv" python3 -m venv "$venv"
        quietly examples-python.log "installing $componentize_py" \
            "$venv/bin/pip" install --disable-pip-version-check "$componentize_py"
    fi
    # A copy: Python leaves what it compiled beside its sources.
    rm -rf "$work"
    mkdir -p "$work"
    cp "${python_inputs[@]}" "$work"
    quietly examples-python.log "componentize-py" "$venv/bin/componentize-py" --quiet \
        --wit-path wit --world scenario componentize app --python-path "$work" --output "$work/out.wasm"
    finish fixture-python "$work/out.wasm" $((SECONDS - start))
}

# --- JavaScript

build_javascript() {
    local start=$SECONDS work=target/tmp/examples-javascript
    need_node
    mkdir -p "$work"
    # The lock is copied last, so that half an installation is none.
    if ! cmp -s "$sources/javascript/package-lock.json" "$work/installed.json"; then
        [ -z "${GENIUS_NO_INSTALL:-}" ] || setup_fail "componentize-js is not in $work" \
            "mkdir -p $work && cp $sources/javascript/package*.json $work && npm ci --prefix $work && cp $work/package-lock.json $work/installed.json"
        echo "examples: npm ci" >&2
        rm -f "$work/installed.json"
        cp "$sources/javascript/package.json" "$sources/javascript/package-lock.json" "$work"
        quietly examples-javascript.log "installing componentize-js" \
            npm ci --prefix "$work" --ignore-scripts --no-audit --no-fund
        cp "$sources/javascript/package-lock.json" "$work/installed.json"
    fi
    cp "${javascript_inputs[@]}" "$work"
    quietly examples-javascript.log "componentize-js" node "$work/build.mjs" wit "$work/out.wasm"
    finish fixture-javascript "$work/out.wasm" $((SECONDS - start))
}

mkdir -p "$out"
python_inputs=("$sources"/python/{app,files,watch}.py)
javascript_inputs=("$sources"/javascript/{fixture.js,files.js,watch.js,build.mjs,package.json,package-lock.json})
is_fresh fixture-python "${python_inputs[@]}" wit/*.wit scripts/examples.sh || build_python
is_fresh fixture-javascript "${javascript_inputs[@]}" wit/*.wit scripts/examples.sh || build_javascript
