//! A fixture's file, taken apart: front matter and prompt.

/// Opens and closes the front matter.
const FENCE: &str = "+++";

/// Something wrong in the text, and where, both from 1.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) line: usize,
    pub(crate) column: Option<usize>,
    pub(crate) reason: String,
}

impl Fault {
    fn new(line: usize, reason: impl Into<String>) -> Self {
        Self {
            line,
            column: None,
            reason: reason.into(),
        }
    }
}

/// The parts of a fixture's file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Parts<'a> {
    /// The TOML between the fences. It begins on line [`FRONT_LINE`].
    pub(crate) front: &'a str,
    /// The prompt, trimmed, its lines ended by `\n` alone.
    pub(crate) prompt: String,
}

/// The line on which the front matter's TOML begins.
pub(crate) const FRONT_LINE: usize = 2;

/// The bytes as text.
pub(crate) fn text(bytes: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(bytes).map_err(|e| {
        let before = &bytes[..e.valid_up_to()];
        let start = before
            .iter()
            .rposition(|&b| b == b'\n')
            .map_or(0, |at| at + 1);
        let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
        Fault {
            line: 1 + before.iter().filter(|&&b| b == b'\n').count(),
            column: Some(column),
            reason: "it is not UTF-8".into(),
        }
    })
}

/// Finds the fences; what is between is not looked at.
pub(crate) fn split(text: &str) -> Result<Parts<'_>, Fault> {
    let mut lines = text.split_inclusive('\n');
    let first = lines.next().unwrap_or_default();
    if !is_fence(first) {
        return Err(Fault::new(1, missing_fence(first)));
    }
    let start = first.len();
    let mut end = start;
    let mut number = 1;
    let prompt = loop {
        let Some(line) = lines.next() else {
            let reason = format!("the front matter is not closed by a line `{FENCE}`");
            return Err(Fault::new(1, reason));
        };
        number += 1;
        if is_fence(line) {
            break &text[end + line.len()..];
        }
        end += line.len();
    };
    if prompt.trim().is_empty() {
        return Err(Fault::new(
            number,
            "there is no prompt after the front matter",
        ));
    }
    let prompt = prompt.replace("\r\n", "\n");
    if let Some(mut fault) = control(&prompt) {
        fault.line += number;
        return Err(fault);
    }
    Ok(Parts {
        front: &text[start..end],
        prompt: prompt.trim().to_owned(),
    })
}

/// The first control character that is neither a newline nor a tab: no prompt a person
/// writes has one, and every binary file does.
pub(crate) fn control(text: &str) -> Option<Fault> {
    text.split('\n').zip(1..).find_map(|(line, number)| {
        let (at, c) = line
            .chars()
            .zip(1..)
            .find(|(c, _)| c.is_control() && *c != '\t')
            .map(|(c, at)| (at, c))?;
        Some(Fault {
            line: number,
            column: Some(at),
            reason: format!("there is a control character, {}", c.escape_unicode()),
        })
    })
}

fn is_fence(line: &str) -> bool {
    let line = line.strip_suffix('\n').unwrap_or(line);
    line.strip_suffix('\r').unwrap_or(line) == FENCE
}

fn missing_fence(first: &str) -> String {
    let why = if first.is_empty() {
        "; the file is empty"
    } else if first.starts_with('\u{feff}') {
        "; it begins with a byte order mark"
    } else if first.trim() == FENCE {
        "; there is white space around it"
    } else {
        ""
    };
    format!("the first line is not `{FENCE}`, which opens the front matter{why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> (usize, String) {
        let fault = split(text).unwrap_err();
        (fault.line, fault.reason)
    }

    #[test]
    fn the_parts_of_a_file() {
        let parts = split("+++\na = 1\n\n[b]\n+++\n\n Hello\n+++\nthere \n\n").unwrap();
        assert_eq!(parts.front, "a = 1\n\n[b]\n");
        assert_eq!(parts.prompt, "Hello\n+++\nthere");
    }

    #[test]
    fn the_front_matter_may_be_empty_and_the_lines_those_of_windows() {
        assert_eq!(split("+++\n+++\nx").unwrap().front, "");
        let parts = split("+++\r\na = 1\r\n+++\r\nx\r\ny\r\n").unwrap();
        assert_eq!(parts.front, "a = 1\r\n");
        assert_eq!(parts.prompt, "x\ny");
    }

    #[test]
    fn a_missing_fence_is_told_with_its_reason() {
        for (text, why) in [
            ("", "empty"),
            ("Hello", "opens the front matter"),
            ("\u{feff}+++\n+++\nx", "byte order mark"),
            (" +++\n+++\nx", "white space"),
            ("++++\n+++\nx", "opens the front matter"),
            ("+++\nno end\n", "not closed"),
            ("+++", "not closed"),
        ] {
            let (line, reason) = fault(text);
            assert_eq!(line, 1, "{text:?}");
            assert!(reason.contains(why), "{text:?}: {reason}");
        }
    }

    #[test]
    fn a_missing_prompt_is_told_where_it_should_begin() {
        for text in ["+++\na = 1\n+++", "+++\na = 1\n+++\n \n\t\n"] {
            assert_eq!(
                fault(text),
                (3, "there is no prompt after the front matter".into())
            );
        }
    }

    #[test]
    fn a_control_character_is_told_with_its_place() {
        let error = split("+++\n+++\nfine\n\ta\0b").unwrap_err();
        assert_eq!((error.line, error.column), (4, Some(3)));
        assert!(error.reason.contains("\\u{0}"), "{error:?}");
        assert!(split("+++\n+++\na\rb").is_err());
    }

    #[test]
    fn bytes_that_are_no_text_are_told_with_their_place() {
        let error = text(b"+++\n\xc3\xa4\xff").unwrap_err();
        assert_eq!((error.line, error.column), (2, Some(2)));
    }
}
