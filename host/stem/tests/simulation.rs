//! The simulator computes what can be computed by hand.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use rusty_genius_core::CortexStrategy;
use rusty_genius_core::brainstem::{
    Budgets, Command, DEFAULT_PRIORITY, Event, PolicyFault, Rejection, Residency, State, TimerId,
    Tuning,
};
use rusty_genius_stem::simulation::{End, Outcome, SimModel, SimRequest, Trace, simulate};
use rusty_genius_stem::{Policy, StrategyPolicy};
use std::sync::Arc;
use std::time::Duration;

const GIB: u64 = 1 << 30;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Loads in 2 s, saves in half a second; 100 tokens/s in, 10 tokens/s out, one at a time.
fn model(name: &str) -> SimModel {
    SimModel {
        name: name.into(),
        memory: GIB,
        load: ms(2000),
        save: ms(500),
        prefill: 100.0,
        decode: 10.0,
        slots: 1,
        strategy: CortexStrategy::default(),
        fails_every: None,
        dies_every: None,
    }
}

/// A request without a prompt that takes so many seconds on an engine of its own.
fn request(at: u64, model: u32, seconds: u32) -> SimRequest {
    SimRequest {
        at,
        guest: "somebody".into(),
        model,
        prompt_tokens: 0,
        max_tokens: 10 * seconds,
        completion_tokens: 10 * seconds,
        priority: DEFAULT_PRIORITY,
        deadline: None,
        cancel: None,
    }
}

fn with_budgets(
    budgets: Budgets,
    models: &[SimModel],
    requests: &[SimRequest],
    policy: impl Policy + 'static,
) -> Outcome {
    let trace = Trace::new(None, budgets, models.to_vec(), requests.to_vec()).unwrap();
    simulate(Box::new(policy), &trace)
}

fn run(models: &[SimModel], requests: &[SimRequest]) -> Outcome {
    let native = StrategyPolicy::default();
    let outcome = with_budgets(Budgets::default(), models, requests, native);
    assert_eq!(outcome.broken, [""; 0]);
    outcome
}

/// With room for one of our models.
fn run_in_one_gib(
    models: &[SimModel],
    requests: &[SimRequest],
    policy: impl Policy + 'static,
) -> Outcome {
    let budgets = Budgets {
        memory: Some(GIB),
        ..Budgets::default()
    };
    let outcome = with_budgets(budgets, models, requests, policy);
    assert_eq!(outcome.broken, [""; 0]);
    assert!(outcome.memory_high <= GIB);
    outcome
}

/// Start and end of each request, in milliseconds.
fn times(outcome: &Outcome) -> Vec<(u128, u128)> {
    let at = |time: Option<Duration>| time.map_or(0, |time| time.as_millis());
    let lives = outcome.lives.iter();
    lives.map(|l| (at(l.started()), at(l.ended()))).collect()
}

fn ends(outcome: &Outcome) -> Vec<End> {
    outcome.lives.iter().map(|life| life.end).collect()
}

// --- Engines

#[test]
fn a_request_waits_for_the_load_and_then_costs_its_tokens() {
    let mut one = request(0, 0, 3);
    one.prompt_tokens = 150;
    let mut two = request(10_000, 0, 1);
    two.prompt_tokens = 50;
    let outcome = run(&[model("a")], &[one, two]);
    assert_eq!(times(&outcome), [(2000, 6500), (10_000, 11_500)]);
    assert_eq!(outcome.wait.p50, Duration::ZERO);
    assert_eq!(outcome.wait.max, ms(2000));
    assert_eq!((outcome.total.p50, outcome.total.max), (ms(1500), ms(6500)));
    assert_eq!((outcome.answered, outcome.loads), (2, 1));
    assert_eq!(outcome.span, ms(11_500));
    assert!((outcome.busy - 6.0 / 11.5).abs() < 1e-9);
}

#[test]
fn generations_beyond_the_slots_share_evenly() {
    let alone = run(&[model("a")], &[request(0, 0, 3), request(0, 0, 3)]);
    assert_eq!(times(&alone), [(2000, 8000), (2000, 8000)]);

    // Alone until 4 s with 1 s left, which then takes 2 s; the other has 1 s left by then.
    let later = run(&[model("a")], &[request(0, 0, 3), request(4000, 0, 2)]);
    assert_eq!(times(&later), [(2000, 6000), (4000, 7000)]);

    // Three on two slots: each at two thirds, until the short one ends.
    let mut two = model("a");
    two.slots = 2;
    let jobs = [request(0, 0, 2), request(0, 0, 4), request(0, 0, 4)];
    let shared = run(&[two], &jobs);
    assert_eq!(times(&shared), [(2000, 5000), (2000, 7000), (2000, 7000)]);
    assert_eq!(shared.most_running, 3);
}

