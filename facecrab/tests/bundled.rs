//! A model that comes inside the program: laid once, used without a network.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use facecrab::{Bundled, Facecrab, ModelAsset};
use rusty_genius_core::{AssetError, AssetEvent, GeniusError};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use support::child::{self, Other};
use support::{Content, Hub, Place, bundled, spec, test, watch};

const REPO: &str = "o/x";
const FILE: &str = "x-Q8_0.gguf";
const SPEC: &str = "o/x:Q8_0";
const SIZE: u64 = 40_000;

#[test]
#[ignore = "what the other process does"]
fn as_another_process() {
    child::run();
}

/// What program number `seed` has inside.
fn bundle(seed: u64) -> &'static Bundled {
    bundled(REPO, FILE, &Content::gguf(SIZE, seed))
}

/// A hub that has the repository too, with other bytes, and is to see no request.
fn hub() -> Hub {
    let hub = Hub::start();
    hub.add(REPO, FILE, &Content::gguf(SIZE, 99));
    hub.add(REPO, "x-Q4_0.gguf", &Content::gguf(SIZE, 98));
    hub
}

fn crab(place: &Place, hub: &Hub, bundle: &'static Bundled) -> Facecrab {
    let mut settings = place.settings(&hub.endpoint());
    settings.bundled = vec![bundle];
    Facecrab::new(settings)
}

async fn ensure(crab: &Facecrab, text: &str) -> Result<ModelAsset, GeniusError> {
    crab.ensure_model(&spec(text)).finish().await
}

fn repo_folder(place: &Place) -> PathBuf {
    place.cache().join("models--o--x")
}

fn blob(place: &Place, bundle: &Bundled) -> PathBuf {
    repo_folder(place).join("blobs").join(bundle.sha256())
}

fn main_ref(place: &Place) -> String {
    fs::read_to_string(repo_folder(place).join("refs/main")).unwrap()
}

/// All that a write would change: every name, what it is, and when it was written.
fn state(dir: &Path) -> Vec<(PathBuf, u64, SystemTime, u64)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let metadata = entry.metadata().unwrap();
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(&metadata);
        #[cfg(not(unix))]
        let inode = 0;
        let modified = metadata.modified().unwrap();
        found.push((entry.path(), metadata.len(), modified, inode));
        if metadata.is_dir() {
            found.extend(state(&entry.path()));
        }
    }
    found.sort();
    found
}

fn asset_error(outcome: Result<ModelAsset, GeniusError>) -> AssetError {
    match outcome {
        Err(GeniusError::Asset(error)) => error,
        other => panic!("not an asset's error: {other:?}"),
    }
}

#[test]
fn the_first_use_lays_the_model_as_a_download_would() {
    test(async {
        let (hub, place, bundle) = (hub(), Place::new("bundled/first"), bundle(1));
        let crab = crab(&place, &hub, bundle);
        let (events, outcome) = watch(crab.ensure_model(&spec(SPEC))).await;
        let asset = outcome.unwrap();
        let commit = &bundle.sha256()[..40];
        let path = repo_folder(&place)
            .join("snapshots")
            .join(commit)
            .join(FILE);
        assert_eq!(asset.files, std::slice::from_ref(&path));
        assert_eq!(asset.size, SIZE);
        assert_eq!(fs::read(&path).unwrap(), Content::gguf(SIZE, 1).to_vec());
        assert_eq!(main_ref(&place), commit);
        #[cfg(unix)]
        assert_eq!(
            fs::read_link(&path).unwrap(),
            Path::new("../../blobs").join(bundle.sha256())
        );
        place.assert_sound();
        assert_eq!(place.blobs(), [blob(&place, bundle)]);
        assert!(place.parts().is_empty(), "{:?}", place.parts());
        let registry = place.registry();
        for part in [SPEC, "source = \"bundled\"", commit, bundle.sha256()] {
            assert!(registry.contains(part), "{part}: {registry}");
        }
        // Nothing that would show a bar.
        assert_eq!(
            events,
            [
                AssetEvent::Resolving { spec: SPEC.into() },
                AssetEvent::Ready {
                    spec: SPEC.into(),
                    size: SIZE
                }
            ]
        );
        assert!(hub.seen().is_empty());
    });
}

