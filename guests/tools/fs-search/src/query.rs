//! What is asked for.

use crate::pattern::Pattern;
use serde_json::Value;
use std::path::{Component, Path, PathBuf};

const DEFAULT_LIMIT: usize = 50;
const LIMIT: usize = 500;
/// Longest pattern, bytes.
const PATTERN_LIMIT: usize = 1024;

/// Where to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Names,
    Contents,
}

#[derive(Debug)]
pub struct Query {
    pub pattern: Pattern,
    pub place: Place,
    path: Option<String>,
    pub limit: usize,
}

impl Query {
    /// Reads a tool's arguments; says what is wrong with them.
    pub fn read(arguments: &str) -> Result<Self, String> {
        let arguments: Value = serde_json::from_str(arguments)
            .map_err(|e| format!("the arguments are no JSON: {e}"))?;
        let text = |key: &str| match arguments.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(format!("`{key}` is a text")),
        };
        let pattern = text("pattern")?.unwrap_or_default();
        if pattern.is_empty() || pattern.len() > PATTERN_LIMIT {
            return Err(format!("`pattern` is a text of 1 to {PATTERN_LIMIT} bytes"));
        }
        let place = match text("in")? {
            Some("names") => Place::Names,
            Some("contents") => Place::Contents,
            _ => return Err("`in` is \"names\" or \"contents\"".into()),
        };
        let limit = match arguments.get("limit") {
            None | Some(Value::Null) => Some(DEFAULT_LIMIT),
            Some(limit) => limit.as_u64().and_then(|limit| limit.try_into().ok()),
        };
        let limit = limit.filter(|limit| (1..=LIMIT).contains(limit));
        Ok(Self {
            pattern: match place {
                Place::Names => Pattern::glob(pattern),
                Place::Contents => Pattern::text(pattern),
            },
            place,
            path: text("path")?.map(str::to_owned),
            limit: limit.ok_or_else(|| format!("`limit` is a whole number of 1 to {LIMIT}"))?,
        })
    }

    /// Where to begin: the granted directories, or what `path` means in them.
    pub fn roots(&self, granted: &[&str]) -> Result<Vec<PathBuf>, String> {
        let Some(path) = self.path.as_deref().filter(|path| !path.is_empty()) else {
            return Ok(granted.iter().map(PathBuf::from).collect());
        };
        let path = Path::new(path);
        // The host would not let it out either; this says so in words.
        if path.components().any(|part| part == Component::ParentDir) {
            return Err("`path` has no `..` in it".into());
        }
        if path.is_relative() {
            return Ok(granted
                .iter()
                .map(|root| Path::new(root).join(path))
                .collect());
        }
        if path == Path::new("/") {
            return Ok(granted.iter().map(PathBuf::from).collect());
        }
        if granted.iter().any(|root| path.starts_with(root)) {
            return Ok(vec![path.to_owned()]);
        }
        Err(format!(
            "`path` is none of the directories that can be searched: {}",
            granted.join(", ")
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::{Place, Query};
    use std::path::PathBuf;

    fn wrong(arguments: &str) -> String {
        Query::read(arguments).err().unwrap_or_default()
    }

    fn roots(path: &str) -> Result<Vec<PathBuf>, String> {
        let arguments = serde_json::json!({"pattern": "x", "in": "names", "path": path});
        Query::read(&arguments.to_string())?.roots(&["/docs", "/src"])
    }

    #[test]
    fn what_is_not_said_has_a_default() {
        let query = Query::read(r#"{"pattern": "x", "in": "contents", "limit": null}"#);
        let query = query.map(|query| (query.place, query.path, query.limit));
        assert_eq!(query, Ok((Place::Contents, None, 50)));
    }

    #[test]
    fn what_is_wrong_is_told_by_its_name() {
        for (arguments, why) in [
            ("nonsense", "no JSON"),
            ("[]", "`pattern`"),
            (r#"{"pattern": "", "in": "names"}"#, "`pattern`"),
            (r#"{"pattern": 7, "in": "names"}"#, "`pattern`"),
            (r#"{"pattern": "x"}"#, "`in`"),
            (r#"{"pattern": "x", "in": "everything"}"#, "`in`"),
            (r#"{"pattern": "x", "in": "names", "limit": 0}"#, "`limit`"),
            (
                r#"{"pattern": "x", "in": "names", "limit": 501}"#,
                "`limit`",
            ),
            (r#"{"pattern": "x", "in": "names", "limit": -1}"#, "`limit`"),
            (r#"{"pattern": "x", "in": "names", "path": []}"#, "`path`"),
        ] {
            assert!(wrong(arguments).contains(why), "{arguments}");
        }
        let long = format!(r#"{{"pattern": "{}", "in": "names"}}"#, "x".repeat(1025));
        assert!(wrong(&long).contains("1024"));
    }

    #[test]
    fn a_path_lies_in_what_is_granted() {
        let both = Ok(vec![PathBuf::from("/docs"), PathBuf::from("/src")]);
        assert_eq!(roots(""), both);
        assert_eq!(roots("/"), both);
        assert_eq!(roots("/docs/a"), Ok(vec![PathBuf::from("/docs/a")]));
        let below = ["/docs/a", "/src/a"].map(PathBuf::from).to_vec();
        assert_eq!(roots("a"), Ok(below));
        for out in ["..", "/docs/../etc", "/etc", "/docsx", "/scratch"] {
            assert!(roots(out).is_err(), "{out}");
        }
    }
}
