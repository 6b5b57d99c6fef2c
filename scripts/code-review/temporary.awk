# Finds lines, comments apart, that use the system's directory for temporary files.

function fault(advice) {
    print FILENAME ":" FNR ": uses the system's directory for temporary files; " advice
}

FNR == 1 {
    rust = FILENAME ~ /\.rs$/
    setup = 0
}

rust {
    code = $0
    sub(/(^|[ \t])\/\/.*/, "", code)
    # A path in a guest is the guest's own, and so is one that is only named: where it
    # leads is for the tests of the sandbox to say.
    if (code ~ /temp_dir\(|tempfile::|NamedTempFile|tempdir\(/ ||
        code ~ /(Path::new|PathBuf::from|fs::[a-z_]+|File::[a-z_]+|\.join)\((&?format!\()?"(\/private|\/var)?\/tmp/)
        fault("take CARGO_TARGET_TMPDIR, or target/tmp from CARGO_MANIFEST_DIR")
    next
}

{
    code = $0
    sub(/(^|[ \t])#.*/, "", code)
    # It sets TMPDIR, and with it what mktemp does.
    if (code ~ /(source|\.) .*setup\.sh/) setup = 1
    if (code ~ /(^|[^A-Za-z0-9_.})\/*])(\/private|\/var)?\/tmp([^A-Za-z0-9_-]|$)/ ||
        code ~ /RUNNER_TEMP|runner\.temp|env:TE?MP|%TE?MP%|gettempdir/ ||
        (!setup && code ~ /(^|[^A-Za-z0-9_-])mktemp([^A-Za-z0-9_-]|$)/))
        fault("source setup.sh and write below target/tmp")
}
