//! Where things are, who asks, and how patiently.

use crate::Bundled;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// How facecrab is set up.
#[derive(Clone)]
pub struct Settings {
    /// The hub, without a trailing slash. `HF_ENDPOINT`; default `https://huggingface.co`.
    pub endpoint: String,
    /// Sent to the endpoint's own origin and nowhere else. `HF_TOKEN`, else the token
    /// file (`HF_TOKEN_PATH`, else `$HF_HOME/token`). Never shown.
    pub token: Option<String>,
    /// Whether the network is forbidden. `HF_HUB_OFFLINE`.
    pub offline: bool,
    /// The cache that other tools share. `HF_HUB_CACHE`, else `$HF_HOME/hub`, else
    /// `~/.cache/huggingface/hub`.
    pub hub_cache: PathBuf,
    /// Where `registry.toml` and the user's `models.toml` are. `RUSTY_GENIUS_HOME/config`,
    /// else `$XDG_CONFIG_HOME/rusty-genius`, else `~/.config/rusty-genius`.
    pub config: PathBuf,
    /// Most connections for one file, 1 to 16; more than one is used only where it is
    /// found to be faster. Default 4.
    pub connections: usize,
    /// Most tries in a row that bring no byte before a download is given up. Default 6.
    pub retries: u32,
    /// The pause after the first failed try; it doubles up to 30 s, with jitter.
    /// Default 500 ms. A server's `Retry-After` is obeyed up to 5 minutes.
    pub backoff: Duration,
    /// How long a connection may bring no byte. Default 30 s. There is no limit on the
    /// whole: a large file on a slow line takes what it takes.
    pub stall: Duration,
    /// Models that come inside the program. Their repositories are never asked for on the
    /// hub. Default none.
    pub bundled: Vec<&'static Bundled>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("endpoint", &self.endpoint)
            .field("token", &self.token.as_ref().map(|_| "…"))
            .field("offline", &self.offline)
            .field("hub_cache", &self.hub_cache)
            .field("config", &self.config)
            .field("bundled", &self.bundled)
            .finish_non_exhaustive()
    }
}

impl Settings {
    /// As the environment says.
    pub fn from_env() -> Self {
        Self::resolve(|name| std::env::var(name).ok().filter(|v| !v.is_empty()))
    }

    /// Defaults with these folders, the network allowed and no token: for tests.
    pub fn new(hub_cache: impl Into<PathBuf>, config: impl Into<PathBuf>) -> Self {
        Self {
            endpoint: "https://huggingface.co".to_owned(),
            token: None,
            offline: false,
            hub_cache: hub_cache.into(),
            config: config.into(),
            connections: 4,
            retries: 6,
            backoff: Duration::from_millis(500),
            stall: Duration::from_secs(30),
            bundled: Vec::new(),
        }
    }

    /// Defaults with both folders below this one and the network forbidden.
    pub fn offline(folder: impl Into<PathBuf>) -> Self {
        let folder = folder.into();
        Self {
            offline: true,
            ..Self::new(folder.join("hub"), folder.join("config"))
        }
    }

    fn resolve(var: impl Fn(&str) -> Option<String>) -> Self {
        let path = |name| var(name).map(PathBuf::from);
        let home = || {
            path("HOME")
                .or_else(|| path("USERPROFILE"))
                .unwrap_or_default()
        };
        // The XDG specification: a relative path is to be ignored.
        let xdg = |name, default| {
            path(name)
                .filter(|p| p.is_absolute())
                .unwrap_or_else(|| home().join(default))
        };
        let hf_home =
            path("HF_HOME").unwrap_or_else(|| xdg("XDG_CACHE_HOME", ".cache").join("huggingface"));
        let hub_cache = path("HF_HUB_CACHE")
            .or_else(|| path("HUGGINGFACE_HUB_CACHE"))
            .unwrap_or_else(|| hf_home.join("hub"));
        let config = path("RUSTY_GENIUS_HOME").map_or_else(
            || xdg("XDG_CONFIG_HOME", ".config").join("rusty-genius"),
            |root| root.join("config"),
        );
        let token_file = path("HF_TOKEN_PATH").unwrap_or_else(|| hf_home.join("token"));
        let token = var("HF_TOKEN")
            .or_else(|| std::fs::read_to_string(token_file).ok())
            .map(|token| token.trim().to_owned())
            .filter(|token| !token.is_empty());
        let truthy =
            |text: String| ["1", "on", "yes", "true"].contains(&text.to_ascii_lowercase().as_str());
        let mut settings = Self::new(hub_cache, config);
        if let Some(endpoint) = var("HF_ENDPOINT") {
            settings.endpoint = endpoint.trim_end_matches('/').to_owned();
        }
        settings.token = token;
        settings.offline = var("HF_HUB_OFFLINE").is_some_and(truthy);
        settings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(vars: &[(&str, &str)]) -> Settings {
        Settings::resolve(|name| {
            let (_, value) = vars.iter().find(|(n, _)| *n == name)?;
            Some((*value).to_owned())
        })
    }

    #[test]
    fn the_defaults_are_those_other_tools_have() {
        let s = settings(&[("HOME", "/home/u")]);
        assert_eq!(s.endpoint, "https://huggingface.co");
        assert_eq!(s.hub_cache, PathBuf::from("/home/u/.cache/huggingface/hub"));
        assert_eq!(s.config, PathBuf::from("/home/u/.config/rusty-genius"));
        assert!(!s.offline);
    }

    #[test]
    fn the_variables_of_other_tools_count() {
        let s = settings(&[
            ("HF_HOME", "/hf"),
            ("HF_ENDPOINT", "https://mirror.example/"),
            ("HF_TOKEN", " hf_secret\n"),
            ("HF_HUB_OFFLINE", "True"),
            ("RUSTY_GENIUS_HOME", "/rg"),
        ]);
        assert_eq!(s.hub_cache, PathBuf::from("/hf/hub"));
        assert_eq!(s.endpoint, "https://mirror.example");
        assert_eq!(s.token.as_deref(), Some("hf_secret"));
        assert!(s.offline);
        assert_eq!(s.config, PathBuf::from("/rg/config"));
        let s = settings(&[("HF_HUB_CACHE", "/c"), ("HF_HOME", "/hf")]);
        assert_eq!(s.hub_cache, PathBuf::from("/c"));
    }

    #[test]
    fn the_token_is_never_shown() {
        let shown = format!("{:?}", settings(&[("HF_TOKEN", "hf_secret")]));
        assert!(!shown.contains("hf_secret"), "{shown}");
    }
}
