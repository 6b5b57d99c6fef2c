//! Model specs: what a person or a guest calls a model.

use crate::text::is_sha256;
use crate::{CortexStrategy, PartialConfig};
use std::fmt;
use std::path::PathBuf;
use thiserror::Error;

/// Longest model spec, bytes.
const SPEC_BYTES_LIMIT: usize = 512;

/// A model spec cannot be parsed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{spec:?} is not a model spec: {reason} (expected org/repo[:QUANT][@revision], a path to a .gguf file, or https://….gguf#sha256=HEX)"
)]
pub struct SpecError {
    /// What was given, cut to 80 characters.
    pub spec: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// Where a model's weights come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ModelSource {
    /// A repository of a model hub.
    Hub {
        /// `org/repo`.
        repo: String,
        /// Quantisation, as people write it; matching ignores case and punctuation.
        quant: Option<String>,
        /// Branch, tag or commit. The hub's default branch if `None`.
        revision: Option<String>,
    },
    /// A file on this machine.
    File(PathBuf),
    /// A file on the web, known by its digest.
    Url {
        /// `https://…/file.gguf`, without a fragment.
        url: String,
        /// 64 hexadecimal digits, lower case.
        sha256: String,
    },
}

impl ModelSource {
    /// Parses `org/repo[:QUANT][@revision]`, a path that ends in `.gguf`, or
    /// `https://…/file.gguf#sha256=HEX`.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        let fail = |reason| {
            Err(SpecError {
                spec: text.chars().take(80).collect(),
                reason,
            })
        };
        if text.len() > SPEC_BYTES_LIMIT {
            return fail("it is longer than 512 bytes");
        }
        if text.chars().any(char::is_control) {
            return fail("it has control characters");
        }
        if text.starts_with("https://") || text.starts_with("http://") {
            return Self::parse_url(text).or_else(fail);
        }
        if text.to_ascii_lowercase().ends_with(".gguf") {
            return Ok(Self::File(PathBuf::from(text)));
        }
        let (rest, revision) = match text.split_once('@') {
            Some((rest, revision)) => (rest, Some(revision)),
            None => (text, None),
        };
        let (repo, quant) = match rest.split_once(':') {
            Some((repo, quant)) => (repo, Some(quant)),
            None => (rest, None),
        };
        let Some((org, name)) = repo.split_once('/') else {
            return fail("it has no organisation");
        };
        // A part becomes a path component in caches: nothing that walks.
        let part = |s: &str| {
            !s.is_empty()
                && !s.starts_with('.')
                && !s.contains("..")
                && s.chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        };
        if !part(org) || !part(name) {
            return fail("organisation and repository are letters, digits, `-`, `_` and `.`");
        }
        if quant.is_some_and(|q| !part(q)) {
            return fail("the quant after `:` is letters, digits, `-`, `_` and `.`");
        }
        if revision.is_some_and(|r| !r.split('/').all(part)) {
            return fail("the revision after `@` is a branch, tag or commit");
        }
        Ok(Self::Hub {
            repo: repo.to_owned(),
            quant: quant.map(str::to_owned),
            revision: revision.map(str::to_owned),
        })
    }
}

impl ModelSource {
    fn parse_url(text: &str) -> Result<Self, &'static str> {
        let rest = text
            .strip_prefix("https://")
            .ok_or("a model is fetched over https only")?;
        let (place, sha256) = rest
            .split_once("#sha256=")
            .ok_or("a URL needs its digest: https://…/file.gguf#sha256=HEX")?;
        let sha256 = sha256.to_ascii_lowercase();
        if !is_sha256(&sha256) {
            return Err("a sha256 has 64 hexadecimal digits");
        }
        let (host, path) = place.split_once('/').ok_or("the URL has no path")?;
        // A user name in a URL would end up in logs and in the registry.
        if host.is_empty() || host.contains('@') || place.contains(char::is_whitespace) {
            return Err("the URL has no plain host");
        }
        if !path.to_ascii_lowercase().ends_with(".gguf") {
            return Err("the URL does not name a .gguf file");
        }
        Ok(Self::Url {
            url: format!("https://{place}"),
            sha256,
        })
    }
}

