//! What serde says of unknown names, in words that help.

use crate::text::one_line;

/// Longest unknown name that is compared, and that is shown whole; characters.
const NAME_LIMIT: usize = 64;

/// Serde's message about an unknown field or variant, with the nearest known name; `None`
/// where it is about something else.
///
/// ```text
/// unknown key `temprature`; did you mean `temperature`? (known: `seed`, `temperature`)
/// unknown value `soon` (known: `stop`, `length`)
/// ```
pub(super) fn unknown(message: &str) -> Option<String> {
    let (what, rest) = match message.strip_prefix("unknown field `") {
        Some(rest) => ("key", rest),
        None => ("value", message.strip_prefix("unknown variant `")?),
    };
    // From the right: the unknown name may be anything, the known ones are plain.
    let Some((name, known)) = rest.rsplit_once("`, expected ") else {
        let (name, _) = rest.rsplit_once("`, there are no ")?;
        return Some(format!(
            "unknown {what} `{}`; none is known here",
            show(name)
        ));
    };
    // `a` / `a` or `b` / one of `a`, `b`, `c`: the names stand between the backticks.
    let known: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
    let list: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    let list = list.join(", ");
    Some(match nearest(name, &known) {
        Some(near) => {
            let name = show(name);
            format!("unknown {what} `{name}`; did you mean `{near}`? (known: {list})")
        }
        None => format!("unknown {what} `{}` (known: {list})", show(name)),
    })
}

/// The known name with the fewest slips of the pen between it and `name`: at most one for
/// every three letters. Upper case, and `_` for `-`, are no slips.
fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    if name.chars().count() > NAME_LIMIT {
        return None;
    }
    let fold = |name: &str| name.to_lowercase().replace('_', "-");
    let name = fold(name);
    let slips = |known: &&'a str| (strsim::osa_distance(&name, &fold(known)), *known);
    let (slips, near) = known.iter().map(slips).min_by_key(|&(slips, _)| slips)?;
    (slips <= near.len() / 3).then_some(near)
}

/// An unknown name, which may be anything.
fn show(name: &str) -> String {
    one_line(name, NAME_LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_known_name_is_told() {
        for (message, told) in [
            (
                "unknown field `quand`, expected `quant`",
                "unknown key `quand`; did you mean `quant`? (known: `quant`)",
            ),
            (
                "unknown field `Max_Tokens`, expected `max-tokens` or `stop`",
                "unknown key `Max_Tokens`; did you mean `max-tokens`? (known: `max-tokens`, `stop`)",
            ),
            (
                "unknown variant `sotp`, expected one of `length`, `stop`, `tool-call`",
                "unknown value `sotp`; did you mean `stop`? (known: `length`, `stop`, `tool-call`)",
            ),
            (
                "unknown field `zebra`, expected `quant` or `stop`",
                "unknown key `zebra` (known: `quant`, `stop`)",
            ),
            (
                "unknown field `x`, there are no fields",
                "unknown key `x`; none is known here",
            ),
            (
                "unknown field `x`, expected `y`, expected `stop`",
                "unknown key `x`, expected `y` (known: `stop`)",
            ),
            (
                "unknown field `\u{1b}[2J`, expected `stop`",
                "unknown key `\\u{1b}[2J` (known: `stop`)",
            ),
        ] {
            assert_eq!(unknown(message).as_deref(), Some(told));
        }
    }

    #[test]
    fn other_messages_are_left_alone() {
        for message in [
            "",
            "missing field `a`",
            "unknown field `",
            "unknown field `a`",
        ] {
            assert_eq!(unknown(message), None);
        }
    }

    #[test]
    fn a_long_name_is_cut_and_compared_with_nothing() {
        let long = "ä".repeat(NAME_LIMIT + 1);
        let told = unknown(&format!("unknown field `{long}`, expected `stop`"));
        let cut = "ä".repeat(NAME_LIMIT);
        assert_eq!(told, Some(format!("unknown key `{cut}…` (known: `stop`)")));
    }
}
