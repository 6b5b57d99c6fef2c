//! A model on its way, as bars on a terminal and as lines elsewhere.

use crate::safe;
use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressStyle};
use rusty_genius::core::AssetEvent;
use std::collections::BTreeMap;
use std::io::IsTerminal;

/// One bar a file.
pub(crate) struct Bars {
    terminal: bool,
    all: MultiProgress,
    files: BTreeMap<String, ProgressBar>,
}

impl Bars {
    pub(crate) fn new() -> Self {
        Self {
            terminal: std::io::stderr().is_terminal(),
            all: MultiProgress::new(),
            files: BTreeMap::new(),
        }
    }

    pub(crate) fn show(&mut self, event: &AssetEvent) {
        match event {
            AssetEvent::Resolving { .. } => {}
            AssetEvent::Queued { file } => {
                self.say(file, "another process fetches it, waiting");
            }
            AssetEvent::Bytes { file, done, total } => {
                if !self.terminal {
                    return;
                }
                let bar = self.bar(file);
                let begins = bar.length() == Some(0);
                bar.set_length(total.unwrap_or(0).max(*done));
                bar.set_position(*done);
                bar.set_message("");
                if begins {
                    // What an earlier attempt left is not this one's speed.
                    bar.reset_eta();
                }
            }
            AssetEvent::Verifying { file } => self.say(file, "verifying"),
            AssetEvent::Warning { text } => {
                let line = format!("warning: {}", safe::line(text));
                self.all.suspend(|| eprintln!("{line}"));
            }
            AssetEvent::Ready { .. } => self.clear(),
        }
    }

    /// Takes the bars away: what follows on the terminal begins a line.
    pub(crate) fn clear(&mut self) {
        self.files.clear();
        let _ = self.all.clear();
    }

    fn say(&mut self, file: &str, what: &str) {
        if self.terminal {
            self.bar(file).set_message(what.to_owned());
        } else {
            eprintln!("{}: {what}", safe::line(file));
        }
    }

    fn bar(&mut self, file: &str) -> &ProgressBar {
        self.files.entry(file.to_owned()).or_insert_with(|| {
            const TEMPLATE: &str =
                "{prefix} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta} {msg}";
            let style = ProgressStyle::with_template(TEMPLATE)
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = self.all.add(ProgressBar::new(0).with_style(style));
            // Of a long name the end tells more: quant and part.
            let name = safe::line(file.rsplit('/').next().unwrap_or(file));
            let skip = name.chars().count().saturating_sub(28);
            bar.set_prefix(name.chars().skip(skip).collect::<String>());
            bar
        })
    }
}

/// Bytes as people say them.
pub(crate) fn bytes(bytes: u64) -> String {
    HumanBytes(bytes).to_string()
}
