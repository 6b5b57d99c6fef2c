//! What a hostile or broken server gets: an error that says why, and nothing on disk that
//! anybody would take for a model.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use rusty_genius_core::{AssetError, GeniusError};
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::{
    Access, At, Content, Fault, Hub, Origin, Place, Seen, closed_port, gzip_of_zeros, spec, test,
    watch,
};

const REPO: &str = "o/m-GGUF";
const FILE: &str = "m-q4_k_m.gguf";
const SPEC: &str = "o/m-GGUF:Q4_K_M";
const SIZE: u64 = 300_000;
const MIB: u64 = 1 << 20;

/// A hub with one model of one file.
fn hub() -> (Hub, Content) {
    let hub = Hub::start();
    let content = Content::gguf(SIZE, 1);
    hub.add(REPO, FILE, &content);
    (hub, content)
}

/// With this fault for good: refused. Once it has gone, the next try succeeds.
async fn refused(name: &str, at: At, fault: Fault) -> (AssetError, Hub) {
    let (hub, content) = hub();
    let place = Place::new(&format!("servers/{name}"));
    let key = if at == At::Api { REPO } else { FILE };
    hub.always(at, key, fault);
    let error = place.refusal(&hub, SPEC).await;
    hub.heal();
    let met = hub.seen().len();
    place.ensure(&hub, SPEC).await.unwrap();
    assert_whole(&place, &content);
    assert!(hub.seen().len() > met);
    assert!(!error.to_string().contains("SIGNED-SECRET"), "{error}");
    (error, hub)
}

/// With this fault once: overcome.
async fn overcome(name: &str, at: At, faults: Vec<Fault>) -> Hub {
    let (hub, content) = hub();
    let place = Place::new(&format!("servers/{name}"));
    let key = if at == At::Api { REPO } else { FILE };
    for fault in faults {
        hub.fault(at, key, fault);
    }
    place.ensure(&hub, SPEC).await.unwrap();
    assert_whole(&place, &content);
    hub
}

/// The one model is there, and what it should be.
fn assert_whole(place: &Place, content: &Content) {
    place.assert_sound();
    let files = place.snapshot_files();
    assert_eq!(files.len(), 1, "{files:?}");
    assert!(std::fs::read(&files[0]).unwrap() == content.to_vec());
    assert!(
        place.registry().contains(content.sha256()),
        "{}",
        place.registry()
    );
}

fn says(error: &AssetError, part: &str) {
    assert!(error.to_string().contains(part), "no {part:?} in: {error}");
}

fn is_network(error: &AssetError) {
    assert!(matches!(error, AssetError::Network { .. }), "{error:?}");
}

fn is_corrupt(error: &AssetError) {
    assert!(matches!(error, AssetError::Corrupt { .. }), "{error:?}");
}

fn text(error: &AssetError) -> String {
    let error = GeniusError::from(error.clone());
    format!("{error}\n{}", error.hint().unwrap_or_default())
}

// --- lengths

#[test]
fn a_length_that_is_too_small_is_refused_and_not_taken_for_the_end() {
    test(async {
        let (error, _) = refused("length-less", At::Cdn, Fault::Length(-10)).await;
        is_corrupt(&error);
        says(&error, &(SIZE - 10).to_string());
    });
}

#[test]
fn a_length_that_is_too_large_is_refused() {
    test(async {
        let (error, _) = refused("length-more", At::Cdn, Fault::Length(10)).await;
        is_corrupt(&error);
        says(&error, &(SIZE + 10).to_string());
    });
}

#[test]
fn a_server_that_cuts_every_answer_is_outlasted_as_long_as_it_brings_bytes() {
    test(async {
        let (hub, content) = hub();
        let place = Place::new("servers/cuts");
        hub.always(At::Cdn, FILE, Fault::Cut(40_000));
        place.ensure(&hub, SPEC).await.unwrap();
        assert_whole(&place, &content);
        assert_eq!(hub.bytes_sent(), SIZE, "no byte is fetched twice");
    });
}

