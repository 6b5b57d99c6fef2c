//! Where this house keeps what it makes. Where the user's words and models are is
//! facecrab's to say.

use std::path::PathBuf;

/// What can be made again, compiled guests: `RUSTY_GENIUS_HOME/cache`, else
/// `$XDG_CACHE_HOME/rusty-genius`, else `~/.cache/rusty-genius`. `None` where there is no
/// home at all.
pub(crate) fn cache() -> Option<PathBuf> {
    resolve(path, "cache", "XDG_CACHE_HOME", ".cache")
}

/// What cannot be made again, and is nobody's configuration: records of runs, the key of the
/// cache. `RUSTY_GENIUS_HOME/state`, else `$XDG_STATE_HOME/rusty-genius`, else
/// `~/.local/state/rusty-genius`. `None` where there is no home at all.
pub(crate) fn state() -> Option<PathBuf> {
    resolve(path, "state", "XDG_STATE_HOME", ".local/state")
}

/// Where runs get their directories: `RUSTY_GENIUS_TMP`, else `target/tmp` below the
/// working directory.
pub(crate) fn scratch_root() -> PathBuf {
    path("RUSTY_GENIUS_TMP").unwrap_or_else(|| PathBuf::from("target/tmp"))
}

fn path(name: &str) -> Option<PathBuf> {
    let value = std::env::var_os(name).filter(|v| !v.is_empty())?;
    Some(PathBuf::from(value))
}

fn resolve(
    var: impl Fn(&str) -> Option<PathBuf>,
    own: &str,
    xdg: &str,
    default: &str,
) -> Option<PathBuf> {
    if let Some(root) = var("RUSTY_GENIUS_HOME") {
        return Some(root.join(own));
    }
    let home = || var("HOME").or_else(|| var("USERPROFILE"));
    // The XDG specification: a relative path is to be ignored.
    let folder = var(xdg).filter(|p| p.is_absolute());
    let folder = folder.or_else(|| Some(home()?.join(default)));
    Some(folder?.join("rusty-genius"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(vars: &[(&str, &str)]) -> Option<PathBuf> {
        let var = |name: &str| {
            let (_, value) = vars.iter().find(|(n, _)| *n == name)?;
            Some(PathBuf::from(value))
        };
        resolve(var, "cache", "XDG_CACHE_HOME", ".cache")
    }

    #[test]
    fn one_variable_moves_everything() {
        let cache = cache(&[("RUSTY_GENIUS_HOME", "/x"), ("HOME", "/home/u")]);
        assert_eq!(cache, Some(PathBuf::from("/x/cache")));
    }

    #[test]
    fn xdg_counts_unless_relative() {
        let absolute = cache(&[("HOME", "/home/u"), ("XDG_CACHE_HOME", "/c")]);
        assert_eq!(absolute, Some(PathBuf::from("/c/rusty-genius")));
        let relative = cache(&[("HOME", "/home/u"), ("XDG_CACHE_HOME", "c")]);
        assert_eq!(relative, Some(PathBuf::from("/home/u/.cache/rusty-genius")));
    }

    #[test]
    fn without_a_home_there_is_none() {
        assert_eq!(cache(&[]), None);
    }
}
