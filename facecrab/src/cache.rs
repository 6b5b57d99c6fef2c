//! Reading the Hugging Face cache layout: `models--{org}--{repo}/{refs,snapshots}`.

use rusty_genius_core::AssetError;
use std::fs;
use std::path::{Path, PathBuf};

/// The files of a hub model, from the first cache that has them. Weights mostly live
/// in a sibling repository named `…-GGUF`; it is looked at second.
pub(crate) fn find(
    caches: &[PathBuf],
    id: &str,
    repo: &str,
    quant: Option<&str>,
    revision: Option<&str>,
) -> Result<Vec<PathBuf>, AssetError> {
    let mut searched = Vec::new();
    for cache in caches {
        for repo in [repo.to_owned(), format!("{repo}-GGUF")] {
            let folder = cache.join(format!("models--{}", repo.replace('/', "--")));
            searched.push(folder.display().to_string());
            let Some(snapshot) = snapshot(&folder, revision) else {
                continue;
            };
            let mut models = models(&snapshot);
            if let Some(quant) = quant {
                models.retain(|files| fits(&files[0], quant));
            }
            match models.len() {
                0 => {}
                1 => return Ok(models.remove(0)),
                _ => {
                    return Err(AssetError::Ambiguous {
                        spec: id.to_owned(),
                        none: false,
                        candidates: models.iter().map(|files| name(&files[0])).collect(),
                    });
                }
            }
        }
    }
    Err(AssetError::NotFound {
        spec: id.to_owned(),
        searched,
    })
}

/// The snapshot folder of a revision: a branch or tag by `refs`, or a commit itself.
fn snapshot(folder: &Path, revision: Option<&str>) -> Option<PathBuf> {
    let revision = revision.unwrap_or("main");
    let commit = fs::read_to_string(folder.join("refs").join(revision))
        .map_or_else(|_| revision.to_owned(), |text| text.trim().to_owned());
    // The content of a ref names a folder: nothing that walks.
    if commit.contains(['/', '\\']) || commit.starts_with('.') {
        return None;
    }
    let snapshot = folder.join("snapshots").join(commit);
    snapshot.is_dir().then_some(snapshot)
}

/// The GGUF models of a snapshot, each a list of files: split ones are one model, and
/// incomplete ones none.
fn models(snapshot: &Path) -> Vec<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = fs::read_dir(snapshot)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| name(path).to_ascii_lowercase().ends_with(".gguf"))
        .collect();
    files.sort();
    let mut models = Vec::new();
    for file in &files {
        match part(file) {
            None => models.push(vec![file.clone()]),
            Some((stem, 1, count)) => {
                let parts: Vec<PathBuf> = files
                    .iter()
                    .filter(|f| part(f).is_some_and(|(s, _, c)| s == stem && c == count))
                    .cloned()
                    .collect();
                if parts.len() == count {
                    models.push(parts);
                }
            }
            Some(_) => {}
        }
    }
    models
}

/// `x-00002-of-00003.gguf` is part 2 of 3 of `x`.
fn part(file: &Path) -> Option<(String, usize, usize)> {
    let name = name(file);
    let (rest, count) = name[..name.len() - ".gguf".len()].rsplit_once("-of-")?;
    let (stem, index) = rest.rsplit_once('-')?;
    Some((stem.to_owned(), index.parse().ok()?, count.parse().ok()?))
}

/// Whether the file's name holds the quant as a whole word, case and punctuation
/// aside: `Q4_K_M` fits `qwen-q4_k_m.gguf`, and `Q4_K` does not.
fn fits(file: &Path, quant: &str) -> bool {
    let plain = |s: &str| s.to_ascii_lowercase().replace(['-', '_', '.'], "");
    let wanted = plain(quant);
    let name = part(file).map_or_else(
        || name(file).trim_end_matches(".gguf").to_owned(),
        |(stem, ..)| stem,
    );
    // A quant is the tail of the name, from some separator on.
    name.char_indices()
        .filter(|(_, c)| "-_.".contains(*c))
        .any(|(at, _)| plain(&name[at..]) == wanted)
}

fn name(file: &Path) -> String {
    file.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cache with one repository that holds these files.
    fn cache(test: &str, repo: &str, files: &[&str]) -> PathBuf {
        let cache = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../target/tmp/facecrab-cache")
            .join(test);
        let _ = fs::remove_dir_all(&cache);
        let folder = cache.join(format!("models--{}", repo.replace('/', "--")));
        fs::create_dir_all(folder.join("refs")).unwrap();
        fs::create_dir_all(folder.join("snapshots/abc")).unwrap();
        fs::write(folder.join("refs/main"), "abc\n").unwrap();
        for file in files {
            fs::write(folder.join("snapshots/abc").join(file), "GGUF").unwrap();
        }
        cache
    }

    fn names(found: Result<Vec<PathBuf>, AssetError>) -> Vec<String> {
        found.unwrap().iter().map(|f| name(f)).collect()
    }

    #[test]
    fn the_quant_matches_whatever_its_case_and_punctuation() {
        let files = ["x-q4_k_m.gguf", "x-q4_k_s.gguf", "x-q8_0.gguf"];
        let cache = cache("quant", "o/x", &files);
        let find = |quant| find(std::slice::from_ref(&cache), "id", "o/x", quant, None);
        assert_eq!(names(find(Some("Q4_K_M"))), ["x-q4_k_m.gguf"]);
        assert_eq!(names(find(Some("q8-0"))), ["x-q8_0.gguf"]);
        assert!(matches!(
            find(Some("Q4_K")),
            Err(AssetError::NotFound { .. })
        ));
        assert!(
            matches!(find(None), Err(AssetError::Ambiguous { candidates, .. }) if candidates.len() == 3)
        );
    }

    #[test]
    fn the_gguf_sibling_repository_is_looked_at_second() {
        let cache = cache("sibling", "o/x-GGUF", &["x.Q8_0.gguf"]);
        let found = find(&[cache], "id", "o/x", Some("Q8_0"), None);
        assert_eq!(names(found), ["x.Q8_0.gguf"]);
    }

    #[test]
    fn a_split_model_is_one_and_an_incomplete_one_none() {
        let parts = ["x-q8_0-00001-of-00002.gguf", "x-q8_0-00002-of-00002.gguf"];
        let whole = cache("split", "o/x", &parts);
        assert_eq!(
            names(find(&[whole], "id", "o/x", Some("Q8_0"), None)),
            parts
        );
        let half = cache("half", "o/x", &parts[..1]);
        assert!(find(&[half], "id", "o/x", Some("Q8_0"), None).is_err());
    }

    #[test]
    fn a_revision_is_a_ref_or_a_commit_and_a_ref_does_not_walk() {
        let cache = cache("revision", "o/x", &["x.gguf"]);
        let caches = [cache.clone()];
        assert!(find(&caches, "id", "o/x", None, Some("abc")).is_ok());
        assert!(find(&caches, "id", "o/x", None, Some("def")).is_err());
        fs::write(cache.join("models--o--x/refs/main"), "../../..").unwrap();
        assert!(find(&caches, "id", "o/x", None, None).is_err());
    }

    #[test]
    fn what_was_searched_is_named() {
        let error = find(&["c".into()], "o/x", "o/x", None, None).unwrap_err();
        let AssetError::NotFound { searched, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(searched, ["c/models--o--x", "c/models--o--x-GGUF"]);
    }
}
