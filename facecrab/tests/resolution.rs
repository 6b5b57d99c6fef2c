//! From a spec to the files it means.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use rusty_genius_core::{AssetError, GeniusError};
use support::{At, Content, Fault, Hub, Origin, Place, spec, test};

fn hub(files: &[(&str, &str)]) -> Hub {
    let hub = Hub::start();
    for (seed, (repo, file)) in (0..).zip(files) {
        hub.add(repo, file, &Content::gguf(5000 + seed, seed));
    }
    hub
}

async fn names(place: &Place, hub: &Hub, spec: &str) -> Result<Vec<String>, AssetError> {
    match place.ensure(hub, spec).await {
        Ok(asset) => Ok(asset
            .files
            .iter()
            .map(|f| f.file_name().unwrap().to_string_lossy().into_owned())
            .collect()),
        Err(GeniusError::Asset(error)) => Err(error),
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn the_gguf_sibling_of_a_repository_without_weights_for_us_is_found() {
    test(async {
        let hub = hub(&[
            ("Qwen/Qwen2.5-1.5B-Instruct", "model.safetensors"),
            (
                "Qwen/Qwen2.5-1.5B-Instruct-GGUF",
                "qwen2.5-1.5b-instruct-q4_k_m.gguf",
            ),
            (
                "Qwen/Qwen2.5-1.5B-Instruct-GGUF",
                "qwen2.5-1.5b-instruct-q8_0.gguf",
            ),
        ]);
        let place = Place::new("resolution/sibling");
        let found = names(&place, &hub, "Qwen/Qwen2.5-1.5B-Instruct:Q4_K_M").await;
        assert_eq!(found.unwrap(), ["qwen2.5-1.5b-instruct-q4_k_m.gguf"]);
        place.assert_sound();
        let fetched = |s: &std::sync::Arc<support::Seen>| s.request.path.contains("safetensors");
        assert!(!hub.seen().iter().any(fetched));
    });
}

#[test]
fn the_gguf_sibling_is_found_where_the_repository_itself_is_missing() {
    test(async {
        let hub = hub(&[("o/x-GGUF", "x-q4_0.gguf")]);
        let place = Place::new("resolution/only-sibling");
        assert_eq!(
            names(&place, &hub, "o/x:Q4_0").await.unwrap(),
            ["x-q4_0.gguf"]
        );
    });
}

#[test]
fn a_quant_is_found_however_it_is_spelled() {
    test(async {
        for (count, quant) in ["Q4_K_M", "q4_k_m", "q4km", "Q4-K-M"].iter().enumerate() {
            let hub = hub(&[
                ("o/x", "x-Q4_K_S.gguf"),
                ("o/x", "x-q4_k_m.gguf"),
                ("o/x", "x.Q5_K_M.gguf"),
                ("o/x", "mmproj-x-q4_k_m.gguf"),
            ]);
            let place = Place::new(&format!("resolution/spelling-{count}"));
            let found = names(&place, &hub, &format!("o/x:{quant}")).await.unwrap();
            assert_eq!(found, ["x-q4_k_m.gguf"], "{quant}");
        }
    });
}

#[test]
fn a_split_model_comes_whole_and_in_order() {
    test(async {
        let parts: Vec<String> = (1..=3)
            .map(|n| format!("q8/x-Q8_0-{n:05}-of-00003.gguf"))
            .collect();
        let hub = hub(&[("o/x", &parts[1]), ("o/x", &parts[2]), ("o/x", &parts[0])]);
        let place = Place::new("resolution/split");
        let asset = place.ensure(&hub, "o/x:Q8_0").await.unwrap();
        assert_eq!(asset.size, 5000 + 5001 + 5002);
        let ends: Vec<bool> = asset
            .files
            .iter()
            .zip(&parts)
            .map(|(f, p)| f.ends_with(p))
            .collect();
        assert_eq!(ends, [true; 3], "{:?}", asset.files);
        place.assert_sound();
        assert_eq!(place.blobs().len(), 3);
    });
}

#[test]
fn a_split_model_that_breaks_off_in_its_second_file_is_not_registered_and_goes_on() {
    test(async {
        let parts: Vec<String> = (1..=3)
            .map(|n| format!("x-Q8_0-{n:05}-of-00003.gguf"))
            .collect();
        let hub = hub(&[("o/x", &parts[0]), ("o/x", &parts[1]), ("o/x", &parts[2])]);
        let place = Place::new("resolution/split-break");
        hub.always(At::Cdn, &parts[1], Fault::Cut(0));
        names(&place, &hub, "o/x:Q8_0").await.unwrap_err();
        place.assert_sound();
        assert!(!place.registry().contains("o/x"), "{}", place.registry());
        hub.heal();
        place.ensure(&hub, "o/x:Q8_0").await.unwrap();
        assert_eq!(
            hub.bytes_sent(),
            5000 + 5001 + 5002,
            "the first file was kept"
        );
    });
}

#[test]
fn a_split_model_that_lacks_a_part_on_the_hub_is_no_model() {
    test(async {
        let hub = hub(&[("o/x", "x-Q8_0-00001-of-00002.gguf")]);
        let place = Place::new("resolution/split-half");
        let error = place.refusal(&hub, "o/x:Q8_0").await;
        assert!(error.to_string().contains("o/x:Q8_0"), "{error}");
        assert_eq!(hub.bytes_sent(), 0);
    });
}

#[test]
fn a_spec_that_several_quants_fit_lists_them() {
    test(async {
        let hub = hub(&[("o/x", "x-Q4_K_M.gguf"), ("o/x", "x-Q8_0.gguf")]);
        let place = Place::new("resolution/ambiguous");
        let error = place.refusal(&hub, "o/x").await;
        assert!(
            matches!(error, AssetError::Ambiguous { none: false, .. }),
            "{error:?}"
        );
        for quant in ["Q4_K_M", "Q8_0"] {
            assert!(error.to_string().contains(quant), "{error}");
        }
    });
}

#[test]
fn a_quant_that_is_not_there_lists_what_is() {
    test(async {
        let hub = hub(&[("o/x", "x-Q4_K_M.gguf"), ("o/x", "x-Q8_0.gguf")]);
        let place = Place::new("resolution/no-quant");
        let error = place.refusal(&hub, "o/x:Q2_K").await;
        assert!(
            matches!(error, AssetError::Ambiguous { none: true, .. }),
            "{error:?}"
        );
        for quant in ["Q4_K_M", "Q8_0"] {
            assert!(error.to_string().contains(quant), "{error}");
        }
    });
}

#[test]
fn the_only_model_of_a_repository_needs_no_quant() {
    test(async {
        let hub = hub(&[
            ("o/x", "x-Q8_0.gguf"),
            ("o/x", "README.md"),
            ("o/x", "mmproj-x-f16.gguf"),
        ]);
        let place = Place::new("resolution/only");
        assert_eq!(names(&place, &hub, "o/x").await.unwrap(), ["x-Q8_0.gguf"]);
    });
}

#[test]
fn a_repository_without_models_says_where_it_looked() {
    test(async {
        let hub = hub(&[("o/x", "model.safetensors")]);
        let place = Place::new("resolution/none");
        let error = place.refusal(&hub, "o/x:Q4_K_M").await;
        assert!(error.to_string().contains(&hub.endpoint()), "{error}");
    });
}

#[test]
fn a_tag_or_a_commit_names_an_older_file() {
    test(async {
        let hub = Hub::start();
        let (old, new) = (Content::gguf(100, 1), Content::gguf(100, 2));
        let first = hub.add("o/x", "x-Q8_0.gguf", &old);
        hub.add("o/x", "x-Q8_0.gguf", &new);
        hub.tag("o/x", "v1", &first);
        hub.tag("o/x", "refs/pr/7", &first);
        let place = Place::new("resolution/revision");
        for (revision, content) in [
            ("main", &new),
            ("v1", &old),
            ("refs/pr/7", &old),
            (&first, &old),
        ] {
            let asset = place
                .ensure(&hub, &format!("o/x@{revision}"))
                .await
                .unwrap();
            assert_eq!(
                std::fs::read(&asset.files[0]).unwrap(),
                content.to_vec(),
                "{revision}"
            );
        }
        place.assert_sound();
        let sent = hub.bytes_sent();
        assert_eq!(sent, 200, "one content is fetched once: {sent}");
    });
}

#[test]
fn a_revision_that_is_not_there_is_not_found() {
    test(async {
        let hub = hub(&[("o/x", "x-Q8_0.gguf")]);
        let place = Place::new("resolution/no-revision");
        let error = place.refusal(&hub, "o/x@nope").await;
        assert!(matches!(error, AssetError::NotFound { .. }), "{error:?}");
    });
}

#[test]
fn a_small_file_that_the_hub_serves_itself_is_fetched_too() {
    test(async {
        let hub = Hub::start();
        let content = Content::gguf(900, 1);
        hub.push("o/x", &[("x-Q8_0.gguf", &content, false)]);
        let place = Place::new("resolution/small");
        let asset = place.ensure(&hub, "o/x").await.unwrap();
        assert_eq!(std::fs::read(&asset.files[0]).unwrap(), content.to_vec());
        place.assert_sound();
        assert!(hub.at(Origin::Cdn).is_empty());
    });
}

#[test]
fn what_is_installed_is_listed_verified_and_removed() {
    test(async {
        let hub = hub(&[("o/x", "x-Q8_0.gguf"), ("o/x", "x-Q4_0.gguf")]);
        let place = Place::new("resolution/remove");
        let crab = place.crab(&hub);
        let (q8, q4) = (spec("o/x:Q8_0"), spec("o/x:Q4_0"));
        crab.ensure_model(&q8).finish().await.unwrap();
        crab.ensure_model(&q4).finish().await.unwrap();
        let listed: Vec<String> = crab
            .installed()
            .unwrap()
            .into_iter()
            .map(|m| m.spec)
            .collect();
        assert_eq!(listed, ["o/x:Q4_0", "o/x:Q8_0"]);
        let verified = crab.verify(&q8).finish().await.unwrap();
        assert_eq!(verified[0].matches, Some(true));
        let blob = std::fs::canonicalize(&verified[0].path).unwrap();
        let mut bytes = std::fs::read(&blob).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&blob, bytes).unwrap();
        let verified = crab.verify(&q8).finish().await.unwrap();
        assert_eq!(verified[0].matches, Some(false));
        assert_eq!(crab.remove(&q8).unwrap().bytes, 5000);
        assert_eq!(place.blobs().len(), 1);
        place.assert_sound();
        let listed: Vec<String> = crab
            .installed()
            .unwrap()
            .into_iter()
            .map(|m| m.spec)
            .collect();
        assert_eq!(listed, ["o/x:Q4_0"]);
        // And it can be had again.
        crab.ensure_model(&q8).finish().await.unwrap();
        place.assert_sound();
    });
}
