//! What can go wrong in training.

use super::OptionsError;
use crate::{ConfigError, WeightsError};
use std::fmt;
use std::path::PathBuf;

/// Training that could not begin or go on.
#[derive(Debug)]
#[non_exhaustive]
pub enum TrainError {
    /// The config is none that a model can have.
    Config(ConfigError),
    /// An option is out of its range.
    Options(OptionsError),
    /// There is no question to train on; all are held out.
    NothingToLearn,
    /// A conversation is longer than the model's context.
    TooLong {
        /// Tokens it has.
        tokens: usize,
        /// Tokens of the context.
        context: usize,
    },
    /// The output directory holds checkpoints of another run.
    OtherRun {
        /// The checkpoint.
        path: PathBuf,
        /// What differs: name, value there, value here.
        differences: Vec<(String, String, String)>,
    },
    /// A file cannot be read.
    Read {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A file cannot be written.
    Write {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The threads cannot be started.
    Threads(String),
    /// A thread has ended in the middle of its work.
    Worker,
    /// The loss is no longer a number.
    Diverged {
        /// The step at which it was seen.
        step: u64,
    },
    /// What was trained is no model.
    Weights(WeightsError),
    /// The weights cannot be put into a file's format.
    Export(String),
    /// The curve cannot be drawn.
    Curve(String),
}

impl TrainError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Config(_) | Self::Options(_) => "see `bytelm train --help`".into(),
            Self::NothingToLearn => "the data needs questions that are not held out".into(),
            Self::TooLong { .. } => "train a config with a longer context, or shorten it".into(),
            Self::OtherRun { .. } => {
                "use another --out, or --fresh to begin anew and lose what is there".into()
            }
            Self::Read { .. } => "check the path and its permissions".into(),
            Self::Write { .. } => {
                "check the disk's space and permissions, or use another --out; the same command \
                 goes on from the last checkpoint"
                    .into()
            }
            Self::Threads(_) => "use fewer --threads".into(),
            Self::Worker => "what it said is above; the same command goes on from the last \
                             checkpoint"
                .into(),
            Self::Diverged { .. } => "use a lower --rate or a longer --warm-up".into(),
            Self::Weights(_) | Self::Curve(_) | Self::Export(_) => {
                "this is a fault of bytelm; please report it".into()
            }
        }
    }
}

impl fmt::Display for TrainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Options(error) => error.fmt(f),
            Self::NothingToLearn => f.write_str("there is no question to train on"),
            Self::TooLong { tokens, context } => write!(
                f,
                "a conversation has {tokens} tokens; the model's context has {context}"
            ),
            Self::OtherRun { path, differences } => {
                write!(f, "{} is of another run:", path.display())?;
                for (at, (name, there, here)) in differences.iter().enumerate() {
                    let comma = if at == 0 { "" } else { "," };
                    write!(f, "{comma} `{name}` is {there} there and {here} here")?;
                }
                Ok(())
            }
            Self::Read { path, error } => write!(f, "cannot read {}: {error}", path.display()),
            Self::Write { path, error } => write!(f, "cannot write {}: {error}", path.display()),
            Self::Threads(message) => write!(f, "cannot start the threads: {message}"),
            Self::Worker => f.write_str("a thread ended in the middle of its work"),
            Self::Diverged { step } => write!(f, "the loss is no longer a number at step {step}"),
            Self::Weights(error) => error.fmt(f),
            Self::Export(message) => write!(f, "the weights cannot be exported: {message}"),
            Self::Curve(message) => write!(f, "the curve cannot be drawn: {message}"),
        }
    }
}

impl std::error::Error for TrainError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { error, .. } | Self::Write { error, .. } => Some(error),
            Self::Config(error) => Some(error),
            Self::Options(error) => Some(error),
            Self::Weights(error) => Some(error),
            _ => None,
        }
    }
}
