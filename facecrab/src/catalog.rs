//! The models this house knows by name, with those the user adds in `models.toml`.

use crate::durable;
use rusty_genius_core::{
    AssetError, GeniusError, ManifestError, ModelSource, UserManifest, locate_toml,
};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use toml_edit::{DocumentMut, Item, Table, Value};

const FILE: &str = "models.toml";
const LOCK: &str = "models.lock";
const BUILTIN: &str = include_str!("../models.toml");
/// More than anybody writes by hand.
const BYTES_LIMIT: u64 = 4 << 20;
/// Longest name of a model, bytes.
const NAME_BYTES_LIMIT: usize = 64;

/// The models that come with the house.
pub fn builtin() -> UserManifest {
    // A test reads it; a build whose own file is wrong is never shipped.
    UserManifest::parse(FILE, BUILTIN).unwrap_or_default()
}

/// The user's `models.toml` in this folder, laid over [`builtin`].
///
/// Errors: [`GeniusError::Manifest`] where it is wrong, [`AssetError::Io`] where it cannot
/// be read. That there is none is no error.
pub fn load(config: &Path) -> Result<UserManifest, GeniusError> {
    let path = config.join(FILE);
    let Some(text) = read(&path)? else {
        return Ok(builtin());
    };
    Ok(UserManifest::parse(&path, &text)?.over(builtin()))
}

/// Names a model in the user's `models.toml`; comments and the entry's other keys survive.
/// A name is 1 to 64 letters, digits, `-`, `_` and `.`, and does not end in `.gguf`, which
/// is a file's. One that is taken, by the house too, is an error unless `replace`.
///
/// Errors: [`GeniusError::Manifest`] for a name that is refused or a file that is wrong,
/// [`GeniusError::Protocol`] for a source that is no model spec, [`AssetError::Io`]. Nothing
/// has changed then.
pub fn add(config: &Path, name: &str, source: &str, replace: bool) -> Result<(), GeniusError> {
    let path = config.join(FILE);
    let plain = (1..=NAME_BYTES_LIMIT).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        && !name.to_ascii_lowercase().ends_with(".gguf");
    if !plain {
        let name: String = name.chars().take(80).collect();
        let reason = format!(
            "{name:?} is no name for a model: 1 to {NAME_BYTES_LIMIT} letters, digits, `-`, `_` \
             and `.`, and not a file's"
        );
        return Err(wrong(&path, reason).into());
    }
    ModelSource::parse(source)?;
    fs::create_dir_all(config).map_err(at(config))?;
    let lock = config.join(LOCK);
    let _lock = durable::lock(&lock).map_err(at(&lock))?;
    let target = durable::target(&path).map_err(at(&path))?;
    durable::sweep(&target);
    let text = read(&path)?.unwrap_or_default();
    let user = UserManifest::parse(&path, &text)?;
    if !replace {
        let taken = |reason: String| {
            let key = ["models", name];
            Err(locate_toml(&path, &text, 1, &key, reason).into())
        };
        if let Some(entry) = user.models.get(name) {
            return taken(format!("is there already: {}", entry.source));
        }
        if let Some(entry) = builtin().models.get(name) {
            return taken(format!("comes with genius already: {}", entry.source));
        }
    }
    let new = with(&text, name, source).map_err(|reason| wrong(&path, reason))?;
    // What was written can be read again, or is not written.
    UserManifest::parse(&path, &new)?;
    if new != text {
        durable::write(&target, new.as_bytes()).map_err(at(&target))?;
    }
    Ok(())
}

