//! One cache with Hugging Face's own client: what one fetched the other uses.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use support::python::{python, run};
use support::{At, Content, Fault, Hub, Origin, Place, bundled, spec, test};

const REPO: &str = "o/m-GGUF";
const FILE: &str = "m-q4_k_m.gguf";
const SPEC: &str = "o/m-GGUF:Q4_K_M";
const SIZE: u64 = 1 << 20;
const DOWNLOAD: &str =
    "from huggingface_hub import hf_hub_download as get\nprint(get('o/m-GGUF', 'm-q4_k_m.gguf'))";

fn hub() -> (Hub, Content) {
    let hub = Hub::start();
    let content = Content::gguf(SIZE, 9);
    hub.add(REPO, FILE, &content);
    (hub, content)
}

#[test]
fn what_python_fetched_is_used_without_any_request() {
    let Some(python) = python() else { return };
    test(async {
        let (hub, content) = hub();
        let place = Place::new("interop/python-first");
        let theirs = run(&python, &hub, &place, DOWNLOAD);
        hub.forget();
        let asset = place.ensure(&hub, SPEC).await.unwrap();
        assert!(hub.seen().is_empty(), "no request at all");
        assert_eq!(asset.files, [std::path::PathBuf::from(&theirs)]);
        assert!(fs::read(theirs).unwrap() == content.to_vec());
        place.assert_sound();
        assert!(place.registry().contains(SPEC), "{}", place.registry());
    });
}

#[test]
fn what_facecrab_fetched_python_uses_without_asking_for_its_bytes() {
    let Some(python) = python() else { return };
    test(async {
        let (hub, _) = hub();
        let place = Place::new("interop/facecrab-first");
        let asset = place.ensure(&hub, SPEC).await.unwrap();
        hub.forget();
        let theirs = run(&python, &hub, &place, DOWNLOAD);
        assert!(hub.at(Origin::Cdn).is_empty());
        assert_eq!(asset.files, [std::path::PathBuf::from(theirs)]);
        // With the ref on disk it needs no hub either.
        hub.forget();
        let code = DOWNLOAD.replace("gguf')", "gguf', local_files_only=True)");
        run(&python, &hub, &place, &code);
        assert!(hub.seen().is_empty());
        place.assert_sound();
    });
}

#[test]
fn python_lists_what_facecrab_fetched_and_finds_nothing_wrong_with_the_cache() {
    let Some(python) = python() else { return };
    test(async {
        let (hub, _) = hub();
        let place = Place::new("interop/scan");
        place.ensure(&hub, SPEC).await.unwrap();
        let code = "from huggingface_hub import scan_cache_dir\n\
             info = scan_cache_dir()\n\
             print([str(w) for w in info.warnings])\n\
             for repo in info.repos:\n\
             \tfor rev in repo.revisions:\n\
             \t\tfor file in rev.files:\n\
             \t\t\tprint(repo.repo_id, sorted(rev.refs), file.file_name, file.size_on_disk)";
        let said = run(&python, &hub, &place, code);
        assert_eq!(said, format!("[]\no/m-GGUF ['main'] {FILE} {SIZE}"));
    });
}

#[test]
fn python_uses_a_bundled_model_without_asking_anybody() {
    let Some(python) = python() else { return };
    test(async {
        let (hub, content) = hub();
        let place = Place::new("interop/bundled");
        let mut settings = place.settings(&hub.endpoint());
        settings.bundled = vec![bundled(REPO, FILE, &content)];
        let crab = facecrab::Facecrab::new(settings);
        let asset = crab.ensure_model(&spec(SPEC)).finish().await.unwrap();
        let code = DOWNLOAD.replace("gguf')", "gguf', local_files_only=True)")
            + "\nfrom huggingface_hub import scan_cache_dir\n\
               info = scan_cache_dir()\n\
               print([str(w) for w in info.warnings])\n\
               print([sorted(rev.refs) for repo in info.repos for rev in repo.revisions])";
        let said = run(&python, &hub, &place, &code);
        assert_eq!(
            said,
            format!("{}\n[]\n[['main']]", asset.files[0].display())
        );
        assert!(hub.seen().is_empty());
    });
}

#[test]
fn a_cache_that_python_left_half_done_becomes_whole() {
    let Some(python) = python() else { return };
    test(async {
        let (hub, content) = hub();
        let place = Place::new("interop/half");
        hub.always(At::Cdn, FILE, Fault::Cut(SIZE / 2));
        let code = format!(
            "try:\n\tfrom huggingface_hub import hf_hub_download as get\n\tget('{REPO}', '{FILE}')\nexcept Exception as e:\n\tprint(type(e).__name__)"
        );
        run(&python, &hub, &place, &code);
        hub.heal();
        let asset = place.ensure(&hub, SPEC).await.unwrap();
        assert!(fs::read(&asset.files[0]).unwrap() == content.to_vec());
        place.assert_sound();
    });
}

#[test]
fn python_and_facecrab_at_once_leave_one_right_file() {
    let Some(python) = python() else { return };
    test(async {
        let (hub, content) = hub();
        hub.pace(1 << 20);
        let place = Place::new("interop/at-once");
        let mut theirs = support::python::command(&python, &hub, &place, DOWNLOAD)
            .spawn()
            .unwrap();
        hub.wait("python's download", |s| {
            s.origin == Origin::Cdn && s.sent() > 0
        });
        let mut settings = place.settings(&hub.endpoint());
        settings.stall = support::PATIENCE;
        let crab = facecrab::Facecrab::new(settings);
        let asset = crab.ensure_model(&spec(SPEC)).finish().await.unwrap();
        assert!(theirs.wait().unwrap().success());
        assert!(fs::read(&asset.files[0]).unwrap() == content.to_vec());
        place.assert_sound();
        assert_eq!(hub.bytes_sent(), SIZE, "the one waited for the other");
    });
}