#[test]
fn a_second_use_writes_nothing() {
    test(async {
        let (hub, place, bundle) = (hub(), Place::new("bundled/second"), bundle(1));
        let first = ensure(&crab(&place, &hub, bundle), SPEC).await.unwrap();
        let before = state(place.dir());
        for text in [SPEC, "o/x", "O/X:q8-0"] {
            let crab = crab(&place, &hub, bundle);
            assert_eq!(ensure(&crab, text).await.unwrap(), first);
            assert_eq!(crab.find(&spec(text)).unwrap().unwrap(), first);
            assert_eq!(crab.installed().unwrap()[0].files, first.files);
        }
        assert_eq!(state(place.dir()), before);
        assert!(hub.seen().is_empty());
    });
}

#[test]
fn a_lost_registry_is_written_again_and_the_cache_is_left_alone() {
    test(async {
        let (hub, place, bundle) = (hub(), Place::new("bundled/no-registry"), bundle(1));
        ensure(&crab(&place, &hub, bundle), SPEC).await.unwrap();
        let before = state(&place.cache());
        fs::remove_dir_all(place.config()).unwrap();
        ensure(&crab(&place, &hub, bundle), SPEC).await.unwrap();
        assert!(place.registry().contains(SPEC), "{}", place.registry());
        assert_eq!(state(&place.cache()), before);
    });
}

#[test]
fn it_is_found_described_and_verified_offline_without_being_asked_for_before() {
    test(async {
        let (hub, bundle) = (hub(), bundle(1));
        for what in ["find", "details", "verify"] {
            let place = Place::new(&format!("bundled/offline-{what}"));
            let mut settings = place.settings(&hub.endpoint());
            settings.bundled = vec![bundle];
            settings.offline = true;
            let crab = Facecrab::new(settings);
            match what {
                "find" => assert_eq!(crab.find(&spec(SPEC)).unwrap().unwrap().size, SIZE),
                "details" => {
                    let details = crab.details(&spec(SPEC)).unwrap();
                    assert_eq!((details.spec.as_str(), details.size), (SPEC, SIZE));
                }
                _ => {
                    let verified = crab.verify(&spec(SPEC)).finish().await.unwrap();
                    assert_eq!(verified[0].matches, Some(true));
                    assert_eq!(verified[0].sha256, bundle.sha256());
                }
            }
            place.assert_sound();
            assert_eq!(place.blobs().len(), 1);
        }
        assert!(hub.seen().is_empty());
    });
}

#[test]
fn it_is_listed_though_it_was_not_used_and_once_when_it_was() {
    test(async {
        let (hub, place, bundle) = (hub(), Place::new("bundled/listed"), bundle(1));
        let crab = crab(&place, &hub, bundle);
        let listed = crab.installed().unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!((listed[0].spec.as_str(), listed[0].size), (SPEC, SIZE));
        assert_eq!(listed[0].source, "bundled");
        assert!(listed[0].files.is_empty() && listed[0].time.is_none());
        place.assert_empty();
        assert!(!place.cache().exists(), "looking writes nothing");
        let asset = ensure(&crab, "o/x").await.unwrap();
        let listed = crab.installed().unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].spec, SPEC);
        assert_eq!(listed[0].source, "bundled");
        assert_eq!(listed[0].files, asset.files);
        assert!(listed[0].time.is_some());
    });
}

#[test]
fn a_quant_is_matched_as_on_the_hub_and_registered_under_one_name() {
    test(async {
        let (hub, bundle) = (hub(), bundle(1));
        let place = Place::new("bundled/quant");
        let crab = crab(&place, &hub, bundle);
        for text in ["o/x", "o/x:Q8_0", "o/x:q8_0", "o/x:q8-0", "o/x:x-q8-0"] {
            assert_eq!(ensure(&crab, text).await.unwrap().size, SIZE, "{text}");
        }
        let registry = place.registry();
        assert_eq!(registry.matches("[models.").count(), 1, "{registry}");
        assert!(hub.seen().is_empty());
    });
}

