//! A guest reaches nothing outside its grant.
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod support;

use support::{content, pinky, run, sandbox_with, test, tmp};

/// Attempts that must have been made: a guest that tries nothing proves nothing.
const TRIED: [&str; 24] = [
    "list /scratch at the start",
    "list /",
    "list /scratch/..",
    "list /scratch/../",
    "open /etc/passwd",
    "open /scratch/../../../../../../../../etc/passwd",
    "open /proc/self/environ",
    "write /scratch/../escaped",
    "make the folder ../escaped",
    "rename a file to /scratch/../escaped",
    "hard link to /etc/passwd",
    "folders besides /scratch",
    "open folder to change .. below /scratch",
    "create a/../../x below /scratch",
    "rename to ../ below /scratch",
    "symbolic link at /tmp/ below /scratch",
    "open a chain of links",
    "environment variables",
    "the process's arguments",
    "read stdin",
    "start a program",
    "look up localhost",
    "listen on 0.0.0.0:0",
    "connect to 127.0.0.1:1",
];

#[test]
fn every_attempt_to_escape_is_refused_and_leaves_nothing_outside() {
    test(async {
        let root = tmp("escape");
        let _ = std::fs::remove_dir_all(&root);
        let sandbox = sandbox_with(pinky(|_| {}), |config| {
            config.scratch_root = root.join("a/b");
        });
        let (report, reply) = run(&sandbox, "hostile/escape", &["one", "two"], |_| {}).await;
        report.result.as_ref().unwrap();
        let reply = content(&reply);
        let lines: Vec<&str> = reply.lines().collect();
        assert!(lines.len() > 300, "{} attempts", lines.len());
        for line in &lines {
            assert!(line.contains(": refused ("), "{line}");
            assert!(!line.contains("GOT"), "{line}");
        }
        for attempt in TRIED {
            assert!(
                lines.iter().any(|line| line.starts_with(attempt)),
                "{attempt:?} was not tried"
            );
        }
        assert_eq!(report.notes.len(), lines.len());

        // Nothing beside the run's own directory, on any level above it.
        let only = |dir: &std::path::Path, name: &str| {
            let names: Vec<_> = dir
                .read_dir()
                .unwrap()
                .map(|e| e.unwrap().file_name())
                .collect();
            assert_eq!(names, [name], "in {}", dir.display());
        };
        only(&root, "a");
        only(&root.join("a"), "b");
        only(&root.join("a/b"), report.scratch.id());
        for name in ["/escaped", "/tmp/escaped", "escaped", "../escaped"] {
            assert!(!std::path::Path::new(name).exists(), "{name}");
        }
        drop(report);
        assert_eq!(root.join("a/b").read_dir().unwrap().count(), 0);
    });
}

#[test]
fn a_run_sees_nothing_of_the_one_before() {
    test(async {
        let sandbox = sandbox_with(pinky(|_| {}), |_| {});
        let (first, _) = run(&sandbox, "ask", &["Hello"], |_| {}).await;
        let (second, reply) = run(&sandbox, "hostile/escape", &[], |_| {}).await;
        second.result.unwrap();
        let expected = "list /scratch at the start: refused (nothing there)\n";
        assert!(content(&reply).starts_with(expected));
        assert_eq!(first.scratch.files().unwrap(), ["answer.md"]);
    });
}
