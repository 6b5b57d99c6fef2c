//! Compiles the workspace in `guests/` to components, encodes the attacks in WebAssembly
//! text beside it, and writes the table of them.
//!
//! What compiles them, and in which order it is looked for, is told in `src/lib.rs`.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const TARGET: &str = "wasm32-wasip2";

/// The folders below `guests/` that hold guests, their `Kind`, and what stands before their
/// names. `Kind::folder` and `Kind::prefix` say the same; a test compares them.
const KINDS: [(&str, &str, &str); 5] = [
    ("workflows", "Workflow", ""),
    ("tools", "Tool", "tool/"),
    ("scenarios", "Scenario", ""),
    ("policies", "Policy", "policy/"),
    ("hostile", "Hostile", "hostile/"),
];

/// The folder whose guests may also be files of WebAssembly text.
const HOSTILE: &str = "hostile";

/// The folders of what guests share, none themselves.
const SHARED: [&str; 2] = ["kit", "crowbar"];

/// Where Debian's packages put what a build for WASI needs.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_LIBC: &str = "/usr/lib/wasm32-wasi";

fn main() -> ExitCode {
    match bundle() {
        Ok(()) => ExitCode::SUCCESS,
        // A build script that panics buries its message under a backtrace.
        Err(message) => {
            eprintln!("error: the guests cannot be built: {message}");
            ExitCode::FAILURE
        }
    }
}

fn bundle() -> Result<(), String> {
    let manifest_dir = variable("CARGO_MANIFEST_DIR")?;
    let out_dir = PathBuf::from(variable("OUT_DIR")?);
    let guests_dir = Path::new(&manifest_dir)
        .parent()
        .ok_or("guests/bundle has no parent folder")?;

    rerun_if_changed(guests_dir)?;
    let guests = discover(guests_dir)?;
    let products = compile(guests_dir, &target_dir(&out_dir))?;

    let mut table = String::from("const GUESTS: &[Guest] = &[\n");
    for guest in &guests {
        let file = format!("{}.wasm", guest.name);
        let bundled = out_dir.join(&file);
        match &guest.form {
            Form::Crate => {
                // A copy, because the products are shared: a later build of another profile
                // may replace them between this script and the compiler reading the table.
                let product = products.join(file.replace('-', "_"));
                fs::copy(&product, bundled).map_err(|e| describe(&product, &e))?;
            }
            Form::Text(bytes) => {
                fs::write(&bundled, bytes).map_err(|e| describe(&bundled, &e))?;
            }
        }
        let _ = writeln!(
            table,
            "    Guest {{ name: \"{}{}\", kind: Kind::{}, summary: {:?}, \
             bytes: include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{file}\")) }},",
            guest.prefix, guest.name, guest.kind, guest.summary,
        );
    }
    table.push_str("];\n");
    table.push_str(&foreach_hostile(&guests));
    let table_file = out_dir.join("bundle.rs");
    fs::write(&table_file, table).map_err(|e| describe(&table_file, &e))
}

/// The macro that names every hostile guest, so that one without a test does not compile.
fn foreach_hostile(guests: &[Source]) -> String {
    let names: String = guests
        .iter()
        .filter(|guest| guest.kind == "Hostile")
        .map(|guest| format!(" hostile_{}", guest.name.replace('-', "_")))
        .collect();
    format!(
        "{FOREACH_DOC}macro_rules! foreach_hostile {{ ($mac:ident) => {{ $mac! {{{names} }} }}; }}\n"
    )
}

const FOREACH_DOC: &str = "\
/// Calls the macro of this name once, with an identifier for every hostile guest: the name
/// in the bundle, with `_` for `/` and `-`. A test file that demands an item of each name
/// does not compile as long as a guest has no test:
///
/// ```
/// # macro_rules! tests { ($($name:ident)*) => { $(fn $name() {})* } }
/// # rusty_genius_guests::foreach_hostile!(tests);
/// macro_rules! has_a_test {
///     ($($name:ident)*) => { $(const _: fn() = $name;)* };
/// }
/// rusty_genius_guests::foreach_hostile!(has_a_test);
/// # fn main() {}
/// ```
#[macro_export]
";

