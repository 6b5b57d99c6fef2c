//! Models a user names: the raw manifest and its resolution into [`ModelSpec`]s.

mod suggest;

use crate::config::ConfigError;
use crate::{
    CortexStrategy, GeniusError, ManifestError, ModelSource, ModelSpec, PartialBehavior,
    PartialConfig, PartialSampling,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// A manifest of models as a user writes it (`models.toml`), before resolution.
///
/// ```
/// use rusty_genius_core::UserManifest;
///
/// let manifest = UserManifest::parse("models.toml", r#"
///     [defaults]
///     quant = "Q4_K_M"
///     strategy = { hibernate-after = "5m" }
///
///     [models.small]
///     source = "Qwen/Qwen2.5-1.5B-Instruct"
///     sampling = { temperature = 0.2 }
/// "#)?;
/// assert_eq!(manifest.resolve("small")?.id(), "Qwen/Qwen2.5-1.5B-Instruct:Q4_K_M");
/// # Ok::<(), rusty_genius_core::GeniusError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UserManifest {
    /// What an entry leaves out.
    pub defaults: Defaults,
    /// Models by the name people and guests use.
    pub models: BTreeMap<String, ModelEntry>,
}

/// What every model takes unless its own entry says otherwise.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Defaults {
    /// The model of a request that names none.
    pub model: Option<String>,
    /// Quantisation of hub models that name none.
    pub quant: Option<String>,
    /// The backend.
    pub engine: Option<String>,
    /// What happens to a model nobody uses.
    pub strategy: Option<CortexStrategy>,
    /// Limits and what is delivered.
    pub behavior: PartialBehavior,
    /// How tokens are drawn.
    pub sampling: PartialSampling,
}

/// One named model; everything but its source may be left to the defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ModelEntry {
    /// A model spec: `org/repo[:QUANT][@revision]`, or a path to a `.gguf` file.
    pub source: String,
    /// The backend.
    pub engine: Option<String>,
    /// What happens to the model once nobody uses it.
    pub strategy: Option<CortexStrategy>,
    /// Limits and what is delivered.
    #[serde(default)]
    pub behavior: PartialBehavior,
    /// How tokens are drawn.
    #[serde(default)]
    pub sampling: PartialSampling,
}

impl UserManifest {
    /// Parses and checks a manifest; `file` is only named in errors.
    pub fn parse(file: impl AsRef<Path>, text: &str) -> Result<Self, GeniusError> {
        let file = file.as_ref();
        let manifest: Self = parse_toml(file, text, 1)?;
        let at = |table: &[&str], e: ConfigError| {
            let path: Vec<&str> = table.iter().copied().chain(e.field.split('.')).collect();
            locate_toml(file, text, 1, &path, e.to_string())
        };
        manifest
            .config_defaults()
            .build()
            .map_err(|e| at(&["defaults"], e))?;
        for (name, entry) in &manifest.models {
            manifest
                .entry_config(entry)
                .build()
                .map_err(|e| at(&["models", name], e))?;
            ModelSource::parse(&entry.source).map_err(|e| {
                let path = ["models", name, "source"];
                locate_toml(file, text, 1, &path, e.to_string())
            })?;
        }
        Ok(manifest)
    }

    /// This manifest laid over another: its own entries and defaults win, one by one.
    pub fn over(mut self, base: UserManifest) -> Self {
        for (name, entry) in base.models {
            self.models.entry(name).or_insert(entry);
        }
        let base = base.defaults;
        let config = self.config_defaults().or(&PartialConfig {
            behavior: base.behavior,
            sampling: base.sampling,
        });
        let own = self.defaults;
        self.defaults = Defaults {
            model: own.model.or(base.model),
            quant: own.quant.or(base.quant),
            engine: own.engine.or(base.engine),
            strategy: own.strategy.or(base.strategy),
            behavior: config.behavior,
            sampling: config.sampling,
        };
        self
    }

