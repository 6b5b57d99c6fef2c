//! `genius guest new`: a folder with a small guest that builds and passes its own test.
//!
//! What is in it are files of `host/genius/templates`, with the words between `{{` and `}}`
//! replaced, and the contract.

use crate::{exit, safe};
use clap::{Args, ValueEnum};
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Longest name, bytes.
const NAME_LIMIT: usize = 64;

#[derive(Debug, Args)]
pub(crate) struct NewArgs {
    /// Its name, and the folder's: lowercase letters, digits and `-`, a letter first
    name: String,
    /// What kind of guest it is
    #[arg(long, value_enum)]
    world: World,
    /// The language it is written in
    #[arg(long, value_enum, default_value_t = Lang::Rust)]
    lang: Lang,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum World {
    /// Asks models, and is run by `genius run`
    Workflow,
    /// Decides which request runs when, and which model stays in memory
    Policy,
    /// Runs the fixtures of `genius test`
    Scenario,
    /// Is called by models
    Tool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Lang {
    /// With cargo and wit-bindgen
    Rust,
    /// With componentize-py
    Python,
    /// With componentize-js
    Js,
}

/// Makes the folder, in the one where the command is run.
pub(crate) fn new(args: &NewArgs) -> ExitCode {
    let NewArgs { name, world, lang } = args;
    let made = files(name, *world, *lang).and_then(|files| write(Path::new("."), name, &files));
    match made {
        Ok(()) => {
            let (kind, lang) = (world.kind(), lang.title());
            let text = format!(
                "made {name}/: {kind} in {lang}\n\n  cd {name}\n  ./test.sh     # builds it and \
                 runs its test; README.md tells more\n"
            );
            // Whoever closed the pipe has seen enough.
            let _ = io::stdout().lock().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(Fault::Usage { wrong, hint }) => exit::usage(&wrong, &hint),
        Err(Fault::Disk { path, error }) => {
            let path = path.display().to_string();
            eprintln!("error: {}: {error}", safe::line(&path));
            ExitCode::from(exit::HOST)
        }
    }
}

/// Why there is no folder.
#[derive(Debug)]
pub(crate) enum Fault {
    /// What was asked for cannot be.
    Usage { wrong: String, hint: String },
    /// A file could not be written.
    Disk { path: PathBuf, error: io::Error },
}

impl Fault {
    fn usage(wrong: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage {
            wrong: wrong.into(),
            hint: hint.into(),
        }
    }

    fn disk(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Disk {
            path: path.to_owned(),
            error,
        }
    }
}

/// Puts the files of a table, `(path in the folder, template)`, in a constant.
macro_rules! table {
    ($($name:ident: $($to:literal <- $from:literal),+;)+) => {$(
        const $name: &[(&str, &str)] = &[
            $(($to, include_str!(concat!("../../../../templates/", $from)))),+
        ];
    )+};
}

table! {
    EVERY:
        ".gitignore" <- "gitignore",
        "wit/brainstem.wit" <- "../../../wit/brainstem.wit",
        "wit/cortex.wit" <- "../../../wit/cortex.wit",
        "wit/facecrab.wit" <- "../../../wit/facecrab.wit",
        "wit/journal.wit" <- "../../../wit/journal.wit",
        "wit/reply.wit" <- "../../../wit/reply.wit",
        "wit/scenario.wit" <- "../../../wit/scenario.wit",
        "wit/tools.wit" <- "../../../wit/tools.wit",
        "wit/types.wit" <- "../../../wit/types.wit",
        "wit/worlds.wit" <- "../../../wit/worlds.wit";

    WORKFLOW: "README.md" <- "workflow/README.md", "test.sh" <- "workflow/test.sh";
    POLICY: "README.md" <- "policy/README.md", "test.sh" <- "policy/test.sh";
    SCENARIO:
        "README.md" <- "scenario/README.md",
        "test.sh" <- "scenario/test.sh",
        "fixtures/example/model/Q4_0/first.md" <- "scenario/first.md";
    TOOL: "README.md" <- "tool/README.md", "test.sh" <- "tool/test.sh";

    // Not by its own name: cargo takes every folder with a Cargo.toml for a package.
    RUST: "Cargo.toml" <- "rust/manifest.toml", "build.sh" <- "rust/build.sh";
    PYTHON:
        "requirements.txt" <- "python/requirements.txt",
        "build.sh" <- "python/build.sh";
    JS:
        "package.json" <- "js/package.json",
        "build.mjs" <- "js/build.mjs",
        "build.sh" <- "js/build.sh";

    RUST_WORKFLOW: "src/lib.rs" <- "rust/workflow/lib.rs";
    RUST_POLICY: "src/lib.rs" <- "rust/policy/lib.rs";
    RUST_SCENARIO: "src/lib.rs" <- "rust/scenario/lib.rs";
    RUST_TOOL: "src/lib.rs" <- "rust/tool/lib.rs";
    PYTHON_WORKFLOW: "app.py" <- "python/workflow/app.py";
    PYTHON_POLICY: "app.py" <- "python/policy/app.py";
    PYTHON_SCENARIO: "app.py" <- "python/scenario/app.py";
    PYTHON_TOOL: "app.py" <- "python/tool/app.py";
    JS_WORKFLOW: "app.js" <- "js/workflow/app.js";
    JS_POLICY: "app.js" <- "js/policy/app.js";
    JS_SCENARIO: "app.js" <- "js/scenario/app.js";
    JS_TOOL: "app.js" <- "js/tool/app.js";
}

/// The files of a guest, by their paths in its folder.
///
/// Errors: [`Fault::Usage`], for a name that is none and for a combination that cannot work.
pub(crate) fn files(name: &str, world: World, lang: Lang) -> Result<Vec<(PathBuf, String)>, Fault> {
    check_name(name)?;
    let of_world = match world {
        World::Workflow => WORKFLOW,
        World::Policy => POLICY,
        World::Scenario => SCENARIO,
        World::Tool => TOOL,
    };
    let of_lang = match lang {
        Lang::Rust => RUST,
        Lang::Python => PYTHON,
        Lang::Js => JS,
    };
    let source = match (lang, world) {
        (Lang::Rust, World::Workflow) => RUST_WORKFLOW,
        (Lang::Rust, World::Policy) => RUST_POLICY,
        (Lang::Rust, World::Scenario) => RUST_SCENARIO,
        (Lang::Rust, World::Tool) => RUST_TOOL,
        (Lang::Python, World::Workflow) => PYTHON_WORKFLOW,
        (Lang::Python, World::Policy) => PYTHON_POLICY,
        (Lang::Python, World::Scenario) => PYTHON_SCENARIO,
        (Lang::Python, World::Tool) => PYTHON_TOOL,
        (Lang::Js, World::Workflow) => JS_WORKFLOW,
        (Lang::Js, World::Policy) => JS_POLICY,
        (Lang::Js, World::Scenario) => JS_SCENARIO,
        (Lang::Js, World::Tool) => JS_TOOL,
    };
    let words = words(name, world, lang);
    Ok([EVERY, of_world, of_lang, source]
        .concat()
        .into_iter()
        .map(|(path, template)| (path.into(), fill(template, &words)))
        .collect())
}

fn check_name(name: &str) -> Result<(), Fault> {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.len() <= NAME_LIMIT
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(legal)
    {
        return Ok(());
    }
    let shown: String = name.chars().take(NAME_LIMIT).collect();
    Err(Fault::usage(
        format!("{shown:?} is no name for a guest"),
        format!(
            "a name is lowercase letters, digits and `-`, a letter first, {NAME_LIMIT} at most: \
             code-review"
        ),
    ))
}

/// What stands for the words between `{{` and `}}`.
fn words(name: &str, world: World, lang: Lang) -> Vec<(&'static str, String)> {
    vec![
        // First: the others stand in it, too.
        (
            "test-head",
            include_str!("../../../../templates/test-head.sh").to_owned(),
        ),
        ("name", name.to_owned()),
        ("crate", name.replace('-', "_")),
        ("world", world.in_contract(lang)),
        ("version", contract_version().to_owned()),
        ("needs", lang.needs().to_owned()),
        ("source", lang.source().to_owned()),
        ("dependencies", dependencies(world).to_owned()),
        ("unit-test", unit_test(lang).to_owned()),
    ]
}

fn fill(template: &str, words: &[(&str, String)]) -> String {
    let mut text = template.to_owned();
    for (word, value) in words {
        text = text.replace(&format!("{{{{{word}}}}}"), value);
    }
    text
}

/// The version that the contract's files say, as in `0.2.0`.
fn contract_version() -> &'static str {
    let types = include_str!("../../../../../../wit/types.wit");
    let package = types.split_once(';').map_or(types, |(package, _)| package);
    package
        .rsplit_once('@')
        .map_or(package, |(_, version)| version)
}

/// What only one of the worlds needs in Rust.
fn dependencies(world: World) -> &'static str {
    match world {
        World::Tool => "serde_json = \"1\"\n",
        _ => "",
    }
}

/// What a test does besides, on the machine itself.
fn unit_test(lang: Lang) -> &'static str {
    match lang {
        Lang::Rust => {
            "# What is plain Rust, on this machine; of the same profile, which shares what is built.\n\
             cargo test --quiet --target-dir \"${CARGO_TARGET_DIR:-build/target}\"\n"
        }
        Lang::Python | Lang::Js => "",
    }
}

