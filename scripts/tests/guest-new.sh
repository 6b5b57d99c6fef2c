#!/usr/bin/env bash
# Every guest that `genius guest new` makes builds, and passes its own test. A line a guest;
# folders and logs: target/tmp/guest-new/. What they build with comes from crates.io, PyPI and
# npm. Arguments are the only languages to try: rust, python, js. Settings:
#
#   GENIUS   the command. Default: target/debug/genius, which must be built.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../setup.sh"

genius=${GENIUS:-target/debug/genius}
[ -x "$genius" ] || setup_fail "$genius is not there" "cargo build, or GENIUS=PATH"
GENIUS=$(realpath "$genius")
langs=("$@")
[ $# != 0 ] || langs=(rust python js)
for lang in "${langs[@]}"; do
    case $lang in
    rust | python | js) ;;
    *) setup_fail "$lang is no language of guests" "rust, python or js" ;;
    esac
done

# Empty, but for what the guests share: each of these takes longer than all the rest.
root=$PWD/target/tmp/guest-new
mkdir -p "$root"
find "$root" -mindepth 1 -maxdepth 1 ! -name shared -exec rm -rf {} +
export GENIUS CARGO_TARGET_DIR="$root/shared/cargo" VENV="$root/shared/venv"
export NODE_MODULES="$root/shared/js/node_modules"

# --- what each language is built with

# The cargo of the PATH builds for wasm32-wasip2: as it is, or, where rustup has not the
# target, by Debian's compiler. guests/bundle/build.rs tells why each of these must be said.
# Only for that target: what is for this machine is built as always.
prepare_rust() {
    setup_has_wasm_std && return
    local cargo tools
    cargo=$(command -v cargo)
    tools=$setup_sysroot/lib/rustlib/$(rustc -vV | sed -n 's/^host: //p')/bin
    mkdir -p "$root/shared/bin"
    cat >"$root/shared/bin/cargo" <<END
#!/usr/bin/env bash
case " \$* " in
*" --target wasm32-wasip2 "*)
    export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1
    export RUSTFLAGS="-L/usr/lib/wasm32-wasi -Clink-self-contained=no"
    export CARGO_TARGET_WASM32_WASIP2_LINKER="$tools/wasm-component-ld"
    export CARGO_UNSTABLE_BUILD_STD=std,panic_abort
    export PATH="$tools/gcc-ld:$tools:\$PATH"
    ;;
esac
exec "$cargo" "\$@"
END
    chmod +x "$root/shared/bin/cargo"
    export PATH="$root/shared/bin:$PATH"
}

prepare_python() {
    setup_python
    local wanted=host/genius/templates/python/requirements.txt
    # Of an earlier version it is no use.
    cmp -s "$wanted" "$VENV/requirements.txt" && return
    [ -z "${GENIUS_NO_INSTALL:-}" ] || setup_fail "componentize-py is not in $VENV" \
        "python3 -m venv $VENV && $VENV/bin/pip install -r $wanted && cp $wanted $VENV"
    rm -rf "$VENV"
    python3 -m venv "$VENV"
    "$VENV/bin/pip" install --quiet --disable-pip-version-check -r "$wanted" >&2
    cp "$wanted" "$VENV"
}

prepare_js() {
    setup_node
    local wanted=host/genius/templates/js/package.json folder=$root/shared/js
    cmp -s "$wanted" "$folder/package.json" && [ -d "$NODE_MODULES" ] && return
    [ -z "${GENIUS_NO_INSTALL:-}" ] || setup_fail "componentize-js is not in $NODE_MODULES" \
        "mkdir -p $folder && cp $wanted $folder && npm install --prefix $folder"
    rm -rf "$folder"
    mkdir -p "$folder"
    cp "$wanted" "$folder"
    npm install --prefix "$folder" --no-fund --no-audit --loglevel=error >/dev/null ||
        # Or the next run would take it for done.
        { rm -rf "$folder" && exit 1; }
}

# --- each guest

failed=0
for lang in "${langs[@]}"; do
    case $lang in
    rust) prepare_rust ;;
    python) prepare_python ;;
    js) prepare_js ;;
    esac
    for world in workflow policy scenario tool; do
        name=$lang-$world
        start=$SECONDS
        printf '%-16s ' "$name"
        if (cd "$root" && "$GENIUS" guest new "$name" --world "$world" --lang "$lang" &&
            "./$name/test.sh") >"$root/$name.log" 2>&1; then
            echo "ok  $((SECONDS - start)) s"
        else
            echo "FAILED  $((SECONDS - start)) s"
            cat "$root/$name.log" >&2
            failed=1
        fi
    done
done
exit "$failed"
