//! The simulator: what it computes by hand, and that the loop's rules hold in it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use rusty_genius_core::CortexStrategy;
use rusty_genius_core::brainstem::{
    Budgets, Command, DEFAULT_PRIORITY, Event, PolicyFault, Rejection, Residency, State, TimerId,
    Tuning,
};
use rusty_genius_stem::simulation::{
    End, Outcome, SimModel, SimRequest, Synthetic, Trace, simulate,
};
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

/// A request that takes so long on an engine of its own; a tenth of its tokens a second is
/// the prompt's.
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

// --- Traces

const TWO: &str = "+++
[budgets]
memory = \"2GiB\"

[[model]]
name = \"a\"
memory = 1073741824
load-seconds = 2
prefill = 100.0
decode = 10.0
strategy = { hibernate-after = \"90s\" }

[[model]]
name = \"b c\"
memory = \"512MiB\"
load-seconds = 1.5
save-seconds = 0
prefill = 100.0
decode = 10.0
slots = 4
+++
at-ms,model,prompt-tokens,completion-tokens,cancel-ms
20,b c,1,2,
10, a ,3,4,50
";

#[test]
fn what_a_trace_leaves_out_has_its_default() {
    let trace = Trace::parse("two.trace", TWO).unwrap();
    assert_eq!(trace.budgets().memory, Some(2 * GIB));
    assert_eq!(trace.budgets().queue, Budgets::default().queue);
    let [a, b] = trace.models() else { panic!() };
    assert_eq!((a.save, a.slots), (ms(200), 1));
    assert_eq!(a.strategy, CortexStrategy::HibernateAfter(ms(90_000)));
    assert_eq!((b.save, b.memory, b.slots), (ms(0), GIB / 2, 4));
    let [first, second] = trace.requests() else {
        panic!()
    };
    assert_eq!((first.at, first.model, first.cancel), (10, 0, Some(50)));
    assert_eq!((second.max_tokens, second.cancel), (2, None));
    assert_eq!(
        (&*second.guest, second.priority),
        ("guest", DEFAULT_PRIORITY)
    );
}

#[test]
fn what_is_wrong_with_a_trace_is_told_with_its_line() {
    for (from, to, told) in [
        ("+++\n[", "[", "t:1: the first line must be `+++`"),
        ("+++\nat-ms", "at-ms", "t:1: the front matter has no end"),
        ("2GiB", "much", "t:3:10: `budgets.memory`: give bytes"),
        (
            "\"2GiB\"",
            "0",
            "t:3:1: `budgets.memory`: it is 0; it must be 1 byte or more",
        ),
        (
            "memory = 1073741824",
            "memory = -1",
            "t:7:10: `model[0].memory`: bytes are not below",
        ),
        (
            "= 1.5",
            "= 0",
            "t:16: `model.load-seconds`: it is 0; it must be 0.001 to 86400",
        ),
        (
            "= 1.5",
            "= nan",
            "t:16: `model.load-seconds`: it is NaN; it must be",
        ),
        (
            "\"b c\"",
            "\"a\"",
            "t:14: `model.name`: another model has this name",
        ),
        (
            "\"b c\"",
            "\"b,c\"",
            "t:14: `model.name`: it is \"b,c\"; it must be without commas",
        ),
        (
            "slots = 4",
            "slots = 0",
            "t:20: `model.slots`: it is 0; it must be 1 to 65536",
        ),
        (
            "slots",
            "slot",
            "t:20:1: `model[1].slot`: unknown field `slot`",
        ),
        ("[budgets]", "[budget]", "t:2:2: `budget`: unknown field"),
        (
            ",model,",
            ",modell,",
            "t:22: there is no column \"modell\"; there are at-ms, guest,",
        ),
        (
            ",cancel-ms",
            ",at-ms",
            "t:22: the column `at-ms` stands there twice",
        ),
        ("at-ms,", "guest,", "t:22: the column `at-ms` is missing"),
        (
            "20,b c",
            "20,d",
            "t:23: `model`: no [[model]] of the front matter is called \"d\"",
        ),
        ("20,b c,1", "20,b c", "t:23: it has 4 values, for 5 columns"),
        (
            "20,b c",
            "-1,b c",
            "t:23: `at-ms`: it is \"-1\"; it must be a whole number, at most",
        ),
        (
            ",2,",
            ",2097152,",
            "t:23: `max-tokens`: it is 2097152; it must be at most 1048576",
        ),
        (
            "10, a ,3,4,50",
            "10,a,3,4,soon",
            "t:24: `cancel-ms`: it is \"soon\"",
        ),
    ] {
        let text = TWO.replacen(from, to, 1);
        assert_ne!(text, TWO, "{from}");
        let error = Trace::parse("t", &text).unwrap_err().to_string();
        assert!(error.starts_with(told), "{from} → {to}: {error}");
    }
    let no_models = Trace::parse("t", "+++\n+++\n").unwrap_err().to_string();
    assert!(no_models.contains("there must be 1 to 4096"), "{no_models}");
    let no_table = TWO.split("at-ms").next().unwrap();
    let no_table = Trace::parse("t", no_table).unwrap_err().to_string();
    assert_eq!(no_table, "t:22: a line must follow that names the columns");
}

#[test]
fn what_is_wrong_with_a_spec_is_told_with_its_key() {
    for (spec, told) in [
        (
            "patern=day",
            "`patern`: no such key; there are pattern, seed, requests,",
        ),
        (
            "pattern=night",
            "`pattern`: it is \"night\"; it must be steady, bursty or day",
        ),
        (
            "requests=0",
            "`requests`: it is \"0\"; it must be a whole number, 1 to 10000000",
        ),
        (
            "rate=fast",
            "`rate`: it is \"fast\"; it must be requests a second, 0.001 to",
        ),
        ("rate=NaN", "`rate`: it is \"NaN\""),
        (
            "memory=1KiB",
            "`memory`: it is \"1KiB\"; it must be 512MiB or more",
        ),
        ("seed", "`seed`: a value must follow"),
        ("seed=1,seed=2", "`seed`: it stands there twice"),
        (
            "requests=10000000,rate=0.1",
            "`rate`: so many requests at this rate take longer",
        ),
    ] {
        let error = spec.parse::<Synthetic>().unwrap_err().to_string();
        assert!(error.starts_with(told), "{spec}: {error}");
    }
}

#[test]
fn a_spec_that_is_written_is_read_as_the_same() {
    for spec in [
        "",
        "pattern=day",
        "pattern=bursty,seed=18446744073709551615,rate=0.3,memory=none,deadline=60",
        "impatient=0.1,memory=700MiB,queue=3,generations=2,prompt=1,completion=4096",
    ] {
        let spec: Synthetic = spec.parse().unwrap();
        assert_eq!(spec.to_string().parse::<Synthetic>().unwrap(), spec);
    }
}

#[test]
fn a_synthetic_trace_is_what_its_spec_says() {
    let trace = |spec: &str| spec.parse::<Synthetic>().unwrap().trace();
    let steady = trace("requests=20000,rate=5,models=10,guests=3,memory=8GiB");
    let last = steady.requests().last().unwrap().at as f64 / 1000.0;
    assert!((3900.0..4100.0).contains(&last), "{last}");
    assert!(steady.models().iter().all(|m| m.memory <= 8 * GIB));
    let of = |trace: &Trace, model| {
        let requests = trace.requests().iter();
        requests.filter(|r| r.model == model).count()
    };
    // Zipf: the first is asked for twice as often as the second.
    let share = of(&steady, 0) as f64 / of(&steady, 1) as f64;
    assert!((1.8..2.2).contains(&share), "{share}");

    let bursty = trace("pattern=bursty,requests=20000,rate=5");
    let last = bursty.requests().last().unwrap().at as f64 / 1000.0;
    assert!((3200.0..4800.0).contains(&last), "{last}");

    let day = trace("pattern=day,requests=20000");
    assert_eq!(day.models().len(), 40);
    let hours = |from: u64, to: u64| {
        let hours = from * 3_600_000..to * 3_600_000;
        let requests = day.requests().iter();
        requests.filter(|r| hours.contains(&r.at)).count()
    };
    assert!(
        hours(9, 12) > 15 * hours(1, 4),
        "{} {}",
        hours(9, 12),
        hours(1, 4)
    );
    assert!(hours(0, 24) > 19_500);
}

#[test]
fn the_shipped_traces_are_what_the_generator_gives() {
    for (name, most_models) in [("steady", 8), ("bursty", 12), ("day", 40)] {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/traces");
        let file = format!("{folder}/{name}.trace");
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.len() < 100_000);
        let trace = Trace::parse(&file, &text).unwrap();
        assert!((300..=2000).contains(&trace.requests().len()));
        assert!(trace.models().len() <= most_models);
        let spec: Synthetic = trace.origin().unwrap().parse().unwrap();
        assert!(spec.trace() == trace && trace.to_text() == text, "{name}");
        for strategy in STRATEGIES {
            let outcome = simulate(Box::new(native(strategy)), &trace);
            assert_eq!(outcome.broken, [""; 0], "{name}");
        }
    }
}