#[test]
fn what_is_not_bundled_of_its_repository_is_refused_and_nobody_is_asked() {
    test(async {
        let (hub, bundle) = (hub(), bundle(1));
        for laid in [false, true] {
            let place = Place::new(&format!("bundled/refused-{laid}"));
            let crab = crab(&place, &hub, bundle);
            if laid {
                ensure(&crab, SPEC).await.unwrap();
            }
            let error = asset_error(ensure(&crab, "o/x:Q4_0").await);
            let AssetError::Ambiguous {
                none, candidates, ..
            } = error
            else {
                panic!("{error:?}");
            };
            assert!(none);
            assert_eq!(candidates, ["Q8_0"]);
            let main = "o/x:Q8_0@main".to_owned();
            let commit = format!("o/x@{}", &bundle.sha256()[..40]);
            for text in [main, commit] {
                let error = asset_error(ensure(&crab, &text).await);
                assert!(matches!(error, AssetError::NotFound { .. }), "{error:?}");
                let error = error.to_string();
                assert!(error.contains(&text), "{error}");
                assert!(error.contains("no revisions: o/x:Q8_0"), "{error}");
                assert!(crab.find(&spec(&text)).is_err());
            }
            assert_eq!(place.blobs().len(), usize::from(laid));
        }
        assert!(hub.seen().is_empty());
    });
}

#[test]
fn other_repositories_go_to_the_hub() {
    test(async {
        let (hub, place) = (hub(), Place::new("bundled/other"));
        hub.add("o/y", "y-Q8_0.gguf", &Content::gguf(5000, 3));
        let crab = crab(&place, &hub, bundle(1));
        assert_eq!(ensure(&crab, "o/y:Q8_0").await.unwrap().size, 5000);
        assert!(!hub.seen().is_empty());
    });
}

#[test]
fn the_bundle_of_a_newer_program_is_laid_beside_and_the_ref_moves() {
    test(async {
        let (hub, place) = (hub(), Place::new("bundled/newer"));
        let (old, new) = (bundle(1), bundle(2));
        let first = ensure(&crab(&place, &hub, old), SPEC).await.unwrap();
        let second = ensure(&crab(&place, &hub, new), SPEC).await.unwrap();
        assert_ne!(first.files, second.files);
        assert_eq!(main_ref(&place), new.sha256()[..40]);
        place.assert_sound();
        assert_eq!(place.blobs().len(), 2);
        let listed = crab(&place, &hub, new).installed().unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].files, second.files);
        let bytes = fs::read(&second.files[0]).unwrap();
        assert!(bytes == Content::gguf(SIZE, 2).to_vec());
        // The older program still has its own.
        let again = ensure(&crab(&place, &hub, old), SPEC).await.unwrap();
        assert_eq!(again, first);
        assert_eq!(main_ref(&place), old.sha256()[..40]);
        // No spec names what older programs left: it goes with the rest.
        let removed = crab(&place, &hub, new).remove(&spec(SPEC)).unwrap();
        assert_eq!((removed.links, removed.bytes), (2, 2 * SIZE));
        place.assert_empty();
    });
}

#[test]
fn a_program_without_the_bundle_uses_what_another_laid() {
    test(async {
        let (hub, place) = (hub(), Place::new("bundled/without"));
        let asset = ensure(&crab(&place, &hub, bundle(1)), SPEC).await.unwrap();
        assert_eq!(place.ensure(&hub, SPEC).await.unwrap(), asset);
        assert_eq!(place.ensure(&hub, "o/x").await.unwrap(), asset);
        assert!(hub.seen().is_empty());
    });
}

#[test]
fn a_file_that_was_cut_or_lost_is_laid_again() {
    test(async {
        let (hub, place, bundle) = (hub(), Place::new("bundled/cut"), bundle(1));
        let crab = crab(&place, &hub, bundle);
        let asset = ensure(&crab, SPEC).await.unwrap();
        let (blob, link) = (blob(&place, bundle), &asset.files[0]);
        let cut = || fs::write(&blob, b"GGUF").unwrap();
        let no_blob = || fs::remove_file(&blob).unwrap();
        let no_link = || fs::remove_file(link).unwrap();
        let no_ref = || fs::remove_dir_all(repo_folder(&place).join("refs")).unwrap();
        let no_repo = || fs::remove_dir_all(repo_folder(&place)).unwrap();
        let damages: [&dyn Fn(); 5] = [&cut, &no_blob, &no_link, &no_ref, &no_repo];
        for damage in damages {
            damage();
            assert_eq!(ensure(&crab, SPEC).await.unwrap(), asset);
            place.assert_sound();
            assert_eq!(main_ref(&place), bundle.sha256()[..40]);
            assert!(place.parts().is_empty(), "{:?}", place.parts());
        }
        assert!(hub.seen().is_empty());
    });
}

