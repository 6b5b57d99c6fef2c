//! Threads that each compute a part of a batch.
//!
//! Flex hardly uses a second core at these sizes; parts of a batch, each in a pool of one
//! thread, do. A part's numbers do not depend on which thread computed it, and the parts are
//! summed in their order, so that the number of threads changes nothing.

use super::TrainError;
use super::batches::Batch;
use super::network::{Gradients, Network};
use super::rope::Rope;
use crate::Config;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::sync::Arc;
use std::thread;

/// Stack of a worker: Burn walks a graph of all layers.
const STACK: usize = 16 << 20;

pub(crate) struct Workers {
    config: Config,
    rope: Arc<Rope>,
    pools: Vec<ThreadPool>,
}

impl Workers {
    /// So many workers; for 0, one for each processor.
    pub(crate) fn new(config: &Config, threads: usize) -> Result<Self, TrainError> {
        let processors = || thread::available_parallelism().map_or(1, usize::from);
        let threads = match threads {
            0 => processors(),
            _ => threads,
        };
        let pool = |_| {
            ThreadPoolBuilder::new()
                .num_threads(1)
                .stack_size(STACK)
                .build()
                .map_err(|error| TrainError::Threads(error.to_string()))
        };
        Ok(Self {
            config: config.clone(),
            rope: Arc::new(Rope::new(config)),
            pools: (0..threads).map(pool).collect::<Result<_, _>>()?,
        })
    }

    /// Mean loss of the shards' answers and its gradients.
    pub(crate) fn gradients(
        &self,
        weights: &[Vec<f32>],
        shards: &[Batch],
    ) -> Result<Gradients, TrainError> {
        let answers: usize = shards.iter().map(|shard| shard.targets.len()).sum();
        let parts = self.each(weights, true, shards, |network, shard| {
            network.gradients(shard, answers.max(1) as f32)
        })?;
        let mut parts = parts.into_iter();
        let mut sum = parts.next().unwrap_or(Gradients {
            loss: 0.0,
            tensors: weights
                .iter()
                .map(|tensor| vec![0.0; tensor.len()])
                .collect(),
        });
        for part in parts {
            sum.loss += part.loss;
            for (sum, part) in sum.tensors.iter_mut().zip(&part.tensors) {
                for (sum, part) in sum.iter_mut().zip(part) {
                    *sum += part;
                }
            }
        }
        Ok(sum)
    }

    /// Sum of the batches' losses, in nats.
    pub(crate) fn loss(&self, weights: &[Vec<f32>], batches: &[Batch]) -> Result<f64, TrainError> {
        let parts = self.each(weights, false, batches, |network, batch| {
            f64::from(network.loss(batch).into_scalar::<f32>())
        })?;
        Ok(parts.into_iter().sum())
    }

    /// What `work` makes of each batch, in their order.
    fn each<T: Send>(
        &self,
        weights: &[Vec<f32>],
        tracked: bool,
        batches: &[Batch],
        work: impl Fn(&Network, &Batch) -> T + Sync,
    ) -> Result<Vec<T>, TrainError> {
        let tensors: Vec<&[f32]> = weights.iter().map(Vec::as_slice).collect();
        let threads = self.pools.len();
        let of_worker = |worker: usize| {
            // Each has a network of its own: Burn's graphs are not shared between threads.
            let network = Network::new(&self.config, &tensors, &self.rope, tracked);
            let mine = batches.iter().skip(worker).step_by(threads);
            mine.map(|batch| work(&network, batch)).collect::<Vec<T>>()
        };
        let of_worker = &of_worker;
        let used = threads.min(batches.len());
        let results: Vec<_> = thread::scope(|scope| {
            let handles: Vec<_> = self.pools[..used]
                .iter()
                .enumerate()
                .map(|(worker, pool)| scope.spawn(move || pool.install(|| of_worker(worker))))
                .collect();
            handles
                .into_iter()
                .map(thread::ScopedJoinHandle::join)
                .collect()
        });
        let mut queues = Vec::with_capacity(used);
        for result in results {
            match result {
                Ok(done) => queues.push(done.into_iter()),
                // It has panicked, and said so on stderr.
                Err(_) => return Err(TrainError::Worker),
            }
        }
        Ok((0..batches.len())
            .filter_map(|at| queues[at % used].next())
            .collect())
    }
}
