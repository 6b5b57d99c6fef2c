//! Whether a run was as it should be.

use crate::evidence::Evidence;
use crate::failure::{Failure, Place};
use crate::runner::Scenario;
use crate::{schema, words};
use rusty_genius_core::fixture::{Call, Expect, Fixture, Words};
use rusty_genius_core::{FinishReason, Observation, Usage};

/// How much is asked of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standard {
    /// What holds whatever the model says.
    Pipeline,
    /// That, and what the fixture expects of the answer.
    Answer,
}

impl Standard {
    /// What can be asked of an engine: the pipeline of `pinky`, which has no model behind
    /// it; of any other the answer too.
    pub fn of_engine(engine: &str) -> Self {
        match engine {
            "pinky" => Self::Pipeline,
            _ => Self::Answer,
        }
    }
}

/// Everything that is wrong with a run, the pipeline first; nothing if it passed.
pub fn judge(
    fixture: &Fixture,
    scenario: &Scenario,
    evidence: &Evidence,
    standard: Standard,
) -> Vec<Failure> {
    let mut failures = Vec::new();
    match &evidence.observation {
        Ok(seen) => {
            checks(seen, scenario, &mut failures);
            usage(&seen.usage, &evidence.usage, &mut failures);
            finish(seen, &mut failures);
            calls(seen, &mut failures);
            limits(seen, fixture, evidence, &mut failures);
            files(seen, scenario, evidence, &mut failures);
        }
        Err(error) => failures.push(Failure::Run(error.clone())),
    }
    denials(evidence, &fixture.expect, &mut failures);
    if let Ok(seen) = &evidence.observation {
        let (expected, seen) = (fixture.answers().saturating_sub(1), seen.earlier.len());
        if expected != seen {
            failures.push(Failure::Answers { expected, seen });
        }
    }
    if let (Ok(seen), Standard::Answer) = (&evidence.observation, standard) {
        expectations(seen, &fixture.expect, evidence, &mut failures);
    }
    failures
}

fn checks(seen: &Observation, scenario: &Scenario, failures: &mut Vec<Failure>) {
    for check in seen.checks.iter().filter(|check| !check.passed) {
        failures.push(Failure::Check {
            name: check.name.clone(),
            detail: check.detail.clone(),
        });
    }
    // A scenario that looks at nothing finds nothing wrong.
    for name in scenario.checks {
        if seen.checks.iter().all(|check| check.name != *name) {
            failures.push(Failure::CheckMissing {
                name: (*name).to_owned(),
            });
        }
    }
}

fn usage(reported: &Usage, counted: &Usage, failures: &mut Vec<Failure>) {
    let fields = |u: &Usage| {
        [
            ("prompt tokens", u64::from(u.prompt_tokens)),
            ("cached tokens", u64::from(u.cached_tokens)),
            ("generated tokens", u64::from(u.completion_tokens)),
            ("thought tokens", u64::from(u.thought_tokens)),
            ("microseconds of prefill", u.prefill_us),
            ("microseconds of decode", u.decode_us),
        ]
    };
    for ((field, reported), (_, counted)) in fields(reported).into_iter().zip(fields(counted)) {
        if reported != counted {
            failures.push(Failure::Usage {
                field,
                reported,
                counted,
            });
        }
    }
}

fn finish(seen: &Observation, failures: &mut Vec<Failure>) {
    let proper = match seen.finish {
        FinishReason::Stop | FinishReason::Length => true,
        FinishReason::ToolCall => !seen.calls.is_empty(),
        FinishReason::Cancelled | FinishReason::Failed(_) => false,
    };
    if !proper {
        failures.push(Failure::Finish {
            finish: seen.finish.name(),
        });
    }
}

fn calls(seen: &Observation, failures: &mut Vec<Failure>) {
    let improper = seen.calls.iter().filter(|c| Call::seen(c).is_none());
    failures.extend(improper.map(|call| Failure::Call { call: call.clone() }));
}

fn limits(seen: &Observation, fixture: &Fixture, evidence: &Evidence, failures: &mut Vec<Failure>) {
    // Each prompt may have so many.
    let prompts = u32::try_from(fixture.answers()).unwrap_or(u32::MAX);
    let limit = fixture.max_tokens().saturating_mul(prompts);
    let counted = evidence.usage.completion_tokens;
    if counted > limit {
        failures.push(Failure::Tokens { counted, limit });
    }
    let (peak, limit) = (evidence.memory_peak, fixture.limits.memory);
    if peak > limit {
        failures.push(Failure::Memory { peak, limit });
    }
    // Time needs no look: a run that overran it has no observation.
    let stops = fixture.config.behavior.stop.iter().flatten();
    let answers = || seen.earlier.iter().chain([&seen.answer]);
    for stop in stops.filter(|stop| answers().any(|answer| answer.contains(stop.as_str()))) {
        failures.push(Failure::StopText { text: stop.clone() });
    }
}