    /// Resolves a name of this manifest, or a spec it does not name, with the global
    /// defaults filled in.
    pub fn resolve(&self, name: &str) -> Result<ModelSpec, GeniusError> {
        let entry = self.models.get(name);
        let mut source = ModelSource::parse(entry.map_or(name, |e| &e.source))?;
        if let ModelSource::Hub { quant, .. } = &mut source {
            *quant = quant.take().or_else(|| self.defaults.quant.clone());
        }
        Ok(ModelSpec {
            source,
            engine: entry
                .and_then(|e| e.engine.clone())
                .or_else(|| self.defaults.engine.clone()),
            config: entry.map_or_else(|| self.config_defaults(), |e| self.entry_config(e)),
            strategy: entry
                .and_then(|e| e.strategy)
                .or(self.defaults.strategy)
                .unwrap_or_default(),
        })
    }

    fn config_defaults(&self) -> PartialConfig {
        PartialConfig {
            behavior: self.defaults.behavior.clone(),
            sampling: self.defaults.sampling.clone(),
        }
    }

    fn entry_config(&self, entry: &ModelEntry) -> PartialConfig {
        PartialConfig {
            behavior: entry.behavior.clone(),
            sampling: entry.sampling.clone(),
        }
        .or(&self.config_defaults())
    }
}

/// Parses TOML into `T`, with errors that name file, line, column and key. Of a key or a
/// value that `T` does not know they say which known one is nearest, if one is near.
///
/// `first_line` is the line of `file` on which `text` begins (1 for a whole file; more
/// for front matter inside another file).
pub fn parse_toml<T: DeserializeOwned>(
    file: impl AsRef<Path>,
    text: &str,
    first_line: usize,
) -> Result<T, ManifestError> {
    let error = |e: &toml::de::Error, key: Option<String>| {
        let position = e.span().map(|span| position(text, span.start));
        ManifestError {
            file: file.as_ref().to_owned(),
            line: position.map(|(line, _)| line + first_line - 1),
            column: position.map(|(_, column)| column),
            key,
            reason: suggest::unknown(e.message()).unwrap_or_else(|| e.message().to_owned()),
        }
    };
    let deserializer = toml::Deserializer::parse(text).map_err(|e| error(&e, None))?;
    serde_path_to_error::deserialize(deserializer).map_err(|e| {
        let path = e.path().to_string();
        error(e.inner(), (path != ".").then_some(path))
    })
}

/// Line and column, both from 1, of a byte offset.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(offset)];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (
        before.matches('\n').count() + 1,
        before[line_start..].chars().count() + 1,
    )
}

