//! A model on its way, as bars on a terminal and as lines elsewhere.

use crate::safe;
use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use rusty_genius::core::AssetEvent;
use std::collections::BTreeMap;
use std::io::IsTerminal;

/// One bar a file, and one for the way from there into memory.
pub(crate) struct Bars {
    terminal: bool,
    all: MultiProgress,
    files: BTreeMap<String, ProgressBar>,
    loading: Option<ProgressBar>,
}

impl Bars {
    pub(crate) fn new() -> Self {
        Self {
            terminal: std::io::stderr().is_terminal(),
            all: MultiProgress::new(),
            files: BTreeMap::new(),
            loading: None,
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
                self.say_aloud(&format!("warning: {}", safe::line(text)));
            }
            AssetEvent::Ready { .. } => self.clear(),
        }
    }

    /// How much of a model is in memory. Elsewhere than on a terminal nobody waits for it.
    pub(crate) fn load(&mut self, model: &str, percent: u8) {
        if !self.terminal {
            return;
        }
        let bar = self.loading.get_or_insert_with(|| {
            let bar = styled("loading {prefix} {wide_bar} {percent}%", model, 100);
            self.all.add(bar)
        });
        bar.set_position(u64::from(percent));
    }

    /// Prints a line above the bars.
    pub(crate) fn say_aloud(&self, line: &str) {
        self.all.suspend(|| eprintln!("{line}"));
    }

    /// Takes the bars away: what follows on the terminal begins a line.
    pub(crate) fn clear(&mut self) {
        self.files.clear();
        self.loading = None;
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
            self.all.add(styled(TEMPLATE, file, 0))
        })
    }
}

/// A bar for a file or a model.
fn styled(template: &str, name: &str, length: u64) -> ProgressBar {
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    // Of a long name the end tells more: quant and part.
    let name = safe::line(name.rsplit('/').next().unwrap_or(name));
    let skip = name.chars().count().saturating_sub(28);
    ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::hidden())
        .with_style(style)
        .with_prefix(name.chars().skip(skip).collect::<String>())
}

/// Bytes as people say them.
pub(crate) fn bytes(bytes: u64) -> String {
    HumanBytes(bytes).to_string()
}