#[test]
fn a_file_with_other_bytes_is_found_by_verifying_and_repaired_by_removing() {
    test(async {
        let (hub, place, bundle) = (hub(), Place::new("bundled/verify"), bundle(1));
        let crab = crab(&place, &hub, bundle);
        let asset = ensure(&crab, SPEC).await.unwrap();
        let mut bytes = fs::read(&asset.files[0]).unwrap();
        bytes[30_000] ^= 1;
        fs::write(blob(&place, bundle), bytes).unwrap();
        for text in [SPEC, "o/x"] {
            let verified = crab.verify(&spec(text)).finish().await.unwrap();
            assert_eq!(verified[0].matches, Some(false), "{text}");
        }
        crab.remove(&spec("o/x")).unwrap();
        assert_eq!(ensure(&crab, SPEC).await.unwrap(), asset);
        let verified = crab.verify(&spec(SPEC)).finish().await.unwrap();
        assert_eq!(verified[0].matches, Some(true));
        place.assert_sound();
    });
}

#[test]
fn what_was_removed_is_laid_again_at_its_next_use() {
    test(async {
        let (hub, place, bundle) = (hub(), Place::new("bundled/remove"), bundle(1));
        let crab = crab(&place, &hub, bundle);
        let never = crab.remove(&spec(SPEC)).unwrap_err().to_string();
        assert!(never.contains("was not found"), "{never}");
        let asset = ensure(&crab, SPEC).await.unwrap();
        let removed = crab.remove(&spec("o/x:q8-0")).unwrap();
        assert_eq!((removed.links, removed.bytes), (1, SIZE));
        place.assert_empty();
        assert!(!repo_folder(&place).exists());
        assert!(!place.registry().contains(SPEC), "{}", place.registry());
        assert!(crab.remove(&spec(SPEC)).is_err());
        assert_eq!(ensure(&crab, SPEC).await.unwrap(), asset);
        place.assert_sound();
    });
}

#[test]
fn a_cache_that_cannot_be_written_is_named() {
    test(async {
        let (hub, place, bundle) = (hub(), Place::new("bundled/unwritable"), bundle(1));
        fs::write(place.cache(), "in the way").unwrap();
        let crab = crab(&place, &hub, bundle);
        let error = asset_error(ensure(&crab, SPEC).await);
        assert!(matches!(error, AssetError::Io { .. }), "{error:?}");
        let named = place.cache().display().to_string();
        assert!(error.to_string().contains(&named), "{error}");
        fs::remove_file(place.cache()).unwrap();
        ensure(&crab, SPEC).await.unwrap();
    });
}

#[cfg(unix)]
#[test]
fn a_read_only_cache_is_used_where_the_model_is_in_it_and_named_where_it_is_not() {
    use std::os::unix::fs::PermissionsExt;
    test(async {
        let (hub, place) = (hub(), Place::new("bundled/read-only"));
        let (bundle, other) = (bundle(1), bundle(2));
        let asset = ensure(&crab(&place, &hub, bundle), SPEC).await.unwrap();
        let protect = |mode| {
            let folder = repo_folder(&place);
            let locks = place.cache().join(".locks/models--o--x");
            let inside = ["blobs", "refs", "snapshots"].map(|name| folder.join(name));
            for folder in inside.iter().chain([&locks, &folder]) {
                fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
            }
        };
        protect(0o555);
        let probe = repo_folder(&place).join("blobs/probe");
        // Root writes anyway.
        let privileged = fs::write(&probe, "").is_ok();
        let _ = fs::remove_file(&probe);
        let here = ensure(&crab(&place, &hub, bundle), SPEC).await;
        let outcome = match privileged {
            true => None,
            false => Some(ensure(&crab(&place, &hub, other), SPEC).await),
        };
        protect(0o755);
        assert_eq!(here.unwrap(), asset);
        if let Some(outcome) = outcome {
            let error = asset_error(outcome);
            assert!(matches!(error, AssetError::Io { .. }), "{error:?}");
            assert!(error.to_string().contains("denied"), "{error}");
            assert!(error.to_string().contains(other.sha256()), "{error}");
        }
        place.assert_sound();
        assert_eq!(place.blobs().len(), 1);
    });
}

