//! What a run may use, as the host holds it: names resolved, tools compiled.

use crate::guest::Guest;
use rusty_genius_core::{
    Budget, Clocks, GeniusError, ModelSource, ModelSpec, Pattern, Random, Stdio, Terms,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// What a run may use. A guest gets what its component imports *and* this names.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The model it may always open; the empty name means this one too.
    pub model: ModelSpec,
    /// The name a manifest gives the model, which the guest may use as well.
    pub model_name: Option<String>,
    /// Other models it may open. Default none.
    pub models: Models,
    /// Priority and deadline of its requests, and what happens to the model afterwards.
    pub terms: Terms,
    /// Directories it sees besides `/scratch`. Default none.
    pub files: Vec<Mount>,
    /// Tools it may call, by name. Default none.
    pub tools: BTreeMap<String, Tool>,
    /// Its environment. Default empty.
    pub env: Vec<(String, String)>,
    /// Which of its streams lead somewhere. Default none.
    pub stdio: Vec<Stdio>,
    /// What it reads from stdin, where that is granted. Default nothing.
    pub stdin: Arc<[u8]>,
    /// What time it sees. Default coarse.
    pub clocks: Clocks,
    /// What random numbers it gets. Default the host's.
    pub random: Random,
}

/// Models a run may open besides its default one.
#[derive(Clone, Default)]
pub struct Models {
    /// Names and specs, with `*` and `?`. A model is granted under the name the guest uses
    /// for it, or under its canonical one.
    pub patterns: Vec<Pattern>,
    /// What a name means; `None` takes it for a spec.
    pub resolve: Option<Resolve>,
    /// Names a guest may be told of, if the patterns cover them.
    pub known: Vec<String>,
}

/// How a model's name becomes a model.
pub type Resolve = Arc<dyn Fn(&str) -> Result<ModelSpec, GeniusError> + Send + Sync>;

impl fmt::Debug for Models {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.patterns).finish()
    }
}

impl Models {
    /// The model of this name, if it is granted. A path or a URL never is: a guest must not
    /// find out what files there are.
    pub(crate) fn find(&self, name: &str) -> Result<Option<ModelSpec>, GeniusError> {
        if self.patterns.is_empty() {
            return Ok(None);
        }
        let covered = |name: &str| self.patterns.iter().any(|p| p.matches(name));
        let known = self.known.iter().any(|known| known == name);
        let hub = matches!(ModelSource::parse(name), Ok(ModelSource::Hub { .. }));
        if !known && !hub {
            return Ok(None);
        }
        let spec = match &self.resolve {
            Some(resolve) => resolve(name)?,
            None => ModelSpec::new(ModelSource::parse(name)?),
        };
        Ok((covered(name) || covered(&spec.id())).then_some(spec))
    }

    /// The known names that are granted.
    pub(crate) fn granted(&self) -> impl Iterator<Item = (&str, ModelSpec)> {
        self.known.iter().filter_map(|name| {
            let spec = self.find(name).ok().flatten()?;
            Some((name.as_str(), spec))
        })
    }
}

/// A directory of the host that a guest sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The directory.
    pub host: PathBuf,
    /// The path the guest sees it under;
    /// [`check_guest_path`](rusty_genius_core::check_guest_path) says which may be.
    pub guest: String,
    /// Whether it may change something in it.
    pub writable: bool,
}

/// A tool a run may call.
#[derive(Clone, Debug)]
pub struct Tool {
    /// The component, of world `tool`.
    pub guest: Guest,
    /// Directories it sees besides a `/scratch` of its own.
    pub files: Vec<Mount>,
    /// What one call of it may consume. [`Budget::for_tool`] unless its grant says otherwise.
    pub budget: Budget,
}

impl Grant {
    /// One model, and nothing else.
    pub fn new(model: ModelSpec) -> Self {
        Self {
            model,
            model_name: None,
            models: Models::default(),
            terms: Terms::default(),
            files: Vec::new(),
            tools: BTreeMap::new(),
            env: Vec::new(),
            stdio: Vec::new(),
            stdin: Arc::new([]),
            clocks: Clocks::default(),
            random: Random::default(),
        }
    }

