//! Compiled guests are kept, and what is kept is trusted only as far as it deserves.
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod support;

use rusty_genius_sandbox::{CodeCache, Sandbox};
use std::fs;
use std::path::{Path, PathBuf};
use support::{guest, pinky, run_guest, sandbox_with, test, tmp};

fn empty(name: &str) -> PathBuf {
    let dir = tmp("cache").join(name);
    let _ = fs::remove_dir_all(&dir);
    dir
}

/// A cache in this directory, whose key stands beside it.
fn code_cache(dir: &Path) -> CodeCache {
    CodeCache {
        dir: dir.to_owned(),
        key: dir.with_extension("key"),
    }
}

fn cached_in(dir: &Path) -> Sandbox {
    sandbox_with(pinky(|_| {}), |config| {
        config.cache = Some(code_cache(dir));
    })
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<_> = dir.read_dir().unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    entries
}

async fn runs(sandbox: &Sandbox, cached: bool) {
    let guest = guest(sandbox, "noop").await;
    assert_eq!(guest.cached(), cached);
    let (report, _) = run_guest(sandbox, &guest, &[], |_| {}).await;
    report.result.unwrap();
}

#[test]
fn a_guest_is_compiled_once_for_every_sandbox_that_shares_the_directory() {
    test(async {
        let dir = empty("shared");
        let first = cached_in(&dir);
        runs(&first, false).await;
        runs(&first, true).await;
        runs(&cached_in(&dir), true).await;
        assert_eq!(entries(&dir).len(), 1);
    });
}

#[test]
fn without_a_directory_it_is_compiled_anew() {
    test(async {
        let sandbox = sandbox_with(pinky(|_| {}), |_| {});
        runs(&sandbox, false).await;
        runs(&sandbox, false).await;
    });
}

#[test]
fn a_damaged_entry_is_compiled_anew_and_replaced() {
    test(async {
        let dir = empty("damaged");
        runs(&cached_in(&dir), false).await;
        let entry = entries(&dir).remove(0);
        let whole = fs::read(&entry).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        let damaged = [
            vec![],
            b"not native code".to_vec(),
            whole[..whole.len() / 2].to_vec(),
            flipped,
        ];
        for bytes in damaged {
            fs::write(&entry, bytes).unwrap();
            runs(&cached_in(&dir), false).await;
            runs(&cached_in(&dir), true).await;
        }
        assert_eq!(entries(&dir), [entry]);
    });
}

#[test]
fn another_components_entry_is_not_taken_for_it() {
    test(async {
        let dir = empty("swapped");
        let sandbox = cached_in(&dir);
        guest(&sandbox, "noop").await;
        let noop = entries(&dir).remove(0);
        let ask = guest(&sandbox, "ask").await;
        assert!(!ask.cached());
        assert_eq!(entries(&dir).len(), 2);
        assert!(entries(&dir).contains(&noop));
    });
}

#[test]
fn many_loads_of_one_guest_at_once_leave_one_whole_entry() {
    test(async {
        let dir = empty("at-once");
        let (a, b) = (cached_in(&dir), cached_in(&dir));
        futures::join!(
            guest(&a, "noop"),
            guest(&a, "noop"),
            guest(&b, "noop"),
            guest(&b, "noop"),
        );
        assert_eq!(entries(&dir).len(), 1);
        runs(&a, true).await;
    });
}

#[test]
fn a_refused_component_leaves_no_entry() {
    test(async {
        let dir = empty("refused");
        let sandbox = cached_in(&dir);
        let bytes = wat::parse_str(r#"(component (import "acme:door/key" (instance)))"#);
        assert!(sandbox.load("key", bytes.unwrap()).await.is_err());
        assert!(entries(&dir).is_empty());
    });
}

#[cfg(unix)]
#[test]
fn a_directory_that_others_can_write_to_is_refused() {
    use rusty_genius_sandbox::SandboxConfig;
    use std::os::unix::fs::PermissionsExt;
    test(async {
        for mode in [0o777, 0o770, 0o702] {
            let dir = empty("open");
            fs::create_dir_all(&dir).unwrap();
            fs::set_permissions(&dir, fs::Permissions::from_mode(mode)).unwrap();
            let mut config = SandboxConfig::new(tmp("runs"));
            config.cache = Some(code_cache(&dir));
            let error = Sandbox::new(config, pinky(|_| {}))
                .err()
                .unwrap()
                .to_string();
            assert!(error.contains("chmod go-rwx"), "{error}");
            assert!(error.contains(&dir.display().to_string()), "{error}");
        }
    });
}

#[cfg(unix)]
#[test]
fn the_directory_it_makes_is_closed_to_others() {
    use std::os::unix::fs::PermissionsExt;
    test(async {
        let dir = empty("private").join("deep/down");
        cached_in(&dir);
        let mode = fs::metadata(&dir).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    });
}