/// Names what the guests are made of. Not this crate's own folder and not the products,
/// or every build would start the next.
fn rerun_if_changed(guests_dir: &Path) -> Result<(), String> {
    let mut sources = vec![
        PathBuf::from("build.rs"),
        guests_dir.join("Cargo.toml"),
        guests_dir.join("Cargo.lock"),
    ];
    sources.extend(SHARED.map(|folder| guests_dir.join(folder)));
    sources.extend(KINDS.iter().map(|(folder, ..)| guests_dir.join(folder)));
    let contract = guests_dir.join("../wit");
    sources.extend(
        entries(&contract)?
            .into_iter()
            .filter(|path| path.extension().is_some_and(|ext| ext == "wit")),
    );
    for source in sources {
        println!("cargo::rerun-if-changed={}", source.display());
    }
    Ok(())
}

/// A guest, before it is compiled.
struct Source {
    name: String,
    kind: &'static str,
    prefix: &'static str,
    summary: String,
    form: Form,
}

enum Form {
    /// A package of the workspace, named as the guest is.
    Crate,
    /// A file of WebAssembly text: what it says, in bytes.
    Text(Vec<u8>),
}

fn discover(guests_dir: &Path) -> Result<Vec<Source>, String> {
    let mut guests: Vec<Source> = Vec::new();
    for (folder, kind, prefix) in KINDS {
        let begin = guests.len();
        for path in entries(&guests_dir.join(folder))? {
            let is_text = path.extension().is_some_and(|extension| extension == "wat");
            let (name, summary, form) = if is_text && folder == HOSTILE {
                read_text(&path)?
            } else if path.join("Cargo.toml").is_file() {
                read_manifest(&path.join("Cargo.toml"))?
            } else {
                continue;
            };
            if guests.iter().any(|guest| guest.name == name) {
                return Err(format!(
                    "{}: there is a guest `{name}` already",
                    path.display()
                ));
            }
            guests.push(Source {
                name,
                kind,
                prefix,
                summary,
                form,
            });
        }
        guests[begin..].sort_by(|a, b| a.name.cmp(&b.name));
    }
    Ok(guests)
}

fn read_manifest(file: &Path) -> Result<(String, String, Form), String> {
    let manifest = fs::read_to_string(file).map_err(|e| describe(file, &e))?;
    let field = |key| {
        string_field(&manifest, key)
            .ok_or_else(|| format!("{} has no `{key} = \"…\"`", file.display()))
    };
    let name = field("name")?;
    let folder = file.parent().and_then(Path::file_name);
    if folder.is_none_or(|folder| folder != &*name) {
        return Err(format!(
            "{} names the package `{name}`, unlike its folder",
            file.display()
        ));
    }
    Ok((name, field("description")?, Form::Crate))
}

fn read_text(file: &Path) -> Result<(String, String, Form), String> {
    let text = fs::read_to_string(file).map_err(|e| describe(file, &e))?;
    let name = file.file_stem().and_then(|stem| stem.to_str());
    let name = name.ok_or_else(|| format!("{} has an odd name", file.display()))?;
    let summary = text
        .lines()
        .next()
        .and_then(|line| line.strip_prefix(";; "));
    let summary = summary
        .ok_or_else(|| format!("{} does not begin with `;; ` and a summary", file.display()))?;
    // Encoded, not validated: some are wrong on purpose.
    let bytes = include(file, &text)
        .and_then(|text| repeat(&text))
        .and_then(|text| wat::parse_str(text).map_err(|e| e.to_string()))
        .map_err(|e| format!("{}: {e}", file.display()))?;
    Ok((name.to_owned(), summary.to_owned(), Form::Text(bytes)))
}

