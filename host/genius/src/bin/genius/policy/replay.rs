//! `genius policy replay`.

use super::choice::Choice;
use super::{Failure, ReplayArgs, print};
use rusty_genius::Policies;
use rusty_genius::core::brainstem::{Command, Event};
use rusty_genius::stem::{Difference, Replay, replay as run};
use serde_json::json;
use std::fmt::Write;

pub(super) fn replay(args: &ReplayArgs) -> Result<u8, Failure> {
    let choice = Choice::parse(&args.policy)?;
    let policy = choice.load(&Policies::from_home())?;
    let replay = run(&args.record, policy).map_err(|e| Failure::Usage {
        wrong: format!("{}: {e}", args.record.display()),
        hint: "give a record that `genius run --record FILE` wrote",
    })?;
    print(&match args.json {
        true => as_json(&replay),
        false => as_text(&replay, &args.policy),
    })?;
    Ok(0)
}

fn as_text(replay: &Replay, word: &str) -> String {
    let Replay {
        recorded,
        steps,
        differing,
        differences,
        faults,
    } = replay;
    let mut text = format!("{steps} steps, decided by {recorded}\n");
    let _ = writeln!(
        text,
        "{word} commands something else in {differing} of them"
    );
    if *faults > 0 {
        let _ = writeln!(text, "{word} would have been passed over in {faults}");
    }
    for difference in differences {
        let step = &difference.recorded;
        let _ = write!(
            text,
            "\nstep {} at {:.3} s: {}\n  recorded  {}\n  now       {}\n",
            difference.step,
            step.at.as_secs_f64(),
            event(&step.event),
            commands(&step.commands),
            other(difference),
        );
    }
    let more = differing - differences.len();
    if more > 0 {
        let _ = writeln!(text, "\nand {more} more");
    }
    text
}

/// One object a difference, and one for all.
fn as_json(replay: &Replay) -> String {
    let lines = replay.differences.iter().map(|difference| {
        json!({
            "type": "difference",
            "step": difference.step,
            "at-us": difference.recorded.at.as_micros() as u64,
            "event": difference.recorded.event,
            "recorded": difference.recorded.commands,
            "now": difference.other.as_ref().ok(),
            "fault": difference.other.as_ref().err().map(ToString::to_string),
        })
    });
    let end = json!({
        "type": "end",
        "recorded": replay.recorded,
        "steps": replay.steps,
        "differing": replay.differing,
        "faults": replay.faults,
    });
    lines.chain([end]).map(|line| format!("{line}\n")).collect()
}

fn other(difference: &Difference) -> String {
    match &difference.other {
        Ok(own) => commands(own),
        Err(fault) => fault.to_string(),
    }
}

fn commands(commands: &[Command]) -> String {
    match commands {
        [] => "nothing".to_owned(),
        commands => {
            let words: Vec<String> = commands.iter().map(command).collect();
            words.join(", ")
        }
    }
}

fn command(command: &Command) -> String {
    match command {
        Command::Load(id) => format!("load model {}", id.0),
        Command::Preload(spec) => format!("preload {spec}"),
        Command::Unload(id) => format!("unload model {}", id.0),
        Command::Hibernate(id) => format!("hibernate model {}", id.0),
        Command::Admit(id) => format!("admit {}", id.0),
        Command::Reject(id, reason) => format!("reject {} ({})", id.0, reason.describe()),
        Command::Queue(id, priority) => format!("queue {} at {priority}", id.0),
        Command::Route(id, spec) => format!("route {} to {spec}", id.0),
        Command::Retune(id, _) => format!("retune {}", id.0),
        Command::SetTimer(id, after) => {
            format!("set timer {} to {:.3} s", id.0, after.as_secs_f64())
        }
        Command::ClearTimer(id) => format!("clear timer {}", id.0),
    }
}

fn event(event: &Event) -> String {
    match event {
        Event::RequestArrived(arrival) => {
            let request = &arrival.request;
            format!(
                "request {} of {} for {} (model {})",
                request.id.0, arrival.guest, arrival.model, request.model.0
            )
        }
        Event::RequestGone(id) => format!("request {} is gone", id.0),
        Event::ModelLoading(id, need) => format!("model {} is loading, {need} bytes", id.0),
        Event::ModelLoaded(id, memory) => format!("model {} is loaded, {memory} bytes", id.0),
        Event::ModelFailed(id) => format!("model {} could not be loaded", id.0),
        Event::ModelUnloaded(id) => format!("model {} has gone", id.0),
        Event::GenerationStarted(id) => format!("request {} began", id.0),
        Event::GenerationEnded(id, _) => format!("request {} ended", id.0),
        Event::ModelIdle(id) => format!("model {} is idle", id.0),
        Event::MemoryPressure { model, needed } => match model {
            Some(id) => format!("model {} needs {needed} bytes more", id.0),
            None => format!("{needed} bytes must become free"),
        },
        Event::EngineDied(id) => format!("the engine of model {} died", id.0),
        Event::Timer(id) => format!("timer {}", id.0),
        Event::Tick => "tick".to_owned(),
        Event::Refused(refused, why) => format!("refused ({why:?}): {}", command(refused)),
    }
}
