//! Passes strings and lists of a hundred megabytes to the host, and asks for as much. The
//! host must refuse them, or trap the guest, before it holds them twice.
//!
//! Arguments: `ATTACK`, or `list`.

mod asked;
mod lists;
mod strings;

crowbar::family! {
    Payload(_words):
    "reply" => strings::reply(),
    "thought" => strings::thought(),
    "journal" => strings::journal(),
    "prompt" => strings::prompt().await,
    "constraint" => strings::constraint().await,
    "count-tokens" => strings::count_tokens().await,
    "embed" => strings::embed().await,
    "spec" => strings::spec().await,
    "download" => strings::download().await,
    "tool-name" => strings::tool_name().await,
    "tool-arguments" => strings::tool_arguments().await,
    "failed" => strings::failed(),
    "usage" => strings::usage(),
    "path" => strings::path(),
    "link-target" => strings::link_target(),
    "file-write" => strings::file_write(),
    "tiny-turns" => lists::tiny_turns().await,
    "empty-fragments" => lists::empty_fragments(),
    "stop-texts" => lists::stop_texts().await,
    "settings" => lists::settings().await,
    "poll" => lists::poll_many(),
    "poll-nothing" => lists::poll_nothing(),
    "random" => asked::random(),
    "random-insecure" => asked::random_insecure(),
    "file-read" => asked::file_read(),
    "stream-read" => asked::stream_read(),
    "stdin-read" => asked::stdin_read(),
    "batch" => asked::batch().await,
}