#[test]
fn models_do_not_slow_each_other_down() {
    let outcome = run(
        &[model("a"), model("b")],
        &[request(0, 0, 3), request(0, 1, 3)],
    );
    assert_eq!(times(&outcome), [(2000, 5000), (2000, 5000)]);
    assert_eq!(outcome.memory_high, 2 * GIB);
}

#[test]
fn an_engine_that_dies_takes_its_generations_with_it_and_is_loaded_anew() {
    let mut weak = model("a");
    weak.dies_every = Some(2);
    weak.slots = 9;
    let jobs = [
        request(0, 0, 1),
        request(0, 0, 2),
        request(0, 0, 5),
        request(4000, 0, 1),
    ];
    let mut last = request(3900, 0, 1);
    last.guest = "another".into();
    let outcome = run(&[weak], &[&jobs[..3], &[last]].concat());
    assert_eq!(
        ends(&outcome),
        [End::Answered, End::Failed, End::Failed, End::Failed]
    );
    assert_eq!(
        times(&outcome)[1..],
        [(2000, 4000), (2000, 4000), (3900, 4000)]
    );
    assert_eq!((outcome.deaths, outcome.failed), (1, 3));
}

#[test]
fn what_waits_for_an_engine_that_died_is_served_by_the_next() {
    let mut weak = model("a");
    weak.dies_every = Some(1);
    let one_at_once = Budgets {
        generations: 1,
        ..Budgets::default()
    };
    let native = StrategyPolicy::default();
    let jobs = [request(0, 0, 1), request(0, 1, 9), request(1, 0, 1)];
    let outcome = with_budgets(one_at_once, &[weak, model("b")], &jobs, native);
    // The first dies at 3 s; then it is the turn of `b`, and meanwhile `a` is loaded anew.
    assert_eq!(
        times(&outcome),
        [(2000, 3000), (3000, 12_000), (12_000, 13_000)]
    );
    assert_eq!((outcome.deaths, outcome.loads), (2, 3));
    assert!(outcome.broken.is_empty());
}

#[test]
fn a_load_that_fails_fails_what_waits_for_it() {
    let mut weak = model("a");
    weak.fails_every = Some(2);
    weak.strategy = CortexStrategy::Immediate;
    let jobs = [
        request(0, 0, 1),
        request(10_000, 0, 1),
        request(20_000, 0, 1),
    ];
    let outcome = run(&[weak], &jobs);
    assert_eq!(ends(&outcome), [End::Answered, End::Failed, End::Answered]);
    assert_eq!(times(&outcome)[1], (0, 12_000));
    assert_eq!((outcome.loads, outcome.failed_loads), (3, 1));
}

// --- Requests that give up

#[test]
fn a_deadline_ends_what_waits_and_what_runs() {
    let late = |at, seconds, deadline| SimRequest {
        deadline: Some(deadline),
        ..request(at, 0, seconds)
    };
    let jobs = [late(0, 1, 1500), late(1000, 1, 2500), late(3000, 9, 1500)];
    let outcome = run(&[model("a")], &jobs);
    let passed = End::Rejected(Rejection::DeadlinePassed);
    assert_eq!(ends(&outcome), [passed, End::Answered, End::Failed]);
    assert_eq!(times(&outcome), [(0, 1500), (2000, 3000), (3000, 4500)]);
}

#[test]
fn whoever_gives_up_is_forgotten_unless_it_runs_already() {
    let impatient = |at| SimRequest {
        cancel: Some(1500),
        ..request(at, 0, 5)
    };
    let outcome = run(&[model("a")], &[impatient(0), impatient(600)]);
    assert_eq!(ends(&outcome), [End::TakenBack, End::Answered]);
    assert_eq!(times(&outcome), [(0, 1500), (2000, 7000)]);
    assert_eq!(outcome.taken_back, 1);
}

