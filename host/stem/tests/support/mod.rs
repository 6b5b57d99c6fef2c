//! A house for tests: a brainstem on virtual time, with an engine that does as it is
//! told and counts what is alive.

#![allow(dead_code, reason = "each test file needs a part of it")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

pub(crate) mod backend;
mod clock;

use backend::TestBackend;
use clock::SignalClock;
use facecrab::{Facecrab, Settings};
use futures::stream::StreamExt;
use rusty_genius_core::brainstem::{Command, Event, ModelId, PolicyFault, State};
use rusty_genius_core::{
    BrainstemOutput, CortexStrategy, FinishReason, GeniusError, InferenceEvent, ModelSource,
    ModelSpec, PartialConfig, Turn,
};
use rusty_genius_cortex::{Cortex, VirtualClock};
use rusty_genius_stem::{
    Demand, Inference, Lease, Observer, Policy, Session, Stem, StemConfig, StrategyPolicy,
};
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The idle time that [`HIBERNATE`] allows.
pub(crate) const IDLE: Duration = Duration::from_secs(300);
pub(crate) const HIBERNATE: CortexStrategy = CortexStrategy::HibernateAfter(IDLE);

/// Waits for something that must come: a test that would hang fails instead.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    async_std::future::timeout(Duration::from_secs(30), future)
        .await
        .expect("it never came")
}

pub(crate) fn run(test: impl Future<Output = ()>) {
    async_std::task::block_on(soon(test));
}

/// A policy made of a function.
pub(crate) struct Script<F>(pub(crate) F);

impl<F: FnMut(&Event, &State) -> Vec<Command> + Send> Policy for Script<F> {
    fn name(&self) -> &str {
        "script"
    }

    fn decide(&mut self, event: &Event, state: &Arc<State>) -> Result<Vec<Command>, PolicyFault> {
        Ok((self.0)(event, state))
    }
}

/// What the native policy would do.
pub(crate) fn native(event: &Event, state: &State) -> Vec<Command> {
    StrategyPolicy::default().step(event, state)
}

/// What a guest of this name asks.
pub(crate) fn demand(guest: &str) -> Demand {
    Demand {
        guest: guest.into(),
        prompt_bytes: 1,
        max_tokens: 1,
        ..Demand::default()
    }
}

/// Whether this is the model `test/m`.
pub(crate) fn is_m(id: ModelId, state: &State) -> bool {
    let model = state.model(id);
    model.is_some_and(|model| &*model.name == "test/m on test")
}

pub(crate) struct House {
    pub(crate) stem: Stem,
    pub(crate) engine: TestBackend,
    pub(crate) time: VirtualClock,
    pub(crate) journal: Journal,
    /// What broke a rule, as the observer saw it at that moment.
    pub(crate) broken: Arc<Mutex<Vec<String>>>,
    slept: async_channel::Receiver<Duration>,
}

impl House {
    pub(crate) fn new() -> Self {
        Self::with(TestBackend::default(), StrategyPolicy::default())
    }

    pub(crate) fn with_policy(policy: impl Policy + 'static) -> Self {
        Self::with(TestBackend::default(), policy)
    }

    pub(crate) fn with(engine: TestBackend, policy: impl Policy + 'static) -> Self {
        Self::with_config(engine, policy, StemConfig::default())
    }

    /// The config's observer hears everything before the house's own.
    pub(crate) fn with_config(
        engine: TestBackend,
        policy: impl Policy + 'static,
        config: StemConfig,
    ) -> Self {
        let time = VirtualClock::new();
        let (sleeps, slept) = async_channel::unbounded();
        let clock = Arc::new(SignalClock::new(time.clone(), sleeps));
        let cortex = Cortex::new(clock).with(Arc::new(engine.clone()));
        let (tell, told) = async_channel::unbounded();
        let broken = Arc::new(Mutex::new(Vec::new()));
        let (watched, found) = (engine.clone(), broken.clone());
        let hear = config.observer.clone();
        let observer: Observer = Arc::new(move |output| {
            hear(output);
            if let BrainstemOutput::Unloaded { model, .. } = output
                && let Some(alive) = watched.alive(model)
            {
                let what = format!("{model} was unloaded under {alive}");
                found.lock().unwrap().push(what);
            }
            let _ = tell.try_send(output.clone());
        });
        let stem = Stem::start_with(
            Arc::new(cortex),
            Facecrab::new(Settings::offline("no/such/folder")),
            policy,
            StemConfig { observer, ..config },
        );
        Self {
            stem,
            engine,
            time,
            journal: Journal {
                told,
                seen: Vec::new(),
                waited: 0,
            },
            broken,
            slept,
        }
    }

