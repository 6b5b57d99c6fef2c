//! Whatever becomes of a run, nothing of it stays. A file of its own: what a process
//! holds can be counted only while no other test runs in it.
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]
#![cfg(target_os = "linux")]

mod support;

use futures::future::{Either, select};
use rusty_genius_sandbox::{Guest, Sandbox};
use std::path::Path;
use std::pin::pin;
use std::time::Duration;
use support::{Gate, Load, Step, guest, model_on, run_gated, run_guest, sandbox_on, test, tmp};

/// Threads and descriptors that may come between two counts: the pools under the
/// runtimes start threads when they are busy, and stop them when they see fit.
const SLACK: usize = 8;

fn threads() -> usize {
    Path::new("/proc/self/task").read_dir().unwrap().count()
}

fn descriptors() -> usize {
    Path::new("/proc/self/fd").read_dir().unwrap().count()
}

struct House {
    sandbox: Sandbox,
    gate: Gate,
    ask: Guest,
    ask_blocking: Guest,
    spin: Guest,
    greedy: Guest,
}

impl House {
    /// One run of each fate.
    async fn round(&self) {
        self.ends(&self.ask).await;
        self.ends(&self.ask_blocking).await;
        self.gate.forget();
        self.is_dropped(&self.ask).await;
        self.is_dropped(&self.ask_blocking).await;
        self.is_dropped_at_once(&self.ask).await;
        self.traps().await;
        self.is_out_of_time(&self.spin).await;
        self.is_out_of_time(&self.ask).await;
        assert_eq!(self.gate.live(), (0, 0));
    }

    async fn ends(&self, guest: &Guest) {
        self.gate.then("said").then(Step::End);
        let (report, _) = run_gated(&self.sandbox, guest).await;
        report.result.unwrap();
    }

    async fn is_dropped(&self, guest: &Guest) {
        let run = pin!(run_gated(&self.sandbox, guest));
        let waits = pin!(self.gate.waits());
        assert!(matches!(select(run, waits).await, Either::Right(_)));
        assert_eq!(self.gate.live(), (1, 1));
    }

    async fn is_dropped_at_once(&self, guest: &Guest) {
        let run = pin!(run_gated(&self.sandbox, guest));
        let polled = futures::poll!(run);
        assert!(polled.is_pending());
    }

    async fn traps(&self) {
        let (report, _) = run_guest(&self.sandbox, &self.greedy, &["sessions", "abort"], |job| {
            job.grant.model = model_on("gate");
        })
        .await;
        report.result.unwrap_err();
    }

    async fn is_out_of_time(&self, guest: &Guest) {
        let (report, _) = run_guest(&self.sandbox, guest, &["Hello"], |job| {
            job.grant.model = model_on("gate");
            job.budget.wall_time = Duration::from_millis(20);
        })
        .await;
        report.result.unwrap_err();
    }
}

#[test]
fn two_hundred_runs_of_every_fate_leave_nothing() {
    let root = tmp("leaks");
    let _ = std::fs::remove_dir_all(&root);
    test(async {
        let gate = Gate::new(Load::Works);
        let sandbox = sandbox_on(&gate, &root);
        let house = House {
            ask: guest(&sandbox, "ask").await,
            ask_blocking: guest(&sandbox, "ask-blocking").await,
            spin: guest(&sandbox, "hostile/spin").await,
            greedy: guest(&sandbox, "hostile/greedy").await,
            sandbox,
            gate,
        };
        // Starts what stays: runtimes, pools, caches.
        for _ in 0..3 {
            house.round().await;
        }
        let before = (threads(), descriptors());
        for _ in 0..25 {
            house.round().await;
        }
        let after = (threads(), descriptors());
        assert!(
            after.0 <= before.0 + SLACK,
            "threads: {before:?}, {after:?}"
        );
        assert!(
            after.1 <= before.1 + SLACK,
            "descriptors: {before:?}, {after:?}"
        );
        assert_eq!(root.read_dir().unwrap().count(), 0);
        assert_eq!(house.gate.live(), (0, 0));
    });
}