#[test]
fn a_server_that_brings_no_byte_is_given_up_after_so_many_tries() {
    test(async {
        let (error, hub) = refused("cut-0", At::Cdn, Fault::Cut(0)).await;
        is_network(&error);
        let tries = hub.at(Origin::Cdn).iter().filter(|s| s.sent() == 0).count();
        assert!((3..=5).contains(&tries), "{tries} tries");
    });
}

#[test]
fn a_body_that_never_ends_is_left_once_it_is_longer_than_announced() {
    test(async {
        let (error, hub) = refused("endless", At::Cdn, Fault::Endless).await;
        is_corrupt(&error);
        let sent: Vec<u64> = hub.at(Origin::Cdn).iter().map(|s| s.sent()).collect();
        // What lies in the sockets' buffers was sent and never read.
        assert!(sent.iter().all(|s| *s < 32 * MIB), "{sent:?}");
    });
}

#[test]
fn a_body_without_a_length_is_taken_if_it_is_right() {
    test(async {
        overcome("chunked", At::Cdn, vec![Fault::Chunked]).await;
    });
}

// --- ranges

#[test]
fn a_200_to_a_range_request_gives_the_right_file() {
    test(async {
        let faults = vec![Fault::Cut(100_000), Fault::IgnoreRange];
        let hub = overcome("ignore-range", At::Cdn, faults).await;
        let seen = hub.at(Origin::Cdn);
        assert!(seen[1].header("range").is_some());
        assert_eq!(seen[1].status(), 200);
    });
}

#[test]
fn a_206_for_another_range_is_not_written() {
    test(async {
        let (hub, content) = hub();
        let place = Place::new("servers/other-range");
        hub.fault(At::Cdn, FILE, Fault::Cut(100_000));
        hub.always(At::Cdn, FILE, Fault::OtherRange(7));
        let error = place.refusal(&hub, SPEC).await;
        assert!(matches!(
            error,
            AssetError::Corrupt { .. } | AssetError::Network { .. }
        ));
        says(&error, "range");
        hub.heal();
        place.ensure(&hub, SPEC).await.unwrap();
        assert_whole(&place, &content);
    });
}

#[test]
fn a_206_that_lies_about_its_range_is_found_by_the_digest() {
    test(async {
        let (hub, content) = hub();
        let place = Place::new("servers/lying-range");
        hub.fault(At::Cdn, FILE, Fault::Cut(100_000));
        hub.always(At::Cdn, FILE, Fault::LyingRange(7));
        place.refusal(&hub, SPEC).await;
        hub.heal();
        place.ensure(&hub, SPEC).await.unwrap();
        assert_whole(&place, &content);
    });
}

#[test]
fn a_416_to_a_resumed_download_does_not_end_it() {
    test(async {
        let faults = vec![Fault::Cut(100_000), Fault::Status(416, None)];
        overcome("416", At::Cdn, faults).await;
    });
}

// --- redirects

#[test]
fn a_redirect_loop_ends() {
    test(async {
        for (name, at, origin) in [
            ("loop-api", At::Api, Origin::Hub),
            ("loop-resolve", At::Resolve, Origin::Hub),
            ("loop-cdn", At::Cdn, Origin::Cdn),
        ] {
            let (error, hub) = refused(name, at, Fault::Loop).await;
            is_network(&error);
            says(&error, "redirects");
            let asked = hub.at(origin).len();
            assert!(asked < 60, "{name}: {asked} requests");
        }
    });
}