fn with(text: &str, name: &str, source: &str) -> Result<String, String> {
    let mut document: DocumentMut = text.parse().map_err(|e| format!("{e}"))?;
    // Comments after the last table, or in a file of nothing else, stay before what is new.
    let trailing = document.trailing().as_str().unwrap_or_default().to_owned();
    let models = document.entry("models").or_insert_with(|| {
        let mut models = Table::new();
        models.set_implicit(true);
        Item::Table(models)
    });
    let mut added = false;
    let no_table = || "`models` is not a table of tables".to_owned();
    let models = models.as_table_like_mut().ok_or_else(no_table)?;
    if !models.contains_key(name) {
        let mut own = Table::new();
        let gap = if text.trim().is_empty() { "" } else { "\n" };
        own.decor_mut().set_prefix(format!("{trailing}{gap}"));
        models.insert(name, Item::Table(own));
        added = true;
    }
    let own = models.entry(name).or_insert(Item::None);
    let own = own.as_table_like_mut().ok_or_else(no_table)?;
    let mut value = Value::from(source);
    if let Some(old) = own.get("source").and_then(Item::as_value) {
        *value.decor_mut() = old.decor().clone();
    }
    own.insert("source", Item::Value(value));
    if added {
        document.set_trailing("");
    }
    Ok(document.to_string())
}

fn read(path: &Path) -> Result<Option<String>, GeniusError> {
    let text = match durable::read(path, BYTES_LIMIT) {
        Ok(None) => return Ok(None),
        Ok(Some(bytes)) => String::from_utf8(bytes).map_err(|_| "is not UTF-8 text".to_owned()),
        Err(e) if e.kind() == ErrorKind::InvalidData => Err(e.to_string()),
        Err(e) => return Err(at(path)(e).into()),
    };
    Ok(Some(text.map_err(|reason| wrong(path, reason))?))
}