// --- Properties

const STRATEGIES: [Option<CortexStrategy>; 4] = [
    None,
    Some(CortexStrategy::Immediate),
    Some(CortexStrategy::KeepAlive),
    Some(CortexStrategy::HibernateAfter(ms(20_000))),
];

fn native(strategy: Option<CortexStrategy>) -> StrategyPolicy {
    strategy.map_or_else(StrategyPolicy::default, StrategyPolicy::always)
}

fn specs() -> impl Strategy<Value = Synthetic> {
    let sizes = (1..120_u32, 1..9_u32, 1..4_u32);
    let load = (
        prop::sample::select(&["0.05", "1", "40"][..]),
        0..3_u32,
        1..40_u32,
        1..9_u32,
    );
    let rest = (
        prop::sample::select(&["none", "1GiB", "6GiB"][..]),
        0..3_u32,
        any::<u64>(),
    );
    (sizes, load, rest).prop_map(|(sizes, load, rest)| {
        let (requests, models, guests) = sizes;
        let (rate, pattern, queue, generations) = load;
        let (memory, patience, seed) = rest;
        let pattern = ["steady", "bursty", "day"][pattern as usize];
        let patience =
            ["deadline=20", "impatient=0.5", "deadline=300,impatient=0.1"][patience as usize];
        let spec = format!(
            "pattern={pattern},requests={requests},models={models},guests={guests},rate={rate},\
             queue={queue},generations={generations},memory={memory},seed={seed},{patience}"
        );
        spec.parse().unwrap()
    })
}