#[test]
fn a_registry_that_cannot_be_written_is_a_warning_and_the_model_is_there() {
    test(async {
        let (hub, place, bundle) = (hub(), Place::new("bundled/config"), bundle(1));
        fs::write(place.config(), "in the way").unwrap();
        let crab = crab(&place, &hub, bundle);
        let (events, outcome) = watch(crab.ensure_model(&spec(SPEC))).await;
        assert_eq!(outcome.unwrap().size, SIZE);
        let named = place.config().display().to_string();
        let told =
            |e: &AssetEvent| matches!(e, AssetEvent::Warning { text } if text.contains(&named));
        assert!(events.iter().any(told), "{events:?}");
    });
}

#[test]
fn what_is_no_model_is_refused_and_not_linked() {
    test(async {
        let (hub, place) = (hub(), Place::new("bundled/no-model"));
        let wrong = bundled(REPO, FILE, &Content::bytes("not a model"));
        let error = asset_error(ensure(&crab(&place, &hub, wrong), SPEC).await);
        assert!(matches!(error, AssetError::Invalid { .. }), "{error:?}");
        assert!(place.snapshot_files().is_empty());
    });
}

#[test]
fn many_threads_and_processes_at_once_leave_one_right_file() {
    test(async {
        let (hub, place, bundle) = (hub(), Place::new("bundled/at-once"), bundle(1));
        let processes: Vec<Other> = (0..4)
            .map(|_| {
                let command = child::bundling(child::this_program(), SIZE);
                Other::start_as(command, &place, &hub, SPEC)
            })
            .collect();
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let crab = crab(&place, &hub, bundle);
                async_std::task::spawn(async move { ensure(&crab, SPEC).await.unwrap() })
            })
            .collect();
        let mut assets = Vec::new();
        for thread in threads {
            assets.push(thread.await);
        }
        assert!(assets.iter().all(|asset| *asset == assets[0]));
        let done = format!("done {}", assets[0].files[0].display());
        for process in processes {
            let said = process.rest();
            assert!(said.contains(&done), "{said:?}");
            let silent = |line: &String| !line.starts_with("bytes") && line != "queued";
            assert!(said.iter().all(silent), "{said:?}");
        }
        place.assert_sound();
        assert_eq!(place.blobs(), [blob(&place, bundle)]);
        assert!(place.parts().is_empty(), "{:?}", place.parts());
        let registry = place.registry();
        assert_eq!(registry.matches("[models.").count(), 1, "{registry}");
        assert!(hub.seen().is_empty());
    });
}

#[test]
fn one_who_uses_it_while_another_removes_it_has_it_or_lays_it_again() {
    test(async {
        let (hub, place, bundle) = (hub(), Place::new("bundled/removed-meanwhile"), bundle(1));
        let remover = crab(&place, &hub, bundle);
        let removing = async_std::task::spawn_blocking(move || {
            for _ in 0..20 {
                // It may not be there just now.
                let _ = remover.remove(&spec(SPEC));
            }
        });
        let user = crab(&place, &hub, bundle);
        for _ in 0..20 {
            ensure(&user, SPEC).await.unwrap();
        }
        removing.await;
        ensure(&user, SPEC).await.unwrap();
        place.assert_sound();
        assert_eq!(place.blobs().len(), 1);
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_without_room_says_so() {
    let place = Place::new("bundled/disk");
    if !child::can_mount(&place) {
        return;
    }
    let hub = hub();
    let command = child::bundling(child::this_program_on_a_disk(1), 2 << 20);
    let said = Other::start_as(command, &place, &hub, SPEC).rest();
    assert!(said.contains(&"visible 0 0".to_owned()), "{said:?}");
    let error = said.iter().find_map(|line| line.strip_prefix("failed "));
    let error = error.unwrap();
    assert!(error.contains("has no room: 2097152 bytes"), "{error}");
    assert!(hub.seen().is_empty());
}
