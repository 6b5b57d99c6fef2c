use super::*;
use rusty_genius_core::Terms;

fn new(id: u64, model: &str) -> NewRequest {
    NewRequest {
        id: RequestId(id),
        guest: "test".into(),
        model: model.into(),
        prompt_bytes: 1,
        prompt: None,
        max_tokens: 1,
        terms: Terms::default(),
        strategy: CortexStrategy::KeepAlive,
    }
}

/// A ledger, and what it made happen.
struct Book {
    ledger: Ledger,
    effects: Vec<Effect>,
}

impl Book {
    fn new(budgets: Budgets) -> Self {
        Self {
            ledger: Ledger::new(budgets),
            effects: Vec::new(),
        }
    }

    fn arrive(&mut self, id: u64, model: &str) -> ModelId {
        self.ledger.arrive(new(id, model)).unwrap().request.model
    }

    fn apply(&mut self, command: Command) -> Result<(), Refusal> {
        let find = &mut |spec: &str| {
            Some(Found {
                name: spec.into(),
                strategy: CortexStrategy::Immediate,
            })
        };
        self.ledger.apply(&command, find, &mut self.effects)
    }

    fn effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// Loads a model of so many bytes that somebody asked for; it must fit.
    fn bring(&mut self, id: ModelId, bytes: u64) {
        self.apply(Command::Load(id)).unwrap();
        self.ledger.measured(id, Some(bytes), &mut self.effects);
        assert_eq!(self.ledger.reserve(&mut self.effects), None);
        let over = self.ledger.loaded(id, bytes, &mut self.effects);
        assert_eq!(over, 0);
    }

    /// A book with a model in memory, and request 1 running on it.
    fn running() -> (Self, ModelId) {
        let mut book = Self::new(Budgets::default());
        let m = book.arrive(1, "m");
        book.apply(Command::Admit(RequestId(1))).unwrap();
        book.bring(m, 7);
        let started = Effect::Start(RequestId(1), m, None);
        assert_eq!(
            book.effects(),
            [Effect::Measure(m), Effect::Load(m), started]
        );
        (book, m)
    }

    fn residency(&self, id: ModelId) -> Residency {
        self.ledger.state().residency(id)
    }
}

fn limited(memory: u64) -> Book {
    Book::new(Budgets {
        memory: Some(memory),
        ..Budgets::default()
    })
}

#[test]
fn a_model_is_loaded_once() {
    let mut book = Book::new(Budgets::default());
    let m = book.arrive(1, "m");
    assert_eq!(book.arrive(2, "m"), m, "one name, one number");
    assert_eq!(book.apply(Command::Load(m)), Ok(()));
    assert_eq!(book.apply(Command::Load(m)), Err(Refusal::AlreadyLoaded));
    assert_eq!(book.effects(), [Effect::Measure(m)]);
    assert_eq!(
        book.apply(Command::Preload("m".into())),
        Err(Refusal::AlreadyLoaded)
    );
}

#[test]
fn a_model_in_use_is_neither_unloaded_nor_saved() {
    let (mut book, m) = Book::running();
    assert_eq!(book.apply(Command::Unload(m)), Err(Refusal::InUse));
    assert_eq!(book.apply(Command::Hibernate(m)), Err(Refusal::InUse));
    assert!(book.ledger.ended(RequestId(1), &mut book.effects));
    assert_eq!(book.effects(), [Effect::Idle(m)]);
    assert_eq!(book.apply(Command::Unload(m)), Ok(()));
    assert_eq!(book.effects(), [Effect::Unload(m)]);
    assert_eq!(book.apply(Command::Unload(m)), Err(Refusal::NotLoaded));
    assert_eq!(book.ledger.state().memory_used, 0);
}

#[test]
fn a_request_is_admitted_once_and_starts_at_once_on_a_resident_model() {
    let (mut book, m) = Book::running();
    book.arrive(2, "m");
    let admit = Command::Admit(RequestId(2));
    assert_eq!(book.apply(admit.clone()), Ok(()));
    assert_eq!(book.effects(), [Effect::Start(RequestId(2), m, None)]);
    assert_eq!(book.apply(admit), Err(Refusal::UnknownRequest));
}

#[test]
fn a_generation_ends_once() {
    let (mut book, _) = Book::running();
    assert!(book.ledger.ended(RequestId(1), &mut Vec::new()));
    assert!(!book.ledger.ended(RequestId(1), &mut Vec::new()));
    assert!(book.ledger.at_rest());
}

