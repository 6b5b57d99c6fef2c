//! The emulator against plain sockets: what the other tests rely on.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/content.rs"]
#[allow(dead_code, reason = "each test file uses a part")]
mod content;
#[path = "support/http.rs"]
#[allow(dead_code, reason = "each test file uses a part")]
mod http;
#[path = "support/hub.rs"]
#[allow(dead_code, reason = "each test file uses a part")]
mod hub;
#[path = "support/serve.rs"]
mod serve;

use content::{Content, gzip_of_zeros};
use hub::{Access, At, Fault, Hub, Origin};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const FILE: &str = "m-q4_k_m.gguf";

fn get(origin: &str, path: &str, headers: &str) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(origin.strip_prefix("http://").unwrap()).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all);
    let end = all.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    (
        String::from_utf8_lossy(&all[..end]).into_owned(),
        all[end + 4..].to_vec(),
    )
}

fn hub(content: &Content) -> Hub {
    let hub = Hub::start();
    hub.push(
        "o/m",
        &[
            (FILE, content, true),
            ("README.md", &Content::bytes("hi"), false),
        ],
    );
    hub
}

#[test]
fn a_listing_leads_to_a_redirect_and_that_to_the_bytes() {
    let content = Content::gguf(10_000, 1);
    let hub = hub(&content);
    let (_, listing) = get(&hub.endpoint(), "/api/models/o/m?blobs=true", "");
    let listing: serde_json::Value = serde_json::from_slice(&listing).unwrap();
    assert_eq!(listing["siblings"][1]["lfs"]["sha256"], content.sha256());
    let path = format!("/o/m/resolve/{}/{FILE}", listing["sha"].as_str().unwrap());
    let (head, _) = get(&hub.endpoint(), &path, "");
    assert!(head.starts_with("HTTP/1.1 302"), "{head}");
    let place = head
        .lines()
        .find_map(|l| l.strip_prefix("Location: "))
        .unwrap();
    let path = place.strip_prefix(&hub.url(Origin::Cdn)).unwrap();
    let (head, body) = get(&hub.url(Origin::Cdn), path, "Range: bytes=100-199\r\n");
    assert!(
        head.contains("Content-Range: bytes 100-199/10000"),
        "{head}"
    );
    assert_eq!(body, content.to_vec()[100..200]);
    assert_eq!(hub.bytes_sent(), 100);
    let other = "Range: bytes=100-\r\nIf-Range: \"other\"\r\n";
    assert_eq!(get(&hub.url(Origin::Cdn), path, other).1, content.to_vec());
    let (_, small) = get(&hub.endpoint(), "/o/m/resolve/main/README.md", "");
    assert_eq!(small, b"hi");
}

#[test]
fn a_gated_file_wants_a_token_and_the_right_one() {
    let hub = hub(&Content::gguf(100, 1));
    hub.restrict("o/m", Access::Gated("hf_good".into()));
    let path = format!("/o/m/resolve/main/{FILE}");
    for (headers, status) in [
        ("", "401"),
        ("Authorization: Bearer hf_bad\r\n", "403"),
        ("Authorization: Bearer hf_good\r\n", "302"),
    ] {
        let (head, _) = get(&hub.endpoint(), &path, headers);
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{head}");
    }
}

#[test]
fn faults_befall_one_answer_after_the_other_and_end() {
    let hub = hub(&Content::gguf(100, 1));
    hub.faults(At::Api, "o/m", 2, Fault::Status(503, Some("1".into())));
    hub.fault(At::Api, "o/m", Fault::Body(b"{".to_vec()));
    let ask = || get(&hub.endpoint(), "/api/models/o/m", "");
    assert!(ask().0.contains("503"));
    assert!(ask().0.contains("Retry-After: 1"));
    assert_eq!(ask().1, b"{");
    assert!(ask().1.len() > 100);
    assert_eq!(hub.seen().len(), 4);
}

#[test]
fn a_client_that_leaves_is_noticed() {
    let content = Content::gguf(1 << 20, 1);
    let hub = hub(&content);
    hub.fault(At::Cdn, FILE, Fault::Stall(1000));
    let origin = hub.url(Origin::Cdn);
    let mut stream = TcpStream::connect(origin.strip_prefix("http://").unwrap()).unwrap();
    let request = format!(
        "GET /blob/{}/{FILE} HTTP/1.1\r\nHost: x\r\n\r\n",
        content.sha256()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let seen = hub.wait("the stall", |s| s.sent() == 1000);
    assert!(!seen.left());
    drop(stream);
    hub.wait("the end", hub::Seen::left);
}

#[test]
fn a_generated_file_needs_no_memory_and_differs_everywhere() {
    let big = Content::gguf(1 << 34, 7);
    assert_eq!(&big.piece(0, 4)[..4], b"GGUF");
    let far = big.piece((1 << 33) + 24, 1 << 34);
    let near = big.piece(24, 1 << 34);
    assert_ne!(far[..64], near[..64]);
    assert_ne!(
        Content::gguf(5000, 1).sha256(),
        Content::gguf(5000, 2).sha256()
    );
}

#[test]
fn the_gzip_bomb_is_small() {
    let bomb = gzip_of_zeros(64 << 20);
    assert!(bomb.len() < 512 * 1024, "{}", bomb.len());
}

/// To look at it with other tools: `cargo test --test emulator -- --ignored serve`.
#[test]
#[ignore = "serves for the minutes in FACECRAB_SERVE, for looking at it"]
fn serve_for_a_while() {
    let hub = hub(&Content::gguf(20 << 20, 1));
    hub.fault(
        At::Api,
        "o/bomb",
        Fault::Gzip(std::sync::Arc::new(gzip_of_zeros(1 << 20))),
    );
    hub.fault(At::Api, "o/reset", Fault::Reset);
    hub.fault(At::Api, "o/heads", Fault::HeaderBomb);
    println!("{}", hub.endpoint());
    let minutes = std::env::var("FACECRAB_SERVE")
        .ok()
        .and_then(|m| m.parse().ok());
    std::thread::sleep(Duration::from_secs(60 * minutes.unwrap_or(1)));
}
