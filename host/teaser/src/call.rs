//! Tool calls, as they are shown.

use rusty_genius_core::ToolCall;
use std::fmt;

/// Calls on one line; `nothing` where there are none.
pub(crate) fn list<T: fmt::Display>(calls: impl IntoIterator<Item = T>) -> String {
    let calls: Vec<String> = calls.into_iter().map(|call| call.to_string()).collect();
    match &*calls {
        [] => "nothing".into(),
        calls => calls.join(", "),
    }
}

/// A call as a scenario reports it, whatever is in it.
pub(crate) fn reported(call: &ToolCall) -> String {
    format!("{} {}", call.name, call.arguments)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusty_genius_core::fixture::Call;

    #[test]
    fn several_calls_are_shown_on_a_line() {
        let calls: [Call; 2] = ["now {}", "calc {\"a\": 1}"].map(|text| text.parse().unwrap());
        assert_eq!(list(&calls), "now {}, calc {\"a\":1}");
        assert_eq!(list(&calls[..0]), "nothing");
    }
}
