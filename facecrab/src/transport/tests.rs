use super::*;
use crate::download::tests::server::{Reply, serve};
use async_io::block_on;

fn transport(endpoint: &str) -> Transport {
    Transport::new(&Settings {
        endpoint: endpoint.to_owned(),
        token: Some("hf_secret".to_owned()),
        stall: Duration::from_millis(300),
        ..Settings::new("c", "d")
    })
    .unwrap()
}

fn ask(url: &str) -> Get {
    Get {
        auth: true,
        ..Get::new(url)
    }
}

#[test]
fn the_token_goes_to_the_endpoint_only() {
    let cdn = serve(|_, _| Reply::ok(b"from cdn"));
    let elsewhere = format!("{}/signed?Signature=s3cret", cdn.url);
    let hub = serve(move |_, _| Reply::redirect(&elsewhere).with("X-Linked-Size", "8"));
    let transport = transport(&hub.url);
    let mut response = block_on(transport.get(ask(&format!("{}/file", hub.url)))).unwrap();
    assert_eq!(response.status, 200);
    assert_eq!(response.first.get("x-linked-size"), Some("8"));
    assert_eq!(response.headers.get("x-linked-size"), None);
    assert!(!format!("{response:?}").contains("s3cret"));
    let body = block_on(response.read(100, Duration::from_secs(9))).unwrap();
    assert_eq!(body, b"from cdn");
    assert!(hub.requests()[0].contains("authorization: Bearer hf_secret"));
    assert!(hub.requests()[0].contains("accept-encoding: identity"));
    assert!(!cdn.requests()[0].contains("hf_secret"));
}

#[test]
fn a_redirect_to_another_origin_can_be_the_answer() {
    let hub = serve(|_, _| Reply::redirect("http://127.0.0.1:9/x").with("X-Linked-Size", "8"));
    let get = Get {
        head: true,
        leave_origin: false,
        ..ask(&hub.url)
    };
    let response = block_on(transport(&hub.url).get(get)).unwrap();
    assert_eq!(response.status, 302);
    assert_eq!(response.first.get("x-linked-size"), Some("8"));
    assert!(hub.requests()[0].starts_with("HEAD "));
}

#[test]
fn a_circle_of_redirects_ends() {
    let hub = serve(|_, _| Reply::redirect("/again"));
    let error = block_on(transport(&hub.url).get(ask(&hub.url))).unwrap_err();
    assert!(!is_transient(&error));
    assert_eq!(hub.requests().len(), 2);
}

#[test]
fn a_header_bomb_is_refused() {
    let many = serve(|_, _| (0..300).fold(Reply::ok(b""), |r, n| r.with(&format!("x-{n}"), "y")));
    let large = serve(|_, _| Reply::ok(b"").with("x", &"y".repeat(90_000)));
    let larger = serve(|_, _| Reply::ok(b"").with("x", &"y".repeat(900_000)));
    for server in [many, large, larger] {
        assert!(block_on(transport(&server.url).get(ask(&server.url))).is_err());
    }
}

#[test]
fn a_server_that_says_nothing_is_left() {
    let silent = serve(|_, _| Reply::ok(b"").after(Duration::from_secs(5)));
    let start = Instant::now();
    let error = block_on(transport(&silent.url).get(ask(&silent.url))).unwrap_err();
    assert!(is_transient(&error) && start.elapsed() < Duration::from_secs(3));
}

#[test]
fn a_body_that_stalls_is_left_and_one_that_drips_is_not() {
    let stalls = serve(|_, _| Reply::ok(b"12345678").drip(4, Duration::from_secs(5)));
    let mut response = block_on(transport(&stalls.url).get(ask(&stalls.url))).unwrap();
    let start = Instant::now();
    let error = block_on(response.read(100, Duration::from_secs(9))).unwrap_err();
    assert!(is_transient(&error) && start.elapsed() < Duration::from_secs(3));
    let drips = serve(|_, _| Reply::ok(b"12345678").drip(1, Duration::from_millis(100)));
    let mut response = block_on(transport(&drips.url).get(ask(&drips.url))).unwrap();
    let body = block_on(response.read(100, Duration::from_secs(9))).unwrap();
    assert_eq!(body, b"12345678");
}

#[test]
fn a_body_is_read_up_to_a_limit() {
    let server = serve(|_, _| Reply::ok(&[7; 1000]));
    let mut response = block_on(transport(&server.url).get(ask(&server.url))).unwrap();
    assert!(block_on(response.read(999, Duration::from_secs(9))).is_err());
}

#[test]
fn a_compressed_body_stays_as_it_is() {
    let server = serve(|_, _| Reply::ok(b"\x1f\x8b not unpacked").with("Content-Encoding", "gzip"));
    let mut response = block_on(transport(&server.url).get(ask(&server.url))).unwrap();
    let body = block_on(response.read(100, Duration::from_secs(9))).unwrap();
    assert_eq!(body, b"\x1f\x8b not unpacked");
}

#[test]
fn a_token_that_is_none_is_not_shown() {
    let settings = Settings {
        token: Some("hf_secret\nx".to_owned()),
        ..Settings::new("c", "d")
    };
    let error = Transport::new(&settings).unwrap_err();
    assert!(!format!("{error:#?}").contains("hf_secret"), "{error:#?}");
}

#[test]
fn nobody_there_is_worth_another_try() {
    let error = block_on(transport("http://127.0.0.1:9").get(ask("http://127.0.0.1:9/x?s=secret")))
        .unwrap_err();
    assert!(is_transient(&error), "{error:#}");
    assert!(!format!("{error:#}").contains("secret"), "{error:#}");
}
