//! What is no component, or not one that can run here, is refused with its reason.
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod support;

use rusty_genius_core::{GeniusError, SandboxError};
use rusty_genius_sandbox::{Export, Job, Sandbox};
use std::time::Duration;
use support::{args, guest, model, pinky, run, run_guest, sandbox, test};

fn bytes(name: &str) -> &'static [u8] {
    rusty_genius_guests::find(name).unwrap().bytes
}

async fn refusal(sandbox: &Sandbox, bytes: Vec<u8>) -> SandboxError {
    let error = sandbox.load("x.wasm", bytes).await.err().unwrap();
    assert!(error.to_string().contains("x.wasm"), "{error}");
    assert!(!error.to_string().contains('\n'), "{error}");
    assert!(!GeniusError::from(error.clone()).hint().unwrap().is_empty());
    error
}

fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

#[test]
fn what_is_no_component_is_told_apart() {
    test(async {
        let sandbox = sandbox(pinky(|_| {}));
        for (bytes, why) in [
            (b"hello\n".to_vec(), "not WebAssembly"),
            (b"\x7fELF\x02\x01\x01".to_vec(), "not WebAssembly"),
            (vec![], "the file is empty"),
            (b"\0asm".to_vec(), "version"),
            (b"(component)".to_vec(), "text form"),
            (wat("(module)"), "core WebAssembly module"),
            (vec![0; 65 << 20], "the limit is 64"),
        ] {
            match refusal(&sandbox, bytes).await {
                SandboxError::NotAComponent { reason, .. } => {
                    assert!(reason.contains(why), "{reason}");
                }
                e => panic!("{e:?}"),
            }
        }
    });
}

#[test]
fn a_component_cut_anywhere_is_refused_as_damaged() {
    test(async {
        let sandbox = sandbox(pinky(|_| {}));
        let whole = bytes("ask");
        let mut cuts = vec![9, 10, 100, whole.len() / 2, whole.len() - 1];
        cuts.extend((1..40).map(|n| n * whole.len() / 40));
        for cut in cuts {
            match sandbox.load("x.wasm", &whole[..cut]).await {
                Err(SandboxError::NotAComponent { reason, hint, .. }) => {
                    assert!(reason.contains("damaged or truncated"), "{cut}: {reason}");
                    assert!(hint.contains("get the file again"), "{hint}");
                }
                Err(e) => panic!("{cut}: {e:?}"),
                // Cut between two sections it is whole, but not what it was.
                Ok(guest) => assert!(!guest.exports(Export::Run), "{cut}"),
            }
        }
    });
}

#[test]
fn a_preamble_alone_is_a_component_that_exports_nothing() {
    test(async {
        let sandbox = sandbox(pinky(|_| {}));
        let guest = sandbox.load("x.wasm", &bytes("ask")[..8]).await.unwrap();
        let run = sandbox.run_workflow(&guest, vec![], Job::new(model()));
        let error = run.await.err().unwrap().to_string();
        assert!(error.contains("does not export `run`: it exports nothing"));
    });
}

#[test]
fn an_import_that_nobody_grants_is_refused_by_name() {
    let function = r#"(instance (export "f" (func)))"#;
    test(async {
        let sandbox = sandbox(pinky(|_| {}));
        for (import, ty, why) in [
            ("acme:door/key", function, "does not know it"),
            ("acme:door/key@1.2.3", function, "does not know it"),
            ("wasi:http/outgoing-handler@0.2.6", function, "no network"),
            ("wasi:io/poll@0.3.0", function, "serves WASI 0.2"),
            (
                "rusty-genius:genius/cortex@0.1.0",
                function,
                "version 0.1.0 of the contract",
            ),
            (
                "rusty-genius:genius/brainstem@0.2.0",
                function,
                "only policies",
            ),
            (
                "rusty-genius:genius/back-door@0.2.0",
                function,
                "no interface of that name",
            ),
            ("f", "(func)", "not bare functions"),
        ] {
            let text = format!(r#"(component (import "{import}" {ty}))"#);
            match refusal(&sandbox, wat(&text)).await {
                SandboxError::UngrantedImport {
                    import: named,
                    reason,
                    ..
                } => {
                    assert_eq!(named, import);
                    assert!(reason.contains(why), "{reason}");
                }
                e => panic!("{e:?}"),
            }
        }
    });
}

#[test]
fn a_granted_name_of_another_type_is_refused() {
    test(async {
        let sandbox = sandbox(pinky(|_| {}));
        for instance in [
            // An interface with a function that it does not have.
            r#""rusty-genius:genius/reply@0.2.0" (instance (export "shout" (func)))"#,
            // A function of another type.
            r#""rusty-genius:genius/reply@0.2.0" (instance (export "emit" (func)))"#,
            r#""wasi:random/random@0.2.6" (instance
                (export "get-random-u64" (func (result string))))"#,
            // Not an instance at all.
            r#""rusty-genius:genius/journal@0.2.0" (func)"#,
        ] {
            let text = format!("(component (import {instance}))");
            match refusal(&sandbox, wat(&text)).await {
                SandboxError::NotAComponent { reason, hint, .. } => {
                    assert!(reason.contains("do not fit the host's"), "{reason}");
                    assert!(hint.contains("rusty-genius:genius@0.2.0"), "{hint}");
                }
                e => panic!("{e:?}"),
            }
        }
    });
}

#[test]
fn an_import_without_content_asks_for_nothing_and_is_harmless() {
    test(async {
        let sandbox = sandbox(pinky(|_| {}));
        let text = r#"(component (import "rusty-genius:genius/reply@0.2.0" (instance)))"#;
        assert!(sandbox.load("x.wasm", wat(text)).await.is_ok());
    });
}

