use super::*;
use rusty_genius_core::{BudgetError, BudgetResource, Check, GeniusError, ToolCall};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

const SCENARIO: Scenario = Scenario::FIXTURE;

fn fixture(front: &str) -> Fixture {
    let text = format!("+++\n{front}\n+++\nHello\n");
    Fixture::parse("a/b/c/d", Path::new("d.md"), text.as_bytes()).unwrap()
}

/// A run in which all is well.
fn good() -> Evidence {
    let usage = Usage {
        prompt_tokens: 12,
        cached_tokens: 3,
        completion_tokens: 9,
        thought_tokens: 2,
        prefill_us: 30,
        decode_us: 90,
    };
    let answer = "The capital is Paris.";
    Evidence {
        observation: Ok(Observation {
            answer: answer.into(),
            thoughts: "hm".into(),
            calls: vec![],
            finish: FinishReason::Stop,
            usage,
            checks: SCENARIO
                .checks
                .iter()
                .map(|name| check(name, true))
                .collect(),
            earlier: vec![],
        }),
        usage,
        refusals: vec![],
        notes: vec![],
        memory_peak: 1 << 20,
        wall_time: Duration::from_millis(5),
        files: vec!["answer.md".into()],
        answer_file: Some(Ok(answer.into())),
        expected: BTreeMap::new(),
    }
}

fn check(name: &str, passed: bool) -> Check {
    Check {
        name: name.into(),
        passed,
        detail: if passed { "" } else { "event 3: content" }.into(),
    }
}

fn seen(evidence: &mut Evidence) -> &mut Observation {
    evidence.observation.as_mut().unwrap()
}

/// What is wrong with a run that was good before this change.
fn pipeline(front: &str, change: impl FnOnce(&mut Evidence)) -> Vec<Failure> {
    let mut evidence = good();
    change(&mut evidence);
    judge(&fixture(front), &SCENARIO, &evidence, Standard::Pipeline)
}

fn answer(front: &str) -> Vec<String> {
    let failures = judge(&fixture(front), &SCENARIO, &good(), Standard::Answer);
    assert!(failures.iter().all(Failure::is_of_answer));
    failures.iter().map(ToString::to_string).collect()
}

#[test]
fn a_good_run_has_no_failures_by_either_standard() {
    assert_eq!(pipeline("", |_| {}), []);
    assert_eq!(answer("[expect]\ncontains = ['Paris']"), [""; 0]);
}

#[test]
fn only_pinky_is_spared_the_expectations() {
    assert_eq!(Standard::of_engine("pinky"), Standard::Pipeline);
    assert_eq!(Standard::of_engine("brain"), Standard::Answer);
    let lacking = "[expect]\ncontains = ['Narnia']\nfinish = 'length'\nthought = false";
    assert_eq!(pipeline(lacking, |_| {}), []);
    assert_eq!(answer(lacking).len(), 3);
}

#[test]
fn a_scenario_whose_usage_is_not_the_hosts_count_lies() {
    let failures = pipeline("", |e| seen(e).usage.completion_tokens = 8);
    assert_eq!(
        failures,
        [Failure::Usage {
            field: "generated tokens",
            reported: 8,
            counted: 9
        }]
    );
    let wrong = |change: fn(&mut Usage)| pipeline("", |e| change(&mut seen(e).usage)).len();
    assert_eq!(wrong(|u| u.prompt_tokens += 1), 1);
    assert_eq!(wrong(|u| u.cached_tokens = 12), 1);
    assert_eq!(wrong(|u| u.thought_tokens = 0), 1);
    assert_eq!(wrong(|u| u.prefill_us = 0), 1);
    assert_eq!(wrong(|u| u.decode_us = u64::MAX), 1);
    assert_eq!(wrong(|u| *u = Usage::default()), 6);
}

