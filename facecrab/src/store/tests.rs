use super::*;

const REPO: &str = "org/repo";
const SHA: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn store(test: &str) -> Store {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../target/tmp/facecrab-store")
        .join(test);
    let _ = fs::remove_dir_all(&root);
    Store::new(root.join("hub"))
}

fn blob(store: &Store, etag: &str, content: &str) -> PathBuf {
    let path = store.blob_path(REPO, etag).unwrap();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, content).unwrap();
    path
}

/// One file at one commit that `main` means, as other tools leave it.
fn usual(test: &str) -> Store {
    let store = store(test);
    blob(&store, SHA, "GGUF");
    store.link(REPO, "c1", "x.gguf", SHA).unwrap();
    store.write_ref(REPO, "main", "c1").unwrap();
    store
}

fn names_of(snapshot: &Snapshot) -> Vec<&str> {
    snapshot
        .files
        .iter()
        .map(|file| file.name.as_str())
        .collect()
}

fn reasons(store: &Store) -> String {
    let found = store.find(REPO, None).unwrap();
    let refused = found.iter().flat_map(|found| &found.refused);
    refused.map(|e| format!("{e}\n")).collect()
}

#[cfg(unix)]
#[test]
fn the_layout_is_that_of_other_tools() {
    let store = usual("layout");
    store.link(REPO, "c1", "Q8_0/deep/y.gguf", SHA).unwrap();
    store.write_ref(REPO, "refs/pr/1", "c2").unwrap();
    store.write_ref(REPO, "c1", "c1").unwrap();
    let folder = store.root.join("models--org--repo");
    let link = |name: &str| fs::read_link(folder.join("snapshots/c1").join(name)).unwrap();
    let target = |up: &str| PathBuf::from(format!("{up}blobs/{SHA}"));
    assert_eq!(link("x.gguf"), target("../../"));
    assert_eq!(link("Q8_0/deep/y.gguf"), target("../../../../"));
    assert_eq!(
        fs::read(folder.join("snapshots/c1/Q8_0/deep/y.gguf")).unwrap(),
        b"GGUF"
    );
    assert_eq!(fs::read_to_string(folder.join("refs/main")).unwrap(), "c1");
    assert_eq!(
        fs::read_to_string(folder.join("refs/refs/pr/1")).unwrap(),
        "c2"
    );
    assert_eq!(fs::read_dir(folder.join("blobs")).unwrap().count(), 1);
    assert_eq!(fs::read_dir(folder.join("refs")).unwrap().count(), 2);
}

#[test]
fn what_was_linked_is_found_with_its_size_and_digest() {
    let store = usual("found");
    store.link(REPO, "c1", "Q8_0/y.gguf", SHA).unwrap();
    store.link(REPO, "c1", "README.md", SHA).unwrap();
    let found = store.find(REPO, None).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(names_of(&found[0]), ["Q8_0/y.gguf", "x.gguf"]);
    assert_eq!(
        (found[0].repo.as_str(), found[0].commit.as_str()),
        (REPO, "c1")
    );
    let file = &found[0].files[1];
    assert_eq!((file.size, file.etag.as_deref()), (4, Some(SHA)));
    assert_eq!(fs::read(&file.path).unwrap(), b"GGUF");
    assert_eq!(store.installed().unwrap(), found);
}

#[test]
fn a_revision_is_a_branch_or_a_commit() {
    let store = usual("revision");
    store.link(REPO, "c2", "x.gguf", SHA).unwrap();
    store.write_ref(REPO, "refs/pr/1", "c2").unwrap();
    let commits = |revision: Option<&str>| -> Vec<String> {
        let found = store.find(REPO, revision).unwrap();
        found.into_iter().map(|found| found.commit).collect()
    };
    assert_eq!(commits(Some("main")), ["c1"]);
    assert_eq!(commits(Some("c2")), ["c2"]);
    assert_eq!(commits(Some("refs/pr/1")), ["c2"]);
    assert_eq!(commits(None), ["c1", "c2"]);
    for none in ["c3", "refs", "refs/pr", "../c1"] {
        assert_eq!(commits(Some(none)), [""; 0], "{none}");
    }
    assert_eq!(store.find("org/other", None).unwrap(), []);
    assert_eq!(Store::new("no/such/cache").installed().unwrap(), []);
}

