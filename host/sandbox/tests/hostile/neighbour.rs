//! A well-behaved guest that lives beside all attacks, and wants to be served.

use crate::house::House;
use crate::support::{args, content, model};
use async_std::task::{JoinHandle, sleep, spawn};
use rusty_genius_sandbox::Job;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How long it may wait for an answer; alone it takes some milliseconds.
const BOUND: Duration = Duration::from_secs(6);
const PAUSE: Duration = Duration::from_millis(20);

pub(crate) struct Neighbour {
    leaves: Arc<AtomicBool>,
    life: JoinHandle<Vec<(Duration, Result<String, String>)>>,
}

impl Neighbour {
    /// Asks again and again until it is told to stop.
    pub(crate) fn move_in(house: &House) -> Self {
        let leaves = Arc::new(AtomicBool::new(false));
        let (over, sandbox, ask) = (leaves.clone(), house.sandbox.clone(), house.ask.clone());
        let life = spawn(async move {
            let mut served = Vec::new();
            while !over.load(Relaxed) {
                let (sender, receiver) = async_channel::unbounded();
                let mut job = Job::new(model());
                job.reply = Some(sender);
                let began = Instant::now();
                let report = sandbox.run_workflow(&ask, args(&["Hello"]), job).await;
                let took = began.elapsed();
                let told = match report.map(|report| report.result) {
                    Ok(Ok(())) => {
                        let mut all = Vec::new();
                        while let Ok(batch) = receiver.try_recv() {
                            all.extend(batch);
                        }
                        Ok(content(&all))
                    }
                    Ok(Err(e)) => Err(e.to_string()),
                    Err(e) => Err(e.to_string()),
                };
                served.push((took, told));
                sleep(PAUSE).await;
            }
            served
        });
        Self { leaves, life }
    }

    /// What it has to complain of.
    pub(crate) async fn move_out(self) -> Vec<String> {
        self.leaves.store(true, Relaxed);
        let served = self.life.await;
        let slowest = served
            .iter()
            .map(|(took, _)| *took)
            .max()
            .unwrap_or_default();
        eprintln!(
            "neighbour: served {} times, {slowest:.1?} at most",
            served.len()
        );
        let answer = served.first().map(|(_, told)| told.clone());
        let mut faults = Vec::new();
        if served.len() < 20 || !matches!(&answer, Some(Ok(words)) if !words.is_empty()) {
            faults.push(format!(
                "neighbour: {} answers like {answer:?}",
                served.len()
            ));
        }
        for (took, told) in served {
            if took > BOUND {
                faults.push(format!("neighbour: waited {took:?}"));
            }
            // Same prompt, same seed: whoever meddles with it shows.
            if Some(&told) != answer.as_ref() {
                faults.push(format!("neighbour: was told {told:?}"));
            }
        }
        faults
    }
}
