//! Downloads from a small server; the whole matrix of misbehaving ones is in the crate's
//! integration tests.

pub(crate) mod server;

use super::*;
use async_io::block_on;
use server::{Reply, range, serve};
use std::path::PathBuf;
use std::time::Instant;

/// An empty folder of this test's own.
pub(super) fn folder(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../target/tmp/facecrab-download")
        .join(test);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A file of the hub.
pub(super) fn remote(size: u64) -> Remote {
    Remote {
        url: "http://127.0.0.1:9/o/r/resolve/c/m.gguf".to_owned(),
        name: "m.gguf".to_owned(),
        size: Some(size),
        etag: Some("a".repeat(64)),
        sha256: Some("a".repeat(64)),
        repo: Some("o/r".to_owned()),
    }
}

/// Bytes that differ everywhere.
fn content(len: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(7);
    std::iter::repeat_with(|| random.u8(..)).take(len).collect()
}

struct Case {
    settings: Settings,
    remote: Remote,
    dest: PathBuf,
}

impl Case {
    fn new(test: &str, url: &str, file: &[u8]) -> Self {
        Self {
            settings: Settings {
                endpoint: url.to_owned(),
                retries: 3,
                backoff: Duration::from_millis(5),
                stall: Duration::from_millis(500),
                ..Settings::new("c", "d")
            },
            remote: Remote {
                url: format!("{url}/o/r/resolve/c/m.gguf"),
                etag: None,
                sha256: Some(hex(&Sha256::digest(file))),
                ..remote(file.len() as u64)
            },
            dest: folder(test).join("m.gguf"),
        }
    }

    async fn fetch(&self) -> anyhow::Result<Fetched> {
        let transport = Transport::new(&self.settings)?;
        let mut last = 0;
        let mut check = |progress| {
            if let Progress::Bytes { done, total } = progress {
                last = done;
                assert!(total.is_none_or(|total| done <= total));
            }
        };
        let fetched = fetch(
            &transport,
            &self.settings,
            &self.remote,
            &self.dest,
            &mut check,
        )
        .await?;
        assert_eq!(last, fetched.size);
        Ok(fetched)
    }

    fn run(&self) -> Result<Fetched, AssetError> {
        block_on(self.fetch()).map_err(|e| e.downcast().unwrap())
    }

    /// The file is there, and nothing else but its lock.
    #[track_caller]
    fn is_whole(&self, file: &[u8]) {
        assert!(fs::read(&self.dest).unwrap() == file);
        assert_eq!(self.beside(), ["m.gguf", "m.gguf.lock"]);
    }

    fn beside(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dest.parent().unwrap()).unwrap();
        let mut names: Vec<String> = entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

#[test]
fn a_file_comes_whole() {
    for len in [0, 1, 1000, 3 << 20] {
        let file = content(len);
        let served = file.clone();
        let server = serve(move |_, head| Reply::file(head, &served));
        let case = Case::new("whole", &server.url, &file);
        let fetched = case.run().unwrap();
        assert_eq!(fetched.size, len as u64);
        assert_eq!(Some(&fetched.sha256), case.remote.sha256.as_ref());
        drop(fetched);
        case.is_whole(&file);
        assert_eq!(server.requests().len(), usize::from(len > 0));
        // It is there now: nothing is asked.
        case.run().unwrap();
        assert_eq!(server.requests().len(), usize::from(len > 0));
    }
}

#[test]
fn what_a_kill_leaves_beside_a_whole_file_goes_with_the_next_fetch() {
    let file = content(1000);
    let case = Case::new("left", "http://127.0.0.1:9", &file);
    let paths = Paths::new(&case.dest);
    // As it is between the file's new name and the removal of its record.
    drop(Partial::open(paths.clone(), &case.remote, 1000).unwrap());
    fs::write(&paths.data, &file).unwrap();
    fs::rename(&paths.data, &paths.dest).unwrap();
    assert_eq!(case.beside(), ["m.gguf", "m.gguf.facecrab.incomplete.json"]);
    case.run().unwrap();
    case.is_whole(&file);
}

#[test]
fn a_broken_connection_is_continued_where_it_broke() {
    let file = content(1 << 20);
    let served = file.clone();
    let server = serve(move |n, head| match n {
        0..4 => Reply::file(head, &served).breaks(200_000),
        _ => Reply::file(head, &served),
    });
    let case = Case::new("broken", &server.url, &file);
    case.run().unwrap();
    case.is_whole(&file);
    let requests = server.requests();
    let starts: Vec<_> = requests.iter().map(|r| range(r).map(|r| r.0)).collect();
    assert_eq!(
        starts,
        [
            None,
            Some(200_000),
            Some(400_000),
            Some(600_000),
            Some(800_000)
        ]
    );
    assert!(requests[1].contains("if-range: \"tag\""));
}

#[test]
fn tries_that_bring_nothing_are_counted_and_what_came_is_kept() {
    let file = content(1 << 20);
    let served = file.clone();
    let server = serve(move |n, head| match n {
        0 => Reply::file(head, &served).breaks(600_000),
        1..4 => Reply::status(503, b""),
        _ => Reply::file(head, &served),
    });
    let case = Case::new("fruitless", &server.url, &file);
    let error = case.run().unwrap_err();
    assert!(
        matches!(&error, AssetError::Network { reason, .. } if reason.contains("503")),
        "{error}"
    );
    assert!(!case.dest.exists());
    case.run().unwrap();
    case.is_whole(&file);
    assert_eq!(
        range(server.requests().last().unwrap()),
        Some((600_000, file.len() - 1))
    );
}

#[test]
fn a_dropped_download_keeps_what_it_has() {
    let file = content(1 << 20);
    let served = file.clone();
    let server = serve(move |n, head| match n {
        0 => Reply::file(head, &served).drip(100_000, Duration::from_millis(50)),
        _ => Reply::file(head, &served),
    });
    let case = Case::new("cancelled", &server.url, &file);
    block_on(async {
        let fetch = std::pin::pin!(case.fetch());
        let timer = Timer::after(Duration::from_millis(250));
        assert!(matches!(
            futures::future::select(fetch, timer).await,
            futures::future::Either::Right(_)
        ));
    });
    case.run().unwrap();
    case.is_whole(&file);
    assert!(range(&server.requests()[1]).unwrap().0 >= 100_000);
}

#[test]
fn a_file_that_is_not_what_was_announced_is_never_seen() {
    let mut file = content(100_000);
    let mut case = Case::new("corrupt", "", &file);
    file[50_000] ^= 1;
    let server = serve(move |_, head| Reply::file(head, &file));
    case.remote.url.clone_from(&server.url);
    case.settings.endpoint.clone_from(&server.url);
    let error = case.run().unwrap_err();
    assert!(
        matches!(&error, AssetError::Corrupt { reason, .. } if reason.contains("sha256")),
        "{error}"
    );
    assert_eq!(case.beside(), ["m.gguf.lock"]);
}

#[test]
fn a_wrong_prefix_of_another_tool_costs_one_more_fetch() {
    let file = content(100_000);
    let served = file.clone();
    let server = serve(move |_, head| Reply::file(head, &served));
    for (test, prefix, requests) in [("prefix", &file[..60_000], 1), ("wrong", &[0; 60_000], 3)] {
        let case = Case::new(test, &server.url, &file);
        fs::write(case.dest.with_file_name("m.gguf.incomplete"), prefix).unwrap();
        case.run().unwrap();
        case.is_whole(&file);
        assert_eq!(server.requests().len(), requests);
    }
}

#[test]
fn a_server_without_ranges_starts_over_and_not_for_ever() {
    let file = content(1 << 20);
    for (breaks, good) in [(3, true), (999, false)] {
        let served = file.clone();
        let server = serve(move |n, _| match n < breaks {
            true => Reply::ok(&served).breaks(600_000),
            false => Reply::ok(&served),
        });
        let case = Case::new("no-ranges", &server.url, &file);
        assert_eq!(case.run().is_ok(), good);
        assert_eq!(case.dest.exists(), good);
        assert!(server.requests().len() < 20);
    }
}

#[test]
fn a_file_that_changed_is_fetched_anew_once() {
    let (old, file) = (content(1 << 20), vec![7; 1 << 20]);
    let served = file.clone();
    let server = serve(move |n, head| match n {
        0 => Reply::file(head, &old).breaks(600_000),
        _ => Reply::ok(&served).with("ETag", "\"new\""),
    });
    let case = Case::new("changed", &server.url, &file);
    case.run().unwrap();
    case.is_whole(&file);
}

#[test]
fn ranges_that_are_not_what_was_asked_for_are_refused() {
    let file = content(1 << 20);
    for range in [
        "bytes 0-1048575/1048576",
        "bytes 600001-1048575/1048576",
        "items",
        "",
    ] {
        let served = file.clone();
        let server = serve(move |n, head| match n {
            0 => Reply::file(head, &served).breaks(600_000),
            _ => Reply::status(206, &served[600_000..]).with("Content-Range", range),
        });
        let case = Case::new("ranges", &server.url, &file);
        let error = case.run().unwrap_err();
        assert!(
            matches!(error, AssetError::Corrupt { .. }),
            "{range}: {error}"
        );
        assert!(!case.dest.exists());
    }
}

#[test]
fn a_length_that_is_not_what_was_announced_is_refused() {
    let file = content(1000);
    for len in [999, 1001] {
        let served = content(len);
        let server = serve(move |_, head| Reply::file(head, &served));
        let error = Case::new("length", &server.url, &file).run().unwrap_err();
        assert!(matches!(error, AssetError::Corrupt { .. }), "{error}");
    }
}

#[test]
fn a_url_is_asked_for_its_size() {
    let file = content(1000);
    let served = file.clone();
    let server = serve(move |_, head| Reply::file(head, &served));
    let mut case = Case::new("size", &server.url, &file);
    case.remote = Remote::url(&server.url, case.remote.sha256.as_ref().unwrap());
    assert_eq!(case.run().unwrap().size, 1000);
    case.is_whole(&file);
}

#[test]
fn a_disk_that_is_too_small_is_said_before_anything_is_asked() {
    let server = serve(|_, _| Reply::status(500, b""));
    let mut case = Case::new("full", &server.url, b"");
    case.remote.size = Some(1 << 60);
    let error = case.run().unwrap_err();
    assert!(
        matches!(error, AssetError::DiskFull { needed, .. } if needed == 1 << 60),
        "{error}"
    );
    assert!(server.requests().is_empty());
}

#[test]
fn who_comes_second_waits_and_finds_the_file() {
    let file = content(1 << 20);
    let served = file.clone();
    let server =
        serve(move |_, head| Reply::file(head, &served).drip(300_000, Duration::from_millis(100)));
    let case = Case::new("second", &server.url, &file);
    // Each drops what it got at once: the lock is free then.
    let size = async || case.fetch().await.unwrap().size;
    let sizes = block_on(futures::future::join(size(), size()));
    assert_eq!(sizes, (1 << 20, 1 << 20));
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn refusals_have_names() {
    let file = content(1000);
    let run = |status| {
        let server = serve(move |_, _| Reply::status(status, b""));
        Case::new("refusals", &server.url, &file).run().unwrap_err()
    };
    assert!(matches!(
        run(401),
        AssetError::Gated {
            status: 401,
            token: false,
            ..
        }
    ));
    assert!(matches!(run(403), AssetError::Gated { .. }));
    assert!(matches!(run(404), AssetError::NotFound { .. }));
    assert!(matches!(run(418), AssetError::Network { .. }));
}

/// Against `curl -o`: `FACECRAB_SPEED_URL=http://127.0.0.1:8000/1GiB`, `…_SHA256`.
#[test]
#[ignore = "needs a server and a large file"]
fn speed() {
    let var = |name| std::env::var(name).unwrap();
    let mut case = Case::new("speed", "http://127.0.0.1:9", b"");
    case.remote = Remote::url(&var("FACECRAB_SPEED_URL"), &var("FACECRAB_SPEED_SHA256"));
    let start = Instant::now();
    let size = case.run().unwrap().size as f64;
    let seconds = start.elapsed().as_secs_f64();
    eprintln!("{:.0} MB/s, {seconds:.2} s", size / seconds / 1e6);
}
