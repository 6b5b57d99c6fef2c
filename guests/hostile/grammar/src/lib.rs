//! Constrains answers by what takes for ever to compile, or cannot be obeyed. A refusal, or
//! an answer, has to be there in a moment; other guests must not wait for it.
//!
//! Arguments: `ATTACK`, or `list`.

mod lark;
mod regex;
mod schema;

use crowbar::model::{told, user};
use crowbar::types::{Constraint, Setting};

/// As long as a constraint may be.
const LONGEST: usize = 65_536;

async fn obey(constraint: Constraint) -> String {
    let config = vec![Setting::Constraint(constraint), Setting::MaxTokens(16)];
    told(vec![user("Hello")], config).await
}

crowbar::family! {
    Grammar(_words):
    "regex-brackets" => regex::brackets().await,
    "regex-repetition" => regex::repetition().await,
    "regex-optional" => regex::optional().await,
    "regex-ambiguous" => regex::ambiguous().await,
    "regex-classes" => regex::classes().await,
    "regex-alternatives" => regex::alternatives().await,
    "regex-counted" => regex::counted().await,
    "regex-bad" => regex::bad().await,
    "regex-nothing" => regex::nothing().await,
    "regex-long" => regex::long().await,
    "schema-brackets" => schema::brackets().await,
    "schema-recursive" => schema::recursive().await,
    "schema-circular" => schema::circular().await,
    "schema-doubling" => schema::doubling().await,
    "schema-remote" => schema::remote().await,
    "schema-bad" => schema::bad().await,
    "schema-impossible" => schema::impossible().await,
    "schema-items" => schema::items().await,
    "schema-enum" => schema::many_values().await,
    "schema-pattern" => schema::pattern().await,
    "lark-brackets" => lark::brackets().await,
    "lark-doubling" => lark::doubling().await,
    "lark-left" => lark::left().await,
    "lark-empty" => lark::empty().await,
    "lark-ambiguous" => lark::ambiguous().await,
    "lark-huge" => lark::huge().await,
    "lark-bad" => lark::bad().await,
    "lark-import" => lark::import().await,
    "too-long" => lark::too_long().await,
}
