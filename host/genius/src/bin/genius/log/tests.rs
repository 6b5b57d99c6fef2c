use super::*;
use proptest::prelude::*;
use std::sync::{Arc, Mutex};

#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl io::Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is logged meanwhile.
fn logged(filter: &str, color: bool, events: impl FnOnce()) -> String {
    let page = Page::default();
    let writer = page.clone();
    let filter = parse(filter.as_ref()).unwrap();
    let subscriber = subscriber(filter, color, move || writer.clone());
    tracing::subscriber::with_default(subscriber, events);
    let bytes = page.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

fn one_of_each() {
    tracing::error!(target: "llama-cpp-2", "broken");
    tracing::warn!(target: "llama-cpp-2", layer = 3, "slow");
    tracing::debug!(target: "llama-cpp-2", "loading");
    tracing::warn!(target: "other", "odd");
    tracing::info!(target: "other", "fine");
}

#[test]
fn a_level_is_for_all_and_a_target_can_have_its_own() {
    assert_eq!(
        logged("warn", false, one_of_each),
        "ERROR llama-cpp-2: broken\nWARN llama-cpp-2: slow layer=3\nWARN other: odd\n"
    );
    let both = logged("llama-cpp-2=debug,error", false, one_of_each);
    assert_eq!(both.lines().count(), 3, "{both}");
    assert!(both.ends_with("DEBUG llama-cpp-2: loading\n"), "{both}");
    assert_eq!(logged("off", false, one_of_each), "");
}

#[test]
fn only_the_level_has_a_colour_and_only_on_a_terminal() {
    let event = || tracing::warn!(target: "a", "b");
    assert_eq!(logged("warn", true, event), "\x1b[33mWARN\x1b[0m a: b\n");
    assert_eq!(logged("warn", false, event), "WARN a: b\n");
}

#[test]
fn headers_are_logged_only_where_the_client_is_named() {
    let token = || {
        tracing::trace!(target: "isahc::wire", "authorization: hf_secret");
        tracing::debug!(target: "isahc::handler", "authorization: hf_secret");
        tracing::warn!(target: "isahc::handler", "slow");
    };
    for all in ["trace", "debug", "other=trace,trace"] {
        assert_eq!(logged(all, false, token), "WARN isahc::handler: slow\n");
    }
    for none in ["error", "off", "other=trace"] {
        assert_eq!(logged(none, false, token), "");
    }
    let named = logged("isahc=trace", false, token);
    assert!(named.starts_with("TRACE isahc::wire: authorization"));
}

#[test]
fn a_filter_that_is_none_is_told_with_its_variable() {
    for bad in ["llama-cpp-2=loud", "a=b=c", "a[b]=warn=x"] {
        let error = parse(bad.as_ref()).unwrap_err();
        let start = format!("RUSTY_GENIUS_LOG is {bad}: ");
        assert!(error.starts_with(&start), "{error}");
    }
}

#[cfg(unix)]
#[test]
fn a_filter_that_is_no_text_is_an_error() {
    use std::os::unix::ffi::OsStrExt;
    let error = parse(OsStr::from_bytes(b"warn\xff")).unwrap_err();
    assert!(error.contains("not UTF-8"), "{error}");
}

#[test]
fn an_event_is_one_line_whatever_it_says() {
    let text = "a\nERROR b: forged\r\x1b[2J\u{202e}\u{9b}";
    let told = logged("warn", false, || {
        tracing::warn!(target: "t\x1b[2J", field = text, "{text}");
    });
    assert_eq!(told.lines().count(), 1, "{told:?}");
    let raw = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
    assert!(!told.contains(raw), "{told:?}");
}

proptest! {
    #[test]
    fn no_words_reach_the_terminal_raw(text in any::<String>()) {
        let told = logged("warn", false, || tracing::warn!(target: "t", field = %text, "{text}"));
        let line = told.strip_suffix('\n').unwrap();
        prop_assert!(line.starts_with("WARN t: "));
        prop_assert!(!line.contains(|c: char| c.is_control() && c != '\t'), "{line:?}");
    }

    #[test]
    fn no_filter_makes_the_parser_panic(filter in any::<String>()) {
        let _ = parse(filter.as_ref());
    }
}
