//! Models that come inside the program.
//!
//! They are laid into the cache at their first use, as a download would be: engines open
//! files, and other tools find them there. A repository of which a model is bundled is
//! never asked for on the hub.

use crate::registry::FileRecord;
use crate::store::{Removed, Store};
use crate::{check, download, select};
use rusty_genius_core::text::hex;
use rusty_genius_core::{AssetError, ModelSource};
use sha2::{Digest, Sha256};
use std::fmt;
use std::path::PathBuf;
use std::sync::OnceLock;

/// Where a bundled model came from, in the registry and in
/// [`Installed::source`](crate::Installed::source).
pub(crate) const SOURCE: &str = "bundled";
/// What a bundle's commit is called in the cache.
pub(crate) const BRANCH: &str = "main";
/// Digits of a commit's name.
const COMMIT_DIGITS: usize = 40;

/// How often laying is tried: who removes the model meanwhile takes away empty folders,
/// too, under the one who lays it.
const TRIES: u32 = 5;

/// A model that comes inside the program: one GGUF file, not split.
///
/// Made once, as a static, so that its bytes are hashed at most once in a process:
///
/// ```
/// use facecrab::{Bundled, Facecrab, Settings};
///
/// # const BYTES: &[u8] = b"GGUF";
/// // const BYTES: &[u8] = include_bytes!("narf-1m-Q8_0.gguf");
/// static NARF: Bundled = Bundled::new("rusty-genius/narf-1m", "narf-1m-Q8_0.gguf", BYTES);
///
/// let mut settings = Settings::new("no/such/cache", "no/such/config");
/// settings.bundled.push(&NARF);
/// let crab = Facecrab::new(settings);
/// assert_eq!(NARF.spec(), "rusty-genius/narf-1m:Q8_0");
/// assert_eq!(crab.installed()?[0].spec, NARF.spec());
/// # Ok::<(), rusty_genius_core::GeniusError>(())
/// ```
pub struct Bundled {
    repo: &'static str,
    file: &'static str,
    bytes: &'static [u8],
    sha256: OnceLock<String>,
}

impl Bundled {
    /// The model of this repository (`org/repo`) in this file. Its quant is the one that
    /// the file's name ends in, as in a repository of the hub.
    ///
    /// What is wrong with the names or the bytes shows as [`AssetError::Invalid`] when
    /// the model is used.
    pub const fn new(repo: &'static str, file: &'static str, bytes: &'static [u8]) -> Self {
        Self {
            repo,
            file,
            bytes,
            sha256: OnceLock::new(),
        }
    }

    /// What it is asked for as: `org/repo:QUANT`. It is registered under this name,
    /// however the quant was spelled.
    pub fn spec(&self) -> String {
        let quant = select::models(&[self.listed()])
            .pop()
            .and_then(|model| model.quant);
        let quant = quant.map_or_else(String::new, |quant| format!(":{quant}"));
        format!("{}{quant}", self.repo)
    }

    /// The digest of its bytes: 64 hexadecimal digits, lower case. The first call hashes.
    pub fn sha256(&self) -> &str {
        self.sha256.get_or_init(|| hex(&Sha256::digest(self.bytes)))
    }

    /// Bytes.
    pub fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    pub(crate) fn repo(&self) -> &'static str {
        self.repo
    }

    /// The commit it stands for in the cache: other bytes, another commit.
    pub(crate) fn commit(&self) -> &str {
        &self.sha256()[..COMMIT_DIGITS]
    }

    fn listed(&self) -> (&'static str, u64) {
        (self.file, self.size())
    }

    /// The file in the cache, if it is there with its size. Nothing is hashed but the
    /// bundle, once.
    pub(crate) fn laid(&self, store: &Store) -> Result<Option<PathBuf>, AssetError> {
        let snapshot = store.snapshot(self.repo, self.commit())?;
        let files = snapshot.into_iter().flat_map(|snapshot| snapshot.files);
        let own = |etag: &Option<String>| etag.as_deref().is_none_or(|etag| etag == self.sha256());
        let mut files = files.filter(|file| file.name == self.file && own(&file.etag));
        let file = files.find(|file| check::gguf(&file.path).is_ok_and(|size| size == self.size()));
        Ok(file.map(|file| file.path))
    }

    /// Makes sure that the file is in the cache; where it is, nothing is written.
    pub(crate) fn lay(&self, store: &Store) -> anyhow::Result<FileRecord> {
        let mut tries = 1..TRIES;
        let path = loop {
            match self.lay_once(store) {
                Err(e) if is_io(&e) && tries.next().is_some() => {}
                outcome => break outcome?,
            }
        };
        Ok(FileRecord {
            path,
            size: self.size(),
            sha256: Some(self.sha256().to_owned()),
        })
    }

    fn lay_once(&self, store: &Store) -> anyhow::Result<PathBuf> {
        if let Some(path) = self.laid(store)? {
            return Ok(path);
        }
        let blob = store.blob_place(self.repo, self.sha256())?;
        // Held till the link is there: nobody removes the blob meanwhile.
        let _lock = download::lay(&blob, self.bytes)?;
        check::gguf(&blob)?;
        Ok(store.link(self.repo, self.commit(), self.file, self.sha256())?)
    }

    /// Takes it out of the cache, with what older programs laid there of it: no spec
    /// names those.
    pub(crate) fn remove(&self, store: &Store) -> Result<Removed, AssetError> {
        let mut removed = Removed::default();
        for snapshot in store.find(self.repo, None)? {
            let gone = store.remove(self.repo, &snapshot.commit, &[self.file])?;
            removed.links += gone.links;
            removed.bytes += gone.bytes;
        }
        Ok(removed)
    }
}