/// Writes the file named by a line `;; include FILE` in its place.
fn include(file: &Path, text: &str) -> Result<String, String> {
    let mut out = String::new();
    for line in text.lines() {
        match line.trim().strip_prefix(";; include ") {
            Some(name) => {
                let included = file.with_file_name(name);
                out.push_str(&fs::read_to_string(&included).map_err(|e| describe(&included, &e))?);
            }
            None => out.push_str(line),
        }
        out.push('\n');
    }
    Ok(out)
}

/// Writes the lines between `;; repeat N` and `;; end` N times, with the number of the
/// round, from 1, for `{n}` and the number before it for `{m}`. WebAssembly text has no
/// macros, and an attack by mere numbers should still be one that a person can read.
fn repeat(text: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(count) = line.trim().strip_prefix(";; repeat ") else {
            out.push_str(line);
            out.push('\n');
            continue;
        };
        let count: usize = count.parse().map_err(|_| format!("`{line}`: no number"))?;
        let body: Vec<&str> = lines
            .by_ref()
            .take_while(|line| line.trim() != ";; end")
            .collect();
        for n in 1..=count {
            for line in &body {
                let line = line.replace("{n}", &n.to_string());
                out.push_str(&line.replace("{m}", &(n - 1).to_string()));
                out.push('\n');
            }
        }
    }
    Ok(out)
}

/// The value of a line `key = "value"`. Guests' manifests are a dozen lines that a
/// person wrote; a TOML parser would cost every build of the host more than they do.
fn string_field(manifest: &str, key: &str) -> Option<String> {
    manifest.lines().find_map(|line| {
        let value = line.strip_prefix(key)?.trim_start().strip_prefix('=')?;
        let value = value.trim().strip_prefix('"')?.strip_suffix('"')?;
        (!value.contains(['"', '\\'])).then(|| value.to_owned())
    })
}

/// Compiles all guests; gives the folder with the components.
fn compile(guests_dir: &Path, target_dir: &Path) -> Result<PathBuf, String> {
    let mut cargo = Command::new(variable("CARGO")?);
    cargo
        .current_dir(guests_dir)
        .args(["build", "--release", "--locked", "--target", TARGET])
        .arg("--target-dir")
        .arg(target_dir);
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(is_about_the_outer_build) {
            cargo.env_remove(name);
        }
    }
    choose_compiler(&mut cargo)?;
    let status = cargo
        .status()
        .map_err(|e| format!("cargo cannot be started: {e}"))?;
    if !status.success() {
        return Err("their own build failed, see above".to_owned());
    }
    Ok(target_dir.join(TARGET).join("release"))
}

/// Whether an environment variable describes the build of the host, and would mislead
/// the build of the guests: flags and targets of the native build, clippy's wrapper,
/// profile settings. Where to find crates (`CARGO_HOME`, `CARGO_NET_*`, …) holds for
/// both, and so does the jobserver, which keeps the two from using the cores twice.
fn is_about_the_outer_build(name: &str) -> bool {
    const CARGO: [&str; 8] = [
        "CARGO_BUILD_",
        "CARGO_CFG_",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_FEATURE_",
        "CARGO_MANIFEST_",
        "CARGO_PKG_",
        "CARGO_PROFILE_",
        "CARGO_TARGET_",
    ];
    name.starts_with("RUSTC")
        || name.starts_with("RUSTDOC")
        || name.starts_with("CLIPPY")
        || name == "RUSTFLAGS"
        || CARGO.iter().any(|prefix| name.starts_with(prefix))
}