#[test]
fn a_ref_that_walks_leads_nowhere() {
    let store = usual("walking-ref");
    let main = store.repo_folder(REPO).unwrap().join("refs/main");
    for content in ["../../..", "", "c1/..", "a\nb", &"c".repeat(2000)] {
        fs::write(&main, content).unwrap();
        assert!(store.read_ref(REPO, "main").is_err(), "{content:?}");
        assert_eq!(store.find(REPO, Some("main")).unwrap(), []);
    }
    // The file is found all the same, and the next write mends the ref.
    assert_eq!(store.find(REPO, None).unwrap().len(), 1);
    store.write_ref(REPO, "main", "c1").unwrap();
    assert_eq!(store.read_ref(REPO, "main").unwrap().as_deref(), Some("c1"));
    fs::write(&main, "c1\n").unwrap();
    assert_eq!(store.read_ref(REPO, "main").unwrap().as_deref(), Some("c1"));
}

#[test]
fn nothing_that_walks_is_taken_for_a_name() {
    let store = usual("names");
    for bad in ["..", "../x", "/x", "a\\b", "", ".", "x\n"] {
        assert!(store.blob_path(REPO, bad).is_err(), "{bad:?}");
        assert!(store.lock_file(REPO, bad).is_err(), "{bad:?}");
        assert!(store.link(REPO, bad, "x.gguf", SHA).is_err(), "{bad:?}");
        assert!(store.link(REPO, "c1", bad, SHA).is_err(), "{bad:?}");
        assert!(store.link(REPO, "c1", "x.gguf", bad).is_err(), "{bad:?}");
        assert!(store.link(bad, "c1", "x.gguf", SHA).is_err(), "{bad:?}");
        assert!(store.write_ref(REPO, bad, "c1").is_err(), "{bad:?}");
        assert!(store.write_ref(REPO, "main", bad).is_err(), "{bad:?}");
        assert!(store.remove(REPO, bad, &[]).is_err(), "{bad:?}");
        assert!(store.remove(REPO, "c1", &[bad]).is_err(), "{bad:?}");
    }
    assert!(store.link(REPO, "c1", "x.gguf", "absent").is_err());
}

#[cfg(unix)]
mod links {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_link_out_of_the_repository_is_refused() {
        let store = usual("outside");
        let outside = store.root.join("../outside.gguf");
        fs::write(&outside, "GGUF").unwrap();
        fs::create_dir_all(store.root.join("models--a--b")).unwrap();
        fs::write(store.root.join("models--a--b/y.gguf"), "GGUF").unwrap();
        let snapshot = store.repo_folder(REPO).unwrap().join("snapshots/c1");
        symlink("../../../../outside.gguf", snapshot.join("rel.gguf")).unwrap();
        symlink(
            fs::canonicalize(&outside).unwrap(),
            snapshot.join("abs.gguf"),
        )
        .unwrap();
        symlink("../../../models--a--b/y.gguf", snapshot.join("other.gguf")).unwrap();
        symlink("../../blobs/absent", snapshot.join("broken.gguf")).unwrap();
        symlink("loop.gguf", snapshot.join("loop.gguf")).unwrap();
        symlink(".", snapshot.join("round")).unwrap();
        symlink("/", snapshot.join("folder.gguf")).unwrap();
        let found = store.find(REPO, None).unwrap();
        assert_eq!(names_of(&found[0]), ["x.gguf"]);
        assert_eq!(found[0].refused.len(), 6);
        let reasons = reasons(&store);
        assert_eq!(
            reasons.matches("outside its repository").count(),
            4,
            "{reasons}"
        );
        assert_eq!(reasons.matches("links to nothing").count(), 2, "{reasons}");
    }

