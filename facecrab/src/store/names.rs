//! What may become part of a path in the cache: nothing that walks.

use rusty_genius_core::AssetError;
use std::path::PathBuf;

const PREFIX: &str = "models--";

/// `models--org--repo` of `org/repo`. Old repositories have no organisation.
pub(super) fn folder(repo: &str) -> Result<String, AssetError> {
    // Two hyphens stand for the slash, and the hub allows them in no name.
    let plain = repo.split('/').count() <= 2
        && !repo.contains("--")
        && repo.split('/').all(|part| component(part).is_ok());
    match plain {
        true => Ok(format!("{PREFIX}{}", repo.replace('/', "--"))),
        false => Err(invalid(repo, "is not the name of a repository")),
    }
}

/// `org/repo` of `models--org--repo`.
pub(super) fn repo(folder: &str) -> Option<String> {
    let repo = folder.strip_prefix(PREFIX)?.replace("--", "/");
    self::folder(&repo)
        .is_ok_and(|same| same == folder)
        .then_some(repo)
}

/// A commit or an etag.
pub(super) fn component(text: &str) -> Result<(), AssetError> {
    let plain = (1..=128).contains(&text.len())
        && !text.starts_with('.')
        && !text.contains("..")
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    match plain {
        true => Ok(()),
        false => Err(invalid(text, "is not a plain name")),
    }
}

/// A file's name in its repository, or a branch or tag: parts joined by `/`.
pub(super) fn file(name: &str) -> Result<(), AssetError> {
    if name.len() > 1024 {
        return Err(invalid(
            &name[..name.floor_char_boundary(80)],
            "is too long",
        ));
    }
    // A backslash or colon walks on Windows; the others change what a terminal shows.
    let odd = |c: char| {
        c.is_control()
            || matches!(c, '\\' | ':' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let plain = |part: &str| !matches!(part, "" | "." | "..") && part.len() <= 255;
    match name.split('/').all(plain) && !name.chars().any(odd) {
        true => Ok(()),
        false => Err(invalid(name, "is not a name for a file in a repository")),
    }
}

fn invalid(text: &str, reason: &str) -> AssetError {
    let text: String = text.chars().take(80).collect();
    AssetError::Invalid {
        path: PathBuf::from(text.escape_debug().to_string()),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::{Component, Path};

    #[test]
    fn a_repository_has_a_folder_and_back() {
        for (name, expected) in [
            ("Qwen/Qwen2.5-1.5B", "models--Qwen--Qwen2.5-1.5B"),
            ("gpt2", "models--gpt2"),
        ] {
            assert_eq!(folder(name).unwrap(), expected);
            assert_eq!(repo(expected).unwrap(), name);
        }
        for bad in [
            "", "/", "a/", "/b", "a/b/c", "../b", "a/..", "a--b/c", "a\\b", "a/b\n", ".",
        ] {
            assert!(folder(bad).is_err(), "{bad:?}");
        }
        for bad in [
            "models--",
            "models--a--b--c",
            "datasets--a--b",
            "models--..--b",
        ] {
            assert_eq!(repo(bad), None, "{bad}");
        }
    }

    #[test]
    fn names_that_walk_or_deceive_are_refused() {
        for good in ["x.gguf", "Q4_K_M/x y.gguf", "é/..x", "refs/pr/1", "main"] {
            assert!(file(good).is_ok(), "{good:?}");
        }
        for bad in [
            "",
            "/x",
            "x/",
            "a//b",
            "../x",
            "a/../b",
            "a/.",
            "..",
            "a\\b",
            "C:x",
            "x\n",
            "x\0",
            "\u{1b}[2J",
            "x\u{202e}fugg.",
            "\u{2028}",
        ] {
            let error = file(bad).unwrap_err().to_string();
            assert!(!error.chars().any(char::is_control), "{error:?}");
        }
        assert!(file(&"x".repeat(256)).is_err());
        assert!(file(&"é/".repeat(600)).is_err());
        for bad in [
            "", ".", "..", ".x", "a/b", "a\\b", "a..b", "W/x", "x\n", "é",
        ] {
            assert!(component(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn a_name_that_is_taken_stays_below(name in "\\PC{0,20}|[a./\\\\:]{0,8}") {
            let plain = |path: &Path| path.components().all(|c| matches!(c, Component::Normal(_)));
            if file(&name).is_ok() {
                prop_assert!(plain(Path::new(&name)));
            }
            if component(&name).is_ok() {
                prop_assert_eq!(Path::new(&name).components().count(), 1);
                prop_assert!(plain(Path::new(&name)));
            }
            if let Ok(folder) = folder(&name) {
                prop_assert_eq!(repo(&folder), Some(name));
            }
        }
    }
}