#[test]
fn a_redirect_to_anything_but_http_is_refused() {
    test(async {
        let secret = Place::new("servers/secret").dir().join("secret.gguf");
        std::fs::write(&secret, b"GGUF secret").unwrap();
        for (count, target) in [
            format!("file://{}", secret.display()),
            "ftp://127.0.0.1/m.gguf".to_owned(),
            "gopher://127.0.0.1/m.gguf".to_owned(),
            "data:,GGUF".to_owned(),
            "http://user:hunter2@127.0.0.1/m.gguf".to_owned(),
            "http://".to_owned(),
        ]
        .into_iter()
        .enumerate()
        {
            for at in [At::Api, At::Resolve, At::Cdn] {
                let name = format!("scheme-{count}-{at:?}");
                let (error, _) = refused(&name, at, Fault::Redirect(target.clone())).await;
                is_network(&error);
                says(&error, "redirects to");
                assert!(!error.to_string().contains("hunter2"), "{error}");
            }
        }
    });
}

#[test]
fn the_token_goes_to_the_hub_and_to_no_other_origin() {
    test(async {
        let (hub, content) = hub();
        let place = Place::new("servers/token");
        let mut settings = place.settings(&hub.endpoint());
        settings.token = Some("hf_secret".into());
        let crab = facecrab::Facecrab::new(settings);
        crab.ensure_model(&spec(SPEC)).finish().await.unwrap();
        assert_whole(&place, &content);
        let sent = |s: &Arc<Seen>| s.header("authorization") == Some("Bearer hf_secret");
        assert!(hub.at(Origin::Hub).iter().all(sent));
        assert!(!hub.at(Origin::Cdn).is_empty());
        assert!(!hub.at(Origin::Cdn).iter().any(sent));
    });
}

#[test]
fn the_token_does_not_follow_a_redirect_to_another_host_or_port() {
    test(async {
        let (hub, _) = hub();
        let elsewhere = hub.url(Origin::Elsewhere);
        let by_name = elsewhere.replace("127.0.0.1", "localhost");
        for (count, target) in [&elsewhere, &by_name].into_iter().enumerate() {
            for (at, key) in [(At::Api, REPO), (At::Resolve, FILE), (At::Cdn, FILE)] {
                hub.forget();
                hub.heal();
                let place = Place::new(&format!("servers/token-{count}-{at:?}"));
                let mut settings = place.settings(&hub.endpoint());
                settings.token = Some("hf_secret".into());
                hub.always(at, key, Fault::Redirect(format!("{target}/x")));
                let crab = facecrab::Facecrab::new(settings);
                let error = crab.ensure_model(&spec(SPEC)).finish().await.unwrap_err();
                place.assert_empty();
                assert!(!error.to_string().contains("hf_secret"), "{error}");
                let met = hub.at(Origin::Elsewhere);
                assert!(met.iter().all(|s| s.header("authorization").is_none()));
                assert!(hub.at(Origin::Hub)[0].header("authorization").is_some());
            }
        }
    });
}

#[test]
fn a_renamed_repository_is_followed_and_the_token_goes_along() {
    test(async {
        let (hub, content) = hub();
        hub.restrict(REPO, Access::Private("hf_good".into()));
        hub.rename(REPO, "o/renamed-GGUF");
        let place = Place::new("servers/renamed");
        let mut settings = place.settings(&hub.endpoint());
        settings.token = Some("hf_good".into());
        let crab = facecrab::Facecrab::new(settings);
        crab.ensure_model(&spec(SPEC)).finish().await.unwrap();
        assert_whole(&place, &content);
    });
}

// --- content

#[test]
fn content_with_another_sha256_is_refused_and_forgotten() {
    test(async {
        let (error, _) = refused("garbage", At::Cdn, Fault::Garbage).await;
        is_corrupt(&error);
        says(&error, "sha256");
        says(&error, FILE);
    });
}

#[test]
fn content_that_changed_between_two_tries_is_never_mixed() {
    test(async {
        let (hub, _) = hub();
        let place = Place::new("servers/swap");
        let other = Content::gguf(SIZE, 2);
        hub.fault(At::Cdn, FILE, Fault::Cut(100_000));
        hub.always(At::Cdn, FILE, Fault::Swap(other));
        let error = place.refusal(&hub, SPEC).await;
        is_corrupt(&error);
        let seen = hub.at(Origin::Cdn);
        assert!(
            seen[1].header("if-range").is_some(),
            "the server could tell"
        );
    });
}

