//! Finding fixtures.

use crate::{schema, show, words};
use rusty_genius_core::fixture::{FIXTURE_LIMIT, Fixture, too_large, whole_file};
use rusty_genius_core::{GeniusError, ManifestError};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Names in a fixture's path below the root: ORG, REPO, QUANT, TEST.md.
const PATH_NAMES: usize = 4;
/// How deep misplaced fixtures are looked for.
const DEPTH_LIMIT: usize = 16;
/// What explains the format, at the root only.
const README: &str = "README.md";

/// A file that is a fixture, or should be one.
#[derive(Debug)]
pub struct Found {
    /// `ORG/REPO/QUANT/TEST`, or the path below the root where it is no such thing. One
    /// line, whatever the file is called.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// What is in it, or what is wrong with it: always [`GeniusError::Manifest`], with
    /// the file and the line.
    pub fixture: Result<Fixture, GeniusError>,
}

/// The folder that a path's fixtures are named from: the nearest one called `fixtures` among
/// the path and the folders above it, or in it; of a file else the fourth folder above it,
/// and of a folder else itself.
fn root_of(path: &Path) -> PathBuf {
    let named = path.ancestors().find(|folder| folder.ends_with("fixtures"));
    if let Some(root) = named {
        return root.to_owned();
    }
    if path.is_dir() {
        let inside = path.join("fixtures");
        return if inside.is_dir() {
            inside
        } else {
            path.to_owned()
        };
    }
    let above = path.ancestors().nth(PATH_NAMES);
    match above.filter(|folder| *folder != Path::new("")) {
        Some(root) => root.to_owned(),
        None => path.to_owned(),
    }
}

/// Lists the fixtures at these paths, files and folders, sorted by path and each once. As
/// [`scan`], of which each path is given the part that lies below it.
pub fn scan_paths(paths: impl IntoIterator<Item = impl AsRef<Path>>) -> Vec<Found> {
    // A shell may name a thousand files of one folder, which is read once.
    let mut roots: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
    for path in paths {
        let path = path.as_ref();
        let paths = roots.entry(root_of(path)).or_default();
        paths.push(path.to_owned());
    }
    let mut all: BTreeMap<PathBuf, Found> = BTreeMap::new();
    for (root, paths) in roots {
        let mut found = scan(&root);
        let below = |found: &Found, path: &PathBuf| *path == root || found.path.starts_with(path);
        let empty = paths
            .iter()
            .filter(|path| !found.iter().any(|found| below(found, path)));
        all.extend(empty.map(|path| (path.clone(), nothing_at(path))));
        found.retain(|found| paths.iter().any(|path| below(found, path)));
        all.extend(found.into_iter().map(|found| (found.path.clone(), found)));
    }
    all.into_values().collect()
}

/// That there is no fixture at a path, and why.
fn nothing_at(path: &Path) -> Found {
    let reason = match fs::symlink_metadata(path) {
        Ok(_) => "there is no fixture (ORG/REPO/QUANT/TEST.md) here".to_owned(),
        Err(e) => e.to_string(),
    };
    let shown = PathBuf::from(show::name(path.as_os_str()));
    Found {
        name: shown.display().to_string(),
        path: path.to_owned(),
        fixture: Err(whole_file(&shown, reason).into()),
    }
}

/// Lists the fixtures below `root`, sorted by path. It never fails and never stops half
/// way: whatever is wrong is in its own [`Found`], a `root` that cannot be read or holds
/// no fixture too.
///
/// Every `.md` file is meant to be a fixture, except `README.md` in `root` itself. A
/// fixture in the wrong place, a `.md` that is no regular file, and a folder that cannot
/// be read are errors. Other files are ignored.
///
/// Links: one to a regular file below `root` is that file. One that leads out of `root`,
/// to a folder or nowhere is an error and not followed.
pub fn scan(root: impl AsRef<Path>) -> Vec<Found> {
    let root = root.as_ref();
    let mut scanner = Scanner {
        root,
        found: Vec::new(),
    };
    match root.canonicalize() {
        Ok(real_root) => scanner.folder(&real_root, &Place::root(root)),
        Err(e) => scanner.fail(&Place::root(root), e.to_string()),
    }
    if scanner.found.is_empty() {
        let reason = "there is no fixture (ORG/REPO/QUANT/TEST.md) in this folder";
        scanner.fail(&Place::root(root), reason);
    }
    scanner.found
}

/// A path, and the same as people see it.
struct Place {
    path: PathBuf,
    shown: PathBuf,
    /// The names below the root, shown.
    names: Vec<String>,
}

impl Place {
    fn root(root: &Path) -> Self {
        Self {
            path: root.to_owned(),
            shown: show::name(root.as_os_str()).into(),
            names: Vec::new(),
        }
    }

    fn join(&self, name: &std::ffi::OsStr) -> Self {
        let shown = show::name(name);
        let mut names = self.names.clone();
        names.push(shown.clone());
        Self {
            path: self.path.join(name),
            shown: self.shown.join(shown),
            names,
        }
    }

    /// What the test is called.
    fn name(&self) -> String {
        let name = self.names.join("/");
        match name.strip_suffix(".md") {
            Some(name) if self.names.len() == PATH_NAMES => name.to_owned(),
            _ if name.is_empty() => self.shown.display().to_string(),
            _ => name,
        }
    }

    /// Whether its name ends as a fixture's does, in whatever case.
    fn is_markdown(&self) -> bool {
        let extension = self.path.extension();
        extension.is_some_and(|e| e.eq_ignore_ascii_case("md"))
    }
}

struct Scanner<'a> {
    root: &'a Path,
    found: Vec<Found>,
}

