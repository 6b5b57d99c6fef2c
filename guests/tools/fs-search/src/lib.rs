//! A tool that finds files in the directories it was granted, by their names or by what
//! stands in them.
//!
//! `{"pattern": "budget", "in": "contents"}` gives
//! `{"matches":[{"line":7,"path":"/docs/x.md","text":"…"}],"searched":12,"skipped":0,"truncated":false}`.

mod pattern;
mod query;
mod search;

use query::Query;
use wasip2::filesystem::preopens::get_directories;

wit_bindgen::generate!({ path: "../../../wit", world: "tool" });

/// The tool's own, and empty: nothing to find.
const SCRATCH: &str = "/scratch";

const DESCRIPTION: &str = "Searches the directories that were granted, for files whose names \
    match a pattern or for lines that contain a text. Gives paths, and for contents the \
    numbers and texts of the lines. Upper and lower case differ.";

const PARAMETERS: &str = r#"{
    "type": "object",
    "properties": {
        "pattern": {
            "type": "string",
            "description": "What to find: a text, or for names a glob with * and ?, as in *.md"
        },
        "in": {
            "type": "string",
            "enum": ["names", "contents"],
            "description": "Where to look for it"
        },
        "path": {
            "type": "string",
            "description": "Search below this path only, as in /docs/guide; default everything"
        },
        "limit": {
            "type": "integer",
            "minimum": 1,
            "maximum": 500,
            "description": "Most matches to give; default 50"
        }
    },
    "required": ["pattern", "in"],
    "additionalProperties": false
}"#;

struct FsSearch;
export!(FsSearch);

impl Guest for FsSearch {
    fn describe() -> ToolDescription {
        ToolDescription {
            name: "fs-search".into(),
            description: DESCRIPTION.into(),
            parameters: PARAMETERS.into(),
        }
    }

    async fn call(arguments: String) -> Result<String, Failure> {
        let query = Query::read(&arguments).map_err(Failure::Usage)?;
        let directories = get_directories();
        let names = directories.iter().map(|(_, name)| name.as_str());
        let granted: Vec<&str> = names.filter(|name| *name != SCRATCH).collect();
        if granted.is_empty() {
            return Err(Failure::Failed("no directory is granted to search".into()));
        }
        let roots = query.roots(&granted).map_err(Failure::Usage)?;
        Ok(search::search(&roots, &query).to_json())
    }
}