    #[test]
    fn a_folder_that_is_a_link_is_neither_read_nor_written_nor_emptied() {
        let store = usual("folders");
        let outside = store.root.join("../elsewhere");
        fs::create_dir_all(outside.join("snapshots/c1")).unwrap();
        fs::write(outside.join("snapshots/c1/x.gguf"), "GGUF").unwrap();
        symlink("../elsewhere", store.root.join("models--org--away")).unwrap();
        let found = store.find("org/away", Some("c1")).unwrap();
        assert_eq!((found[0].files.len(), found[0].refused.len()), (0, 1));
        assert!(store.write_ref("org/away", "main", "c1").is_err());
        assert!(store.remove("org/away", "c1", &["x.gguf"]).is_err());
        assert!(outside.join("snapshots/c1/x.gguf").exists());

        let snapshots = store.repo_folder(REPO).unwrap().join("snapshots");
        symlink("../../../elsewhere", snapshots.join("c2")).unwrap();
        assert!(store.link(REPO, "c2", "new.gguf", SHA).is_err());
        assert!(store.link(REPO, "c2", "a/new.gguf", SHA).is_err());
        assert!(!outside.join("a").exists());

        assert!(store.blob_path("org/away", SHA).is_err());
        symlink(
            "../../../elsewhere/snapshots/c1/x.gguf",
            store.blob_path(REPO, "out").unwrap(),
        )
        .unwrap();
        assert!(store.link(REPO, "c1", "y.gguf", "out").is_err());
    }

    #[test]
    fn the_cache_itself_may_be_behind_a_link() {
        let real = usual("behind");
        let link = real.root.join("../link");
        symlink("hub", &link).unwrap();
        let store = Store::new(link);
        assert_eq!(store.installed().unwrap()[0].files.len(), 1);
        store.link(REPO, "c2", "x.gguf", SHA).unwrap();
        assert_eq!(real.find(REPO, Some("c2")).unwrap()[0].files.len(), 1);
    }

    #[test]
    fn a_blob_shared_by_all_repositories_is_read_and_left_alone() {
        let store = store("shared");
        let shared = store.root.join("blobs/ab/abab");
        fs::create_dir_all(shared.parent().unwrap()).unwrap();
        fs::write(&shared, "GGUF").unwrap();
        let blobs = store.repo_folder(REPO).unwrap().join("blobs");
        fs::create_dir_all(&blobs).unwrap();
        symlink("../../blobs/ab/abab", blobs.join(SHA)).unwrap();
        store.link(REPO, "c1", "x.gguf", SHA).unwrap();
        let file = &store.find(REPO, None).unwrap()[0].files[0];
        assert_eq!((file.size, file.etag.as_deref()), (4, Some(SHA)));
        let removed = store.remove(REPO, "c1", &["x.gguf"]).unwrap();
        assert_eq!(removed, Removed { links: 1, bytes: 0 });
        assert!(shared.exists() && !blobs.exists());
    }

    #[test]
    fn a_fifo_and_a_folder_are_no_files_and_nobody_waits_for_them() {
        let store = usual("fifo");
        let folder = store.repo_folder(REPO).unwrap();
        let fifo = |path: &Path| {
            let made = std::process::Command::new("mkfifo").arg(path).status();
            assert!(made.unwrap().success());
        };
        fifo(&folder.join("snapshots/c1/fifo.gguf"));
        fifo(&folder.join("blobs/fifo"));
        symlink("../../blobs/fifo", folder.join("snapshots/c1/link.gguf")).unwrap();
        fs::create_dir(folder.join("snapshots/c1/dir.gguf")).unwrap();
        let found = store.find(REPO, None).unwrap();
        assert_eq!(names_of(&found[0]), ["x.gguf"]);
        assert_eq!(reasons(&store).matches("not a regular file").count(), 2);
        assert!(store.link(REPO, "c1", "y.gguf", "fifo").is_err());
        fs::remove_file(folder.join("refs/main")).unwrap();
        fifo(&folder.join("refs/main"));
        assert!(store.read_ref(REPO, "main").is_err());
    }
}

