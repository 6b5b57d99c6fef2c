//! `genius policy simulate`.

use super::choice::Choice;
use super::{Failure, SimulateArgs, file, plot, print, table, warn};
use rusty_genius::Policies;
use rusty_genius::stem::simulation::{Outcome, Trace, simulate as run};
use std::time::Instant;

/// The guest failed, or trapped.
const FAILED: u8 = 1;

/// What one policy made of the trace.
pub(super) struct Run {
    /// The policy, as it was named.
    pub(super) word: String,
    pub(super) outcome: Outcome,
}

pub(super) fn simulate(args: &SimulateArgs) -> Result<u8, Failure> {
    let words: Vec<&String> = [&args.policy].into_iter().chain(&args.compare).collect();
    let choices = words.iter().map(|word| Choice::parse(word));
    let choices = choices.collect::<Result<Vec<_>, _>>()?;
    let policies = Policies::from_home();
    // All are loaded before the first runs: a slip of the pen shows at once.
    let loaded = choices.iter().map(|choice| choice.load(&policies));
    let loaded = loaded.collect::<Result<Vec<_>, _>>()?;
    let trace = trace(args)?;
    if let Some(path) = &args.write_trace {
        file::write(path, &trace.to_text())?;
    }

    let begin = Instant::now();
    let runs = words.iter().zip(loaded).map(|(word, policy)| Run {
        word: (*word).clone(),
        outcome: run(policy, &trace),
    });
    let runs: Vec<Run> = runs.collect();
    let took = begin.elapsed().as_secs_f64();
    let decisions: u64 = runs.iter().map(|run| run.outcome.decisions).sum();
    let requests: u64 = runs.iter().map(|run| run.outcome.requests).sum();
    eprintln!(
        "{requests} requests and {decisions} decisions in {took:.2} s, {:.0} decisions a second",
        decisions as f64 / took.max(1e-6)
    );

    if let Some(path) = &args.plot {
        file::write(path, &plot::svg(&runs)?)?;
    }
    match args.json {
        true => print(&table::json(&runs))?,
        false => print(&table::table(&runs))?,
    }
    for run in &runs {
        tell_faults(run);
    }
    let broken = runs.iter().any(|run| !run.outcome.broken.is_empty());
    Ok(if broken { FAILED } else { 0 })
}

fn trace(args: &SimulateArgs) -> Result<Trace, Failure> {
    let trace = match (&args.source.trace, &args.source.synthetic) {
        (Some(path), _) => file::read_trace(path)?,
        (None, Some(spec)) => spec.trace(),
        (None, None) => {
            return Err(Failure::Usage {
                wrong: "there is no trace".to_owned(),
                hint: "give --trace FILE or --synthetic SPEC",
            });
        }
    };
    match args.memory_limit {
        None => Ok(trace),
        limit => trace.with_memory_limit(limit).map_err(|e| Failure::Usage {
            wrong: e.to_string(),
            hint: "give more memory: --memory-limit 16GiB",
        }),
    }
}

fn tell_faults(run: &Run) {
    let (word, outcome) = (&run.word, &run.outcome);
    if let Some(fault) = &outcome.first_fault {
        let times = outcome.faults;
        let for_good = match outcome.replaced {
            true => ", and the native policy decided from then on",
            false => "",
        };
        warn(&format!(
            "{word} was passed over, {times} times in all{for_good}; the first time, {fault}"
        ));
    }
    for rule in &outcome.broken {
        warn(&format!("{word}: {rule}"));
    }
}