    /// What a guest calls the default model: never a path or a URL. The empty name stands
    /// for one that has no other.
    pub(crate) fn guest_name(&self) -> String {
        let id = self.model.id();
        match (&self.model.source, &self.model_name) {
            (ModelSource::Hub { .. }, _) => id,
            (_, Some(name)) if *name != id => name.clone(),
            _ => String::new(),
        }
    }

    /// For a record: what was granted, without the values of the environment.
    pub(crate) fn summary(&self) -> Value {
        let files = |files: &[Mount]| -> Value {
            let entry = |m: &Mount| {
                let mode = if m.writable {
                    "read-write"
                } else {
                    "read-only"
                };
                (m.guest.clone(), json!({ "host": m.host, "mode": mode }))
            };
            files
                .iter()
                .map(entry)
                .collect::<serde_json::Map<_, _>>()
                .into()
        };
        let tools: serde_json::Map<String, Value> = self
            .tools
            .iter()
            .map(|(name, tool)| {
                let grant = json!({
                    "component": tool.guest.name(),
                    "digest": tool.guest.digest(),
                    "files": files(&tool.files),
                    "budget": tool.budget,
                });
                (name.clone(), grant)
            })
            .collect();
        json!({
            "models": self.models.patterns,
            "files": files(&self.files),
            "tools": tools,
            "env": self.env.iter().map(|(name, _)| name).collect::<Vec<_>>(),
            "stdio": self.stdio,
            "clocks": self.clocks,
            "random": self.random,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn models(patterns: &[&str]) -> Models {
        Models {
            patterns: patterns.iter().map(|p| Pattern::new(p)).collect(),
            resolve: Some(Arc::new(|name| {
                let spec = match name {
                    "small" => "org/small:Q8_0",
                    "local" => "/models/local.gguf",
                    other => other,
                };
                Ok(ModelSpec::new(ModelSource::parse(spec)?))
            })),
            known: vec!["small".into(), "local".into()],
        }
    }

    fn finds(patterns: &[&str], name: &str) -> Option<String> {
        models(patterns).find(name).unwrap().map(|spec| spec.id())
    }

    #[test]
    fn a_model_is_granted_under_its_name_or_its_spec() {
        assert_eq!(
            finds(&["small"], "small").as_deref(),
            Some("org/small:Q8_0")
        );
        assert_eq!(
            finds(&["org/*"], "small").as_deref(),
            Some("org/small:Q8_0")
        );
        assert_eq!(finds(&["org/*"], "org/other").as_deref(), Some("org/other"));
        assert_eq!(finds(&["org/*"], "evil/other"), None);
        assert_eq!(finds(&[], "small"), None);
    }

    #[test]
    fn a_path_is_never_granted_but_a_name_of_one_is() {
        assert_eq!(finds(&["*"], "/models/local.gguf"), None);
        assert_eq!(finds(&["*"], "./x.gguf"), None);
        assert_eq!(finds(&["*"], "nonsense"), None);
        assert!(finds(&["local"], "local").is_some());
        let all = models(&["*"]);
        let names: Vec<&str> = all.granted().map(|(name, _)| name).collect();
        assert_eq!(names, ["small", "local"]);
    }

    #[test]
    fn a_guest_is_told_no_path_and_no_url() {
        let name = |source: &str, name: Option<&str>| {
            let mut grant = Grant::new(ModelSpec::new(ModelSource::parse(source).unwrap()));
            grant.model_name = name.map(str::to_owned);
            grant.guest_name()
        };
        let url = format!("https://example.org/x.gguf#sha256={}", "0".repeat(64));
        assert_eq!(name("o/r:Q8_0", Some("small")), "o/r:Q8_0");
        assert_eq!(name("/home/u/x.gguf", Some("small")), "small");
        assert_eq!(name("/home/u/x.gguf", Some("/home/u/x.gguf")), "");
        assert_eq!(name(&url, Some(&url)), "");
        assert_eq!(name(&url, None), "");
    }
}