#[test]
fn where_there_are_no_symlinks_a_hard_link_or_a_copy_serves() {
    for (test, way) in [("hard", Way::HardLink), ("copy", Way::Copy)] {
        let store = store(test);
        let blob = blob(&store, SHA, "GGUF");
        let link = |commit| store.link_by(&[way], REPO, commit, "x.gguf", SHA).unwrap();
        link("c1");
        let path = link("c1");
        assert!(!path.is_symlink());
        assert_eq!(fs::read(&path).unwrap(), b"GGUF");
        assert_eq!(fs::read_dir(blob.parent().unwrap()).unwrap().count(), 1);
        let file = &store.find(REPO, None).unwrap()[0].files[0];
        assert_eq!((file.size, file.etag.as_deref()), (4, None));
        let removed = store.remove(REPO, "c1", &["x.gguf"]).unwrap();
        assert_eq!(removed, Removed { links: 1, bytes: 4 });
        assert!(!blob.exists());
    }
}

#[test]
fn linking_again_changes_what_the_file_is_at_once() {
    let store = usual("again");
    blob(&store, "other", "GGUF, another");
    let path = store.link(REPO, "c1", "x.gguf", "other").unwrap();
    assert_eq!(fs::read(path).unwrap(), b"GGUF, another");
    assert_eq!(
        store.find(REPO, None).unwrap()[0].files[0].etag.as_deref(),
        Some("other")
    );
}

#[test]
fn removing_keeps_what_another_snapshot_needs() {
    let store = usual("remove");
    let blob = store.blob_path(REPO, SHA).unwrap();
    store.link(REPO, "c2", "a/x.gguf", SHA).unwrap();
    let gone = store
        .remove(REPO, "c1", &["x.gguf", "absent.gguf"])
        .unwrap();
    assert_eq!(gone, Removed { links: 1, bytes: 0 });
    assert!(blob.exists());
    let folder = store.repo_folder(REPO).unwrap();
    assert!(!folder.join("snapshots/c1").exists());
    assert_eq!(store.read_ref(REPO, "main").unwrap(), None);
    let gone = store.remove(REPO, "c2", &["a/x.gguf"]).unwrap();
    assert_eq!(gone, Removed { links: 1, bytes: 4 });
    assert!(!folder.exists());
    assert_eq!(store.installed().unwrap(), []);
}

#[test]
fn a_blob_somebody_fetches_is_not_removed() {
    let store = usual("locked");
    let lock = store.lock_file(REPO, SHA).unwrap();
    lock.lock().unwrap();
    let gone = store.remove(REPO, "c1", &["x.gguf"]).unwrap();
    assert_eq!(gone, Removed { links: 1, bytes: 0 });
    assert!(store.blob_path(REPO, SHA).unwrap().exists());
}

#[test]
fn a_partial_download_survives_the_removal_of_others() {
    let store = usual("partial");
    let part = blob(&store, "other.incomplete", "GG");
    store.remove(REPO, "c1", &["x.gguf"]).unwrap();
    assert!(part.exists());
}

#[test]
fn a_url_is_kept_like_any_model() {
    for (url, name) in [
        ("https://h.example/m/x.gguf", "x.gguf"),
        ("https://h.example/m/x.GGUF?download=true", "x.GGUF"),
        ("https://h.example/m/x%2fy.gguf", ""),
        ("https://h.example/m/..gguf", ""),
        ("https://h.example/m/x.bin", ""),
    ] {
        let expected = match name {
            "" => format!("{SHA}.gguf"),
            name => name.to_owned(),
        };
        assert_eq!(url_file_name(url, SHA), expected, "{url}");
    }
    let store = store("url");
    let blob = store.blob_path(URLS, SHA).unwrap();
    fs::create_dir_all(blob.parent().unwrap()).unwrap();
    fs::write(&blob, "GGUF").unwrap();
    store.link(URLS, SHA, "x.gguf", SHA).unwrap();
    assert_eq!(store.find(URLS, Some(SHA)).unwrap()[0].files.len(), 1);
    assert_eq!(store.installed().unwrap()[0].repo, URLS);
}
