//! What the host would hand out, if it gave all that is asked for.

use crowbar::MIB;
use crowbar::files::{create, scratch, stream_told, told, words};
use crowbar::model::start;
use crowbar::types::Setting;
use wasip2::cli::stdin::get_stdin;
use wasip2::random::insecure::get_insecure_random_bytes;
use wasip2::random::random::get_random_bytes;

const GIB: u64 = 1 << 30;

pub fn random() -> String {
    format!("{} bytes", get_random_bytes(GIB).len())
}

pub fn random_insecure() -> String {
    format!("{} bytes", get_insecure_random_bytes(GIB).len())
}

/// All of a small file, and of more than there is.
pub fn file_read() -> String {
    words(scratch().and_then(|scratch| {
        let file = create(&scratch, "file")?;
        file.write(&vec![b'x'; MIB], 0).map_err(told)?;
        let (bytes, _) = file.read(u64::MAX, 0).map_err(told)?;
        Ok(format!("{} bytes", bytes.len()))
    }))
}

pub fn stream_read() -> String {
    words(scratch().and_then(|scratch| {
        let file = create(&scratch, "file")?;
        file.write(&vec![b'x'; MIB], 0).map_err(told)?;
        let stream = file.read_via_stream(0).map_err(told)?;
        let bytes = stream.blocking_read(u64::MAX).map_err(stream_told)?;
        let skipped = stream.blocking_skip(u64::MAX).map_err(stream_told)?;
        Ok(format!("{} bytes, {skipped} skipped", bytes.len()))
    }))
}

pub fn stdin_read() -> String {
    match get_stdin().blocking_read(u64::MAX) {
        Ok(bytes) => format!("{} bytes", bytes.len()),
        Err(refusal) => stream_told(refusal),
    }
}

/// Room for a million events at once, of which the host keeps 256 at most.
pub async fn batch() -> String {
    let Ok((_session, inference)) = start(vec![Setting::MaxTokens(512)]).await else {
        return "no generation".into();
    };
    let mut events = inference.events();
    let (_, batch) = events.read(Vec::with_capacity(1_000_000)).await;
    match batch.len() {
        0..=256 => "within a batch".into(),
        events => format!("GOT {events} events"),
    }
}
