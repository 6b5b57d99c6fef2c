//! Making what came what is expected.

use crate::aside;
use crate::failure::{Failure, Place};
use crate::suite::{Row, RowResult};
use crate::words::WordsFault;
use std::fs;
use toml_edit::{DocumentMut, Item, Value};

/// Rewrites the `exact` texts of a fixture that failed for nothing else: the file's other
/// lines stay as they are. Gives the keys that were rewritten; none where the failures are
/// of another kind.
///
/// Errors: what could not be read or written, in words; the file is then as it was.
pub fn bless(row: &Row) -> Result<Vec<String>, String> {
    let RowResult::Ran(outcome) = &row.result else {
        return Ok(Vec::new());
    };
    let mut changes = Vec::new();
    for failure in &outcome.failures {
        match failure {
            Failure::Words {
                place,
                fault: WordsFault::Exact { seen, .. },
            } => changes.push((place.clone(), seen.clone())),
            _ => return Ok(Vec::new()),
        }
    }
    if changes.is_empty() {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(&row.path).map_err(|e| e.to_string())?;
    let (blessed, keys) = rewrite(&text, &changes)?;
    aside::write(&row.path, blessed.as_bytes()).map_err(|e| e.to_string())?;
    Ok(keys)
}

fn rewrite(text: &str, changes: &[(Place, String)]) -> Result<(String, Vec<String>), String> {
    const FENCE: &str = "+++";
    let is_fence = |line: &str| line.trim_end_matches(['\n', '\r']) == FENCE;
    let mut start = 0;
    let mut end = 0;
    let mut fences = 0;
    for line in text.split_inclusive('\n') {
        if is_fence(line) {
            fences += 1;
            match fences {
                1 => start = end + line.len(),
                _ => break,
            }
        }
        end += line.len();
    }
    if fences < 2 {
        return Err("it has changed, and is no fixture any more".into());
    }
    let mut front: DocumentMut = text[start..end].parse().map_err(|e| format!("{e}"))?;
    let mut keys = Vec::new();
    for (place, seen) in changes {
        let expect = &mut front["expect"];
        let rule: Option<&mut Item> = match place {
            Place::Answer => Some(expect),
            Place::Earlier(at) => expect.get_mut("earlier").and_then(|all| all.get_mut(*at)),
            Place::File(path) => expect.get_mut("files").and_then(|all| all.get_mut(path)),
        };
        let exact = rule.and_then(|rule| rule.get_mut("exact"));
        let Some(value) = exact.and_then(Item::as_value_mut) else {
            return Err(format!(
                "it has changed, and has no `{place}.exact` any more"
            ));
        };
        let decor = value.decor().clone();
        *value = Value::from(seen.as_str());
        *value.decor_mut() = decor;
        keys.push(format!("{place}.exact"));
    }
    let blessed = format!("{}{front}{}", &text[..start], &text[end..]);
    Ok((blessed, keys))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rusty_genius_core::fixture::Fixture;
    use std::path::Path;

    const TEXT: &str = "+++\n# why\n[expect]\nexact = 'old'   # as of May\nearlier = [{ exact = \"hi\" }]\n\n[expect.files.\"a.txt\"]\nexact = \"\"\"\nx\n\"\"\"\n+++\n\none\n+++\ntwo\n";

    #[test]
    fn only_the_texts_change() {
        let changes = [
            (Place::Answer, "new\n\"one\"".to_owned()),
            (Place::Earlier(0), "ho".to_owned()),
            (Place::File("a.txt".into()), "y".to_owned()),
        ];
        let (blessed, keys) = rewrite(TEXT, &changes).unwrap();
        assert_eq!(keys.len(), 3);
        assert!(blessed.starts_with("+++\n# why\n[expect]\n"), "{blessed}");
        assert!(blessed.contains("# as of May"), "{blessed}");
        assert!(blessed.ends_with("\none\n+++\ntwo\n"), "{blessed}");
        let fixture = Fixture::parse("a/b/c/d", Path::new("f"), blessed.as_bytes()).unwrap();
        assert_eq!(fixture.expect.answer.exact.as_deref(), Some("new\n\"one\""));
        assert_eq!(fixture.expect.earlier[0].exact.as_deref(), Some("ho"));
        assert_eq!(fixture.expect.files["a.txt"].exact.as_deref(), Some("y"));
    }

    #[test]
    fn a_file_that_changed_meanwhile_is_left_alone() {
        let changes = [(Place::Answer, "x".to_owned())];
        assert!(
            rewrite("+++\n+++\nHello", &changes)
                .unwrap_err()
                .contains("no `expect.exact`")
        );
        assert!(rewrite("Hello", &changes).is_err());
    }

    proptest! {
        #[test]
        fn any_answer_can_be_blessed(seen in any::<String>()) {
            let (blessed, _) = rewrite(TEXT, &[(Place::Answer, seen.clone())]).unwrap();
            // What no fixture can hold is refused when it is read, and says so.
            if let Ok(fixture) = Fixture::parse("a/b/c/d", Path::new("f"), blessed.as_bytes()) {
                prop_assert_eq!(fixture.expect.answer.exact, Some(seen));
            }
        }
    }
}
