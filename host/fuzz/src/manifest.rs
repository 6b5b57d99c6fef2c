use rusty_genius_core::{GeniusError, ManifestError, UserManifest};

/// `models.toml` ([`UserManifest::parse`]).
///
/// Errors name a line that is there; every model that a manifest names can be resolved; and
/// what was read says the same when it is printed and read again.
pub fn manifest(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let manifest = match UserManifest::parse("models.toml", text) {
        Ok(manifest) => manifest,
        Err(GeniusError::Manifest(error)) => return check_error(&error, text),
        Err(other) => panic!("an error of another kind: {other}"),
    };
    for name in manifest.models.keys() {
        if let Err(error) = manifest.resolve(name) {
            panic!("{name:?} was read and cannot be resolved: {error}");
        }
    }
    // Anything may be asked for.
    let _ = manifest.resolve(text);
    assert_eq!(manifest.clone().over(UserManifest::default()), manifest);
    assert_eq!(UserManifest::default().over(manifest.clone()), manifest);
    let printed = match toml::to_string(&manifest) {
        Ok(printed) => printed,
        Err(error) => panic!("what was read cannot be printed: {error}"),
    };
    match UserManifest::parse("printed.toml", &printed) {
        Ok(again) => assert_eq!(again, manifest, "{printed}"),
        Err(error) => panic!("what was printed cannot be read: {error}\n{printed}"),
    }
}

/// An error about a text names one of its lines.
pub(crate) fn check_error(error: &ManifestError, text: &str) {
    assert!(!error.reason.is_empty());
    let lines = text.split('\n').count();
    let line = error.line.unwrap_or(0);
    assert!((1..=lines).contains(&line), "of {lines} lines: {error}");
    let longest = text.split('\n').map(|line| line.chars().count()).max();
    let column = error.column.unwrap_or(1);
    assert!((1..=longest.unwrap_or(0) + 1).contains(&column), "{error}");
}
