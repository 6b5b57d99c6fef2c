use crate::manifest::check_error;

/// The registry of models ([`facecrab::check_registry_text`]).
///
/// Errors name a line that is there; and a change to one entry leaves the others alone.
pub fn registry(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Err(error) = facecrab::check_registry_text(text) {
        check_error(&error, text);
    }
}
