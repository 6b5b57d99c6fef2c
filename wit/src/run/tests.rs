use super::*;
use crate::{Budget, BudgetResource};
use proptest::prelude::*;

const MANIFEST: &str = r#"
component = "review.wasm"
digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
model = "small"

[grants]
models = ["qwen*", "org/repo:Q?_0"]
args = ["--all"]
env = ["LANG"]
stdio = ["in", "out", "err"]
clocks = "fine"
random = 7

[grants.files]
"/src" = "src"
"/out" = { host = "/var/out", mode = "read-write" }

[grants.tools.calc]

[grants.tools.search]
component = "tools/search.wasm"
files = { "/data" = "docs" }
budget = { cpu-time = "1s" }

[budget]
wall-time = "5m"
scratch = "1MiB"
"#;

fn parse(text: &str) -> Result<RunManifest, ManifestError> {
    RunManifest::parse("genius.toml", text).map_err(|e| match e {
        GeniusError::Manifest(e) => e,
        other => panic!("{other}"),
    })
}

#[test]
fn everything_a_manifest_can_say_is_read() {
    let manifest = parse(MANIFEST).unwrap().relative_to(Path::new("/p"));
    assert_eq!(manifest.component.as_deref(), Some("/p/review.wasm"));
    assert!(manifest.digest.unwrap().to_string().ends_with("cdef"));
    let grants = &manifest.grants;
    assert!(grants.models[0].matches("qwen2.5") && !grants.models[0].matches("narf"));
    assert!(grants.models[1].matches("org/repo:Q8_0") && !grants.models[1].matches("org/repo"));
    assert_eq!(grants.files["/src"].host, Path::new("/p/src"));
    assert_eq!(grants.files["/out"].host, Path::new("/var/out"));
    assert!(grants.files["/out"].writable() && !grants.files["/src"].writable());
    assert_eq!(grants.random, Random::Seed(7));
    assert_eq!((grants.clocks, grants.stdio.len()), (Clocks::Fine, 3));
    assert_eq!(grants.tools["calc"], ToolGrant::default());
    let search = &grants.tools["search"];
    assert_eq!(search.component.as_deref(), Some("/p/tools/search.wasm"));
    assert_eq!(search.files["/data"].host, Path::new("/p/docs"));
    assert_eq!(search.budget.get(BudgetResource::CpuTime), Some(1000));
    assert_eq!(manifest.budget.over(Budget::default()).scratch, 1 << 20);
}

#[test]
fn an_empty_manifest_grants_nothing() {
    let manifest = parse("").unwrap();
    assert_eq!(manifest, RunManifest::default());
    assert_eq!(manifest.grants.clocks, Clocks::Coarse);
}

#[test]
fn what_is_wrong_is_named_with_its_line_and_key() {
    for (text, line, key, why) in [
        ("[grants]\nnetwork = true", 2, "grants.network", "network"),
        ("[grant]\nmodels = []", 1, "grant", "grants"),
        ("[budget]\nmemroy = '1MiB'", 2, "budget.memroy", "memory"),
        ("[budget]\nwall-time = 3", 2, "budget.wall-time", "unit"),
        ("digest = 'md5:1'", 1, "digest", "sha256"),
        ("[grants]\nclocks = 'precise'", 2, "grants.clocks", "coarse"),
        ("[grants]\nrandom = -1", 2, "grants.random", "seed"),
        ("[grants]\nstdio = ['log']", 2, "grants.stdio[0]", "out"),
        ("[grants]\nenv = ['A=b']", 2, "grants.env", "variable"),
        (
            "[grants.files]\n'data' = 'd'",
            2,
            "grants.files.data",
            "absolute",
        ),
        ("[grants.files]\n'/' = 'd'", 2, "grants.files./", "root"),
        (
            "[grants.files]\n'/a/../b' = 'd'",
            2,
            "grants.files./a/../b",
            "shortest",
        ),
        (
            "[grants.files]\n'/scratch/x' = 'd'",
            2,
            "grants.files./scratch/x",
            "own",
        ),
        (
            "[grants.files]\n'/a' = { host = 'd', mdoe = 'read-write' }",
            2,
            "grants.files./a.mdoe",
            "mode",
        ),
        (
            "[grants.files]\n'/a' = 3",
            2,
            "grants.files./a",
            "directory",
        ),
        ("[grants.tools.'a b']", 1, "grants.tools.a b", "letters"),
        (
            "[grants.tools.a]\nfiles = { 'x' = 'd' }",
            2,
            "grants.tools.a.files.x",
            "absolute",
        ),
        ("component = 'a'\ncomponent = 'b'", 2, "", "duplicate"),
    ] {
        let error = parse(text).unwrap_err();
        assert_eq!(error.line, Some(line), "{text}: {error}");
        assert_eq!(error.key.as_deref().unwrap_or_default(), key, "{error}");
        assert!(error.reason.contains(why), "{text}: {error}");
    }
}

#[test]
fn a_denial_names_the_key_that_would_allow_it() {
    let denial = Denial {
        what: "model a/b".into(),
        key: Some("grants.models = [\"a/b\"]".into()),
    };
    assert_eq!(
        denial.to_string(),
        "model a/b; `grants.models = [\"a/b\"]` in genius.toml would allow it"
    );
    let denial = Denial {
        what: "connecting".into(),
        key: None,
    };
    assert!(denial.to_string().contains("no grant allows it"));
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC*") {
        let _ = parse(&text);
    }

    #[test]
    fn a_manifest_cut_anywhere_parses_or_says_where(cut in 0..MANIFEST.len()) {
        if let Err(e) = parse(&MANIFEST[..cut]) {
            prop_assert!(e.line.is_some(), "{}", e);
        }
    }

    #[test]
    fn a_manifest_that_is_written_is_read_back(seed in any::<u32>(), pattern in "[a-z*?/]{1,20}") {
        let mut manifest = parse(MANIFEST).unwrap();
        manifest.grants.random = Random::Seed(seed.into());
        manifest.grants.models.push(Pattern::new(&pattern));
        let text = toml::to_string(&manifest).unwrap();
        prop_assert_eq!(parse(&text).unwrap(), manifest);
    }

    #[test]
    fn a_guests_path_that_passes_stays_below_the_root(path in "[/.a-z\\\\]{0,12}") {
        if check_guest_path(&path).is_ok() {
            prop_assert!(path.starts_with('/'));
            prop_assert!(!path.contains("..") || path.split('/').all(|part| part != ".."));
            prop_assert!(!path.starts_with("/scratch/"));
        }
    }
}
