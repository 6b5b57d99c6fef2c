//! Handles that WASI gives.

use crowbar::MANY;
use crowbar::files::{create, scratch, told, words};
use wasip2::cli::{stderr, stdin, stdout};
use wasip2::clocks::monotonic_clock::{subscribe_duration, subscribe_instant};
use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::Descriptor;
use wasip2::io::streams::StreamError;
use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::network::IpAddressFamily;
use wasip2::sockets::tcp_create_socket::create_tcp_socket;
use wasip2::sockets::udp_create_socket::create_udp_socket;

const YEAR_NS: u64 = 365 * 24 * 60 * 60 * 1_000_000_000;

/// Takes one after the other and keeps them all.
fn hold<T>(mut take: impl FnMut() -> Result<T, String>) -> String {
    let mut held = Vec::new();
    for taken in 0..MANY {
        match take() {
            Ok(handle) => held.push(handle),
            Err(refusal) => return format!("{taken}, then {refusal}"),
        }
    }
    format!("{} held", held.len())
}

fn on_file<T>(mut take: impl FnMut(&Descriptor) -> Result<T, String>) -> String {
    let file = scratch().and_then(|scratch| create(&scratch, "file"));
    words(file.map(|file| hold(|| take(&file))))
}

pub fn descriptors() -> String {
    words(scratch().map(|scratch| hold(|| create(&scratch, "file"))))
}

pub fn listings() -> String {
    words(scratch().map(|scratch| hold(|| scratch.read_directory().map_err(told))))
}

pub fn input_streams() -> String {
    on_file(|file| file.read_via_stream(0).map_err(told))
}

pub fn output_streams() -> String {
    on_file(|file| file.append_via_stream().map_err(told))
}

/// Many of one stream.
pub fn pollables() -> String {
    let input = stdin::get_stdin();
    hold(|| Ok(input.subscribe()))
}

pub fn timers() -> String {
    let far = u64::MAX;
    hold(|| Ok((subscribe_duration(YEAR_NS), subscribe_instant(far))))
}

/// Each failed operation leaves an error behind, which is a handle, too. The first ones
/// succeed: they use up the room for files.
pub fn errors() -> String {
    let page = [b'x'; 4096];
    on_file(|file| {
        let stream = file.write_via_stream(0).map_err(told)?;
        match stream.blocking_write_and_flush(&page) {
            Err(StreamError::LastOperationFailed(error)) => Ok(Some(error)),
            Err(StreamError::Closed) => Err("closed".into()),
            Ok(()) => Ok(None),
        }
    })
}

pub fn preopens() -> String {
    hold(|| Ok(get_directories()))
}

pub fn stdio() -> String {
    hold(|| {
        Ok((
            stdin::get_stdin(),
            stdout::get_stdout(),
            stderr::get_stderr(),
        ))
    })
}

pub fn networks() -> String {
    hold(|| Ok(instance_network()))
}

pub fn sockets() -> String {
    let tcp =
        hold(|| create_tcp_socket(IpAddressFamily::Ipv4).map_err(|e| e.name().to_lowercase()));
    let udp =
        hold(|| create_udp_socket(IpAddressFamily::Ipv4).map_err(|e| e.name().to_lowercase()));
    format!("tcp {tcp}; udp {udp}")
}
