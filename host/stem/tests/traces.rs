//! Traces as files and as specs, and that the loop's rules hold whatever is in them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use rusty_genius_core::CortexStrategy;
use rusty_genius_core::brainstem::{Budgets, DEFAULT_PRIORITY};
use rusty_genius_stem::StrategyPolicy;
use rusty_genius_stem::simulation::{SimModel, SimRequest, Synthetic, Trace, simulate};
use std::time::Duration;

const GIB: u64 = 1 << 30;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

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
            "t:20:1: `model[1].slot`: unknown key `slot`",
        ),
        ("[budgets]", "[budget]", "t:2:2: `budget`: unknown key"),
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