#[test]
fn the_queue_has_its_limit() {
    let budgets = Budgets {
        queue: 1,
        ..Budgets::default()
    };
    let jobs = [request(0, 0, 1), request(1, 0, 1)];
    let outcome = with_budgets(budgets, &[model("a")], &jobs, StrategyPolicy::default());
    assert_eq!(outcome.rejected[&Rejection::QueueFull], 1);
    assert_eq!((outcome.answered, outcome.longest_queue), (1, 1));
}

// --- Memory

#[test]
fn a_model_makes_room_for_another_by_hibernating() {
    let jobs = [
        request(0, 0, 1),
        request(10_000, 1, 1),
        request(20_000, 0, 1),
    ];
    let outcome = run_in_one_gib(&[model("a"), model("b")], &jobs, StrategyPolicy::default());
    // 0.5 s to save the other, 2 s to load.
    assert_eq!(
        times(&outcome),
        [(2000, 3000), (12_500, 13_500), (22_500, 23_500)]
    );
    assert_eq!((outcome.evictions, outcome.loads), (2, 3));
    assert_eq!(outcome.returns, 1, "`a` had left at 10.5 s");
    let spans = |n: usize| -> Vec<_> {
        let intervals = outcome.models[n].intervals.iter();
        let spans = intervals.map(|i| (i.residency, i.from.as_millis(), i.to.as_millis()));
        spans.collect()
    };
    assert_eq!(
        spans(0)[..4],
        [
            (Residency::Loading, 0, 2000),
            (Residency::Resident, 2000, 10_000),
            (Residency::Hibernating, 10_000, 10_500),
            (Residency::Loading, 20_000, 22_500),
        ]
    );
    assert_eq!(spans(1)[1], (Residency::Resident, 12_500, 20_000));
}

#[test]
fn a_model_waits_until_another_is_not_needed() {
    let jobs = [request(0, 0, 5), request(1000, 1, 1)];
    let outcome = run_in_one_gib(&[model("a"), model("b")], &jobs, StrategyPolicy::default());
    assert_eq!(times(&outcome), [(2000, 7000), (9500, 10_500)]);
}

#[test]
fn a_policy_that_keeps_everything_leaves_no_room() {
    let keep = StrategyPolicy::always(CortexStrategy::KeepAlive);
    let jobs = [request(0, 0, 1), request(10_000, 1, 1)];
    let outcome = run_in_one_gib(&[model("a"), model("b")], &jobs, keep);
    let no_room = End::Rejected(Rejection::NoMemory);
    assert_eq!(ends(&outcome), [End::Answered, no_room]);
    assert_eq!(outcome.models[1].intervals, []);
}

#[test]
fn a_model_that_is_larger_than_the_limit_fails() {
    let mut large = model("a");
    large.memory = 2 * GIB;
    let outcome = run_in_one_gib(&[large], &[request(0, 0, 1)], StrategyPolicy::default());
    assert_eq!(ends(&outcome), [End::Failed]);
    assert_eq!((outcome.loads, outcome.failed_loads), (0, 1));
}

#[test]
fn an_idle_model_leaves_when_its_strategy_says() {
    let after = |strategy, next| {
        let mut model = model("a");
        model.strategy = strategy;
        let outcome = run(&[model], &[request(0, 0, 1), request(next, 0, 1)]);
        (
            outcome.wait.max,
            outcome.unloads,
            outcome.hibernations,
            outcome.loads,
        )
    };
    let minute = CortexStrategy::HibernateAfter(ms(60_000));
    assert_eq!(after(minute, 63_500), (ms(2000), 0, 2, 2));
    assert_eq!(after(minute, 62_900), (ms(2000), 0, 1, 1));
    assert_eq!(after(CortexStrategy::Immediate, 3001), (ms(2000), 2, 0, 2));
    assert_eq!(
        after(CortexStrategy::KeepAlive, 99_000),
        (ms(2000), 0, 0, 1)
    );
    // It comes as the model is being saved: 0.4 s for that, and 2 s.
    assert_eq!(after(minute, 63_100), (ms(2400), 0, 2, 2));
}

// --- Policies

/// A policy that answers what a function says.
struct Says<F>(F);

impl<F> Policy for Says<F>
where
    F: FnMut(&Event, &State) -> Result<Vec<Command>, PolicyFault> + Send,
{
    fn name(&self) -> &str {
        "says"
    }

    fn decide(&mut self, event: &Event, state: &Arc<State>) -> Result<Vec<Command>, PolicyFault> {
        (self.0)(event, state)
    }
}

