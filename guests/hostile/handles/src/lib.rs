//! Takes handles of every kind, and keeps them, until something breaks. Handles of the
//! contract are refused with an error; those of WASI have none, so the guest traps. What it
//! says if it is never refused is how many it holds.
//!
//! Arguments: `ATTACK`, or `list`.

mod contract;
mod forged;
mod wasi;

crowbar::family! {
    Handles(_words):
    "descriptors" => wasi::descriptors(),
    "listings" => wasi::listings(),
    "input-streams" => wasi::input_streams(),
    "output-streams" => wasi::output_streams(),
    "pollables" => wasi::pollables(),
    "timers" => wasi::timers(),
    "errors" => wasi::errors(),
    "preopens" => wasi::preopens(),
    "stdio" => wasi::stdio(),
    "networks" => wasi::networks(),
    "sockets" => wasi::sockets(),
    "sessions-forgotten" => contract::sessions().await,
    "forks-forgotten" => contract::forks().await,
    "inferences-forgotten" => contract::inferences().await,
    "events-taken-often" => contract::events().await,
    "streams" => contract::streams(),
    "downloads" => contract::downloads().await,
    "calls-in-flight" => contract::calls_in_flight(),
    "calls-abandoned" => contract::calls_abandoned().await,
    "forged" => forged::forged(),
    "dropped-twice" => forged::dropped_twice().await,
    "another-kind" => forged::another_kind(),
}