#[test]
fn a_model_that_is_no_gguf_file_is_not_linked() {
    test(async {
        let hub = Hub::start();
        hub.add(REPO, FILE, &Content::bytes("<html>Please log in</html>"));
        let place = Place::new("servers/html");
        let error = place.ensure(&hub, SPEC).await.unwrap_err();
        assert!(error.to_string().contains("not a GGUF"), "{error}");
        assert!(place.snapshot_files().is_empty());
        assert!(!place.registry().contains("html"), "{}", place.registry());
    });
}

#[test]
fn a_compressed_body_that_nobody_asked_for_is_not_unpacked() {
    test(async {
        let bomb = Arc::new(gzip_of_zeros(1 << 30));
        for (name, at) in [("gzip-api", At::Api), ("gzip-cdn", At::Cdn)] {
            let began = Instant::now();
            refused(name, at, Fault::Gzip(bomb.clone())).await;
            assert!(began.elapsed() < Duration::from_secs(20));
        }
    });
}

// --- patience

#[test]
fn a_storm_of_429_and_503_is_sat_out() {
    test(async {
        for (name, at) in [("api", At::Api), ("resolve", At::Resolve), ("cdn", At::Cdn)] {
            let faults = vec![
                Fault::Status(429, None),
                Fault::Status(503, Some("0".into())),
                Fault::Status(500, Some("Wed, 21 Oct 2015 07:28:00 GMT".into())),
            ];
            overcome(&format!("storm-{name}"), at, faults).await;
        }
    });
}

#[test]
fn a_storm_without_end_is_given_up_and_the_error_names_the_status() {
    test(async {
        for (name, at) in [("api", At::Api), ("resolve", At::Resolve), ("cdn", At::Cdn)] {
            for status in [429, 503] {
                let name = format!("storm-{status}-{name}");
                let (error, hub) = refused(&name, at, Fault::Status(status, None)).await;
                is_network(&error);
                says(&error, &status.to_string());
                let asked = hub.seen().iter().filter(|s| s.status() == status).count();
                assert!((2..=5).contains(&asked), "{name}: {asked} tries");
            }
        }
    });
}

#[test]
fn retry_after_is_obeyed() {
    test(async {
        for at in [At::Api, At::Cdn] {
            let began = Instant::now();
            let fault = Fault::Status(429, Some("1".into()));
            overcome(&format!("retry-after-{at:?}"), at, vec![fault]).await;
            assert!(
                began.elapsed() >= Duration::from_secs(1),
                "{:?}",
                began.elapsed()
            );
        }
    });
}

#[test]
fn a_retry_after_of_years_is_not_slept_through() {
    test(async {
        let (hub, _) = hub();
        let place = Place::new("servers/retry-years");
        hub.always(
            At::Cdn,
            FILE,
            Fault::Status(429, Some("99999999999999999999".into())),
        );
        let mut ensure = place.crab(&hub).ensure_model(&spec(SPEC));
        // Whether it gives up or waits a bounded time: it can be left at once.
        let drive = async { while futures::StreamExt::next(&mut ensure).await.is_some() {} };
        let _ = async_std::future::timeout(Duration::from_secs(2), drive).await;
        drop(ensure);
        place.assert_empty();
    });
}

#[test]
fn a_stalled_body_is_asked_for_again() {
    test(async {
        let hub = overcome("stall", At::Cdn, vec![Fault::Stall(100_000)]).await;
        let seen = hub.at(Origin::Cdn);
        assert_eq!(seen[1].start(), 100_000);
    });
}

#[test]
fn a_server_that_accepts_and_never_answers_is_given_up() {
    test(async {
        for (name, at) in [("api", At::Api), ("resolve", At::Resolve), ("cdn", At::Cdn)] {
            let (error, _) = refused(&format!("silence-{name}"), at, Fault::Silence).await;
            is_network(&error);
        }
    });
}

