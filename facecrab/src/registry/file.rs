//! The registry's text: read strictly, changed in place.

use super::{Entry, FileRecord};
use crate::durable;
use rusty_genius_core::text::is_sha256;
use rusty_genius_core::{AssetError, GeniusError, ManifestError, locate_toml, parse_toml};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike, Value};

/// More than ten thousand models need.
const BYTES_LIMIT: u64 = 64 << 20;

const HEADER: &str = "\
# The models on this machine, kept by facecrab.
# Comments and keys of your own survive its changes.

";

/// What stands at a path.
pub(super) enum Content {
    Missing,
    Good(String),
    Broken(ManifestError),
}

/// Unknown keys are the user's.
#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    models: BTreeMap<String, RawEntry>,
}

#[derive(Deserialize)]
struct RawEntry {
    source: String,
    revision: Option<String>,
    time: String,
    files: Vec<RawFile>,
}

#[derive(Deserialize)]
struct RawFile {
    path: PathBuf,
    size: u64,
    sha256: Option<String>,
}

pub(super) fn read(path: &Path) -> Result<Content, GeniusError> {
    let bytes = match durable::read(path, BYTES_LIMIT) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(Content::Missing),
        Err(e) if e.kind() == ErrorKind::InvalidData => {
            return Ok(Content::Broken(wrong(path, &e.to_string())));
        }
        Err(e) => return Err(super::io(path)(e).into()),
    };
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(e) => {
            let before = &e.as_bytes()[..e.utf8_error().valid_up_to()];
            let mut wrong = wrong(path, "is not UTF-8 text");
            wrong.line = Some(before.iter().filter(|byte| **byte == b'\n').count() + 1);
            return Ok(Content::Broken(wrong));
        }
    };
    Ok(match entries(path, &text) {
        Ok(_) => Content::Good(text),
        Err(e) => Content::Broken(e),
    })
}

pub(super) fn wrong(path: &Path, reason: &str) -> ManifestError {
    ManifestError {
        file: path.to_owned(),
        line: None,
        column: None,
        key: None,
        reason: reason.to_owned(),
    }
}

/// The entries of a text; `file` is only named in errors.
pub(super) fn entries(file: &Path, text: &str) -> Result<Vec<Entry>, ManifestError> {
    let document: Document = parse_toml(file, text, 1)?;
    let entry = |(spec, raw): (String, RawEntry)| {
        let fail = |key: &str, reason: &str| {
            let key = ["models", &spec, key];
            let path = if key[2].is_empty() { &key[..2] } else { &key };
            Err(locate_toml(file, text, 1, path, reason.to_owned()))
        };
        // It is shown on terminals.
        if spec.is_empty() || spec.chars().any(char::is_control) {
            return fail("", "is no model spec");
        }
        if raw.files.is_empty() {
            return fail("files", "is empty");
        }
        let digests = raw.files.iter().filter_map(|file| file.sha256.as_deref());
        for digest in digests {
            if !is_sha256(digest) {
                return fail("files", "a sha256 has 64 hexadecimal digits");
            }
        }
        let files = raw.files.into_iter().map(|file| FileRecord {
            path: file.path,
            size: file.size,
            sha256: file.sha256,
        });
        Ok(Entry {
            files: files.collect(),
            spec,
            revision: raw.revision,
            source: raw.source,
            time: raw.time,
        })
    };
    document.models.into_iter().map(entry).collect()
}

/// The text with this entry in it.
pub(super) fn with(text: &str, entry: &Entry) -> Result<String, GeniusError> {
    let mut document = document(text)?;
    let empty = document.is_empty() && document.trailing().as_str().is_none_or(str::is_empty);
    let models = document.entry("models").or_insert_with(|| {
        let mut models = Table::new();
        models.set_implicit(true);
        Item::Table(models)
    });
    let models = table(models)?;
    if !models.contains_key(&entry.spec) {
        let mut own = Table::new();
        own.decor_mut()
            .set_prefix(if empty { HEADER } else { "\n" });
        models.insert(&entry.spec, Item::Table(own));
    }
    let own = table(models.entry(&entry.spec).or_insert(Item::None))?;
    set(own, "source", Some(entry.source.as_str().into()));
    set(own, "revision", entry.revision.as_deref().map(Value::from));
    set(own, "time", Some(entry.time.as_str().into()));
    let old = own
        .get("files")
        .cloned()
        .and_then(|files| files.into_value().ok());
    set(
        own,
        "files",
        Some(files(&entry.files, old.as_ref().and_then(Value::as_array))?.into()),
    );
    Ok(document.to_string())
}

