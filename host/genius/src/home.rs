//! Where the user's own files are.

use std::path::PathBuf;

/// The folders of a user. `RUSTY_GENIUS_HOME` moves all of them at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// What the user wrote: `models.toml`. `$XDG_CONFIG_HOME/rusty-genius`, else
    /// `~/.config/rusty-genius`.
    pub config: PathBuf,
    /// What can be made again: compiled guests. `$XDG_CACHE_HOME/rusty-genius`, else
    /// `~/.cache/rusty-genius`.
    pub cache: PathBuf,
}

impl Home {
    /// As the environment says; `None` where there is no home at all.
    pub fn from_env() -> Option<Self> {
        Self::resolve(|name| {
            let value = std::env::var_os(name).filter(|v| !v.is_empty())?;
            Some(PathBuf::from(value))
        })
    }

    fn resolve(var: impl Fn(&str) -> Option<PathBuf>) -> Option<Self> {
        if let Some(root) = var("RUSTY_GENIUS_HOME") {
            return Some(Self {
                config: root.join("config"),
                cache: root.join("cache"),
            });
        }
        let home = || var("HOME").or_else(|| var("USERPROFILE"));
        // The XDG specification: a relative path is to be ignored.
        let place = |name, default: &str| {
            var(name)
                .filter(|p| p.is_absolute())
                .or_else(|| home().map(|home| home.join(default)))
                .map(|place| place.join("rusty-genius"))
        };
        Some(Self {
            config: place("XDG_CONFIG_HOME", ".config")?,
            cache: place("XDG_CACHE_HOME", ".cache")?,
        })
    }
}

/// Where runs get their directories: `RUSTY_GENIUS_TMP`, else `target/tmp` below the
/// working directory.
pub(crate) fn scratch_root() -> PathBuf {
    std::env::var_os("RUSTY_GENIUS_TMP")
        .filter(|v| !v.is_empty())
        .map_or_else(|| PathBuf::from("target/tmp"), PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(vars: &[(&str, &str)]) -> Option<Home> {
        Home::resolve(|name| {
            let (_, value) = vars.iter().find(|(n, _)| *n == name)?;
            Some(PathBuf::from(value))
        })
    }

    #[test]
    fn one_variable_moves_everything() {
        let home = home(&[("RUSTY_GENIUS_HOME", "/x"), ("HOME", "/home/u")]).unwrap();
        assert_eq!(home.config, PathBuf::from("/x/config"));
        assert_eq!(home.cache, PathBuf::from("/x/cache"));
    }

    #[test]
    fn xdg_variables_count_unless_relative() {
        let home = home(&[
            ("HOME", "/home/u"),
            ("XDG_CONFIG_HOME", "/c"),
            ("XDG_CACHE_HOME", "cache"),
        ]);
        let home = home.unwrap();
        assert_eq!(home.config, PathBuf::from("/c/rusty-genius"));
        assert_eq!(home.cache, PathBuf::from("/home/u/.cache/rusty-genius"));
    }

    #[test]
    fn without_a_home_there_is_none() {
        assert_eq!(home(&[]), None);
    }
}
