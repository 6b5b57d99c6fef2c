//! Threads that share the work of one step.
//!
//! A token of a large model is some dozens of products, each a fraction of a millisecond; to
//! wake a thread for each would cost as much. So the crew's threads wait awake between the
//! products of a step, and sleep only after a while without any.

use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

/// How often a thread looks for work before it sleeps: about 50 µs.
const PATIENCE: u32 = 10_000;
/// How often who waits for the others looks before it lets another process have the core.
const SPINS: u32 = 2_000;

/// Threads of one model, which work on one thing at a time.
pub(crate) struct Crew {
    shared: Arc<Shared>,
    workers: Vec<Worker>,
    /// Held by whoever gives the crew work.
    in_use: Mutex<()>,
}

struct Worker {
    thread: JoinHandle<()>,
    asleep: Arc<AtomicBool>,
}

struct Shared {
    /// Counts the pieces of work that were given.
    round: AtomicUsize,
    /// Workers that have not done their part yet.
    left: AtomicUsize,
    work: UnsafeCell<Option<Work>>,
    panicked: AtomicBool,
    over: AtomicBool,
}

/// A part's number goes in.
type Work = *const (dyn Fn(usize) + Sync);

// SAFETY: `work` is written only while no worker is in a round (`left` is 0), and read only
// in one; `round` and `left` order the two.
unsafe impl Sync for Shared {}
// SAFETY: what `work` points to is `Sync`.
unsafe impl Send for Shared {}

impl Crew {
    /// A crew of this many, the one who gives the work included; `None` for 1, or where there
    /// are no threads to be had.
    pub(crate) fn new(threads: usize) -> Option<Self> {
        let shared = Arc::new(Shared {
            round: AtomicUsize::new(0),
            left: AtomicUsize::new(0),
            work: UnsafeCell::new(None),
            panicked: AtomicBool::new(false),
            over: AtomicBool::new(false),
        });
        let mut crew = Self {
            shared: shared.clone(),
            workers: Vec::new(),
            in_use: Mutex::new(()),
        };
        for part in 1..threads {
            let (shared, asleep) = (shared.clone(), Arc::new(AtomicBool::new(false)));
            let is_asleep = asleep.clone();
            let thread = thread::Builder::new()
                .name("bytelm".into())
                .spawn(move || shared.work_along(part, &is_asleep))
                .ok()?;
            crew.workers.push(Worker { thread, asleep });
        }
        (!crew.workers.is_empty()).then_some(crew)
    }

    /// How many parts work is cut into.
    pub(crate) fn size(&self) -> usize {
        self.workers.len() + 1
    }

    /// Does `work` for each part, 0 to `size`, and returns when all is done. Where the crew
    /// is at something else, the caller does it all.
    pub(crate) fn share(&self, work: &(dyn Fn(usize) + Sync)) {
        let Ok(_in_use) = self.in_use.try_lock() else {
            return (0..self.size()).for_each(work);
        };
        // SAFETY: no worker is in a round, since each ends before `share` returns. The pointer
        // outlives this one, which ends before `work` does; only its lifetime is left out.
        unsafe {
            *self.shared.work.get() = Some(std::mem::transmute::<
                *const (dyn Fn(usize) + Sync + '_),
                Work,
            >(work));
        }
        self.shared
            .left
            .store(self.workers.len(), Ordering::Relaxed);
        self.shared.round.fetch_add(1, Ordering::SeqCst);
        for worker in &self.workers {
            if worker.asleep.swap(false, Ordering::SeqCst) {
                worker.thread.thread().unpark();
            }
        }
        {
            // Waits also if the own part panics: the others still use `work`.
            let _wait = Wait(&self.shared);
            work(0);
        }
        if self.shared.panicked.swap(false, Ordering::Relaxed) {
            panic!("a thread of the crew panicked");
        }
    }
}

/// Waits, when dropped, until all workers have done their part.
struct Wait<'a>(&'a Shared);

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let mut looks = 0;
        while self.0.left.load(Ordering::Acquire) > 0 {
            looks += 1;
            match looks < SPINS {
                true => std::hint::spin_loop(),
                false => thread::yield_now(),
            }
        }
    }
}

impl Shared {
    fn work_along(&self, part: usize, asleep: &AtomicBool) {
        let mut done = 0;
        while let Some(round) = self.next_round(done, asleep) {
            done = round;
            // SAFETY: in a round; see `Sync`.
            let work = unsafe { *self.work.get() };
            let result = catch_unwind(AssertUnwindSafe(|| {
                if let Some(work) = work {
                    // SAFETY: `share` does not return before this part is done.
                    unsafe { (*work)(part) };
                }
            }));
            if result.is_err() {
                self.panicked.store(true, Ordering::Relaxed);
            }
            self.left.fetch_sub(1, Ordering::Release);
        }
    }

    /// Waits for a round after the one that is done; `None` when all is over.
    fn next_round(&self, done: usize, asleep: &AtomicBool) -> Option<usize> {
        let mut looks = 0;
        loop {
            if self.over.load(Ordering::SeqCst) {
                return None;
            }
            let round = self.round.load(Ordering::SeqCst);
            if round != done {
                return Some(round);
            }
            if looks < PATIENCE {
                looks += 1;
                std::hint::spin_loop();
                continue;
            }
            // Whoever changes `round` or `over` after this looks at `asleep` after that.
            asleep.store(true, Ordering::SeqCst);
            if self.round.load(Ordering::SeqCst) == done && !self.over.load(Ordering::SeqCst) {
                thread::park();
            }
            asleep.store(false, Ordering::SeqCst);
            looks = 0;
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        for worker in self.workers.drain(..) {
            worker.thread.thread().unpark();
            // It caught what it panicked with.
            let _ = worker.thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;

    #[test]
    fn every_part_is_done_once_a_round() {
        let crew = Crew::new(3).unwrap();
        let parts: [AtomicU64; 3] = Default::default();
        for _ in 0..200 {
            crew.share(&|part| {
                parts[part].fetch_add(1, Ordering::Relaxed);
            });
        }
        assert_eq!(parts.map(AtomicU64::into_inner), [200; 3]);
    }

    #[test]
    fn threads_that_fell_asleep_are_woken() {
        let crew = Crew::new(2).unwrap();
        let done = AtomicU64::new(0);
        for _ in 0..3 {
            while !crew.workers[0].asleep.load(Ordering::SeqCst) {
                thread::yield_now();
            }
            crew.share(&|_| {
                done.fetch_add(1, Ordering::Relaxed);
            });
        }
        assert_eq!(done.into_inner(), 6);
    }

    #[test]
    fn work_given_from_several_threads_is_all_done() {
        let crew = Crew::new(2).unwrap();
        let done = AtomicU64::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        crew.share(&|_| {
                            done.fetch_add(1, Ordering::Relaxed);
                        });
                    }
                });
            }
        });
        assert_eq!(done.into_inner(), 4 * 50 * 2);
    }

    #[test]
    fn a_panic_in_any_part_is_the_callers_and_harms_nobody_else() {
        let crew = Crew::new(2).unwrap();
        for bad in [0, 1] {
            let work = |part: usize| assert_ne!(part, bad, "as it should");
            assert!(catch_unwind(AssertUnwindSafe(|| crew.share(&work))).is_err());
        }
        // The lock is poisoned by the panic of a caller; the work is done all the same.
        let done = AtomicU64::new(0);
        crew.share(&|_| {
            done.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(done.into_inner(), 2);
    }

    #[test]
    fn one_alone_is_no_crew() {
        assert!(Crew::new(1).is_none());
        assert!(Crew::new(0).is_none());
    }
}