#[test]
fn a_slow_loris_can_be_left_at_any_moment() {
    test(async {
        let (hub, _) = hub();
        let place = Place::new("servers/loris");
        hub.always(At::Cdn, FILE, Fault::Drip(1, Duration::from_millis(50)));
        let mut ensure = place.crab(&hub).ensure_model(&spec(SPEC));
        let drive = async { while futures::StreamExt::next(&mut ensure).await.is_some() {} };
        assert!(
            async_std::future::timeout(Duration::from_secs(2), drive)
                .await
                .is_err()
        );
        drop(ensure);
        hub.wait("the connection's end", |s| {
            s.origin == Origin::Cdn && s.left()
        });
        place.assert_empty();
    });
}

#[test]
fn a_listing_that_drips_is_given_up() {
    test(async {
        let (hub, _) = hub();
        let place = Place::new("servers/loris-api");
        hub.always(At::Api, REPO, Fault::Drip(1, Duration::from_secs(3)));
        is_network(&place.refusal(&hub, SPEC).await);
    });
}

// --- heads

#[test]
fn headers_without_end_are_refused() {
    test(async {
        for (name, at) in [("api", At::Api), ("resolve", At::Resolve), ("cdn", At::Cdn)] {
            let (error, hub) = refused(&format!("bomb-{name}"), at, Fault::HeaderBomb).await;
            is_network(&error);
            let most = hub
                .seen()
                .iter()
                .filter(|s| s.left())
                .map(|s| s.sent())
                .max();
            assert!(most.unwrap() < 32 * MIB, "{most:?}");
        }
    });
}

#[test]
fn a_connection_reset_in_the_middle_of_the_head_is_tried_again() {
    test(async {
        for (name, at) in [("api", At::Api), ("resolve", At::Resolve), ("cdn", At::Cdn)] {
            overcome(&format!("reset-{name}"), at, vec![Fault::Reset]).await;
            let (error, _) = refused(&format!("resets-{name}"), at, Fault::Reset).await;
            is_network(&error);
        }
    });
}

#[test]
fn a_refused_connection_is_an_error_that_names_the_endpoint() {
    test(async {
        let place = Place::new("servers/closed");
        let endpoint = format!("http://127.0.0.1:{}", closed_port());
        let crab = facecrab::Facecrab::new(place.settings(&endpoint));
        let error = crab.ensure_model(&spec(SPEC)).finish().await.unwrap_err();
        assert!(error.to_string().contains(&endpoint), "{error}");
        place.assert_empty();
    });
}

#[test]
fn connections_that_are_closed_after_each_answer_do() {
    test(async {
        let (hub, content) = hub();
        hub.close_each();
        let place = Place::new("servers/close-each");
        place.ensure(&hub, SPEC).await.unwrap();
        assert_whole(&place, &content);
    });
}

#[test]
fn a_signed_link_that_expired_is_asked_for_anew() {
    test(async {
        let faults = vec![Fault::Cut(100_000), Fault::Status(403, None)];
        let hub = overcome("expired", At::Cdn, faults).await;
        let resolved = |s: &&Arc<Seen>| s.request.path.contains("/resolve/");
        assert!(hub.at(Origin::Hub).iter().filter(resolved).count() >= 2);
    });
}

// --- listings

