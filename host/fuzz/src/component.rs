use crate::assert_line;
use rusty_genius_core::component::{
    ComponentError, ComponentInfo, Extern, NAME_LIMIT, NAMES_LIMIT,
};

/// A component, looked at from outside ([`ComponentInfo::read`]).
///
/// Limits hold; counts are no more than the bytes can bear; names can be shown; and half of
/// it is refused, or has the beginning of its imports.
pub fn component(bytes: &[u8]) {
    let info = match ComponentInfo::read(bytes) {
        Ok(info) => info,
        Err(error) => return check_error(&error, bytes),
    };
    assert_eq!(info.bytes, bytes.len() as u64);
    let sections = info.code_bytes + info.data_bytes + info.custom_bytes;
    assert!(sections <= info.bytes, "{sections} of {}", info.bytes);
    // A module and a component have 8 bytes at least, a memory has 2.
    assert!((info.modules + info.components) * 8 + info.memories * 2 <= info.bytes);
    for list in [&info.imports, &info.exports] {
        assert!(list.len() <= NAMES_LIMIT);
        list.iter().for_each(check_name);
    }
    for producer in info.languages.iter().chain(&info.tools) {
        assert_line(&producer.to_string());
    }
    for version in [info.contract_versions(), info.wasi_versions()].concat() {
        assert_line(version);
    }
    let world = info.world();
    assert!(world.is_none() || !info.exports.is_empty());

    if let Ok(half) = ComponentInfo::read(&bytes[..bytes.len() / 2]) {
        assert!(info.imports.starts_with(&half.imports));
        assert!(info.exports.starts_with(&half.exports));
        assert!(half.memory_bytes <= info.memory_bytes);
    }
}

fn check_name(named: &Extern) {
    assert_line(&named.name);
    assert!(named.name.chars().count() <= NAME_LIMIT + 1);
    assert!(!named.explain().is_empty());
    assert_eq!(named.package().is_some(), named.interface().is_some());
}

fn check_error(error: &ComponentError, bytes: &[u8]) {
    assert_line(&error.to_string());
    assert!(!error.hint().is_empty());
    if let ComponentError::Truncated { at, size } = error {
        assert!(at <= size && *size == bytes.len() as u64);
    }
}
