//! How far training is: a bar on a terminal, else a line now and then.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rusty_genius_bytelm::train::{EpochReport, StepReport, TrainEvent};
use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

/// Between lines where there is no terminal.
const BETWEEN: Duration = Duration::from_secs(10);

pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    said: Instant,
    last: Option<EpochReport>,
    begun: Option<(Instant, f64)>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let bar = stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(1000), ProgressDrawTarget::stderr());
            // The template is a constant: it parses or no run ever works.
            if let Ok(style) = ProgressStyle::with_template("{bar:24} {percent:>3}%  {msg}") {
                bar.set_style(style);
            }
            bar
        });
        Self {
            bar,
            said: Instant::now(),
            last: None,
            begun: None,
        }
    }

    pub(crate) fn show(&mut self, event: &TrainEvent<'_>) {
        match event {
            TrainEvent::Skipped(skipped) => self.line(&format!(
                "warning: {} is passed over: {}",
                skipped.path.display(),
                skipped.reason
            )),
            TrainEvent::Resumed { path, step } => {
                self.line(&format!("going on from step {step}, {}", path.display()));
            }
            TrainEvent::Step(report) => self.step(report),
            TrainEvent::Epoch(report) => {
                self.line(&epoch(report));
                self.last = Some((*report).clone());
            }
            _ => {}
        }
    }

    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn line(&mut self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{line}")),
            None => eprintln!("{line}"),
        }
        self.said = Instant::now();
    }

    fn step(&mut self, report: &StepReport) {
        let epochs = report.epochs as f64;
        let within = report.batch as f64 / report.batches.max(1) as f64;
        let done = ((report.epoch - 1) as f64 + within) / epochs;
        let (begun, from) = *self.begun.get_or_insert((Instant::now(), done));
        let left = match done - from {
            made if made > 0.0 => {
                let seconds = begun.elapsed().as_secs_f64() * (1.0 - done) / made;
                format!("{} left", duration(seconds))
            }
            _ => String::new(),
        };
        let held_out = self.last.as_ref().and_then(|report| report.wordings);
        let held_out = held_out.map_or_else(String::new, |bits| format!(" (held out {bits:.3})"));
        let message = format!(
            "epoch {}/{}  step {}  loss {:.4}  {:.3} bits/byte{held_out}  {:.1} kB/s  {left}",
            report.epoch,
            report.epochs,
            report.step,
            report.loss,
            report.loss / std::f64::consts::LN_2,
            report.speed / 1e3,
        );
        match &self.bar {
            Some(bar) => {
                bar.set_position((done * 1000.0) as u64);
                bar.set_message(message);
            }
            None if self.said.elapsed() >= BETWEEN => self.line(&message),
            None => {}
        }
    }
}

fn epoch(report: &EpochReport) -> String {
    let optional = |name, bits: Option<f64>| {
        bits.map_or_else(String::new, |bits| format!(", {name} {bits:.3}"))
    };
    format!(
        "epoch {}: step {}, bits/byte: trained {:.3}{}{}; {:.1} kB/s",
        report.epoch,
        report.step,
        report.bits,
        optional("held-out wordings", report.wordings),
        optional("held-out rows", report.rows),
        report.speed / 1e3
    )
}

fn duration(seconds: f64) -> String {
    let seconds = seconds as u64;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{:02}s", seconds % 60),
        _ => format!("{hours}h{minutes:02}m"),
    }
}
