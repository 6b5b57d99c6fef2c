use super::*;
use proptest::prelude::*;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

fn dir(test: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../target/tmp/facecrab-registry")
        .join(test);
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    dir
}

fn entry(spec: &str) -> Entry {
    Entry {
        spec: spec.into(),
        files: vec![FileRecord {
            path: format!("/cache/{spec}.gguf").into(),
            size: 7,
            sha256: Some("ab".repeat(32)),
        }],
        revision: Some("c0ffee".into()),
        source: format!("https://hub.example/{spec}"),
        time: "2025-01-02T03:04:05Z".into(),
    }
}

fn specs(registry: &Registry) -> Vec<String> {
    let entries = registry.list().unwrap().value;
    entries.into_iter().map(|entry| entry.spec).collect()
}

fn manifest(error: GeniusError) -> ManifestError {
    match error {
        GeniusError::Manifest(error) => error,
        other => panic!("{other}"),
    }
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn what_is_recorded_is_found_until_it_is_removed() {
    let registry = Registry::open(dir("round").join("made/for/it"));
    assert_eq!(registry.list().unwrap().value, []);
    let (a, mut b) = (entry("o/a:Q8_0"), entry("o/b:Q4_K_M"));
    b.files.push(FileRecord {
        path: "/cache/\"odd\" \\ name.gguf".into(),
        size: i64::MAX as u64,
        sha256: None,
    });
    b.revision = None;
    registry.record(&b).unwrap();
    registry.record(&a).unwrap();
    assert_eq!(registry.list().unwrap().value, [a.clone(), b.clone()]);
    assert_eq!(registry.get("o/b:Q4_K_M").unwrap().value, Some(b));
    assert_eq!(registry.get("o/c").unwrap().value, None);
    assert!(registry.remove("o/b:Q4_K_M").unwrap().value);
    assert!(!registry.remove("o/b:Q4_K_M").unwrap().value);
    assert_eq!(registry.list().unwrap().value, [a]);
    let left = ["registry.lock", "registry.toml", "registry.toml.bak"];
    assert_eq!(names(&registry.folder), left);
}

#[test]
fn comments_and_keys_of_the_user_survive() {
    let dir = dir("comments");
    let digest = "ab".repeat(32);
    let text = format!(
        r#"# About the whole file.

mine = 1 # and this

# About a.
[models."o/a"]
source = "old" # where from
time = "then"
note = "keep"
files = [
    # the first
    {{ path = "/cache/o/a.gguf", size = 1, sha256 = "{digest}", tag = "x" }}, # behind
]

# The end.
"#
    );
    fs::write(dir.join(FILE), &text).unwrap();
    let registry = Registry::open(&dir);
    registry.record(&entry("o/a")).unwrap();
    registry.record(&entry("o/b")).unwrap();
    let changed = fs::read_to_string(dir.join(FILE)).unwrap();
    for kept in [
        "# About the whole file.",
        "mine = 1 # and this",
        "# About a.",
        "# where from",
        "note = \"keep\"",
        "# the first",
        "tag = \"x\"",
        "# behind",
        "# The end.",
        "size = 7",
    ] {
        assert!(changed.contains(kept), "{kept}: {changed}");
    }
    assert_eq!(
        fs::read_to_string(dir.join(BACKUP))
            .unwrap()
            .matches("[models")
            .count(),
        1
    );
    registry.remove("o/b").unwrap();
    registry.remove("o/a").unwrap();
    let changed = fs::read_to_string(dir.join(FILE)).unwrap();
    for kept in [
        "# About the whole file.",
        "mine = 1 # and this",
        "# The end.",
    ] {
        assert!(changed.contains(kept), "{kept}: {changed}");
    }
}

#[test]
fn the_header_survives_its_first_entry() {
    let registry = Registry::open(dir("header"));
    for spec in ["o/a", "o/b", "o/c"] {
        registry.record(&entry(spec)).unwrap();
    }
    let header = "# The models on this machine";
    for spec in ["o/a", "o/b", "o/c"] {
        assert!(registry.remove(spec).unwrap().value);
        let text = fs::read_to_string(registry.path(FILE)).unwrap();
        assert_eq!(text.matches(header).count(), 1, "{text}");
    }
}

#[test]
fn the_same_again_writes_nothing() {
    let registry = Registry::open(dir("same"));
    registry.record(&entry("o/a")).unwrap();
    registry.record(&entry("o/b")).unwrap();
    let before = fs::read_to_string(registry.path(BACKUP)).unwrap();
    registry.record(&entry("o/b")).unwrap();
    assert_eq!(fs::read_to_string(registry.path(BACKUP)).unwrap(), before);
}

/// A registry whose backup knows `o/a`, and itself `o/b` as well.
fn two(test: &str) -> (Registry, String) {
    let registry = Registry::open(dir(test));
    registry.record(&entry("o/a")).unwrap();
    registry.record(&entry("o/b")).unwrap();
    let text = fs::read_to_string(registry.path(FILE)).unwrap();
    (registry, text)
}

#[test]
fn cut_anywhere_it_parses_or_says_so_and_the_backup_answers() {
    let (registry, text) = two("cut");
    let backup = fs::read(registry.path(BACKUP)).unwrap();
    for cut in 0..text.len() {
        fs::write(registry.path(FILE), &text.as_bytes()[..cut]).unwrap();
        let answer = registry.list().unwrap();
        match answer.warning {
            None => assert!(answer.value.len() < 2 || cut + 1 == text.len()),
            Some(warning) => {
                assert!(
                    cut == 0 || warning.line.is_some() || text[..cut].trim().is_empty(),
                    "{warning}"
                );
                assert!(warning.to_string().contains("registry.toml"), "{warning}");
                assert_eq!(answer.value, [entry("o/a")], "{cut}");
            }
        }
        fs::remove_file(registry.path(BACKUP)).unwrap();
        match registry.list() {
            Ok(answer) => assert_eq!(answer.warning, None),
            Err(error) => assert_eq!(manifest(error).file, registry.path(FILE)),
        }
        fs::write(registry.path(BACKUP), &backup).unwrap();
    }
}

#[test]
fn a_write_keeps_what_could_not_be_read_and_goes_on_from_the_backup() {
    let (registry, text) = two("keep");
    for (n, cut) in (1..).zip([0, 150, 230, text.len() - 5]) {
        fs::write(registry.path(FILE), &text[..cut]).unwrap();
        let warning = registry.record(&entry("o/c")).unwrap().warning.unwrap();
        let kept = format!("{FILE}.broken-{n}");
        assert!(warning.reason.contains(&kept), "{warning}");
        assert_eq!(
            fs::read_to_string(registry.path(&kept)).unwrap(),
            text[..cut]
        );
        assert_eq!(specs(&registry), ["o/a", "o/c"]);
    }
}

#[test]
fn what_is_no_registry_says_which_line_and_key() {
    let registry = Registry::open(dir("wrong"));
    let good = "source = 's'\ntime = 't'\n";
    for (text, line, key, reason) in [
        (
            "models = 3".to_owned(),
            Some(1),
            Some("models"),
            "invalid type",
        ),
        ("a = 1\na = 2".into(), Some(2), None, "duplicate key"),
        (
            format!("[models.x]\n{good}files = []"),
            Some(4),
            Some("models.x.files"),
            "is empty",
        ),
        (
            format!("[models.x]\n{good}files = [{{ path = 'p', size = -1 }}]"),
            Some(4),
            Some("models.x.files[0].size"),
            "-1",
        ),
        (
            format!("[models.x]\n{good}files = [{{ path = 'p', size = 1, sha256 = 'ab' }}]"),
            Some(4),
            Some("models.x.files"),
            "64",
        ),
        (
            format!("[models.\"\\u001b\"]\n{good}files = [{{ path = 'p', size = 1 }}]"),
            Some(1),
            Some("models.\u{1b}"),
            "no model spec",
        ),
        (
            "[models.x]\nsource = 's'".into(),
            Some(1),
            Some("models.x"),
            "missing field",
        ),
    ] {
        fs::write(registry.path(FILE), &text).unwrap();
        let error = manifest(registry.list().unwrap_err());
        assert_eq!(error.line, line, "{text}: {error}");
        assert_eq!(error.key.as_deref(), key, "{text}: {error}");
        assert!(error.reason.contains(reason), "{text}: {error}");
    }
    fs::write(registry.path(FILE), b"a = 1\nb = \"\xff\"\n").unwrap();
    let error = manifest(registry.list().unwrap_err());
    assert_eq!(
        (error.line, error.reason.as_str()),
        (Some(2), "is not UTF-8 text")
    );
}

#[test]
fn a_folder_in_its_place_moves_and_loses_nothing() {
    let (registry, _) = two("folder");
    fs::remove_file(registry.path(FILE)).unwrap();
    fs::create_dir(registry.path(FILE)).unwrap();
    fs::write(registry.path(FILE).join("inside"), "x").unwrap();
    let warning = registry.list().unwrap().warning.unwrap();
    assert!(warning.reason.contains("is a directory"), "{warning}");
    registry.record(&entry("o/c")).unwrap();
    assert_eq!(specs(&registry), ["o/a", "o/c"]);
    assert!(registry.path("registry.toml.broken-1/inside").exists());
}

#[test]
fn a_file_that_vanished_is_answered_for_by_its_backup() {
    let (registry, _) = two("vanished");
    fs::remove_file(registry.path(FILE)).unwrap();
    let answer = registry.list().unwrap();
    assert_eq!(answer.value, [entry("o/a")]);
    assert!(answer.warning.unwrap().reason.contains("is missing"));
    registry.record(&entry("o/b")).unwrap();
    assert_eq!(specs(&registry), ["o/a", "o/b"]);
}

#[test]
fn where_the_backup_is_broken_too_both_are_kept() {
    let (registry, _) = two("both");
    fs::write(registry.path(FILE), "one [").unwrap();
    fs::write(registry.path(BACKUP), "two [").unwrap();
    assert!(registry.list().is_err());
    let warning = registry.record(&entry("o/c")).unwrap().warning.unwrap();
    for n in [1, 2] {
        let kept = format!("registry.toml.broken-{n}");
        assert!(warning.reason.contains(&kept), "{warning}");
    }
    assert_eq!(
        fs::read(registry.path("registry.toml.broken-1")).unwrap(),
        b"one ["
    );
    assert_eq!(
        fs::read(registry.path("registry.toml.broken-2")).unwrap(),
        b"two ["
    );
    assert_eq!(specs(&registry), ["o/c"]);
}

#[test]
fn a_config_folder_that_cannot_be_written_is_named() {
    let dir = dir("unwritable");
    fs::write(dir.join("file"), "").unwrap();
    let below = dir.join("file/config");
    let error = Registry::open(&below).record(&entry("o/a")).unwrap_err();
    assert!(error.to_string().contains("file/config"), "{error}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let (registry, text) = two("read-only");
        let folder = &registry.folder;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o555)).unwrap();
        let privileged = fs::write(folder.join("probe"), "").is_ok();
        if !privileged {
            let error = registry.record(&entry("o/c")).unwrap_err().to_string();
            assert!(
                error.contains("registry") && error.contains("denied"),
                "{error}"
            );
            assert_eq!(fs::read_to_string(registry.path(FILE)).unwrap(), text);
        }
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[cfg(unix)]
#[test]
fn a_registry_kept_elsewhere_stays_a_link() {
    let dir = dir("link");
    fs::create_dir(dir.join("config")).unwrap();
    fs::write(dir.join("dotfile.toml"), "mine = 1\n").unwrap();
    std::os::unix::fs::symlink("../dotfile.toml", dir.join("config/registry.toml")).unwrap();
    let registry = Registry::open(dir.join("config"));
    registry.record(&entry("o/a")).unwrap();
    assert!(registry.path(FILE).is_symlink());
    let text = fs::read_to_string(dir.join("dotfile.toml")).unwrap();
    assert!(text.contains("mine = 1") && text.contains("o/a"), "{text}");
}

#[test]
fn what_cannot_be_written_as_text_changes_nothing() {
    let (registry, text) = two("invalid");
    let mut big = entry("o/c");
    big.files[0].size = u64::MAX;
    assert!(registry.record(&big).is_err());
    let mut none = entry("o/c");
    none.files.clear();
    assert!(registry.record(&none).is_err());
    assert!(registry.record(&entry("o/\n")).is_err());
    assert_eq!(fs::read_to_string(registry.path(FILE)).unwrap(), text);
}

/// Where a process spawned by a test finds the registry to write to.
const FOLDER: &str = "FACECRAB_TEST_REGISTRY";
const WRITER: &str = "FACECRAB_TEST_WRITER";

fn spawn(test: &str, folder: &Path, writer: usize) -> Child {
    let (_, module) = module_path!().split_once("::").unwrap();
    Command::new(std::env::current_exe().unwrap())
        .args([&format!("{module}::{test}"), "--exact"])
        .env(FOLDER, folder)
        .env(WRITER, writer.to_string())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn eight_processes_that_write_at_once_lose_no_entry() {
    const EACH: usize = 6;
    let spec = |writer: &str, n| format!("o/w{writer}-{n}");
    if let Ok(folder) = std::env::var(FOLDER) {
        let writer = std::env::var(WRITER).unwrap();
        let registry = Registry::open(folder);
        for n in 0..EACH {
            let answer = registry.record(&entry(&spec(&writer, n))).unwrap();
            assert_eq!(answer.warning, None);
        }
        return;
    }
    let folder = dir("processes");
    let test = "eight_processes_that_write_at_once_lose_no_entry";
    let writers: Vec<Child> = (0..8).map(|writer| spawn(test, &folder, writer)).collect();
    for mut writer in writers {
        assert!(writer.wait().unwrap().success());
    }
    let mut expected: Vec<String> = (0..8)
        .flat_map(|writer| (0..EACH).map(move |n| spec(&writer.to_string(), n)))
        .collect();
    expected.sort();
    assert_eq!(specs(&Registry::open(&folder)), expected);
    let left = ["registry.lock", "registry.toml", "registry.toml.bak"];
    assert_eq!(names(&folder), left);
}

#[test]
fn a_writer_killed_at_any_moment_leaves_a_whole_registry() {
    if let Ok(folder) = std::env::var(FOLDER) {
        let registry = Registry::open(folder);
        for n in 0..1000 {
            registry.record(&entry(&format!("o/{n}"))).unwrap();
        }
        return;
    }
    let folder = dir("killed");
    let registry = Registry::open(&folder);
    registry.record(&entry("o/first")).unwrap();
    for wait in [5, 20, 35, 50, 65] {
        let test = "a_writer_killed_at_any_moment_leaves_a_whole_registry";
        let mut writer = spawn(test, &folder, 0);
        std::thread::sleep(Duration::from_millis(wait));
        writer.kill().unwrap();
        writer.wait().unwrap();
        let answer = registry.get("o/first").unwrap();
        assert_eq!(
            (answer.value, answer.warning),
            (Some(entry("o/first")), None)
        );
    }
    assert!(specs(&registry).len() > 1, "no writer lived long enough");
    registry.record(&entry("o/last")).unwrap();
    let left = ["registry.lock", "registry.toml", "registry.toml.bak"];
    assert_eq!(names(&folder), left);
}

proptest! {
    #[test]
    fn no_text_makes_it_panic_and_every_entry_comes_back(
        text in "(models|\\[models\\]|\\[models\\.a\\]|files = \\[\\]|[a-z=\\[\\]{}\"#,. \\n]){0,12}",
        spec in "[a-zA-Z0-9/:@._ \"'\\\\é-]{1,20}",
        path in "[a-zA-Z0-9/:@._ \"'\\\\é-]{1,20}",
    ) {
        let file = Path::new(FILE);
        if file::entries(file, &text).is_ok() {
            let mut new = entry("o/a");
            new.spec = spec;
            new.files[0].path = path.into();
            let text = file::with(&text, &new).unwrap();
            prop_assert!(file::entries(file, &text).unwrap().contains(&new));
            let (text, known) = file::without(&text, &new.spec).unwrap();
            prop_assert!(known);
            prop_assert!(!file::entries(file, &text).unwrap().contains(&new));
        }
    }
}