#[test]
fn a_check_that_failed_or_was_not_made_is_a_failure() {
    let failures = pipeline("", |e| {
        seen(e).checks[2] = check("thoughts bracketed", false);
    });
    assert_eq!(
        failures[0].to_string(),
        "check \"thoughts bracketed\" did not hold: \"event 3: content\""
    );
    let failures = pipeline("", |e| seen(e).checks.clear());
    assert_eq!(failures.len(), SCENARIO.checks.len());
    assert_eq!(
        failures.last().unwrap().to_string(),
        "check \"no escape\" was not made"
    );
    // More checks than declared are welcome, if they hold.
    assert_eq!(
        pipeline("", |e| seen(e).checks.push(check("more", true))),
        []
    );
}

#[test]
fn a_generation_ends_with_stop_or_length_or_a_call() {
    let ended = |finish: FinishReason, calls: &[ToolCall]| {
        pipeline("", |e| {
            seen(e).finish = finish;
            seen(e).calls = calls.to_vec();
        })
    };
    assert_eq!(ended(FinishReason::Length, &[]), []);
    assert_eq!(ended(FinishReason::Length, &[weather("Paris")]), []);
    assert_eq!(ended(FinishReason::ToolCall, &[weather("Paris")]), []);
    let failures = ended(FinishReason::Cancelled, &[weather("Paris")]);
    assert_eq!(
        failures[0].to_string(),
        "the generation ended with cancelled"
    );
    let failures = ended(FinishReason::ToolCall, &[]);
    assert_eq!(
        failures[0].to_string(),
        "the generation ended with tool-call, and there is no call"
    );
}

fn weather(city: &str) -> ToolCall {
    ToolCall {
        id: format!("call-{city}"),
        name: "weather".into(),
        arguments: format!("{{\"city\":\"{city}\"}}"),
    }
}

#[test]
fn a_call_that_is_none_is_the_pipelines_fault() {
    let call = |name: &str, arguments: &str| ToolCall {
        name: name.into(),
        arguments: arguments.into(),
        ..weather("")
    };
    for bad in [
        call("", "{}"),
        call("a b", "{}"),
        call("a", ""),
        call("a", "[1]"),
    ] {
        let failures = pipeline("", |e| seen(e).calls = vec![weather("Oslo"), bad.clone()]);
        assert_eq!(failures, [Failure::Call { call: bad }]);
    }
    let failures = pipeline("", |e| seen(e).calls = vec![call("\x1b[2J", "a\nb")]);
    assert_eq!(
        failures[0].to_string(),
        "the model called \"\\u{1b}[2J a\\nb\", which is no name with a JSON object"
    );
}

/// What is wrong with an answer that ended with these calls.
fn called(front: &str, calls: &[ToolCall]) -> Vec<String> {
    let mut evidence = good();
    seen(&mut evidence).calls = calls.to_vec();
    if !calls.is_empty() {
        seen(&mut evidence).finish = FinishReason::ToolCall;
    }
    let failures = judge(&fixture(front), &SCENARIO, &evidence, Standard::Answer);
    assert!(failures.iter().all(Failure::is_of_answer));
    failures.iter().map(ToString::to_string).collect()
}

#[test]
fn the_calls_are_those_expected_in_their_order() {
    let paris = "[expect]\ncalls = ['weather { \"city\" : \"Paris\" }']";
    assert_eq!(called(paris, &[weather("Paris")]), [""; 0]);
    assert_eq!(
        called(paris, &[weather("Rome")]),
        [
            "`expect.calls`: the model called weather {\"city\":\"Rome\"}, \
          expected weather {\"city\":\"Paris\"}"
        ]
    );
    assert_eq!(
        called(paris, &[]),
        [
            "`expect.calls`: the model called nothing, expected weather {\"city\":\"Paris\"}",
            "`expect.finish`: the generation ended with stop, expected tool-call",
        ]
    );
    let (rome, oslo) = (weather("Rome"), weather("Oslo"));
    let both = "[expect]\ncalls = ['weather {\"city\":\"Rome\"}', 'weather {\"city\":\"Oslo\"}']";
    assert_eq!(called(both, &[rome.clone(), oslo.clone()]), [""; 0]);
    for wrong in [
        &[oslo.clone(), rome.clone()][..],
        std::slice::from_ref(&rome),
    ] {
        assert_eq!(called(both, wrong).len(), 1, "{wrong:?}");
    }
    assert_eq!(called(both, &[rome.clone(), oslo, rome]).len(), 1);
}

