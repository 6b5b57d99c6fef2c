//! A page for people, in one file: nothing is fetched, and nothing in it runs but its own
//! script, by its content security policy.

use super::json;
use crate::suite::Report;

/// The page. It holds the JSON report, which its script shows: every word of a model or a
/// file is put in as text, never as markup.
pub fn text(report: &Report) -> String {
    const PAGE: &str = include_str!("page.html");
    const STYLE: &str = include_str!("page.css");
    const SCRIPT: &str = include_str!("page.js");
    // The data last: it may hold whatever the others are named by.
    PAGE.replace("/*style*/", STYLE)
        .replace("/*script*/", SCRIPT)
        .replacen("/*data*/", &json::embedded(report), 1)
}