fn says(
    answer: impl FnMut(&Event, &State) -> Vec<Command> + Send,
) -> Says<impl FnMut(&Event, &State) -> Result<Vec<Command>, PolicyFault> + Send> {
    let mut answer = answer;
    Says(move |event: &Event, state: &State| Ok(answer(event, state)))
}

#[test]
fn a_request_that_is_routed_is_answered_by_the_other_model() {
    let mut fast = model("fast");
    fast.decode = 100.0;
    let route = says(|event, _| match event {
        Event::RequestArrived(arrival) => vec![
            Command::Preload("fast".into()),
            Command::Route(arrival.request.id, "fast".into()),
            Command::Admit(arrival.request.id),
            Command::Route(arrival.request.id, "nothing".into()),
        ],
        _ => vec![],
    });
    let jobs = [request(0, 0, 5)];
    let outcome = with_budgets(Budgets::default(), &[model("a"), fast], &jobs, route);
    assert_eq!(times(&outcome), [(2000, 2500)]);
    assert_eq!(
        (outcome.models[0].loads, outcome.models[1].generations),
        (0, 1)
    );
    assert_eq!(outcome.refused, 1);
    assert!(outcome.broken.is_empty());
}

#[test]
fn a_policy_can_allow_fewer_tokens() {
    let short = says(|event, _| match event {
        Event::RequestArrived(arrival) => {
            let tuning = Tuning {
                max_tokens: Some(10),
                ..Tuning::default()
            };
            vec![
                Command::Retune(arrival.request.id, Box::new(tuning)),
                Command::Admit(arrival.request.id),
                Command::Load(arrival.request.model),
            ]
        }
        _ => vec![],
    });
    let outcome = with_budgets(
        Budgets::default(),
        &[model("a")],
        &[request(0, 0, 5)],
        short,
    );
    assert_eq!(times(&outcome), [(2000, 3000)]);
}

#[test]
fn a_request_that_nobody_decides_about_is_turned_away() {
    let outcome = with_budgets(
        Budgets::default(),
        &[model("a")],
        &[request(500, 0, 1)],
        says(|_, _| vec![]),
    );
    assert_eq!(times(&outcome), [(0, 600_500)]);
    assert_eq!(outcome.rejected.len(), 1);
    assert!(outcome.broken.is_empty());
}

#[test]
fn a_policy_that_is_busy_for_ever_without_serving_anybody_comes_to_an_end() {
    let busy = says(|event, _| match event {
        Event::RequestArrived(a) => {
            vec![
                Command::Admit(a.request.id),
                Command::SetTimer(TimerId(1), ms(1000)),
            ]
        }
        Event::Timer(id) => vec![Command::SetTimer(*id, ms(1000))],
        _ => vec![],
    });
    let outcome = with_budgets(Budgets::default(), &[model("a")], &[request(0, 0, 1)], busy);
    assert_eq!(ends(&outcome), [End::Never]);
    assert_eq!(outcome.broken, ["at the end 1 requests wait and 0 run"]);
}

#[test]
fn a_policy_that_is_asked_far_too_often_is_stopped() {
    let timers = |from: u64| (from..from + 1000).map(|n| Command::SetTimer(TimerId(n), ms(1)));
    let busy = says(move |event, _| match event {
        Event::RequestArrived(_) => timers(0).collect(),
        Event::Timer(id) => vec![Command::SetTimer(*id, ms(1))],
        _ => vec![],
    });
    let outcome = with_budgets(Budgets::default(), &[model("a")], &[request(0, 0, 1)], busy);
    let told = "the policy keeps itself busy: it was asked 100250 times";
    assert_eq!(outcome.broken[0], told);
    assert!(outcome.span < ms(10_000));
}

#[test]
fn faults_are_counted_and_the_native_policy_answers() {
    let outcome = with_budgets(
        Budgets::default(),
        &[model("a")],
        &[request(0, 0, 1)],
        Says(|_: &Event, _: &State| Err(PolicyFault::Trapped("so it is".into()))),
    );
    assert_eq!(outcome.answered, 1);
    assert!(outcome.replaced && outcome.faults == 3);
    assert_eq!(outcome.first_fault.unwrap(), "it trapped: so it is");
}