#[test]
fn an_empty_list_of_calls_forbids_them_and_none_allows_an_end_with_them() {
    let none = "[expect]\ncalls = []";
    assert_eq!(called(none, &[]), [""; 0]);
    assert_eq!(
        called(none, &[weather("Rome")]),
        [
            "`expect.calls`: the model called weather {\"city\":\"Rome\"}, expected nothing",
            "`expect.finish`: the generation ended with tool-call, expected stop or length",
        ]
    );
    assert_eq!(called("", &[weather("Rome")]).len(), 1);
    let any = "[expect]\nfinish = 'tool-call'";
    assert_eq!(called(any, &[weather("Rome")]), [""; 0]);
}

#[test]
fn what_the_model_called_is_shown_and_not_obeyed() {
    let call = ToolCall {
        arguments: "{\"a\":\"\u{202e}\"}".into(),
        ..weather("")
    };
    let told = called("[expect]\ncalls = ['now {}']", &[call]).remove(0);
    assert!(told.contains("\\u{202e}"), "{told}");
}

#[test]
fn the_limits_are_held_to_what_the_host_counted() {
    let front = "[limits]\nmax-tokens = 8\nmemory = 1\nstop = ['Paris', 'xyz']";
    let failures = pipeline(front, |e| e.memory_peak += 1);
    let lines: Vec<String> = failures.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "`limits.max-tokens`: 9 tokens were generated, 8 are allowed",
            "`limits.memory`: the guest held 1048577 bytes, 1048576 are allowed",
            "`limits.stop`: the answer holds \"Paris\"",
        ]
    );
}

#[test]
fn the_file_must_be_the_answer_and_the_only_one() {
    let failures = pipeline("", |e| e.answer_file = Some(Ok(b"Rome".into())));
    assert_eq!(
        failures[0].to_string(),
        "/scratch/answer.md: it is not the answer; it has 4 bytes, and the answer has 21"
    );
    assert_eq!(
        pipeline("", |e| e.answer_file = Some(Err("gone".into()))).len(),
        1
    );
    let failures = pipeline("", |e| e.files.push("a\n\x1b[2J".into()));
    assert_eq!(
        failures[0].to_string(),
        "there is a stray file in /scratch: \"a\\n\\u{1b}[2J\""
    );
}

#[test]
fn a_refusal_is_a_failure_whether_or_not_there_is_a_report() {
    let refuse = |e: &mut Evidence| e.refusals.push("model x/y: grant it".into());
    assert_eq!(pipeline("", refuse).len(), 1);
    let failures = pipeline("", |e| {
        refuse(e);
        e.observation = Err(GeniusError::Budget(BudgetError {
            resource: BudgetResource::WallTime,
            limit: 60_000,
        }));
    });
    assert_eq!(failures.len(), 2);
    assert_eq!(
        failures[0].to_string(),
        "the run failed: the guest has spent its time of 1m"
    );
    assert!(failures[0].hint().unwrap().contains("limits.timeout"));
}

#[test]
fn each_expectation_names_its_key() {
    assert_eq!(
        answer(
            "[expect]\ncontains = ['Paris', 'paris']\nnot-contains = ['capital', 'CAPITAL']\n\
             finish = 'length'\nthought = false\nmax-tokens = 8"
        ),
        [
            "`expect.contains`: the answer lacks \"paris\"",
            "`expect.not-contains`: the answer holds \"capital\"",
            "`expect.finish`: the generation ended with stop, expected length",
            "`expect.thought`: there are thoughts",
            "`expect.max-tokens`: 9 tokens were generated, at most 8 expected",
        ]
    );
    assert_eq!(
        answer("[expect]\nthought = true\nmax-tokens = 9\nfinish = 'stop'"),
        [""; 0]
    );
}

