//! The command line.

use clap::{Args, Parser, Subcommand};
use rusty_genius_bytelm::train::TrainOptions;
use rusty_genius_bytelm::{Config, WeightType};
use std::path::PathBuf;

/// Trains the byte-level models of Rusty-Genius
#[derive(Parser)]
#[command(version, about, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    Train(Box<TrainArgs>),
    Eval(EvalArgs),
    Export(ExportArgs),
    Ledger(LedgerArgs),
}

/// Train a model from scratch, or go on where training was stopped
///
/// Prints the paths of the files it made. Ctrl-C finishes the step, writes a checkpoint and
/// exits with 130; the same command then goes on from there and ends with the same weights,
/// bit for bit, as if it had not been stopped.
#[derive(Args)]
#[command(after_help = "\
Examples:
  bytelm train --config narf-1m --data engine/bytelm/corpus
  bytelm train --config test-50k --data corpus --epochs 3 --out /tmp/try --fresh

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 stopped by Ctrl-C")]
pub(crate) struct TrainArgs {
    /// The model's size
    #[arg(long, value_name = "NAME", value_parser = config)]
    pub(crate) config: Config,
    /// Directory of the training data, with its ledger.toml
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// Directory for checkpoints, curve and weights [default: bytelm/NAME in
    /// $RUSTY_GENIUS_TMP, else in target/tmp]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Begin anew, and remove the checkpoints that are there
    #[arg(long)]
    pub(crate) fresh: bool,
    /// Threads; 0 is one for each processor. Does not change the weights
    #[arg(long, value_name = "N", default_value_t = defaults().threads)]
    pub(crate) threads: usize,
    /// Steps between checkpoints
    #[arg(long, value_name = "N", default_value_t = defaults().checkpoint_every)]
    checkpoint_every: u64,
    /// Where all chance comes from
    #[arg(long, value_name = "N", default_value_t = defaults().seed)]
    seed: u64,
    /// How often every question is asked
    #[arg(long, value_name = "N", default_value_t = defaults().epochs)]
    epochs: u64,
    /// In how many of its wordings a question is asked in an epoch
    #[arg(long, value_name = "N", default_value_t = defaults().wordings)]
    wordings: usize,
    /// Tokens of a batch
    #[arg(long, value_name = "N", default_value_t = defaults().batch_tokens)]
    batch_tokens: usize,
    /// Parts of a batch that threads can share
    #[arg(long, value_name = "N", default_value_t = defaults().shards)]
    shards: usize,
    /// The highest learning rate
    #[arg(long, value_name = "X", default_value_t = defaults().rate)]
    rate: f64,
    /// Steps in which the learning rate rises
    #[arg(long, value_name = "N", default_value_t = defaults().warm_up)]
    warm_up: u64,
    /// The last learning rate, as a part of the highest
    #[arg(long, value_name = "X", default_value_t = defaults().final_rate)]
    final_rate: f64,
    /// AdamW's beta1
    #[arg(long, value_name = "X", default_value_t = defaults().beta1)]
    beta1: f64,
    /// AdamW's beta2
    #[arg(long, value_name = "X", default_value_t = defaults().beta2)]
    beta2: f64,
    /// AdamW's epsilon
    #[arg(long, value_name = "X", default_value_t = defaults().epsilon)]
    epsilon: f64,
    /// AdamW's weight decay
    #[arg(long, value_name = "X", default_value_t = defaults().weight_decay)]
    weight_decay: f64,
    /// The most that the length of all gradients together may be
    #[arg(long, value_name = "X", default_value_t = defaults().clip)]
    clip: f64,
    /// Held-out questions of each kind that are asked after an epoch, at most
    #[arg(long, value_name = "N", default_value_t = defaults().held_out)]
    held_out: usize,
}

impl TrainArgs {
    pub(crate) fn options(&self) -> TrainOptions {
        TrainOptions {
            seed: self.seed,
            epochs: self.epochs,
            wordings: self.wordings,
            batch_tokens: self.batch_tokens,
            shards: self.shards,
            rate: self.rate,
            warm_up: self.warm_up,
            final_rate: self.final_rate,
            beta1: self.beta1,
            beta2: self.beta2,
            epsilon: self.epsilon,
            weight_decay: self.weight_decay,
            clip: self.clip,
            held_out: self.held_out,
            threads: self.threads,
            checkpoint_every: self.checkpoint_every,
        }
    }
}

/// Ask a model what was held out of its training
///
/// Prints how many questions it answers to the byte as the corpus does, greedily decoded, and
/// the bits it needs for a byte of these answers, thoughts included: 8 is a model that knows
/// nothing.
#[derive(Args)]
#[command(after_help = "\
Examples:
  bytelm eval engine/bytelm/weights/narf-1m-Q8_0.gguf --data engine/bytelm/corpus --wrong 5")]
pub(crate) struct EvalArgs {
    /// The model, a GGUF file
    #[arg(value_name = "FILE")]
    pub(crate) model: PathBuf,
    /// Directory of the data
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// Show so many of the questions it answered otherwise
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) wrong: usize,
}

/// Write a model as a GGUF file, which genius and llama.cpp run
#[derive(Args)]
#[command(after_help = "\
Examples:
  bytelm export target/tmp/bytelm/narf-1m/weights.safetensors --type q8_0 --out narf-1m-Q8_0.gguf")]
pub(crate) struct ExportArgs {
    /// The model: weights.safetensors, or a GGUF file
    #[arg(value_name = "FILE")]
    pub(crate) weights: PathBuf,
    /// How its matrices are stored: f32, f16 or q8_0
    #[arg(long, value_name = "TYPE", default_value = "q8_0")]
    pub(crate) r#type: WeightType,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

/// Check training data against its ledger, or write the ledger anew
///
/// Prints one line for each file: SHA-256, bytes, licence and path.
#[derive(Args)]
#[command(after_help = "\
Examples:
  bytelm ledger engine/bytelm/corpus
  bytelm ledger engine/bytelm/corpus --update")]
pub(crate) struct LedgerArgs {
    /// Directory of the training data
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Write the ledger anew after the files that are there
    #[arg(long)]
    pub(crate) update: bool,
}

fn defaults() -> TrainOptions {
    TrainOptions::default()
}

fn config(name: &str) -> Result<Config, String> {
    Config::named(name).ok_or_else(|| {
        format!(
            "there is none of that name; there are {}",
            Config::NAMES.join(", ")
        )
    })
}