/// The text without this spec's entry, and whether there was one.
pub(super) fn without(text: &str, spec: &str) -> Result<(String, bool), GeniusError> {
    let mut document = document(text)?;
    let Some(models) = document.get_mut("models") else {
        return Ok((text.to_owned(), false));
    };
    let models = table(models)?;
    let Some(removed) = models.remove(spec) else {
        return Ok((text.to_owned(), false));
    };
    // A comment that a blank line sets apart from the entry is about more than it.
    let comment = removed
        .as_table()
        .and_then(|table| table.decor().prefix()?.as_str()?.rsplit_once("\n\n"))
        .map(|(comment, _)| format!("{comment}\n\n"))
        .filter(|comment| !comment.trim().is_empty());
    if let Some(mut comment) = comment {
        let position = removed.as_table().and_then(Table::position);
        let next = models
            .iter_mut()
            .filter_map(|(_, item)| item.as_table_mut())
            .filter(|table| table.position() > position)
            .min_by_key(|table| table.position());
        match next {
            Some(next) => {
                let own = next.decor().prefix().and_then(|prefix| prefix.as_str());
                comment += own.unwrap_or_default().trim_start_matches('\n');
                next.decor_mut().set_prefix(comment);
            }
            None => {
                comment += document.trailing().as_str().unwrap_or_default();
                document.set_trailing(comment);
            }
        }
    }
    Ok((document.to_string(), true))
}

fn document(text: &str) -> Result<DocumentMut, GeniusError> {
    // Only a text that was read before comes here.
    let parsed = text.parse::<DocumentMut>();
    Ok(parsed.map_err(|e| wrong(Path::new(super::FILE), e.message()))?)
}

fn table(item: &mut Item) -> Result<&mut dyn TableLike, ManifestError> {
    item.as_table_like_mut()
        .ok_or_else(|| wrong(Path::new(super::FILE), "`models` is not a table of tables"))
}

/// Sets a value and leaves the comment behind it, and alone what says the same already.
fn set(table: &mut dyn TableLike, key: &str, value: Option<Value>) {
    let Some(mut value) = value else {
        table.remove(key);
        return;
    };
    if let Some(old) = table.get(key).and_then(Item::as_value) {
        *value.decor_mut() = old.decor().clone();
    }
    table.insert(key, Item::Value(value));
}

/// The files as an array, a line each; what the user added to one that stays is kept.
fn files(files: &[FileRecord], old: Option<&Array>) -> Result<Array, GeniusError> {
    let mut array = Array::new();
    for file in files {
        let path = &file.path;
        let invalid = |reason: &str| AssetError::Invalid {
            path: path.clone(),
            reason: reason.to_owned(),
        };
        let text = path
            .to_str()
            .ok_or_else(|| invalid("is a path that is no UTF-8 text"))?;
        let size = i64::try_from(file.size).map_err(|_| invalid("has a size that cannot be"))?;
        let mut known = old.into_iter().flatten().filter_map(Value::as_inline_table);
        let known = known.find(|table| table.get("path").and_then(Value::as_str) == Some(text));
        let mut table = known.cloned().unwrap_or_else(|| {
            let mut table = InlineTable::new();
            table.decor_mut().set_prefix("\n    ");
            table
        });
        set(&mut table, "path", Some(text.into()));
        set(&mut table, "size", Some(size.into()));
        set(
            &mut table,
            "sha256",
            file.sha256.as_deref().map(Value::from),
        );
        array.push_formatted(table.into());
    }
    match old {
        Some(old) => array.set_trailing(old.trailing().clone()),
        None => array.set_trailing("\n"),
    }
    array.set_trailing_comma(true);
    Ok(array)
}