impl World {
    fn kind(self) -> &'static str {
        match self {
            Self::Workflow => "a workflow",
            Self::Policy => "a policy",
            Self::Scenario => "a test scenario",
            Self::Tool => "a tool",
        }
    }

    /// The world's name in the contract.
    fn in_contract(self, lang: Lang) -> String {
        let name = match self {
            Self::Workflow => "workflow",
            // Nothing in it is async.
            Self::Policy => return "policy".into(),
            Self::Scenario => "scenario",
            Self::Tool => "tool",
        };
        match lang {
            Lang::Rust | Lang::Python => name.into(),
            // componentize-js cannot take async functions yet.
            Lang::Js => format!("{name}-blocking"),
        }
    }
}

impl Lang {
    fn title(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::Python => "Python",
            Self::Js => "JavaScript",
        }
    }

    fn source(self) -> &'static str {
        match self {
            Self::Rust => "src/lib.rs",
            Self::Python => "app.py",
            Self::Js => "app.js",
        }
    }

    /// A line for the README.
    fn needs(self) -> &'static str {
        match self {
            Self::Rust => {
                "Building it needs Rust with the target for guests: \
                 `rustup target add wasm32-wasip2`."
            }
            Self::Python => {
                "Building it needs Python 3.10 or later; the first build fetches componentize-py."
            }
            Self::Js => {
                "Building it needs Node.js 20 or later and npm; the first build fetches \
                 componentize-js."
            }
        }
    }
}

