//! Says more than anybody wants to read, and what harms whoever shows it as it is.
//!
//! Arguments: `ATTACK`, or `list`.

mod nasty;
mod volume;

crowbar::family! {
    Flood(_words):
    "stdout" => volume::stdout(),
    "stderr" => volume::stderr(),
    "stdout-bytes" => volume::stdout_bytes(),
    "stdout-zeroes" => volume::stdout_zeroes(),
    "stdout-unflushed" => volume::stdout_unflushed(),
    "journal" => volume::journal(),
    "journal-empty" => volume::journal_empty(),
    "reply" => volume::reply(),
    "reply-empty" => volume::reply_empty(),
    "reply-nothing" => volume::reply_nothing(),
    "thoughts" => volume::thoughts(),
    "nasty-stdout" => nasty::stdout(),
    "nasty-stderr" => nasty::stderr(),
    "nasty-utf8" => nasty::utf8(),
    "nasty-journal" => nasty::journal(),
    "nasty-reply" => nasty::reply(),
    "nasty-thoughts" => nasty::thoughts(),
    "nasty-names" => nasty::names(),
    "nasty-spec" => nasty::spec().await,
    "nasty-failed" => nasty::failed(),
    "nasty-usage" => nasty::usage(),
    "fake-record" => nasty::fake_record(),
    "fake-lines" => nasty::fake_lines(),
    "thoughts-unbalanced" => nasty::thoughts_unbalanced(),
}
