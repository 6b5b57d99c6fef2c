# shellcheck shell=bash
# Sourced by every other script: goes to the repository's root, keeps temporary files
# below target/, and sees to what a fresh machine lacks. Quick when nothing is missing.
# Says nothing on stdout. Settings:
#
#   GENIUS_NO_INSTALL=1   install nothing; say what to type instead. Default: install.

CDPATH="" cd -- "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

mkdir -p target/tmp
export TMPDIR="$PWD/target/tmp" TEMP="$PWD/target/tmp" TMP="$PWD/target/tmp"

setup_fail() {
    echo "error: $1" >&2
    shift
    printf 'hint: %s\n' "$@" >&2
    exit 1
}

# Runs a command as root, if that takes no password.
setup_as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        sudo -n "$@"
    else
        return 1
    fi
}

setup_apt_install() {
    [ -z "${GENIUS_NO_INSTALL:-}" ] && command -v apt-get >/dev/null || return 1
    echo "setup: apt-get install $*" >&2
    # apt works as a user of its own, who may not write to this repository.
    local apt=(env -u TMPDIR -u TEMP -u TMP DEBIAN_FRONTEND=noninteractive apt-get -qq)
    {
        setup_as_root "${apt[@]}" update &&
            setup_as_root "${apt[@]}" install -y --no-install-recommends "$@"
    } >"$TMPDIR/apt.log" 2>&1 && return
    cat "$TMPDIR/apt.log" >&2
    return 1
}

# A rustup that cannot reach its server may wait long before it says so.
setup_rustup() {
    [ -z "${GENIUS_NO_INSTALL:-}" ] && command -v rustup >/dev/null || return 1
    echo "setup: rustup $*" >&2
    local limit=()
    command -v timeout >/dev/null && limit=(timeout 120)
    RUSTUP_MAX_RETRIES=0 ${limit[@]+"${limit[@]}"} rustup "$@" >"$TMPDIR/rustup.log" 2>&1
}

# --- rustup, cargo, the pinned toolchain

command -v cargo >/dev/null || export PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
command -v cargo >/dev/null || setup_fail "cargo was not found" \
    "install rustup as its home page says, then open a new shell"
setup_sysroot=$(rustc --print sysroot) || setup_fail \
    "the toolchain that rust-toolchain.toml pins is not installed" "rustup toolchain install"

# --- a C compiler, as linker and for the crates that hold C

if ! command -v cc >/dev/null; then
    setup_apt_install gcc libc6-dev || setup_fail "no C compiler (cc) was found" \
        "Debian: apt-get install gcc libc6-dev" "Fedora: dnf install gcc" \
        "macOS: xcode-select --install"
fi

# --- a compiler for the guests: the same two ways as guests/bundle looks for

setup_has_wasm_std() {
    compgen -G "$setup_sysroot/lib/rustlib/wasm32-wasip2/lib/libstd-*" >/dev/null
}

setup_has_debian_wasm() {
    [ -x /usr/bin/rustc ] && [ -d /usr/lib/wasm32-wasi ] &&
        [ -f "$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library/std/Cargo.toml" ]
}

if ! setup_has_wasm_std && ! setup_has_debian_wasm; then
    setup_rustup target add wasm32-wasip2 ||
        setup_apt_install rustc-web rust-web-src wasi-libc ||
        setup_fail "no compiler for the guests (wasm32-wasip2) was found" \
            "rustup target add wasm32-wasip2" \
            "Debian, where rustup cannot download: apt-get install --no-install-recommends rustc-web rust-web-src wasi-libc"
fi

# --- for the scripts that need it: setup_llama, what llama.cpp is built with

setup_has_libclang() {
    # bindgen wants the library, and the headers that clang brings.
    compgen -G "${LIBCLANG_PATH:-/nowhere}/libclang*" >/dev/null ||
        { command -v clang >/dev/null &&
            compgen -G "/usr/lib/llvm-*/lib/libclang*.so*" >/dev/null; } ||
        { command -v clang >/dev/null && ldconfig -p 2>/dev/null | grep -q 'libclang[-.]'; } ||
        xcode-select -p >/dev/null 2>&1
}

# Installs it where it can; false if it is not there then.
setup_llama_quietly() {
    { command -v cmake && command -v c++ && setup_has_libclang; } >/dev/null ||
        setup_apt_install cmake g++ clang libclang-dev
}

setup_llama() {
    setup_llama_quietly || setup_fail \
        "cmake, a C++ compiler or libclang was not found; llama.cpp is built with them" \
        "Debian: apt-get install cmake g++ clang libclang-dev" \
        "Fedora: dnf install cmake gcc-c++ clang clang-devel" \
        "macOS: brew install cmake; xcode-select --install"
}

# --- for the scripts that need them: setup_component clippy, setup_component rustfmt
# With RUSTUP_AUTO_INSTALL=0 rustup ignores the components of rust-toolchain.toml in silence.

setup_component() {
    [ -x "$setup_sysroot/bin/cargo-${1/rustfmt/fmt}" ] || setup_rustup component add "$1" ||
        setup_fail "$1 is not installed" "rustup component add $1"
}

# --- for the scripts that need it: setup_python, python3 with virtual environments

setup_python() {
    # Debian's python3 comes without what a virtual environment needs.
    python3 -c 'import ensurepip, venv' 2>/dev/null || setup_apt_install python3-venv ||
        setup_fail "python3 with virtual environments was not found" \
            "Debian: apt-get install python3-venv" "Fedora: dnf install python3" \
            "macOS: brew install python3"
}

# --- for the scripts that need it: setup_node, Node.js with npm

setup_node() {
    # Debian's nodejs is only suggested to come with npm.
    { command -v node && command -v npm; } >/dev/null || setup_apt_install nodejs npm ||
        setup_fail "node or npm was not found" "Debian: apt-get install nodejs npm" \
            "Fedora: dnf install nodejs npm" "macOS: brew install node"
}