/// Makes the folder `name` in `parent`, whole or not at all.
pub(crate) fn write(parent: &Path, name: &str, files: &[(PathBuf, String)]) -> Result<(), Fault> {
    let folder = parent.join(name);
    if folder.symlink_metadata().is_ok() {
        return Err(Fault::usage(
            format!("{name} is there already"),
            "choose another name, or remove it first",
        ));
    }
    // Beside it, so that it can be renamed; of this process, so that nobody else writes there.
    let aside = parent.join(format!(".{name}.{}", std::process::id()));
    fs::create_dir(&aside).map_err(Fault::disk(&aside))?;
    let made = write_files(&aside, files)
        .and_then(|()| fs::rename(&aside, &folder).map_err(Fault::disk(&folder)));
    if made.is_err() {
        // What failed is told; that a folder is left over is the smaller trouble.
        let _ = fs::remove_dir_all(&aside);
    }
    made
}

fn write_files(folder: &Path, files: &[(PathBuf, String)]) -> Result<(), Fault> {
    for (path, text) in files {
        let path = folder.join(path);
        if let Some(above) = path.parent() {
            fs::create_dir_all(above).map_err(Fault::disk(above))?;
        }
        fs::write(&path, text).map_err(Fault::disk(&path))?;
        if path.extension().is_some_and(|extension| extension == "sh") {
            make_executable(&path).map_err(Fault::disk(&path))?;
        }
    }
    Ok(())
}

#[cfg(unix)]
fn make_executable(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mut permissions = fs::metadata(path)?.permissions();
    // Whoever may read it may run it.
    let mode = permissions.mode();
    permissions.set_mode(mode | (mode & 0o444) >> 2);
    fs::set_permissions(path, permissions)
}

