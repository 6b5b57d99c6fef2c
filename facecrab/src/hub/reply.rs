//! Reading the hub's answer about a repository; nothing in it is taken on trust.

use super::{RepoFile, RepoInfo};
use rusty_genius_core::AssetError;
use rusty_genius_core::text::is_sha256;
use serde::Deserialize;
use std::fmt;

/// Most files of a repository.
const FILES: usize = 100_000;
/// Longest name of a file, bytes.
const NAME_BYTES: usize = 1024;

#[derive(Deserialize)]
struct Reply {
    sha: String,
    #[serde(default)]
    gated: serde_json::Value,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: Option<String>,
    size: Option<u64>,
}

pub(super) fn parse(repo: &str, body: &[u8]) -> anyhow::Result<RepoInfo> {
    let reply: Reply = serde_json::from_slice(body)
        .map_err(|e| corrupt(repo, format_args!("the hub's answer cannot be read: {e}")))?;
    if !is_commit(&reply.sha) {
        let reason = format_args!("{:?} is no commit", reply.sha);
        return Err(corrupt(repo, reason));
    }
    if reply.siblings.len() > FILES {
        return Err(corrupt(
            repo,
            format_args!("it has more than {FILES} files"),
        ));
    }
    let files = reply.siblings.into_iter().map(|file| {
        if !is_plain(&file.rfilename) {
            let reason = format_args!("{:?} is no file name", file.rfilename);
            return Err(corrupt(repo, reason));
        }
        let (lfs_size, digest) = file.lfs.map_or((None, None), |lfs| (lfs.size, lfs.sha256));
        Ok(RepoFile {
            name: file.rfilename,
            size: lfs_size.or(file.size),
            sha256: digest.as_deref().and_then(sha256),
        })
    });
    Ok(RepoInfo {
        repo: repo.to_owned(),
        commit: reply.sha.to_ascii_lowercase(),
        files: files.collect::<anyhow::Result<_>>()?,
        // `false`, or how access is given: "auto", "manual".
        gated: reply.gated.is_string() || reply.gated == true,
    })
}

pub(super) fn corrupt(repo: &str, reason: impl fmt::Display) -> anyhow::Error {
    AssetError::Corrupt {
        file: repo.to_owned(),
        reason: reason.to_string(),
    }
    .into()
}

pub(super) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The digest in lower case, if it is one.
pub(super) fn sha256(text: &str) -> Option<String> {
    is_sha256(text).then(|| text.to_ascii_lowercase())
}

/// Whether a name can be a path below a folder, on any system: it does not walk, and
/// nothing in it is a drive, a separator of another system or invisible.
pub(super) fn is_plain(name: &str) -> bool {
    name.len() <= NAME_BYTES
        && name
            .split('/')
            .all(|part| !part.is_empty() && part != "." && part != "..")
        && !name.contains(|c: char| c.is_control() || c == '\\' || c == ':')
        && !name.contains(['\u{200e}', '\u{200f}', '\u{2028}', '\u{2029}'])
        && !name.contains(|c| ('\u{202a}'..='\u{202e}').contains(&c))
        && !name.contains(|c| ('\u{2066}'..='\u{2069}').contains(&c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::{Component, Path};

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn parse_files(siblings: &str) -> anyhow::Result<RepoInfo> {
        let json = format!(r#"{{"id":"o/r","sha":"{COMMIT}","siblings":{siblings}}}"#);
        parse("o/r", json.as_bytes())
    }

    #[test]
    fn a_file_is_known_by_what_large_file_storage_says() {
        let sha = "ab".repeat(32);
        let info = parse_files(&format!(
            r#"[{{"rfilename":"README.md","size":7,"blobId":"x"}},
               {{"rfilename":"q/m.gguf","size":9,"lfs":{{"sha256":"{sha}","size":10,"pointerSize":1}}}},
               {{"rfilename":"bare"}}]"#
        ))
        .unwrap();
        let file = |name: &str, size, sha256| RepoFile {
            name: name.to_owned(),
            size,
            sha256,
        };
        assert_eq!(info.commit, COMMIT);
        assert!(!info.gated);
        assert_eq!(
            info.files,
            [
                file("README.md", Some(7), None),
                file("q/m.gguf", Some(10), Some(sha)),
                file("bare", None, None)
            ]
        );
    }

    #[test]
    fn a_name_that_walks_is_never_used() {
        for name in [
            "../x",
            "a/../x",
            "/x",
            "a//x",
            "a/",
            "",
            ".",
            "C:x",
            "a\\\\x",
            "a\\u0000x",
            "a\\u202ex",
        ] {
            let error = parse_files(&format!(r#"[{{"rfilename":"{name}"}}]"#)).unwrap_err();
            let error = error.downcast_ref::<AssetError>();
            assert!(
                matches!(error, Some(AssetError::Corrupt { .. })),
                "{name}: {error:?}"
            );
        }
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for body in [
            "",
            "[]",
            "{}",
            r#"{"sha":"main"}"#,
            r#"{"sha":"../../x","siblings":[]}"#,
            "<html>",
        ] {
            assert!(parse("o/r", body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn gates_have_names() {
        for (gated, expected) in [
            ("false", false),
            ("\"auto\"", true),
            ("\"manual\"", true),
            ("null", false),
        ] {
            let json = format!(r#"{{"sha":"{COMMIT}","gated":{gated}}}"#);
            assert_eq!(parse("o/r", json.as_bytes()).unwrap().gated, expected);
        }
    }

    proptest! {
        #[test]
        fn a_plain_name_stays_below_its_folder(name in "[a./\\\\:\\PC]{0,12}") {
            if is_plain(&name) {
                let path = Path::new(&name);
                prop_assert!(path.components().all(|c| matches!(c, Component::Normal(_))));
            }
        }
    }
}