#[test]
fn a_listing_that_is_no_listing_is_refused() {
    test(async {
        let commit = "a".repeat(40);
        let digest = "b".repeat(64);
        let deep = "[".repeat(100_000);
        for (count, body) in [
            "".to_owned(),
            "{".to_owned(),
            "<html>Welcome to the airport's network</html>".to_owned(),
            "null".to_owned(),
            "[]".to_owned(),
            "{}".to_owned(),
            deep,
            r#"{"sha":7,"siblings":[]}"#.to_owned(),
            r#"{"sha":"../../../x","siblings":[{"rfilename":"m-q4_k_m.gguf"}]}"#.to_owned(),
            format!(r#"{{"sha":"{commit}","siblings":7}}"#),
            format!(r#"{{"sha":"{commit}","siblings":[{{"rfilename":7}}]}}"#),
            format!(r#"{{"sha":"{commit}","siblings":[{{"rfilename":"{FILE}","size":-1}}]}}"#),
            format!(
                r#"{{"sha":"{commit}","siblings":[{{"rfilename":"{FILE}","lfs":{{"sha256":"../x","size":9}}}}]}}"#
            ),
            format!(
                r#"{{"sha":"{commit}","siblings":[{{"rfilename":"{FILE}","size":9,"lfs":{{"sha256":"{digest}","size":9}}}}]}}"#
            ),
        ]
        .into_iter()
        .enumerate()
        {
            let name = format!("listing-{count}");
            let (error, _) = refused(&name, At::Api, Fault::Body(body.into())).await;
            assert!(error.to_string().len() < 2000, "the error repeats the body");
        }
    });
}

#[test]
fn a_listing_of_hundreds_of_megabytes_is_not_read_to_its_end() {
    test(async {
        let mut body = br#"{"siblings":[{"rfilename":""#.to_vec();
        body.resize(256 << 20, b'x');
        let (_, hub) = refused("listing-huge", At::Api, Fault::Body(body)).await;
        let most = hub.seen().iter().map(|s| s.sent()).max();
        assert!(most.unwrap() < 100 * MIB, "{most:?}");
    });
}

#[test]
fn names_that_walk_out_of_the_folder_are_never_written() {
    test(async {
        for (count, name) in [
            "../m-q4_k_m.gguf",
            "../../../../escaped-q4_k_m.gguf",
            "a/../../m-q4_k_m.gguf",
            "/m-q4_k_m.gguf",
            "//m-q4_k_m.gguf",
            "a//m-q4_k_m.gguf",
            "./m-q4_k_m.gguf",
            "..\\m-q4_k_m.gguf",
            "C:\\m-q4_k_m.gguf",
            "a\n-q4_k_m.gguf",
            "a\u{0}-q4_k_m.gguf",
            "a\u{1b}[2J-q4_k_m.gguf",
        ]
        .into_iter()
        .enumerate()
        {
            let hub = Hub::start();
            hub.add(REPO, name, &Content::gguf(1000, 1));
            let place = Place::new(&format!("servers/walk-{count}"));
            let error = place.refusal(&hub, SPEC).await;
            assert!(!error.to_string().contains('\u{1b}'), "{error}");
            let mut left: Vec<_> = std::fs::read_dir(place.dir()).unwrap().flatten().collect();
            left.retain(|e| e.file_name() != "hub" && e.file_name() != "config");
            assert!(left.is_empty(), "{name:?}: {left:?}");
        }
    });
}

#[test]
fn an_etag_or_a_commit_that_walks_is_refused() {
    test(async {
        for (count, header) in ["X-Linked-Etag", "ETag", "X-Repo-Commit"]
            .iter()
            .enumerate()
        {
            for (which, value) in ["\"../../../evil\"", "\"\"", "\"a/b\"", "\"..\""]
                .iter()
                .enumerate()
            {
                let hub = Hub::start();
                let content = Content::gguf(1000, 1);
                // A small file, whose etag is all there is to know it by.
                hub.push(REPO, &[(FILE, &content, *header == "X-Linked-Etag")]);
                hub.always(
                    At::Resolve,
                    FILE,
                    Fault::Header(header, (*value).to_owned()),
                );
                let place = Place::new(&format!("servers/etag-{count}-{which}"));
                let _ = place.ensure(&hub, SPEC).await;
                place.assert_sound();
                let mut left: Vec<_> = std::fs::read_dir(place.dir()).unwrap().flatten().collect();
                left.retain(|e| e.file_name() != "hub" && e.file_name() != "config");
                assert!(left.is_empty(), "{header}: {value}: {left:?}");
                assert!(!place.cache().join("evil").exists());
            }
        }
    });
}

#[test]
fn a_file_whose_digest_the_redirect_and_the_listing_tell_differently_is_refused() {
    test(async {
        let other = format!("\"{}\"", "c".repeat(64));
        let (error, _) = refused(
            "two-digests",
            At::Resolve,
            Fault::Header("X-Linked-Etag", other),
        )
        .await;
        is_corrupt(&error);
    });
}

#[test]
fn a_file_without_any_etag_is_refused() {
    test(async {
        let (hub, _) = hub();
        let place = Place::new("servers/no-etag");
        hub.always(At::Resolve, FILE, Fault::Without("X-Linked-Etag"));
        // The listing knows the digest too: either way nothing unverified is visible.
        let _ = place.ensure(&hub, SPEC).await;
        place.assert_sound();
    });
}

#[test]
fn a_file_larger_than_the_disk_is_refused_before_a_byte_is_fetched() {
    test(async {
        let (hub, content) = hub();
        let place = Place::new("servers/disk");
        let size = 1_u64 << 60;
        let commit = hub.add(REPO, FILE, &content);
        let listing = format!(
            r#"{{"id":"{REPO}","sha":"{commit}","siblings":[{{"rfilename":"{FILE}","size":{size},"lfs":{{"sha256":"{}","size":{size}}}}}]}}"#,
            content.sha256()
        );
        hub.always(At::Api, REPO, Fault::Body(listing.into()));
        hub.always(
            At::Resolve,
            FILE,
            Fault::Header("X-Linked-Size", size.to_string()),
        );
        let error = place.refusal(&hub, SPEC).await;
        assert!(
            matches!(error, AssetError::DiskFull { needed, .. } if needed == size),
            "{error:?}"
        );
        assert!(text(&error).contains("HF_HOME"), "{}", text(&error));
        assert_eq!(hub.bytes_sent(), 0);
        assert!(
            place.parts().iter().all(|(_, len)| *len < MIB),
            "{:?}",
            place.parts()
        );
    });
}

// --- who may read what

#[test]
fn a_gated_repository_names_its_page_and_the_token() {
    test(async {
        let (hub, content) = hub();
        hub.restrict(REPO, Access::Gated("hf_good".into()));
        let place = Place::new("servers/gated");
        let error = place.refusal(&hub, SPEC).await;
        assert!(
            matches!(
                error,
                AssetError::Gated {
                    status: 401,
                    token: false,
                    ..
                }
            ),
            "{error:?}"
        );
        let page = format!("{}/{REPO}", hub.endpoint());
        assert!(text(&error).contains(&page), "{}", text(&error));
        assert!(text(&error).contains("HF_TOKEN"), "{}", text(&error));
        for (token, status) in [("hf_bad", Some(403)), ("hf_good", None)] {
            let mut settings = place.settings(&hub.endpoint());
            settings.token = Some(token.into());
            let crab = facecrab::Facecrab::new(settings);
            let outcome = crab.ensure_model(&spec(SPEC)).finish().await;
            match (status, outcome) {
                (None, outcome) => drop(outcome.unwrap()),
                (Some(status), Err(GeniusError::Asset(error))) => {
                    assert!(
                        matches!(&error, AssetError::Gated { status: s, token: true, .. } if *s == status),
                        "{error:?}"
                    );
                    assert!(!text(&error).contains("hf_bad"), "{}", text(&error));
                }
                (_, outcome) => panic!("{outcome:?}"),
            }
        }
        assert_whole(&place, &content);
    });
}

#[test]
fn a_hidden_or_missing_repository_is_an_error_that_says_where_it_looked() {
    test(async {
        let (hub, _) = hub();
        hub.restrict(REPO, Access::Private("hf_good".into()));
        for (count, token) in [None, Some("hf_bad")].into_iter().enumerate() {
            for (which, what) in [SPEC, "o/nothing:Q8_0"].into_iter().enumerate() {
                let place = Place::new(&format!("servers/hidden-{count}-{which}"));
                let mut settings = place.settings(&hub.endpoint());
                settings.token = token.map(str::to_owned);
                let crab = facecrab::Facecrab::new(settings);
                let error = crab.ensure_model(&spec(what)).finish().await.unwrap_err();
                place.assert_empty();
                let GeniusError::Asset(error) = error else {
                    panic!("{error:?}");
                };
                // To strangers the hub does not tell the two apart.
                let known = matches!(
                    error,
                    AssetError::NotFound { .. } | AssetError::Gated { .. }
                );
                assert!(known, "{error:?}");
                let page = format!("{}/o/", hub.endpoint());
                assert!(text(&error).contains(&page), "{}", text(&error));
            }
        }
    });
}

#[test]
fn a_storm_shows_no_progress_that_is_not_there() {
    test(async {
        let (hub, _) = hub();
        let place = Place::new("servers/progress");
        hub.always(At::Cdn, FILE, Fault::Cut(90_000));
        let (events, outcome) = watch(place.crab(&hub).ensure_model(&spec(SPEC))).await;
        outcome.unwrap();
        let mut last = 0;
        for event in &events {
            if let rusty_genius_core::AssetEvent::Bytes { done, total, .. } = event {
                assert!(*done >= last, "{events:?}");
                assert!(total.is_none_or(|t| t == SIZE && *done <= t), "{events:?}");
                last = *done;
            }
        }
        assert_eq!(last, SIZE);
        assert!(matches!(
            events[0],
            rusty_genius_core::AssetEvent::Resolving { .. }
        ));
        assert!(matches!(
            events.last().unwrap(),
            rusty_genius_core::AssetEvent::Ready { size: SIZE, .. }
        ));
    });
}

#[test]
fn a_size_that_nobody_announces_is_asked_for() {
    test(async {
        let (hub, content) = hub();
        let place = Place::new("servers/no-size");
        hub.always(At::Resolve, FILE, Fault::Without("X-Linked-Size"));
        place.ensure(&hub, SPEC).await.unwrap();
        assert_whole(&place, &content);
    });
}

#[test]
fn a_size_that_the_hub_tells_wrong_is_refused() {
    test(async {
        for (count, size) in [SIZE - 1, SIZE + 1, 0].into_iter().enumerate() {
            let fault = Fault::Header("X-Linked-Size", size.to_string());
            let (error, _) = refused(&format!("size-{count}"), At::Resolve, fault).await;
            is_corrupt(&error);
        }
    });
}

#[test]
fn a_token_that_would_end_its_header_is_refused_and_not_shown() {
    test(async {
        let (hub, _) = hub();
        let place = Place::new("servers/token-newline");
        for token in ["hf_x\r\nX-Evil: 1", "hf_ä", "hf_x\0y"] {
            let mut settings = place.settings(&hub.endpoint());
            settings.token = Some(token.to_owned());
            let crab = facecrab::Facecrab::new(settings);
            let error = crab.ensure_model(&spec(SPEC)).finish().await.unwrap_err();
            assert!(!error.to_string().contains("hf_"), "{error}");
            assert!(hub.seen().is_empty());
            place.assert_empty();
        }
    });
}

#[test]
fn an_endpoint_that_is_no_web_address_is_named() {
    test(async {
        for endpoint in ["", "huggingface.co", "ftp://h", "file:///x", "http://"] {
            let place = Place::new("servers/endpoint");
            let crab = facecrab::Facecrab::new(place.settings(endpoint));
            let error = crab.ensure_model(&spec(SPEC)).finish().await.unwrap_err();
            assert!(error.to_string().contains(endpoint), "{error}");
            place.assert_empty();
        }
    });
}

#[test]
fn a_signed_link_that_is_never_valid_is_given_up() {
    test(async {
        for status in [401, 403] {
            let fault = Fault::Status(status, None);
            let (error, _) = refused(&format!("links-{status}"), At::Cdn, fault).await;
            is_network(&error);
            says(&error, &status.to_string());
        }
    });
}