impl fmt::Display for ModelSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hub {
                repo,
                quant,
                revision,
            } => {
                write!(f, "{repo}")?;
                if let Some(quant) = quant {
                    write!(f, ":{quant}")?;
                }
                if let Some(revision) = revision {
                    write!(f, "@{revision}")?;
                }
                Ok(())
            }
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Url { url, sha256 } => write!(f, "{url}#sha256={sha256}"),
        }
    }
}

/// A model with everything needed to run it, resolved from a spec, a manifest entry
/// and the global defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelSpec {
    /// Where the weights come from. Specs of one source and engine share one load.
    pub source: ModelSource,
    /// The backend to run it; the host's default if `None`.
    pub engine: Option<String>,
    /// How to generate, where a request does not say.
    pub config: PartialConfig,
    /// What happens to the model once nobody uses it.
    pub strategy: CortexStrategy,
}

impl ModelSpec {
    /// A spec of this source with every default.
    pub fn new(source: ModelSource) -> Self {
        Self {
            source,
            engine: None,
            config: PartialConfig::default(),
            strategy: CortexStrategy::default(),
        }
    }

    /// The canonical text that names the model.
    pub fn id(&self) -> String {
        self.source.to_string()
    }

    /// What names a load of it, in logs and to policies: the id, and the engine where one
    /// is chosen, as in `org/repo:Q4_K_M on pinky`.
    pub fn load_key(&self) -> String {
        match &self.engine {
            Some(engine) => format!("{} on {engine}", self.id()),
            None => self.id(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_parts_of_a_hub_spec() {
        let hub = |repo: &str, quant: Option<&str>, revision: Option<&str>| ModelSource::Hub {
            repo: repo.into(),
            quant: quant.map(Into::into),
            revision: revision.map(Into::into),
        };
        let parse = |text| ModelSource::parse(text).unwrap();
        assert_eq!(parse("Qwen/Qwen2.5"), hub("Qwen/Qwen2.5", None, None));
        assert_eq!(
            parse("Qwen/Qwen2.5-1.5B-Instruct:Q4_K_M"),
            hub("Qwen/Qwen2.5-1.5B-Instruct", Some("Q4_K_M"), None)
        );
        assert_eq!(
            parse("a/b:q8@refs/pr/1"),
            hub("a/b", Some("q8"), Some("refs/pr/1"))
        );
        assert_eq!(parse("a/b@main"), hub("a/b", None, Some("main")));
    }

    #[test]
    fn a_path_is_a_file() {
        assert_eq!(
            ModelSource::parse("./models/x.GGUF").unwrap(),
            ModelSource::File("./models/x.GGUF".into())
        );
    }

    #[test]
    fn a_url_needs_https_and_a_digest() {
        let digest = "aB".repeat(32);
        let text = format!("https://example.org/m/x.gguf#sha256={digest}");
        let ModelSource::Url { url, sha256 } = ModelSource::parse(&text).unwrap() else {
            panic!("{text}");
        };
        assert_eq!(url, "https://example.org/m/x.gguf");
        assert_eq!(sha256, digest.to_ascii_lowercase());
        for (bad, why) in [
            (text.replace("https", "http"), "https only"),
            ("https://example.org/x.gguf".into(), "digest"),
            (text.replace("aB", "zz"), "hexadecimal"),
            (text.replace("example.org", "u:p@example.org"), "plain host"),
            (text.replace(".gguf", ".bin"), ".gguf"),
        ] {
            let error = ModelSource::parse(&bad).unwrap_err();
            assert!(error.reason.contains(why), "{bad}: {error}");
        }
    }

    #[test]
    fn what_is_no_spec_says_why() {
        for (text, why) in [
            ("", "no organisation"),
            ("qwen", "no organisation"),
            ("a/", "letters"),
            ("../etc", "letters"),
            ("a/b/c", "letters"),
            ("a/b:", "quant"),
            ("a/b@", "revision"),
            ("a/b@../../x", "revision"),
            ("a/b\n", "control"),
        ] {
            let error = ModelSource::parse(text).unwrap_err();
            assert!(error.reason.contains(why), "{text:?}: {error}");
        }
        assert!(ModelSource::parse(&"x".repeat(600)).is_err());
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_display_round_trips(text in "\\PC{0,40}") {
            if let Ok(source) = ModelSource::parse(&text) {
                prop_assert_eq!(ModelSource::parse(&source.to_string()).unwrap(), source);
            }
        }
    }
}
