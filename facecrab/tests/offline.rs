//! Without a network: what is here is used, and what is not is named.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use facecrab::Facecrab;
use rusty_genius_core::{AssetError, AssetEvent, GeniusError};
use support::{Content, Hub, Place, closed_port, spec, test, watch};

const SPEC: &str = "o/x-GGUF:Q8_0";

fn hub() -> Hub {
    let hub = Hub::start();
    hub.add("o/x-GGUF", "x-Q8_0.gguf", &Content::gguf(4000, 1));
    hub
}

fn offline(place: &Place, endpoint: &str) -> Facecrab {
    let mut settings = place.settings(endpoint);
    settings.offline = true;
    Facecrab::new(settings)
}

#[test]
fn what_would_have_been_fetched_is_named_and_nothing_is_asked() {
    test(async {
        let hub = hub();
        let place = Place::new("offline/none");
        let crab = offline(&place, &hub.endpoint());
        let digest = "a".repeat(64);
        for (what, part) in [
            (SPEC.to_owned(), SPEC),
            (
                format!("https://example.invalid/m.gguf#sha256={digest}"),
                "https://example.invalid/m.gguf",
            ),
        ] {
            let error = crab.ensure_model(&spec(&what)).finish().await.unwrap_err();
            assert!(
                matches!(&error, GeniusError::Asset(AssetError::Offline { .. })),
                "{error:?}"
            );
            assert!(error.to_string().contains(part), "{error}");
            assert!(error.hint().unwrap().contains("HF_HUB_OFFLINE"));
        }
        assert!(hub.seen().is_empty());
        place.assert_empty();
    });
}

#[test]
fn what_is_here_is_used_without_a_request() {
    test(async {
        let hub = hub();
        let place = Place::new("offline/here");
        let online = place.ensure(&hub, SPEC).await.unwrap();
        hub.forget();
        let crab = offline(&place, &hub.endpoint());
        assert_eq!(
            crab.ensure_model(&spec(SPEC)).finish().await.unwrap(),
            online
        );
        assert!(hub.seen().is_empty());
    });
}

#[test]
fn what_is_here_is_used_though_the_registry_is_lost() {
    test(async {
        let hub = hub();
        let place = Place::new("offline/no-registry");
        let online = place.ensure(&hub, SPEC).await.unwrap();
        std::fs::remove_dir_all(place.config()).unwrap();
        let crab = offline(&place, &hub.endpoint());
        assert_eq!(
            crab.ensure_model(&spec(SPEC)).finish().await.unwrap(),
            online
        );
        assert!(place.registry().contains(SPEC), "{}", place.registry());
    });
}

#[test]
fn what_is_here_is_used_though_the_hub_is_unreachable() {
    test(async {
        let hub = hub();
        let place = Place::new("offline/unreachable");
        let online = place.ensure(&hub, SPEC).await.unwrap();
        let endpoint = format!("http://127.0.0.1:{}", closed_port());
        let crab = Facecrab::new(place.settings(&endpoint));
        assert_eq!(
            crab.ensure_model(&spec(SPEC)).finish().await.unwrap(),
            online
        );
    });
}

#[test]
fn half_a_download_is_not_used_offline() {
    test(async {
        let hub = hub();
        let place = Place::new("offline/half");
        hub.always(support::At::Cdn, "x-Q8_0.gguf", support::Fault::Cut(0));
        place.refusal(&hub, SPEC).await;
        let crab = offline(&place, &hub.endpoint());
        let error = crab.ensure_model(&spec(SPEC)).finish().await.unwrap_err();
        assert!(
            matches!(&error, GeniusError::Asset(AssetError::Offline { .. })),
            "{error:?}"
        );
        place.assert_empty();
    });
}

#[test]
fn a_registry_that_cannot_be_written_is_a_warning_and_the_model_is_there() {
    test(async {
        let hub = hub();
        let place = Place::new("offline/config");
        // A file where the folder should be.
        std::fs::write(place.config(), "in the way").unwrap();
        let (events, outcome) = watch(place.crab(&hub).ensure_model(&spec(SPEC))).await;
        assert_eq!(outcome.unwrap().size, 4000);
        let named = place.config().display().to_string();
        let told =
            |e: &AssetEvent| matches!(e, AssetEvent::Warning { text } if text.contains(&named));
        assert!(events.iter().any(told), "{events:?}");
        std::fs::remove_file(place.config()).unwrap();
        let sent = hub.bytes_sent();
        place.ensure(&hub, SPEC).await.unwrap();
        assert_eq!(hub.bytes_sent(), sent, "nothing is fetched again");
        place.assert_sound();
        assert!(place.registry().contains(SPEC), "{}", place.registry());
    });
}

#[test]
fn a_file_that_was_cut_behind_our_back_is_fetched_again() {
    test(async {
        let hub = hub();
        let place = Place::new("offline/cut");
        let asset = place.ensure(&hub, SPEC).await.unwrap();
        let blob = std::fs::canonicalize(&asset.files[0]).unwrap();
        std::fs::OpenOptions::new()
            .write(true)
            .open(&blob)
            .unwrap()
            .set_len(100)
            .unwrap();
        let again = place.ensure(&hub, SPEC).await.unwrap();
        assert_eq!(again.size, 4000);
        place.assert_sound();
    });
}