/// An error about a value that parsed and is wrong all the same: it names `path`, and the
/// position of the innermost key of it that the text spells out.
///
/// `first_line` is as for [`parse_toml`].
pub fn locate_toml(
    file: impl AsRef<Path>,
    text: &str,
    first_line: usize,
    path: &[&str],
    reason: String,
) -> ManifestError {
    let mut span = None;
    if let Ok(document) = toml::de::DeTable::parse(text) {
        let mut table = document.get_ref();
        for key in path {
            let Some((key, value)) = table.get_key_value(*key) else {
                break;
            };
            span = Some(key.span());
            match value.get_ref() {
                toml::de::DeValue::Table(inner) => table = inner,
                _ => break,
            }
        }
    }
    let position = span.map(|span| position(text, span.start));
    ManifestError {
        file: file.as_ref().to_owned(),
        line: position.map(|(line, _)| line + first_line - 1),
        column: position.map(|(_, column)| column),
        key: Some(path.join(".")),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    const MANIFEST: &str = r#"
[defaults]
model = "small"
quant = "Q4_K_M"
strategy = { hibernate-after = "5m" }
sampling = { temperature = 0.5, seed = 7 }

[models.small]
source = "Qwen/Qwen2.5-1.5B-Instruct"
sampling = { temperature = 0.1 }

[models.local]
source = "./weights.gguf"
strategy = "keep-alive"
"#;

    fn fails(text: &str) -> ManifestError {
        match UserManifest::parse("models.toml", text).unwrap_err() {
            GeniusError::Manifest(e) => e,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn an_entry_takes_from_the_defaults_what_it_leaves_out() {
        let manifest = UserManifest::parse("models.toml", MANIFEST).unwrap();
        let small = manifest.resolve("small").unwrap();
        assert_eq!(small.id(), "Qwen/Qwen2.5-1.5B-Instruct:Q4_K_M");
        assert_eq!(small.config.sampling.temperature, Some(0.1));
        assert_eq!(small.config.sampling.seed, Some(7));
        assert_eq!(
            small.strategy,
            CortexStrategy::HibernateAfter(Duration::from_secs(300))
        );
        let local = manifest.resolve("local").unwrap();
        assert_eq!(local.id(), "./weights.gguf");
        assert_eq!(local.strategy, CortexStrategy::KeepAlive);
    }

    #[test]
    fn a_spec_no_entry_names_gets_the_defaults() {
        let manifest = UserManifest::parse("models.toml", MANIFEST).unwrap();
        let spec = manifest.resolve("a/b:Q8_0").unwrap();
        assert_eq!(spec.id(), "a/b:Q8_0");
        assert_eq!(spec.config.sampling.temperature, Some(0.5));
    }

    #[test]
    fn a_manifest_laid_over_another_wins_entry_by_entry() {
        let base = UserManifest::parse("base.toml", MANIFEST).unwrap();
        let text = "[defaults]\nquant = 'Q8_0'\n[models.local]\nsource = 'a/b'\n";
        let both = UserManifest::parse("own.toml", text).unwrap().over(base);
        assert_eq!(both.resolve("local").unwrap().id(), "a/b:Q8_0");
        assert_eq!(both.defaults.model.as_deref(), Some("small"));
        let small = both.resolve("small").unwrap();
        assert_eq!(small.config.sampling.temperature, Some(0.1));
        assert_eq!(small.config.sampling.seed, Some(7));
    }

    #[test]
    fn a_syntax_error_names_its_line() {
        let error = fails("[defaults]\nquant = \n");
        assert_eq!(
            (error.file.to_str(), error.line),
            (Some("models.toml"), Some(2))
        );
    }

    #[test]
    fn a_wrong_type_names_line_and_key() {
        let error = fails("[models.x]\nsource = \"a/b\"\nsampling = { seed = \"one\" }\n");
        assert_eq!(error.line, Some(3));
        assert_eq!(error.key.as_deref(), Some("models.x.sampling.seed"));
    }

    #[test]
    fn an_unknown_key_is_an_error_that_lists_the_known_ones() {
        let error = fails("[defaults]\nsampling = { temprature = 1.0 }\n");
        assert_eq!(error.line, Some(2));
        let start = "unknown key `temprature`; did you mean `temperature`? (known: `";
        assert!(error.reason.starts_with(start), "{error}");
        assert!(error.reason.contains("`min-p`"), "{error}");
    }

    #[test]
    fn a_duplicate_key_is_an_error() {
        assert_eq!(
            fails("[defaults]\nquant = 'a'\nquant = 'b'\n").line,
            Some(3)
        );
    }

    #[test]
    fn a_value_out_of_range_names_line_and_key() {
        let error = fails("[models.x]\nsource = \"a/b\"\n[models.x.sampling]\ntemperature = nan\n");
        assert_eq!(error.line, Some(4));
        assert_eq!(error.key.as_deref(), Some("models.x.sampling.temperature"));
    }

    #[test]
    fn a_bad_source_names_line_and_key() {
        let error = fails("[models.x]\nsource = \"nonsense\"\n");
        assert_eq!((error.line, error.column), (Some(2), Some(1)));
        assert_eq!(error.key.as_deref(), Some("models.x.source"));
    }

    #[test]
    fn front_matter_counts_lines_of_its_file() {
        let error = parse_toml::<UserManifest>("a.md", "x = 1", 5).unwrap_err();
        assert_eq!(error.line, Some(5));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC*") {
            let _ = UserManifest::parse("m.toml", &text);
        }

        #[test]
        fn a_manifest_cut_anywhere_parses_or_says_where(cut in 0..MANIFEST.len()) {
            if let Err(GeniusError::Manifest(e)) = UserManifest::parse("m.toml", &MANIFEST[..cut]) {
                prop_assert!(e.line.is_some(), "{}", e);
            }
        }
    }
}