#[test]
fn what_is_admitted_starts_by_priority_and_then_by_age() {
    let mut book = Book::new(Budgets {
        generations: 1,
        ..Budgets::default()
    });
    let m = book.arrive(1, "m");
    for id in 2..5 {
        book.arrive(id, "m");
    }
    for id in 1..5 {
        book.apply(Command::Admit(RequestId(id))).unwrap();
    }
    book.apply(Command::Queue(RequestId(3), 200)).unwrap();
    book.apply(Command::Queue(RequestId(1), 50)).unwrap();
    book.bring(m, 1);
    let mut order = Vec::new();
    loop {
        let starts = book
            .effects()
            .into_iter()
            .filter_map(|effect| match effect {
                Effect::Start(id, ..) => Some(id),
                _ => None,
            });
        let started: Vec<RequestId> = starts.collect();
        let Some(id) = started.first() else { break };
        assert_eq!(started.len(), 1, "one at a time");
        order.push(id.0);
        book.ledger.ended(*id, &mut book.effects);
    }
    assert_eq!(order, [3, 2, 4, 1]);
}

#[test]
fn memory_is_promised_once() {
    let mut book = limited(10);
    let [a, b] = ["a", "b"].map(|name| book.arrive(name.len() as u64, name));
    let _ = book.arrive(2, "b");
    book.apply(Command::Load(a)).unwrap();
    book.apply(Command::Load(b)).unwrap();
    book.ledger.measured(a, Some(6), &mut book.effects);
    book.ledger.measured(b, Some(6), &mut book.effects);
    assert_eq!(book.ledger.reserve(&mut book.effects), Some((b, 2)));
    assert_eq!(book.ledger.state().memory_used, 6);
    book.effects();

    // What is on its way out is not asked for again.
    book.ledger.loaded(a, 6, &mut book.effects);
    book.ledger.cancel(RequestId(1), &mut book.effects);
    book.apply(Command::Hibernate(a)).unwrap();
    assert_eq!(book.ledger.reserve(&mut book.effects), Some((b, 0)));
    book.ledger.unloaded(a, &mut book.effects);
    book.effects();
    assert_eq!(book.ledger.reserve(&mut book.effects), None);
    assert_eq!(book.effects(), [Effect::Load(b)]);
    assert_eq!(book.ledger.state().memory_used, 6);
}

#[test]
fn a_model_larger_than_the_limit_never_waits() {
    let mut book = limited(10);
    let m = book.arrive(1, "m");
    book.apply(Command::Load(m)).unwrap();
    book.effects();
    book.ledger.measured(m, Some(11), &mut book.effects);
    assert_eq!(book.effects(), [Effect::TooLarge(m, 11)]);
    assert_eq!(book.ledger.failed(m), [RequestId(1)]);
    assert_eq!(book.ledger.state().memory_used, 0);
}

#[test]
fn what_turns_out_larger_than_it_said_is_over_the_limit() {
    let mut book = limited(10);
    let m = book.arrive(1, "m");
    book.apply(Command::Load(m)).unwrap();
    book.ledger.measured(m, None, &mut book.effects);
    assert_eq!(book.ledger.reserve(&mut book.effects), None);
    assert_eq!(book.ledger.loaded(m, 13, &mut book.effects), 3);
}

#[test]
fn models_have_a_number_that_memory_does_not_know_of() {
    let mut book = Book::new(Budgets {
        models: 1,
        ..Budgets::default()
    });
    let a = book.arrive(1, "a");
    let b = book.arrive(2, "b");
    book.bring(a, 3);
    book.apply(Command::Load(b)).unwrap();
    book.ledger.measured(b, Some(3), &mut book.effects);
    assert_eq!(book.ledger.reserve(&mut book.effects), Some((b, 1)));
    book.ledger.cancel(RequestId(1), &mut book.effects);
    book.apply(Command::Unload(a)).unwrap();
    assert_eq!(book.ledger.reserve(&mut book.effects), None);
}

#[test]
fn a_model_asked_for_while_it_hibernates_comes_back_when_it_has_gone() {
    let (mut book, m) = Book::running();
    book.ledger.ended(RequestId(1), &mut book.effects);
    book.apply(Command::Hibernate(m)).unwrap();
    assert_eq!(book.residency(m), Residency::Hibernating);
    book.arrive(2, "m");
    assert_eq!(book.apply(Command::Load(m)), Ok(()));
    assert_eq!(book.apply(Command::Load(m)), Ok(()), "whoever asks next");
    book.effects();
    book.ledger.unloaded(m, &mut book.effects);
    assert_eq!(book.effects(), [Effect::Measure(m)]);
    assert_eq!(book.residency(m), Residency::Loading);
}