#[test]
fn case_can_be_ignored_beyond_ascii_too() {
    let mut evidence = good();
    seen(&mut evidence).answer = "ÄPFEL".into();
    evidence.answer_file = Some(Ok("ÄPFEL".into()));
    let judged = |front: &str| judge(&fixture(front), &SCENARIO, &evidence, Standard::Answer);
    assert_eq!(judged("[expect]\ncontains = ['äpfel']").len(), 1);
    assert_eq!(
        judged("[expect]\nmatches-case = false\ncontains = ['äpfel']"),
        []
    );
    assert_eq!(
        judged("[expect]\nmatches-case = false\nnot-contains = ['äp']").len(),
        1
    );
}

#[test]
fn answers_before_the_last_one_are_judged_by_their_own_rules() {
    let front = "[expect]\nearlier = [{ contains = ['Hi'] }, { exact = 'Bye' }]";
    let text = format!("+++\n{front}\n+++\na\n+++\nb\n+++\nc\n");
    let fixture = Fixture::parse("a/b/c/d", Path::new("d.md"), text.as_bytes()).unwrap();
    let judged = |earlier: &[&str]| -> Vec<String> {
        let mut evidence = good();
        seen(&mut evidence).earlier = earlier.iter().map(ToString::to_string).collect();
        let failures = judge(&fixture, &SCENARIO, &evidence, Standard::Answer);
        failures.iter().map(ToString::to_string).collect()
    };
    assert_eq!(judged(&["Hi!", "Bye"]), [""; 0]);
    assert_eq!(
        judged(&["Ho", "Bye "]),
        [
            "`expect.earlier[0].contains`: the answer lacks \"Hi\"",
            "`expect.earlier[1].exact`: the answer is \"Bye \", expected \"Bye\"",
        ]
    );
    assert_eq!(
        judged(&["Hi"]),
        ["there are 1 answers before the last one, expected 2"]
    );
}

#[test]
fn files_are_held_against_what_is_expected_of_them() {
    let front = "[expect.files.'notes/a.txt']\nexact = 'A'\n[expect.files.b]\nregex = '^B'";
    let judged = |files: &[(&str, Result<&str, &str>)]| -> Vec<String> {
        let mut evidence = good();
        for (path, content) in files {
            let content = content.map(|text| text.as_bytes().to_vec());
            let content = content.map_err(str::to_owned);
            evidence.expected.insert((*path).to_owned(), content);
        }
        let failures = judge(&fixture(front), &SCENARIO, &evidence, Standard::Answer);
        assert!(failures.iter().all(Failure::is_of_answer));
        failures.iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        judged(&[("notes/a.txt", Ok("A")), ("b", Ok("B!"))]),
        [""; 0]
    );
    assert_eq!(
        judged(&[
            ("notes/a.txt", Ok("a")),
            ("b", Err("it is not a regular file"))
        ]),
        [
            "`expect.files.\"notes/a.txt\".exact`: the file is \"a\", expected \"A\"",
            "`expect.files`: /scratch/b: it is not a regular file",
        ]
    );
}

#[test]
fn a_schema_and_a_time_are_expectations_too() {
    let told = answer("[expect]\njson-schema = '{\"type\": \"object\"}'\nmax-latency = '1us'");
    assert!(
        told[0].starts_with("`expect.json-schema`: the answer is not JSON"),
        "{told:?}"
    );
    // 30 and 90 microseconds of the usage.
    assert_eq!(
        told[1],
        "`expect.max-latency`: it took 120us, at most 1us expected"
    );
    assert_eq!(answer("[expect]\nmax-latency = '120us'"), [""; 0]);
}

#[test]
fn what_is_denied_has_to_be_expected_and_the_other_way_round() {
    let denied = |refusals: &[&str]| -> Vec<String> {
        let failures = pipeline("[expect]\ndenied = ['model a/b', 'tool']", |e| {
            e.refusals = refusals.iter().map(ToString::to_string).collect();
        });
        failures.iter().map(ToString::to_string).collect()
    };
    assert_eq!(denied(&["model a/b; grant it", "tool \"x\""]), [""; 0]);
    assert_eq!(
        denied(&["model a/b", "writing to /etc"]),
        [
            "the host refused: writing to /etc",
            "`expect.denied`: nothing with \"tool\" was denied",
        ]
    );
}