    pub(crate) fn session(&self, strategy: CortexStrategy) -> Session {
        self.stem.session(model("m", strategy), "test")
    }

    pub(crate) async fn lease(&self, model: &ModelSpec) -> Result<Lease, GeniusError> {
        soon(self.stem.acquire(model, demand("test"))).await
    }

    /// Waits until the loop sleeps with a timer at this time. The first to be set for
    /// that time counts, even if it was taken back since.
    pub(crate) async fn sleeps_until(&self, at: Duration) {
        soon(async { while self.slept.recv().await.expect("the house owns a clock") != at {} })
            .await;
    }

    /// Until when the loop slept or sleeps, all of it that was not waited for yet.
    pub(crate) fn slept(&self) -> Vec<Duration> {
        std::iter::from_fn(|| self.slept.try_recv().ok()).collect()
    }

    pub(crate) fn time_now(&self) -> Duration {
        use rusty_genius_cortex::Clock;
        self.time.now()
    }

    /// Makes the loop go round often enough to do whatever there is to be done.
    pub(crate) async fn rounds(&self) {
        let mut nobody = model("nobody", CortexStrategy::KeepAlive);
        nobody.engine = Some("none".into());
        for _ in 0..16 {
            // Whatever the policy does with it, the loop has gone round.
            let _ = self.lease(&nobody).await;
        }
    }

    /// Lets go of the loop and waits for its end: everything it did.
    pub(crate) async fn close(self) -> Vec<BrainstemOutput> {
        let Self {
            stem,
            journal,
            broken,
            ..
        } = self;
        drop(stem);
        let seen = journal.into_end().await;
        assert_eq!(*broken.lock().unwrap(), Vec::<String>::new());
        seen
    }
}

/// A model of the test backend.
pub(crate) fn model(name: &str, strategy: CortexStrategy) -> ModelSpec {
    let source = ModelSource::parse(&format!("test/{name}")).unwrap();
    ModelSpec {
        engine: Some("test".into()),
        strategy,
        ..ModelSpec::new(source)
    }
}

/// What the loop told, in order.
pub(crate) struct Journal {
    told: async_channel::Receiver<BrainstemOutput>,
    seen: Vec<BrainstemOutput>,
    /// How many of them `until` has been through.
    waited: usize,
}

impl Journal {
    /// Waits for the next output that fits.
    pub(crate) async fn until(&mut self, fits: impl Fn(&BrainstemOutput) -> bool) {
        soon(async {
            loop {
                while let Some(output) = self.seen.get(self.waited) {
                    self.waited += 1;
                    if fits(output) {
                        return;
                    }
                }
                let output = self.told.recv().await.expect("the loop goes on");
                self.seen.push(output);
            }
        })
        .await;
    }

    pub(crate) async fn loading(&mut self) {
        self.until(|o| matches!(o, BrainstemOutput::Loading { .. }))
            .await;
    }

    pub(crate) async fn admitted(&mut self) {
        self.until(|o| matches!(o, BrainstemOutput::Admitted { .. }))
            .await;
    }

    pub(crate) async fn ended(&mut self) {
        self.until(|o| matches!(o, BrainstemOutput::Ended { .. }))
            .await;
    }

    pub(crate) async fn unloaded(&mut self) {
        self.until(|o| matches!(o, BrainstemOutput::Unloaded { .. }))
            .await;
    }

    /// Everything told until now.
    pub(crate) fn seen(&mut self) -> &[BrainstemOutput] {
        while let Ok(output) = self.told.try_recv() {
            self.seen.push(output);
        }
        &self.seen
    }

    pub(crate) fn unloads(&mut self) -> usize {
        let unloaded = |o: &&BrainstemOutput| matches!(o, BrainstemOutput::Unloaded { .. });
        self.seen().iter().filter(unloaded).count()
    }

    /// Everything told until the loop ended.
    pub(crate) async fn into_end(mut self) -> Vec<BrainstemOutput> {
        soon(async {
            while let Ok(output) = self.told.recv().await {
                self.seen.push(output);
            }
        })
        .await;
        self.seen
    }
}

/// Begins to generate.
pub(crate) async fn ask(session: &Session, text: &str) -> Result<Inference, GeniusError> {
    soon(session.infer(vec![Turn::user(text)], PartialConfig::default())).await
}

/// Generates to the end.
pub(crate) async fn answer(session: &Session, text: &str) -> FinishReason {
    finish(ask(session, text).await.unwrap()).await
}

/// Reads to the end.
pub(crate) async fn finish(inference: Inference) -> FinishReason {
    match soon(inference.collect::<Vec<_>>()).await.pop() {
        Some(InferenceEvent::Complete(completion)) => completion.finish,
        other => panic!("{other:?}"),
    }
}
