//! Tool calls among the text.

use super::*;

const WEATHER: &str =
    r#"<tool_call>{"name": "weather", "arguments": {"city": "Oslo"}}</tool_call>"#;

fn stops(stop: &[&str], text: &str) -> String {
    shorthand(run(
        OutputMachine::new(&behavior(stop, ThoughtMode::Show)),
        &[text],
    ))
}

#[test]
fn a_call_is_an_event_however_it_is_cut() {
    let text = format!("One moment. {WEATHER} And {WEATHER}");
    let expected = "One moment. [call-1 weather {\"city\":\"Oslo\"}] And \
                    [call-2 weather {\"city\":\"Oslo\"}]";
    for cut in 0..=text.len() {
        assert_eq!(shown(&[&text[..cut], &text[cut..]]), expected);
    }
    let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
    assert_eq!(
        shorthand(run(OutputMachine::new(&show()), &bytes)),
        expected
    );
}

#[test]
fn white_space_around_the_json_is_no_matter() {
    let text = "<tool_call>\n{\"name\": \"now\"}\n</tool_call>";
    assert_eq!(shown(&[text]), "[call-1 now {}]");
}

#[test]
fn what_is_no_proper_call_is_content_and_not_counted() {
    for text in [
        "<tool_call></tool_call>",
        "<tool_call>weather</tool_call>",
        "<tool_call>{\"name\": \"a b\"}</tool_call>",
        "<tool_call>{\"name\": \"a\", \"arguments\": []}</tool_call>",
        "<tool_call>{\"name\": \"a\"} <think>x</think></tool_call>",
        "<tool_call >{\"name\": \"a\"}</tool_call>",
        "{\"name\": \"a\"}</tool_call>",
        "<tool_call>{\"name\": \"a\"}",
        "<tool_call>{\"name\": \"a\"}</tool_call",
        "<tool_call>",
        "<tool_cal",
    ] {
        assert_eq!(shown(&[text]), text);
        let call = shown(&[text, "<tool_call>{\"name\": \"b\"}</tool_call>"]);
        assert!(call.ends_with("[call-1 b {}]"), "{call}");
    }
}

#[test]
fn of_two_open_calls_only_the_second_may_be_one() {
    assert_eq!(
        shown(&["<tool_call>{<tool_call>{\"name\": \"a\"}</tool_call></tool_call>"]),
        "<tool_call>{[call-1 a {}]</tool_call>"
    );
}

#[test]
fn in_a_thought_the_tags_of_calls_are_text() {
    let text = format!("<think>{WEATHER}<tool_call></think>a");
    assert_eq!(shown(&[&text]), format!("({WEATHER}<tool_call>)a"));
}

#[test]
fn in_a_call_the_tags_of_thoughts_are_text() {
    assert_eq!(
        shown(&[r#"<tool_call>{"name": "a", "arguments": {"b": "<think>"}}</tool_call>c"#]),
        r#"[call-1 a {"b":"<think>"}]c"#
    );
}

#[test]
fn stop_texts_are_not_looked_for_in_calls() {
    let text = format!("a{WEATHER}bOslo");
    assert_eq!(
        stops(&["Oslo"], &text),
        "a[call-1 weather {\"city\":\"Oslo\"}]b"
    );
    // Nor over them.
    let call = "a<tool_call>{\"name\": \"x\"}</tool_call>b";
    assert_eq!(stops(&["ab"], call), "a[call-1 x {}]b");
}

#[test]
fn stop_texts_are_looked_for_in_what_is_no_call() {
    let text = format!("a<tool_call>Oslo</tool_call>{WEATHER}");
    assert_eq!(stops(&["Oslo"], &text), "a<tool_call>");
    assert_eq!(
        stops(&["</tool_call>"], "<tool_call>x</tool_call>y"),
        "<tool_call>x"
    );
    assert_eq!(stops(&["Oslo"], "a<tool_call>Oslo"), "a<tool_call>");
}

#[test]
fn a_call_may_have_64_kib_and_not_a_byte_more() {
    let call = |extra: usize| {
        let inner = format!("{{\"name\": \"a\"}}{}", " ".repeat((64 << 10) - 13 + extra));
        format!("<tool_call>{inner}</tool_call>")
    };
    for size in [1, 4093, 1 << 20] {
        let proper = call(0);
        let chunks: Vec<&[u8]> = proper.as_bytes().chunks(size).collect();
        assert_eq!(
            shorthand(run(OutputMachine::new(&show()), &chunks)),
            "[call-1 a {}]"
        );
        let long = call(1);
        let chunks: Vec<&[u8]> = long.as_bytes().chunks(size).collect();
        assert_eq!(shorthand(run(OutputMachine::new(&show()), &chunks)), long);
    }
}

#[test]
fn a_call_never_closed_is_let_go_at_its_limit_and_text_goes_on() {
    let text = format!("<tool_call>{}<think>é</think>🐁", "<é/".repeat(30_000));
    for size in [1, 7, 65_536] {
        let mut machine = OutputMachine::new(&show());
        let mut out = VecDeque::new();
        for chunk in text.as_bytes().chunks(size) {
            let _ = machine.push(chunk, &mut out);
            assert!(machine.held() <= 3 + 11 + 11 + (64 << 10));
        }
        let _ = machine.finish(&mut out);
        let expected = text.replace("<think>", "(").replace("</think>", ")");
        assert_eq!(shorthand(out.into()), expected);
    }
}
