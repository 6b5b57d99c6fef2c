//! A training run, from the first step or from where it was stopped.

use super::adamw::{AdamW, Step, clip};
use super::batches::{Batch, plan};
use super::checkpoint::{self, Position, RunId, Skipped, State};
use super::output;
use super::workers::Workers;
use super::{EpochReport, TrainError, TrainOptions};
use crate::config_json::ConfigJson;
use crate::corpus::{Corpus, HeldOut, Sample, Unseen};
use crate::{Config, Tensor, Weights};
use std::collections::BTreeMap;
use std::f64::consts::LN_2;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// What to train, on what, and where to write it.
#[derive(Debug, Clone)]
pub struct TrainRun<'a> {
    /// The model.
    pub config: &'a Config,
    /// What it is to learn.
    pub corpus: &'a Corpus,
    /// Digest of the data: [`CheckedData::digest`](crate::ledger::CheckedData::digest).
    pub data: &'a str,
    /// How it is trained.
    pub options: &'a TrainOptions,
    /// Directory for checkpoints, the curve and the weights; made if it is not there.
    pub out: &'a Path,
    /// Whether to begin anew where `out` has checkpoints, and remove them.
    pub fresh: bool,
}

/// What happens in a run, as it happens.
#[derive(Debug)]
#[non_exhaustive]
pub enum TrainEvent<'a> {
    /// A checkpoint is not whole and was passed over.
    Skipped(&'a Skipped),
    /// The run goes on from a checkpoint.
    Resumed {
        /// The checkpoint.
        path: &'a Path,
        /// Steps done.
        step: u64,
    },
    /// A step was made.
    Step(StepReport),
    /// An epoch was finished, and what was held out was asked.
    Epoch(&'a EpochReport),
    /// A checkpoint was written.
    Saved(&'a Path),
}

/// What was measured in a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepReport {
    /// The epoch it is in, from 1.
    pub epoch: u64,
    /// Epochs of the run.
    pub epochs: u64,
    /// The batch of the epoch, from 1.
    pub batch: usize,
    /// Batches of the epoch.
    pub batches: usize,
    /// The step, from 1.
    pub step: u64,
    /// Loss of its answers, in nats for each byte.
    pub loss: f64,
    /// Bytes read in a second in this epoch.
    pub speed: f64,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Trained {
    /// It is done.
    Finished {
        /// The model.
        weights: Weights,
        /// The files they are in.
        paths: Vec<PathBuf>,
    },
    /// It was asked to stop.
    Stopped {
        /// The checkpoint from which the same run goes on.
        checkpoint: PathBuf,
    },
}

/// Trains until it is done, or until `stop` is set: then it finishes the step, writes a
/// checkpoint and says so.
///
/// Goes on from the newest checkpoint in the output directory that is whole, which must be of
/// the same run.
pub fn train(
    run: &TrainRun<'_>,
    stop: &AtomicBool,
    watch: &mut dyn FnMut(TrainEvent<'_>),
) -> Result<Trained, TrainError> {
    let mut training = Training::begin(run, watch)?;
    while training.state.position.epoch < run.options.epochs {
        if !training.epoch(stop, watch)? {
            let checkpoint = training.save(watch)?;
            return Ok(Trained::Stopped { checkpoint });
        }
    }
    // So that the same command has nothing to do once more.
    training.save(watch)?;
    training.finish()
}

struct Training<'a> {
    run: &'a TrainRun<'a>,
    id: RunId,
    workers: Workers,
    state: State,
    /// Batches of what is held out: wordings, rows.
    held_out: [Vec<Batch>; 2],
    saved: u64,
}

impl<'a> Training<'a> {
    fn begin(
        run: &'a TrainRun<'a>,
        watch: &mut dyn FnMut(TrainEvent<'_>),
    ) -> Result<Self, TrainError> {
        run.config.check().map_err(TrainError::Config)?;
        run.options.check().map_err(TrainError::Options)?;
        fs::create_dir_all(run.out).map_err(|error| TrainError::Write {
            path: run.out.to_owned(),
            error,
        })?;
        let id = RunId {
            config: ConfigJson(run.config.clone()),
            options: run.options.clone(),
            data: run.data.to_owned(),
        };
        if run.fresh {
            checkpoint::clear(run.out)?;
        }
        let (found, skipped) = checkpoint::newest(run.out)?;
        for skipped in &skipped {
            watch(TrainEvent::Skipped(skipped));
        }
        let state = match found {
            Some(found) => {
                let differences = checkpoint::differences(&found.run, &id);
                if !differences.is_empty() {
                    let path = found.path;
                    return Err(TrainError::OtherRun { path, differences });
                }
                watch(TrainEvent::Resumed {
                    path: &found.path,
                    step: found.state.position.step,
                });
                found.state
            }
            None => initial(run)?,
        };
        Ok(Self {
            run,
            id,
            workers: Workers::new(run.config, run.options.threads)?,
            saved: state.position.step,
            state,
            held_out: held_out(run),
        })
    }

    /// The rest of an epoch; false if it was asked to stop.
    fn epoch(
        &mut self,
        stop: &AtomicBool,
        watch: &mut dyn FnMut(TrainEvent<'_>),
    ) -> Result<bool, TrainError> {
        let options = self.run.options;
        let epoch = self.state.position.epoch;
        let samples = self.run.corpus.epoch(options.seed, epoch, options.wordings);
        self.check(&samples)?;
        let batches = plan(&samples, options.batch_tokens, options.seed, epoch);
        while let Some(batch) = batches.get(self.state.position.batch) {
            if stop.load(Ordering::Relaxed) {
                return Ok(false);
            }
            let rows: Vec<&Sample> = batch.iter().map(|&at| &samples[at]).collect();
            let loss = self.step(&rows, batches.len())?;
            let position = &self.state.position;
            watch(TrainEvent::Step(StepReport {
                epoch: epoch + 1,
                epochs: options.epochs,
                batch: position.batch,
                batches: batches.len(),
                step: position.step,
                loss,
                speed: position.speed(),
            }));
            if position.step - self.saved >= options.checkpoint_every {
                self.save(watch)?;
            }
        }
        self.finish_epoch(batches.len(), watch)?;
        Ok(true)
    }

    /// One step; the mean loss of its answers.
    fn step(&mut self, rows: &[&Sample], batches: usize) -> Result<f64, TrainError> {
        let begun = Instant::now();
        let options = self.run.options;
        let shards = Batch::shards(rows, options.shards);
        let gradients = self.workers.gradients(&self.state.weights, &shards)?;
        let State {
            weights,
            adamw,
            position,
            ..
        } = &mut self.state;
        let scale = clip(&gradients.tensors, options.clip);
        if !gradients.loss.is_finite() || !scale.is_finite() {
            return Err(TrainError::Diverged {
                step: position.step + 1,
            });
        }
        let step = Step {
            options,
            rate: options.rate_at(position.step, position.done(batches, options.epochs)),
            scale,
            number: position.step + 1,
        };
        let shapes = self.run.config.shapes();
        for (at, (weights, gradient)) in weights.iter_mut().zip(&gradients.tensors).enumerate() {
            let is_norm = shapes[at].rows == 1;
            adamw.update(at, weights, gradient, !is_norm, &step);
        }
        let answers: usize = shards.iter().map(|shard| shard.targets.len()).sum();
        let loss = f64::from(gradients.loss);
        position.batch += 1;
        position.step += 1;
        position.loss += loss * answers as f64;
        position.answers += answers as u64;
        position.bytes += shards.iter().map(|shard| shard.size as u64).sum::<u64>();
        position.seconds += begun.elapsed().as_secs_f64();
        Ok(loss)
    }

    fn finish_epoch(
        &mut self,
        batches: usize,
        watch: &mut dyn FnMut(TrainEvent<'_>),
    ) -> Result<(), TrainError> {
        let options = self.run.options;
        let [wordings, rows] = [0, 1].map(|kind| self.held_out_bits(kind));
        let position = &mut self.state.position;
        let loss = position.loss / position.answers.max(1) as f64;
        let report = EpochReport {
            epoch: position.epoch + 1,
            step: position.step,
            rate: options.rate_at(position.step, position.done(batches, options.epochs)),
            loss,
            bits: loss / LN_2,
            wordings: wordings?,
            rows: rows?,
            speed: position.speed(),
        };
        *position = Position {
            epoch: position.epoch + 1,
            step: position.step,
            ..Position::default()
        };
        self.state.history.push(report);
        output::curve(self.run.out, &self.run.config.name, &self.state.history)?;
        if let Some(report) = self.state.history.last() {
            watch(TrainEvent::Epoch(report));
        }
        Ok(())
    }

    fn held_out_bits(&self, kind: usize) -> Result<Option<f64>, TrainError> {
        let batches = &self.held_out[kind];
        let answers: usize = batches.iter().map(|batch| batch.targets.len()).sum();
        if answers == 0 {
            return Ok(None);
        }
        let nats = self.workers.loss(&self.state.weights, batches)?;
        Ok(Some(nats / answers as f64 / LN_2))
    }

    fn check(&self, samples: &[Sample]) -> Result<(), TrainError> {
        let context = self.run.config.context;
        let longest = samples.iter().map(|sample| sample.tokens.len()).max();
        match longest {
            None => Err(TrainError::NothingToLearn),
            Some(tokens) if tokens > context => Err(TrainError::TooLong { tokens, context }),
            Some(_) => Ok(()),
        }
    }

    fn save(&mut self, watch: &mut dyn FnMut(TrainEvent<'_>)) -> Result<PathBuf, TrainError> {
        let path = checkpoint::save(self.run.out, &self.id, &self.state)?;
        self.saved = self.state.position.step;
        watch(TrainEvent::Saved(&path));
        Ok(path)
    }

    fn finish(self) -> Result<Trained, TrainError> {
        let shapes = self.run.config.shapes();
        let tensors: BTreeMap<String, Tensor> = shapes
            .into_iter()
            .zip(self.state.weights)
            .map(|(shape, data)| {
                let (rows, columns) = (shape.rows, shape.columns);
                let tensor = Tensor {
                    rows,
                    columns,
                    data,
                };
                (shape.name, tensor)
            })
            .collect();
        let weights =
            Weights::new(self.run.config.clone(), tensors).map_err(TrainError::Weights)?;
        let paths = output::weights(self.run.out, &weights)?;
        Ok(Trained::Finished { weights, paths })
    }
}

impl Position {
    /// How much of the way, 0 to 1, is behind.
    fn done(&self, batches: usize, epochs: u64) -> f64 {
        let epoch = self.epoch as f64 + self.batch as f64 / batches.max(1) as f64;
        (epoch / epochs as f64).min(1.0)
    }

    fn speed(&self) -> f64 {
        match self.seconds > 0.0 {
            true => self.bytes as f64 / self.seconds,
            false => 0.0,
        }
    }
}

fn initial(run: &TrainRun<'_>) -> Result<State, TrainError> {
    let weights =
        Weights::random(run.config.clone(), run.options.seed).map_err(TrainError::Weights)?;
    Ok(State {
        weights: weights.tensors().map(|(_, t)| t.data.clone()).collect(),
        adamw: AdamW::new(checkpoint::lengths(run.config).into_iter()),
        position: Position::default(),
        history: Vec::new(),
    })
}

/// Batches of what is held out, of both kinds: as many questions as the options say, evenly
/// from all of the corpus, as far as they fit the model's context.
fn held_out(run: &TrainRun<'_>) -> [Vec<Batch>; 2] {
    let all: Vec<HeldOut> = run.corpus.held_out().collect();
    [Unseen::Wording, Unseen::Row].map(|kind| {
        let samples: Vec<Sample> = all
            .iter()
            .filter(|held_out| held_out.unseen == kind)
            .map(HeldOut::sample)
            .filter(|sample| sample.tokens.len() <= run.config.context)
            .collect();
        let count = samples.len().min(run.options.held_out);
        let chosen: Vec<Sample> = (0..count)
            .map(|nth| samples[nth * samples.len() / count].clone())
            .collect();
        // Parts of the size that a thread trains on.
        let tokens = run.options.batch_tokens / run.options.shards;
        let batches = plan(&chosen, tokens, run.options.seed, u64::MAX);
        let rows =
            |batch: &Vec<usize>| -> Vec<&Sample> { batch.iter().map(|&at| &chosen[at]).collect() };
        batches
            .iter()
            .map(|batch| Batch::new(&rows(batch)))
            .collect()
    })
}