#[cfg(not(unix))]
fn make_executable(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn combinations() -> impl Iterator<Item = (World, Lang)> {
        let langs = Lang::value_variants();
        let worlds = World::value_variants().iter();
        worlds.flat_map(|world| langs.iter().map(|lang| (*world, *lang)))
    }

    /// A folder that is gone with the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(test: &str) -> Self {
            let tmp = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/tmp"));
            let folder = tmp.join(format!("genius-new-{test}-{}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn every_combination_has_its_files_and_no_word_is_left_to_fill_in() {
        for (world, lang) in combinations() {
            let files = files("code-review", world, lang).unwrap();
            let paths: BTreeSet<_> = files
                .iter()
                .map(|(path, _)| path.to_str().unwrap())
                .collect();
            assert_eq!(paths.len(), files.len(), "a file twice: {paths:?}");
            let source = lang.source();
            for wanted in ["README.md", ".gitignore", "build.sh", "test.sh", source] {
                assert!(paths.contains(wanted), "{world:?} {lang:?}: no {wanted}");
            }
            for (path, text) in &files {
                let letter = |rest: &str| rest.starts_with(|c: char| c.is_ascii_lowercase());
                let left = text.split("{{").skip(1).any(letter);
                assert!(!left, "{world:?} {lang:?}: {}", path.display());
            }
        }
    }

    #[test]
    fn the_whole_contract_goes_with_it() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
        let files = files("x", World::Tool, Lang::Rust).unwrap();
        for entry in fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let path = Path::new("wit").join(&name);
            let there = files.iter().any(|(other, _)| *other == path);
            assert!(there || !name.ends_with(".wit"), "{name} is missing");
        }
        assert_eq!(contract_version(), "0.2.0");
    }

    #[test]
    fn the_world_is_one_of_the_contract() {
        let worlds = include_str!("../../../../../../wit/worlds.wit");
        for (world, lang) in combinations() {
            let line = format!("world {} {{", world.in_contract(lang));
            assert!(worlds.lines().any(|other| other == line), "{line}");
        }
    }

    #[test]
    fn a_name_that_is_none_is_refused() {
        let long = "x".repeat(65);
        for bad in [
            "", "Review", "1st", "-x", "a_b", "a/b", "..", "über", "a b", "a\n", &long,
        ] {
            let refused = files(bad, World::Tool, Lang::Rust);
            assert!(matches!(refused, Err(Fault::Usage { .. })), "{bad:?}");
        }
        for good in ["x", "code-review", "a1-2", &long[1..]] {
            assert!(files(good, World::Tool, Lang::Rust).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn the_folder_is_there_as_a_whole() {
        let folder = Folder::new("whole");
        let files = files("x", World::Scenario, Lang::Rust).unwrap();
        write(&folder.0, "x", &files).unwrap();
        for (path, text) in &files {
            assert_eq!(
                fs::read_to_string(folder.0.join("x").join(path)).unwrap(),
                *text
            );
        }
        // And nothing lies beside it.
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn scripts_can_be_run() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = Folder::new("scripts");
        write(&folder.0, "x", &files("x", World::Tool, Lang::Js).unwrap()).unwrap();
        for (file, runs) in [("build.sh", true), ("test.sh", true), ("app.js", false)] {
            let mode = fs::metadata(folder.0.join("x").join(file))
                .unwrap()
                .permissions();
            assert_eq!(mode.mode() & 0o100 != 0, runs, "{file}");
        }
    }

    #[test]
    fn what_is_there_already_is_left_alone() {
        let folder = Folder::new("there");
        fs::write(folder.0.join("x"), "mine").unwrap();
        let refused = write(&folder.0, "x", &[("a".into(), "b".into())]);
        assert!(matches!(refused, Err(Fault::Usage { .. })));
        assert_eq!(fs::read_to_string(folder.0.join("x")).unwrap(), "mine");
    }

    #[test]
    fn where_a_file_cannot_be_written_there_is_no_folder() {
        let folder = Folder::new("half");
        // The second wants a folder where the first is a file.
        let files = [("a".into(), String::new()), ("a/b".into(), String::new())];
        let failed = write(&folder.0, "x", &files);
        assert!(matches!(failed, Err(Fault::Disk { .. })));
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 0);
    }
}