#[test]
fn a_failed_load_gives_back_everyone_who_waited() {
    let mut book = Book::new(Budgets::default());
    let m = book.arrive(1, "m");
    book.arrive(2, "m");
    book.arrive(3, "other");
    book.apply(Command::Load(m)).unwrap();
    assert_eq!(book.ledger.failed(m), [RequestId(1), RequestId(2)]);
    assert_eq!(book.ledger.state().waiting.len(), 1);
    assert!(book.ledger.state().present.is_empty());
}

#[test]
fn a_request_sent_to_another_model_waits_for_that_one() {
    let (mut book, m) = Book::running();
    book.arrive(2, "m");
    book.apply(Command::Route(RequestId(2), "small".into()))
        .unwrap();
    let state = book.ledger.state();
    let small = state.waiting[&RequestId(2)].model;
    let name = |id| &*state.model(id).unwrap().name;
    assert_eq!((name(small), name(m)), ("small", "m"));
    assert_eq!(state.model(small).unwrap().waiting, 1);
    assert_eq!(state.model(m).unwrap().waiting, 0);
    book.apply(Command::Admit(RequestId(2))).unwrap();
    assert_eq!(
        book.apply(Command::Route(RequestId(2), "m".into())),
        Err(Refusal::UnknownRequest),
        "it was decided"
    );
}

#[test]
fn a_deadline_is_due_once_and_an_admitted_request_has_only_its_own() {
    let mut book = Book::new(Budgets {
        undecided: 60,
        ..Budgets::default()
    });
    let mut asks = new(1, "m");
    asks.terms.deadline = Some(Duration::from_secs(90));
    book.ledger.arrive(asks).unwrap();
    book.arrive(2, "m");
    let secs = |s| Some(Duration::from_secs(s));
    assert_eq!(book.ledger.next_due(), secs(60));
    book.apply(Command::Admit(RequestId(1))).unwrap();
    book.apply(Command::Admit(RequestId(2))).unwrap();
    assert_eq!(book.ledger.next_due(), secs(90));
    book.ledger.set_now(Duration::from_secs(90));
    assert_eq!(book.ledger.deadline_due(), Some(RequestId(1)));
    assert!(
        book.ledger
            .cancel(RequestId(1), &mut book.effects)
            .is_some()
    );
    assert_eq!(book.ledger.next_due(), None);
}

#[test]
fn a_timer_comes_once_and_there_are_not_too_many() {
    let mut book = Book::new(Budgets::default());
    let set = |id, secs| Command::SetTimer(TimerId(id), Duration::from_secs(secs));
    book.apply(set(1, 5)).unwrap();
    book.apply(set(1, 2)).unwrap();
    book.ledger.set_now(Duration::from_millis(1999));
    assert_eq!(book.ledger.timer_due(), None);
    book.ledger.set_now(Duration::from_secs(2));
    assert_eq!(book.ledger.timer_due(), Some(TimerId(1)));
    assert_eq!(
        (book.ledger.timer_due(), book.ledger.next_due()),
        (None, None)
    );
    for id in 0..TIMERS_LIMIT as u64 {
        book.apply(set(id, 1)).unwrap();
    }
    assert_eq!(book.apply(set(u64::MAX, 1)), Err(Refusal::TooMany));
    assert_eq!(book.apply(set(3, 9)), Ok(()), "one in place of another");
}

#[test]
fn one_request_too_many_is_turned_away() {
    let mut book = Book::new(Budgets {
        queue: 2,
        ..Budgets::default()
    });
    book.arrive(1, "m");
    book.arrive(2, "m");
    assert_eq!(book.ledger.arrive(new(3, "m")), Err(Rejection::QueueFull));
}

#[test]
fn a_model_is_treated_as_the_youngest_request_asks() {
    let mut book = Book::new(Budgets::default());
    let m = book.arrive(1, "m");
    let mut asks = new(2, "m");
    asks.strategy = CortexStrategy::Immediate;
    book.ledger.arrive(asks).unwrap();
    let strategy = book.ledger.state().model(m).unwrap().strategy;
    assert_eq!(strategy, CortexStrategy::Immediate);
}

#[test]
fn a_dead_engine_is_out_of_memory_and_its_generations_end_all_the_same() {
    let (mut book, m) = Book::running();
    book.arrive(2, "m");
    assert!(book.ledger.died(m));
    assert!(!book.ledger.died(m));
    assert_eq!(book.ledger.state().memory_used, 0);
    assert_eq!(book.residency(m), Residency::Absent);
    book.bring(m, 7);
    assert_eq!(book.apply(Command::Unload(m)), Err(Refusal::InUse));
    assert!(book.ledger.ended(RequestId(1), &mut book.effects));
    assert_eq!(book.ledger.state().model(m).unwrap().users, 0);
}