/// What was denied is what is expected to be; by default nothing.
fn denials(evidence: &Evidence, expect: &Expect, failures: &mut Vec<Failure>) {
    for refusal in &evidence.refusals {
        if !expect.denied.iter().any(|text| refusal.contains(text)) {
            let refusal = refusal.clone();
            failures.push(Failure::Refused { refusal });
        }
    }
    for text in &expect.denied {
        if !evidence
            .refusals
            .iter()
            .any(|refusal| refusal.contains(text))
        {
            failures.push(Failure::NotDenied { text: text.clone() });
        }
    }
}

fn files(
    seen: &Observation,
    scenario: &Scenario,
    evidence: &Evidence,
    failures: &mut Vec<Failure>,
) {
    // A scenario of somebody else's may leave what it likes.
    let Some(name) = scenario.answer_file else {
        return;
    };
    let unread = Err("nobody has read it".to_owned());
    let fault = match evidence.answer_file.as_ref().unwrap_or(&unread) {
        Ok(bytes) if *bytes == seen.answer.as_bytes() => None,
        Ok(bytes) => Some(format!(
            "it is not the answer; it has {} bytes, and the answer has {}",
            bytes.len(),
            seen.answer.len()
        )),
        Err(reason) => Some(reason.clone()),
    };
    failures.extend(fault.map(|reason| Failure::AnswerFile {
        name: name.to_owned(),
        reason,
    }));
    let stray = evidence.files.iter().filter(|file| **file != name);
    failures.extend(stray.map(|name| Failure::StrayFile { name: name.clone() }));
}

fn expectations(
    seen: &Observation,
    expect: &Expect,
    evidence: &Evidence,
    failures: &mut Vec<Failure>,
) {
    let mut text = |place: &Place, text: &str, rule: &Words| {
        failures.extend(words::faults(text, rule).into_iter().map(|fault| {
            let place = place.clone();
            Failure::Words { place, fault }
        }));
    };
    for (at, (rule, answer)) in expect.earlier.iter().zip(&seen.earlier).enumerate() {
        text(&Place::Earlier(at), answer, rule);
    }
    text(&Place::Answer, &seen.answer, &expect.answer);
    for (path, rule) in &expect.files {
        let content = evidence.expected.get(path);
        if let Some(Ok(bytes)) = content {
            let place = Place::File(path.clone());
            text(&place, &String::from_utf8_lossy(bytes), rule);
        }
    }
    for path in expect.files.keys() {
        let reason = match evidence.expected.get(path) {
            Some(Ok(_)) => continue,
            Some(Err(reason)) => reason.clone(),
            None => "nobody has read it".to_owned(),
        };
        let path = path.clone();
        failures.push(Failure::File { path, reason });
    }
    if let Some(schema) = &expect.json_schema
        && let Some(reason) = schema::fault(&seen.answer, schema)
    {
        failures.push(Failure::Schema { reason });
    }
    if let Some(limit) = expect.max_latency
        && evidence.latency() > limit
    {
        let latency = evidence.latency();
        failures.push(Failure::Late { latency, limit });
    }

    if let Some(expected) = &expect.calls
        && !seen
            .calls
            .iter()
            .map(Call::seen)
            .eq(expected.iter().cloned().map(Some))
    {
        failures.push(Failure::Calls {
            expected: expected.clone(),
            seen: seen.calls.clone(),
        });
    }
    let finish = seen.finish.name();
    let expected = match expect.finish {
        Some(expected) => expected.name(),
        // Anything else that is not proper is the pipeline's fault.
        None if seen.finish == FinishReason::ToolCall => "stop or length",
        None => finish,
    };
    if expected != finish {
        failures.push(Failure::Ended { expected, finish });
    }
    if let Some(expected) = expect.thought
        && expected == seen.thoughts.is_empty()
    {
        failures.push(Failure::Thought { expected });
    }
    if let Some(limit) = expect.max_tokens
        && evidence.usage.completion_tokens > limit
    {
        failures.push(Failure::TooLong {
            counted: evidence.usage.completion_tokens,
            limit,
        });
    }
}

#[cfg(test)]
mod tests;