/// Tells cargo what compiles for WASI on this machine.
fn choose_compiler(cargo: &mut Command) -> Result<(), String> {
    let rustc = variable("RUSTC")?;
    let sysroot = sysroot(&rustc)?;
    if has_std(&sysroot.join("lib/rustlib").join(TARGET).join("lib")) {
        // As `$RUSTC`, not as cargo's own choice: they can differ.
        cargo.env("RUSTC", rustc);
        return Ok(());
    }
    let tools = sysroot.join(format!("lib/rustlib/{}/bin", variable("HOST")?));
    let linker = tools.join("wasm-component-ld");
    let standard_library = sysroot_source(DEBIAN_RUSTC);
    if !(standard_library && Path::new(DEBIAN_LIBC).is_dir() && linker.is_file()) {
        return Err(WHAT_TO_TYPE.to_owned());
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths(
        [tools.join("gcc-ld"), tools.clone()]
            .into_iter()
            .chain(env::split_paths(&path)),
    )
    .map_err(|e| format!("the toolchain's folder cannot be added to PATH: {e}"))?;
    cargo
        .env("PATH", path)
        .env("RUSTC", DEBIAN_RUSTC)
        // Debian's compiler is a stable one; building the standard library is not.
        .env("RUSTC_BOOTSTRAP", "1")
        // Debian's C library is not inside the sysroot, where rustc looks first.
        .env(
            "RUSTFLAGS",
            format!("-L{DEBIAN_LIBC} -Clink-self-contained=no"),
        )
        .env("CARGO_TARGET_WASM32_WASIP2_LINKER", linker)
        .args(["-Z", "build-std=std,panic_abort"]);
    Ok(())
}

const WHAT_TO_TYPE: &str = "\
no compiler for wasm32-wasip2 was found.
hint: with rustup:  rustup target add wasm32-wasip2
hint: on Debian, where rustup cannot download:
          apt-get install --no-install-recommends rustc-web rust-web-src wasi-libc";

/// Whether a toolchain's folder for a target holds the compiled standard library.
fn has_std(folder: &Path) -> bool {
    entries(folder).is_ok_and(|files| {
        files.iter().any(|file| {
            file.file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| name.starts_with("libstd-"))
        })
    })
}

fn sysroot(rustc: &str) -> Result<PathBuf, String> {
    let output = Command::new(rustc)
        .args(["--print", "sysroot"])
        .output()
        .map_err(|e| format!("{rustc} cannot be started: {e}"))?;
    if !output.status.success() {
        return Err(format!("{rustc} does not say where its sysroot is"));
    }
    Ok(PathBuf::from(
        String::from_utf8_lossy(&output.stdout).trim_end(),
    ))
}

/// Whether a compiler is there with the sources of its standard library.
fn sysroot_source(rustc: &str) -> bool {
    sysroot(rustc).is_ok_and(|root| {
        root.join("lib/rustlib/src/rust/library/std/Cargo.toml")
            .is_file()
    })
}

/// Where the guests are compiled: `guests/` in the target directory of the build. One
/// place for all profiles, so that `cargo test`, `clippy` and `--release` compile them
/// once; and not the outer cargo's own place, which it has locked.
fn target_dir(out_dir: &Path) -> PathBuf {
    // Cargo does not tell: it runs build scripts in TARGET-DIR[/TRIPLE]/PROFILE/build/….
    let triple = env::var_os("TARGET");
    let mut above = out_dir
        .ancestors()
        .skip_while(|folder| folder.file_name().is_none_or(|name| name != "build"))
        .skip(2);
    match above.next() {
        Some(folder) if folder.file_name() == triple.as_deref() => above.next(),
        folder => folder,
    }
    .unwrap_or(out_dir)
    .join("guests")
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let read = || -> std::io::Result<Vec<PathBuf>> {
        let mut paths = folder
            .read_dir()?
            .map(|entry| Ok(entry?.path()))
            .collect::<std::io::Result<Vec<_>>>()?;
        paths.sort();
        Ok(paths)
    };
    read().map_err(|e| describe(folder, &e))
}

fn describe(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|e| format!("{name}: {e}"))
}