fn wrong(file: &Path, reason: String) -> ManifestError {
    ManifestError {
        file: file.to_owned(),
        line: None,
        column: None,
        key: None,
        reason,
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> AssetError {
    let path = path.to_owned();
    move |e| AssetError::Io {
        path,
        reason: e.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn dir(test: &str) -> PathBuf {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../target/tmp/facecrab-catalog")
            .join(test);
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    fn manifest(error: GeniusError) -> ManifestError {
        match error {
            GeniusError::Manifest(error) => error,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn every_builtin_model_resolves_to_a_hub_model_with_its_quant() {
        let manifest = UserManifest::parse(FILE, BUILTIN).unwrap();
        assert_eq!(builtin(), manifest);
        for name in manifest.models.keys() {
            let spec = manifest.resolve(name).unwrap();
            let ModelSource::Hub {
                quant, revision, ..
            } = spec.source
            else {
                panic!("{name}");
            };
            assert!(quant.is_some() && revision.is_none(), "{name}");
        }
        for (name, id) in [
            ("qwen2.5-1.5b", "Qwen/Qwen2.5-1.5B-Instruct:Q4_K_M"),
            ("qwen2.5-3b", "Qwen/Qwen2.5-3B-Instruct:Q4_K_M"),
            ("phi3-mini", "microsoft/Phi-3-mini-4k-instruct-gguf:q4"),
        ] {
            assert_eq!(manifest.resolve(name).unwrap().id(), id);
        }
    }

    #[test]
    fn the_users_models_are_laid_over_the_builtin_ones() {
        let dir = dir("over");
        assert_eq!(load(&dir).unwrap(), builtin());
        let text = "[defaults]\nquant = 'Q8_0'\n[models.'qwen2.5-3b']\nsource = './mine.gguf'\n";
        fs::write(dir.join(FILE), text).unwrap();
        let both = load(&dir).unwrap();
        assert_eq!(both.resolve("qwen2.5-3b").unwrap().id(), "./mine.gguf");
        let other = both.resolve("qwen2.5-1.5b").unwrap();
        assert_eq!(other.id(), "Qwen/Qwen2.5-1.5B-Instruct:Q8_0");
    }

    #[test]
    fn a_wrong_file_is_named_with_line_and_key() {
        let dir = dir("wrong");
        fs::write(dir.join(FILE), "[models.x]\nsource = 'nonsense'\n").unwrap();
        let error = manifest(load(&dir).unwrap_err());
        assert_eq!((error.file, error.line), (dir.join(FILE), Some(2)));
        assert_eq!(error.key.as_deref(), Some("models.x.source"));
        fs::write(dir.join(FILE), b"\xff").unwrap();
        assert!(manifest(load(&dir).unwrap_err()).reason.contains("UTF-8"));
        fs::remove_file(dir.join(FILE)).unwrap();
        fs::create_dir(dir.join(FILE)).unwrap();
        assert!(
            manifest(load(&dir).unwrap_err())
                .reason
                .contains("directory")
        );
    }

    #[test]
    fn an_added_model_resolves_and_comments_survive() {
        let dir = dir("add");
        add(&dir.join("made/for/it"), "small", "a/b", false).unwrap();
        let made = fs::read_to_string(dir.join("made/for/it/models.toml")).unwrap();
        assert_eq!(made, "[models.small]\nsource = \"a/b\"\n");

        let text = "# Mine.\n[models.a]\nsource = 'a/a' # here\nengine = 'pinky'\n# The end.\n";
        fs::write(dir.join(FILE), text).unwrap();
        add(&dir, "v1.2_x-y", "c/d:Q8_0", false).unwrap();
        add(&dir, "a", "e/f@main", true).unwrap();
        let changed = fs::read_to_string(dir.join(FILE)).unwrap();
        for kept in ["# Mine.", "# here", "engine = 'pinky'", "# The end."] {
            assert!(changed.contains(kept), "{kept}: {changed}");
        }
        let all = load(&dir).unwrap();
        assert_eq!(all.resolve("v1.2_x-y").unwrap().id(), "c/d:Q8_0");
        assert_eq!(all.resolve("a").unwrap().id(), "e/f:Q4_K_M@main");
        let inline = "models = { a = { source = 'a/a' } }\n";
        fs::write(dir.join(FILE), inline).unwrap();
        add(&dir, "b", "c/d", false).unwrap();
        assert_eq!(load(&dir).unwrap().models.len(), builtin().models.len() + 2);
    }

    #[test]
    fn a_name_that_is_taken_is_refused_unless_told() {
        let dir = dir("taken");
        add(&dir, "small", "a/b", false).unwrap();
        let before = fs::read_to_string(dir.join(FILE)).unwrap();
        let error = manifest(add(&dir, "small", "c/d", false).unwrap_err());
        assert_eq!(
            (error.line, error.key.as_deref()),
            (Some(1), Some("models.small"))
        );
        assert!(error.reason.contains("a/b"), "{error}");
        let error = manifest(add(&dir, "qwen3-4b", "c/d", false).unwrap_err());
        assert!(error.reason.contains("Qwen/Qwen3-4B-GGUF"), "{error}");
        assert_eq!(fs::read_to_string(dir.join(FILE)).unwrap(), before);
        add(&dir, "small", "c/d", true).unwrap();
        assert_eq!(load(&dir).unwrap().models["small"].source, "c/d");
    }

    #[test]
    fn odd_names_and_sources_are_refused_and_change_nothing() {
        let dir = dir("odd");
        let long = "x".repeat(65);
        for name in ["", "a/b", "a b", "é", "x.gguf", "x\n", &long] {
            assert!(add(&dir, name, "a/b", true).is_err(), "{name:?}");
        }
        assert!(matches!(
            add(&dir, "x", "nonsense", true),
            Err(GeniusError::Protocol(_))
        ));
        assert!(!dir.join(FILE).exists());
        fs::write(dir.join(FILE), "models = 1").unwrap();
        assert!(add(&dir, "x", "a/b", true).is_err());
        assert_eq!(fs::read_to_string(dir.join(FILE)).unwrap(), "models = 1");
    }

    #[test]
    fn models_added_at_once_are_all_there() {
        let dir = dir("at-once");
        std::thread::scope(|scope| {
            for n in 0..8 {
                let dir = &dir;
                scope.spawn(move || add(dir, &format!("m{n}"), "a/b", false).unwrap());
            }
        });
        assert_eq!(load(&dir).unwrap().models.len(), builtin().models.len() + 8);
    }
}
