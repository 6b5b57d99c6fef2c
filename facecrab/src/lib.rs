//! Facecrab, the asset authority: turns a model spec into files on this machine.
//!
//! It looks where the spec points (a path) or into the Hugging Face cache that other
//! tools share (`models--{org}--{repo}/snapshots/{revision}/…`), and never writes.
//!
//! ```
//! use facecrab::Facecrab;
//! use rusty_genius_core::{ModelSource, ModelSpec};
//!
//! let crab = Facecrab::new(vec!["no/such/cache".into()]);
//! let spec = ModelSpec::new(ModelSource::parse("Qwen/Qwen2.5-1.5B-Instruct:Q4_K_M")?);
//! assert!(crab.find(&spec).is_err());
//! # Ok::<(), rusty_genius_core::SpecError>(())
//! ```
#![deny(missing_docs)]

mod cache;

use rusty_genius_core::{AssetError, ModelSource, ModelSpec};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// A model whose files are here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelAsset {
    /// The GGUF files, in order; more than one where the model is split.
    pub files: Vec<PathBuf>,
    /// Bytes of all files.
    pub size: u64,
}

/// The asset authority.
#[derive(Debug, Clone)]
pub struct Facecrab {
    caches: Vec<PathBuf>,
}

impl Facecrab {
    /// Looks for hub models in these cache folders, in order.
    pub fn new(caches: Vec<PathBuf>) -> Self {
        Self { caches }
    }

    /// Looks where the environment says: `HF_HUB_CACHE`, else `HF_HOME/hub`, else
    /// `~/.cache/huggingface/hub`.
    pub fn from_env() -> Self {
        let var = |name| std::env::var_os(name).filter(|v| !v.is_empty());
        let cache = var("HF_HUB_CACHE")
            .map(PathBuf::from)
            .or_else(|| var("HF_HOME").map(|home| PathBuf::from(home).join("hub")))
            .or_else(|| var("HOME").map(|home| PathBuf::from(home).join(".cache/huggingface/hub")));
        Self::new(cache.into_iter().collect())
    }

    /// Makes sure that the model's files are here. The disk is read on a thread of its
    /// own; dropping the future abandons the search.
    ///
    /// Errors: [`AssetError::NotFound`], [`AssetError::Ambiguous`] where several files
    /// fit, [`AssetError::Invalid`] where the file is no GGUF.
    pub async fn ensure_model(&self, spec: &ModelSpec) -> Result<ModelAsset, AssetError> {
        let (this, spec) = (self.clone(), spec.clone());
        blocking::unblock(move || this.find(&spec)).await
    }

    /// [`Facecrab::ensure_model`], on the caller's thread.
    pub fn find(&self, spec: &ModelSpec) -> Result<ModelAsset, AssetError> {
        match &spec.source {
            ModelSource::File(path) if path.exists() => asset(vec![path.clone()]),
            ModelSource::File(path) => Err(AssetError::NotFound {
                spec: spec.id(),
                searched: vec![path.display().to_string()],
            }),
            ModelSource::Url { url, .. } => Err(AssetError::NotFound {
                spec: spec.id(),
                searched: vec![url.clone()],
            }),
            ModelSource::Hub {
                repo,
                quant,
                revision,
            } => {
                let files = cache::find(
                    &self.caches,
                    &spec.id(),
                    repo,
                    quant.as_deref(),
                    revision.as_deref(),
                )?;
                asset(files)
            }
        }
    }
}

fn asset(files: Vec<PathBuf>) -> Result<ModelAsset, AssetError> {
    let mut size = 0;
    for file in &files {
        size += check_gguf(file)?;
    }
    Ok(ModelAsset { files, size })
}

/// The file's size, if it is a regular file that begins as a GGUF does.
fn check_gguf(path: &Path) -> Result<u64, AssetError> {
    let invalid = |reason: &str| AssetError::Invalid {
        path: path.to_owned(),
        reason: reason.to_owned(),
    };
    let io = |e: std::io::Error| AssetError::Io {
        path: path.to_owned(),
        reason: e.to_string(),
    };
    // Opening a FIFO would wait for a writer: look before.
    let metadata = std::fs::metadata(path).map_err(io)?;
    if !metadata.is_file() {
        return Err(invalid("is not a regular file"));
    }
    let mut magic = [0; 4];
    File::open(path)
        .map_err(io)?
        .read_exact(&mut magic)
        .map_err(|_| invalid("is too short to be a GGUF file"))?;
    if magic != *b"GGUF" {
        return Err(invalid("is not a GGUF file (wrong magic)"));
    }
    Ok(metadata.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn dir(test: &str) -> PathBuf {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../target/tmp/facecrab")
            .join(test);
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    fn file_spec(path: &Path) -> ModelSpec {
        ModelSpec::new(ModelSource::File(path.to_owned()))
    }

    #[test]
    fn a_path_gives_its_file_and_size() {
        let path = dir("path").join("x.gguf");
        fs::write(&path, b"GGUF rest").unwrap();
        let found = Facecrab::new(vec![]).find(&file_spec(&path)).unwrap();
        assert_eq!((found.files, found.size), (vec![path], 9));
    }

    #[test]
    fn what_is_no_gguf_file_is_refused_with_the_reason() {
        let dir = dir("bad");
        let crab = Facecrab::new(vec![]);
        for (name, content, reason) in [
            ("empty.gguf", &b""[..], "too short"),
            ("short.gguf", b"GG", "too short"),
            ("html.gguf", b"<html>", "wrong magic"),
        ] {
            let path = dir.join(name);
            fs::write(&path, content).unwrap();
            let error = crab.find(&file_spec(&path)).unwrap_err();
            assert!(error.to_string().contains(reason), "{error}");
        }
        let folder = dir.join("folder.gguf");
        fs::create_dir(&folder).unwrap();
        let error = crab.find(&file_spec(&folder)).unwrap_err();
        assert!(error.to_string().contains("regular file"), "{error}");
    }

    #[test]
    fn a_missing_file_says_where_it_was_looked_for() {
        let path = dir("missing").join("x.gguf");
        let error = Facecrab::new(vec![]).find(&file_spec(&path)).unwrap_err();
        assert!(
            matches!(error, AssetError::NotFound { searched, .. } if searched == [path.display().to_string()])
        );
    }
}
