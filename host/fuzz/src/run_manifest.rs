use crate::manifest::check_error;
use rusty_genius_core::{Budget, GeniusError, RunManifest, check_guest_path, check_tool_name};
use std::path::Path;

/// `genius.toml` ([`RunManifest::parse`]).
///
/// Errors name a line that is there; every path and every name that is granted is one that
/// can be; and what was read says the same when it is printed and read again.
pub fn run_manifest(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let manifest = match RunManifest::parse("genius.toml", text) {
        Ok(manifest) => manifest,
        Err(GeniusError::Manifest(error)) => return check_error(&error, text),
        Err(other) => panic!("an error of another kind: {other}"),
    };
    let grants = &manifest.grants;
    let tools = grants.tools.values().map(|tool| &tool.files);
    for files in tools.chain([&grants.files]) {
        for path in files.keys() {
            assert_eq!(check_guest_path(path), Ok(()));
            assert!(path.starts_with('/') && !path.contains("/..") && !path.ends_with('/'));
        }
    }
    for name in grants.tools.keys() {
        assert_eq!(check_tool_name(name), Ok(()));
    }
    for pattern in &grants.models {
        let own = pattern.to_string();
        assert!(own.is_empty() || pattern.matches(&own), "{own:?}");
        let _ = pattern.matches(text);
    }
    let _ = manifest.budget.over(Budget::default());
    let printed = match toml::to_string(&manifest) {
        Ok(printed) => printed,
        Err(error) => panic!("what was read cannot be printed: {error}"),
    };
    match RunManifest::parse("printed.toml", &printed) {
        Ok(again) => assert_eq!(again, manifest, "{printed}"),
        Err(error) => panic!("what was printed cannot be read: {error}\n{printed}"),
    }
    let there = manifest.relative_to(Path::new("/a/folder"));
    let granted = there.grants.tools.values().map(|tool| &tool.files);
    for grant in granted
        .chain([&there.grants.files])
        .flat_map(|files| files.values())
    {
        assert!(grant.host.is_absolute(), "{:?}", grant.host);
    }
}