/// A component with an export `name` that takes and gives nothing.
fn exporting(name: &str) -> Vec<u8> {
    wat(&format!(
        r#"(component
            (core module $m (func (export "f")))
            (core instance $i (instantiate $m))
            (func (export "{name}") (canon lift (core func $i "f"))))"#
    ))
}

async fn missing(sandbox: &Sandbox, name: &str, bytes: Vec<u8>) -> String {
    let guest = sandbox.load(name, bytes).await.unwrap();
    let run = sandbox.run_workflow(&guest, args(&["Hello"]), Job::new(model()));
    // Refused before it starts, or once its type is known; the same error.
    let error = match run.await {
        Err(error) => error,
        Ok(report) => match report.result.unwrap_err() {
            GeniusError::Sandbox(error) => error,
            e => panic!("{e:?}"),
        },
    };
    match error {
        SandboxError::MissingExport {
            component,
            export,
            reason,
        } => {
            assert_eq!((&*component, &*export), (name, "run"));
            reason
        }
        e => panic!("{e:?}"),
    }
}

#[test]
fn a_component_without_run_is_refused_with_what_it_has() {
    test(async {
        let sandbox = sandbox(pinky(|_| {}));
        let reason = missing(&sandbox, "x.wasm", exporting("walk")).await;
        assert_eq!(reason, "it exports `walk`");
        let reason = missing(&sandbox, "x.wasm", wat("(component)")).await;
        assert_eq!(reason, "it exports nothing");
    });
}

#[test]
fn a_scenario_is_no_workflow_and_is_told_who_runs_it() {
    test(async {
        let sandbox = sandbox(pinky(|_| {}));
        let reason = missing(&sandbox, "fixture", bytes("fixture").to_vec()).await;
        assert!(reason.contains("test scenario"), "{reason}");
    });
}

#[test]
fn a_run_of_another_type_is_refused() {
    test(async {
        let sandbox = sandbox(pinky(|_| {}));
        let reason = missing(&sandbox, "x.wasm", exporting("run")).await;
        assert!(reason.contains("another type"), "{reason}");
        let instance = wat(r#"(component
                (component $c)
                (instance $i (instantiate $c))
                (export "run" (instance $i)))"#);
        let reason = missing(&sandbox, "x.wasm", instance).await;
        assert_eq!(reason, "what it exports by this name is no function");
    });
}

#[test]
fn names_inside_a_component_do_not_reach_a_terminal_as_they_are() {
    test(async {
        let sandbox = sandbox(pinky(|_| {}));
        let nasty = "\\1b[31mred\\0a\\e2\\80\\ae";
        let text = format!(
            r#"(component (core module
                (func (export "{nasty}"))
                (func (export "{nasty}"))))"#
        );
        let error = refusal(&sandbox, wat(&text)).await.to_string();
        assert!(error.contains("duplicate export"), "{error}");
        assert!(!error.contains(|c: char| c.is_control() || c == '\u{202e}'));
    });
}

#[test]
fn a_component_of_more_parts_than_a_guest_gets_is_refused_as_such() {
    test(async {
        let sandbox = sandbox(pinky(|_| {}));
        let module = |content: &str| {
            let content = content.repeat(17);
            format!("(core module $m {content}) (core instance (instantiate $m))")
        };
        let instances = "(core instance (instantiate $m))".repeat(65);
        for parts in [
            module("(memory 1)"),
            module("(table 1 funcref)"),
            format!("(core module $m) {instances}"),
        ] {
            let text = format!("(component {parts})");
            let error = refusal(&sandbox, wat(&text)).await.to_string();
            assert!(error.contains("more than a guest gets"), "{error}");
        }
    });
}

/// Enough of a generator for a test that says its seed when it fails.
struct Rng(u64);

impl Rng {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }
}

#[test]
fn random_damage_never_harms_the_host() {
    test(async {
        let sandbox = sandbox(pinky(|_| {}));
        let whole = bytes("ask");
        let mut ran = 0;
        for seed in 1..=64_u64 {
            let mut rng = Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let mut bytes = whole.to_vec();
            for _ in 0..=rng.below(4) {
                let at = 8 + rng.below(bytes.len() - 8);
                match rng.below(4) {
                    0 => bytes[at] ^= 1 << rng.below(8),
                    1 => bytes[at] = u8::try_from(rng.below(256)).unwrap(),
                    2 => {
                        let end = (at + rng.below(16)).min(bytes.len());
                        bytes.drain(at..end);
                    }
                    _ => bytes.insert(at, 0xff),
                }
                if bytes.len() < 64 {
                    break;
                }
            }
            let Ok(guest) = sandbox.load(format!("damaged {seed}"), bytes).await else {
                continue;
            };
            if !guest.exports(Export::Run) {
                continue;
            }
            ran += 1;
            // Whatever becomes of it, the host is there to say.
            let (_report, _) = run_guest(&sandbox, &guest, &["Hello"], |job| {
                job.budget.wall_time = Duration::from_millis(50);
                job.budget.memory = 64 << 20;
            })
            .await;
        }
        assert!(ran < 64, "no damage was done");
        let (report, _) = run(&sandbox, "ask", &["Hello"], |_| {}).await;
        report.result.unwrap();
    });
}

#[test]
fn a_guest_is_known_by_its_name_and_its_exports() {
    test(async {
        let sandbox = sandbox(pinky(|_| {}));
        let ask = guest(&sandbox, "ask").await;
        assert_eq!(ask.name(), "ask");
        assert!(ask.exports(Export::Run) && !ask.exports(Export::RunCase));
        let fixture = guest(&sandbox, "fixture").await;
        assert!(fixture.exports(Export::RunCase) && !fixture.exports(Export::Run));
    });
}