impl fmt::Debug for Bundled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bundled")
            .field("repo", &self.repo)
            .field("file", &self.file)
            .field("size", &self.size())
            .finish_non_exhaustive()
    }
}

fn is_io(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(AssetError::Io { .. }))
}

/// The bundled model that a spec means; `None` where nothing of its repository is bundled.
/// The quant is matched as among the files of a hub's repository.
///
/// Errors: [`AssetError::Ambiguous`] for a quant that is not bundled or, without a quant,
/// for several that are; [`AssetError::NotFound`] for a revision: what is bundled has none.
pub(crate) fn choose(
    bundled: &[&'static Bundled],
    spec: &str,
    source: &ModelSource,
) -> Result<Option<&'static Bundled>, AssetError> {
    let ModelSource::Hub {
        repo,
        quant,
        revision,
    } = source
    else {
        return Ok(None);
    };
    let of_repo = bundled.iter().copied();
    // The hub, too, takes names that differ in case for one.
    let of_repo = of_repo.filter(|bundle| bundle.repo.eq_ignore_ascii_case(repo));
    let of_repo: Vec<&'static Bundled> = of_repo.collect();
    if of_repo.is_empty() {
        return Ok(None);
    }
    let listed: Vec<(&str, u64)> = of_repo.iter().map(|bundle| bundle.listed()).collect();
    let model = match revision {
        None => select::choose(spec, &listed, quant.as_deref())?,
        Some(_) => None,
    };
    match model.as_ref().map(|model| model.files.as_slice()) {
        Some([index]) => Ok(Some(of_repo[*index])),
        _ => {
            let specs: Vec<String> = of_repo.iter().map(|bundle| bundle.spec()).collect();
            Err(AssetError::NotFound {
                spec: spec.to_owned(),
                searched: vec![format!(
                    "the models bundled with this program, which have no revisions: {}",
                    specs.join(", ")
                )],
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static ONE: Bundled = Bundled::new("o/one", "one-Q8_0.gguf", b"GGUF");
    static A: Bundled = Bundled::new("o/two", "two-Q8_0.gguf", b"GGUF a");
    static B: Bundled = Bundled::new("o/two", "two-Q4_K_M.gguf", b"GGUF b");
    static PART: Bundled = Bundled::new("o/part", "part-Q8_0-00001-of-00002.gguf", b"GGUF");
    static PLAIN: Bundled = Bundled::new("o/plain", "plain.gguf", b"GGUF");
    static ALL: [&Bundled; 5] = [&ONE, &A, &B, &PART, &PLAIN];

    fn chosen(spec: &str) -> Result<Option<String>, AssetError> {
        let source = ModelSource::parse(spec).unwrap();
        choose(&ALL, spec, &source).map(|bundle| bundle.map(Bundled::spec))
    }

    fn refusal(spec: &str) -> String {
        chosen(spec).unwrap_err().to_string()
    }

    #[test]
    fn a_spec_means_a_bundled_model_by_its_repository_and_quant() {
        for (spec, expected) in [
            ("o/one", "o/one:Q8_0"),
            ("o/one:Q8_0", "o/one:Q8_0"),
            ("o/one:q8-0", "o/one:Q8_0"),
            ("O/One:q80", "o/one:Q8_0"),
            ("o/two:q4_k_m", "o/two:Q4_K_M"),
            ("o/plain", "o/plain"),
        ] {
            assert_eq!(chosen(spec).unwrap().as_deref(), Some(expected), "{spec}");
        }
        for spec in ["o/other", "o/one-GGUF:Q8_0", "./one-Q8_0.gguf"] {
            assert_eq!(chosen(spec).unwrap(), None, "{spec}");
        }
    }

    #[test]
    fn what_is_not_bundled_is_refused_with_what_is() {
        let error = refusal("o/one:Q4_0");
        assert!(error.contains("no file has this quant"), "{error}");
        assert!(error.contains("Q8_0"), "{error}");
        let error = refusal("o/two");
        assert!(error.contains("several files fit"), "{error}");
        assert!(
            error.contains("Q4_K_M") && error.contains("Q8_0"),
            "{error}"
        );
        let error = refusal("o/one:Q8_0@main");
        assert!(error.contains("o/one:Q8_0@main was not found"), "{error}");
        assert!(error.contains("no revisions: o/one:Q8_0"), "{error}");
        assert!(refusal("o/part").contains("was not found"));
    }

    #[test]
    fn the_digest_names_the_commit_and_the_bytes_are_not_shown() {
        assert_eq!(ONE.sha256(), hex(&Sha256::digest(b"GGUF")));
        assert!(ONE.sha256().starts_with(ONE.commit()));
        assert_eq!(ONE.commit().len(), 40);
        assert_ne!(A.commit(), B.commit());
        let shown = format!("{ONE:?}");
        assert!(
            shown.contains("size: 4") && !shown.contains("71"),
            "{shown}"
        );
    }
}