fn any_trace() -> impl Strategy<Value = Trace> {
    let name = "[a-zA-Z0-9/:._\\-äß]{1,12}( on [a-z]{1,6})?";
    let strategy = prop_oneof![
        Just(CortexStrategy::Immediate),
        Just(CortexStrategy::KeepAlive),
        any::<u32>()
            .prop_map(|ms| CortexStrategy::HibernateAfter(Duration::from_millis(ms.into()))),
        any::<u64>().prop_map(|ns| CortexStrategy::HibernateAfter(Duration::from_nanos(ns))),
    ];
    let every = proptest::option::of(1..u32::MAX);
    let model = (
        (
            1..1_u64 << 50,
            1_000_000..86_400_000_000_000_u64,
            0..86_400_000_000_000_u64,
        ),
        (0.1..1e9, 0.1..1e9, 1..65_536_u32),
        (strategy, every.clone(), every),
    );
    let model = model.prop_map(
        |((memory, load, save), (prefill, decode, slots), rest)| SimModel {
            name: "".into(),
            memory,
            load: Duration::from_nanos(load),
            save: Duration::from_nanos(save),
            prefill,
            decode,
            slots,
            strategy: rest.0,
            fails_every: rest.1,
            dies_every: rest.2,
        },
    );
    let request = (
        (0..31_622_400_000_u64, name, any::<prop::sample::Index>()),
        (
            0..=1_048_576_u32,
            0..=1_048_576_u32,
            0..=1_048_576_u32,
            any::<u8>(),
        ),
        (any::<Option<u32>>(), any::<Option<u32>>()),
    );
    let origin = proptest::option::of("[ -~ä\"\\\\]{0,40}");
    let models = prop::collection::hash_map(name, model, 1..5);
    let budgets = (proptest::option::of(1..u64::MAX), any::<[u32; 4]>());
    let requests = prop::collection::vec(request, 0..9);
    (origin, budgets, models, requests).prop_map(|(origin, budgets, models, requests)| {
        let (memory, [queue, generations, most, undecided]) = budgets;
        let budgets = Budgets {
            memory,
            queue,
            generations,
            models: most,
            undecided,
        };
        let named = models.into_iter().map(|(name, model)| SimModel {
            name: name.into(),
            ..model
        });
        let models: Vec<SimModel> = named.collect();
        let requests = requests
            .into_iter()
            .map(|((at, guest, model), tokens, moments)| {
                let (prompt_tokens, a, b, priority) = tokens;
                SimRequest {
                    at,
                    guest: guest.into(),
                    model: model.index(models.len()) as u32,
                    prompt_tokens,
                    max_tokens: a.max(b),
                    completion_tokens: a.min(b),
                    priority,
                    deadline: moments.0,
                    cancel: moments.1,
                }
            });
        let requests = requests.collect();
        Trace::new(origin, budgets, models, requests).unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_loops_rules_hold_for_every_trace(
        spec in specs(),
        strategy in prop::sample::select(&STRATEGIES[..]),
        every in proptest::option::of((1..9_u32, 1..9_u32)),
    ) {
        let trace = spec.trace();
        let mut models = trace.models().to_vec();
        for model in &mut models {
            model.fails_every = every.map(|(fails, _)| fails);
            model.dies_every = every.map(|(_, dies)| dies);
        }
        let requests = trace.requests().to_vec();
        let trace = Trace::new(None, *trace.budgets(), models, requests).unwrap();
        let outcome = simulate(Box::new(native(strategy)), &trace);
        prop_assert_eq!(&outcome.broken, &[""; 0]);
        let rejected: u64 = outcome.rejected.values().sum();
        let ends = outcome.answered + outcome.failed + outcome.taken_back + rejected;
        prop_assert_eq!(ends, outcome.requests);
        prop_assert_eq!(outcome.faults, 0);
        prop_assert_eq!(&simulate(Box::new(native(strategy)), &trace), &outcome);
    }

    #[test]
    fn a_trace_that_is_written_is_read_as_the_same(trace in any_trace()) {
        let text = trace.to_text();
        prop_assert_eq!(Trace::parse("t", &text).unwrap(), trace);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in any::<String>(), at in any::<prop::sample::Index>()) {
        let _ = Trace::parse("t", &text);
        let _ = text.parse::<Synthetic>();
        let _ = format!("pattern={text},rate={text},memory={text}").parse::<Synthetic>();
        // In the middle of one that is right, too.
        let at = at.index(TWO.len());
        let _ = Trace::parse("t", &format!("{}{text}{}", &TWO[..at], &TWO[at..]));
        let _ = Trace::parse("t", &format!("{}{text}", &TWO[..at]));
    }
}