impl Scanner<'_> {
    fn folder(&mut self, real_root: &Path, here: &Place) {
        let mut names = Vec::new();
        let entries = fs::read_dir(&here.path).and_then(|entries| {
            for entry in entries {
                names.push(entry?.file_name());
            }
            Ok(())
        });
        if let Err(e) = entries {
            self.fail(here, e.to_string());
        }
        names.sort();
        for name in names {
            let place = here.join(&name);
            if !(here.names.is_empty() && name == README) {
                self.entry(real_root, &place);
            }
        }
    }

    fn entry(&mut self, real_root: &Path, place: &Place) {
        // Of the entry itself, not of what it leads to. Opening comes last: a FIFO
        // would wait for a writer.
        let kind = match fs::symlink_metadata(&place.path) {
            Ok(metadata) => metadata.file_type(),
            Err(e) => return self.fail(place, e.to_string()),
        };
        let markdown = place.is_markdown();
        if kind.is_symlink() {
            self.link(real_root, place);
        } else if kind.is_dir() && markdown {
            self.fail(place, "it is a folder, and a fixture is a file");
        } else if kind.is_dir() && place.names.len() >= DEPTH_LIMIT {
            self.fail(
                place,
                "no fixture is that deep, and nothing below was looked at",
            );
        } else if kind.is_dir() {
            self.folder(real_root, place);
        } else if markdown && kind.is_file() {
            self.file(place);
        } else if markdown {
            self.fail(
                place,
                "it is a pipe, a socket or a device, and a fixture is a file",
            );
        }
    }

    fn link(&mut self, real_root: &Path, place: &Place) {
        let led = place.path.canonicalize().and_then(|real| {
            let metadata = fs::metadata(&real)?;
            Ok((real.starts_with(real_root), metadata))
        });
        let markdown = place.is_markdown();
        match led {
            Err(e) => self.fail(place, format!("the link leads nowhere: {e}")),
            Ok((_, to)) if to.is_dir() => {
                self.fail(
                    place,
                    "it is a link to a folder, and those are not followed",
                );
            }
            Ok(_) if !markdown => {}
            Ok((false, _)) => {
                let root = show::name(self.root.as_os_str());
                self.fail(place, format!("it is a link out of {root}"));
            }
            Ok((true, to)) if to.is_file() => self.file(place),
            Ok((true, _)) => self.fail(place, "it is a link to something that is no file"),
        }
    }

    fn file(&mut self, place: &Place) {
        let depth = place.names.len();
        if depth != PATH_NAMES {
            let reason = format!(
                "a fixture's path is ORG/REPO/QUANT/TEST.md, and this one has {} above it",
                match depth - 1 {
                    0 => "no folder".to_owned(),
                    1 => "1 folder".to_owned(),
                    folders => format!("{folders} folders"),
                }
            );
            return self.fail(place, reason);
        }
        if place.path.extension().is_some_and(|e| e != "md") {
            return self.fail(place, "a fixture's name ends with `.md`, in lower case");
        }
        let fixture = match read(&place.path) {
            Ok(bytes) => Fixture::parse(&place.name(), &place.shown, &bytes)
                .and_then(|fixture| check(fixture, &bytes)),
            Err(reason) => Err(whole_file(&place.shown, reason)),
        };
        let fixture = fixture.map(|mut fixture| {
            fixture.scenario = fixture.scenario.map(|name| scenario(&name, &place.path));
            fixture
        });
        self.push(place, fixture);
    }

    fn fail(&mut self, place: &Place, reason: impl Into<String>) {
        self.push(place, Err(whole_file(&place.shown, reason)));
    }

    fn push(&mut self, place: &Place, fixture: Result<Fixture, ManifestError>) {
        self.found.push(Found {
            name: place.name(),
            path: place.path.clone(),
            fixture: fixture.map_err(Into::into),
        });
    }
}

/// What only those can say who run expressions and schemas.
fn check(fixture: Fixture, bytes: &[u8]) -> Result<Fixture, ManifestError> {
    let wrong = |path: &[&str], reason| Fixture::wrong(&fixture.file, bytes, path, reason);
    let expect = &fixture.expect;
    if let Err(reason) = words::expression(&expect.answer) {
        return Err(wrong(&["expect", "regex"], reason));
    }
    for earlier in &expect.earlier {
        if let Err(reason) = words::expression(earlier) {
            return Err(wrong(&["expect", "earlier"], format!("`regex`: {reason}")));
        }
    }
    for (path, file) in &expect.files {
        if let Err(reason) = words::expression(file) {
            return Err(wrong(&["expect", "files", path, "regex"], reason));
        }
    }
    if let Some(Err(reason)) = expect.json_schema.as_deref().map(schema::compile) {
        return Err(wrong(&["expect", "json-schema"], reason));
    }
    Ok(fixture)
}

/// A scenario as the house finds it: a path is the fixture's folder's own.
fn scenario(name: &str, fixture: &Path) -> String {
    let is_path = name.contains(['/', '\\']) || name.ends_with(".wasm");
    match fixture.parent() {
        Some(folder) if is_path => folder.join(name).display().to_string(),
        _ => name.to_owned(),
    }
}

/// Reads a regular file, if it is no larger than a fixture can be.
fn read(path: &Path) -> Result<Vec<u8>, String> {
    let open = || -> io::Result<(u64, File)> {
        let file = File::open(path)?;
        Ok((file.metadata()?.len(), file))
    };
    let (size, file) = open().map_err(|e| e.to_string())?;
    if size > FIXTURE_LIMIT {
        return Err(too_large(size));
    }
    let mut bytes = Vec::new();
    // It may grow while it is read; the parser sees that it is too large then.
    file.take(FIXTURE_LIMIT + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| e.to_string())?;
    Ok(bytes)
}
