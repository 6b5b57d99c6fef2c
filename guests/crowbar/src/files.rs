//! Files, asked of the host directly: the C library of WASI corrects paths, and offers less.

use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{Descriptor, DescriptorFlags, ErrorCode, OpenFlags, PathFlags};
use wasip2::io::streams::StreamError;

pub const READ: DescriptorFlags = DescriptorFlags::READ;
pub const WRITE: DescriptorFlags = DescriptorFlags::READ.union(DescriptorFlags::WRITE);
pub const CHANGE: DescriptorFlags = DescriptorFlags::READ.union(DescriptorFlags::MUTATE_DIRECTORY);

/// A granted directory.
pub fn grant(name: &str) -> Result<Descriptor, String> {
    let found = get_directories()
        .into_iter()
        .find(|(_, known)| known == name);
    let (directory, _) = found.ok_or_else(|| format!("no {name} is granted"))?;
    Ok(directory)
}

/// The run's own directory.
pub fn scratch() -> Result<Descriptor, String> {
    grant("/scratch")
}

/// A new file, or the one there is.
pub fn create(directory: &Descriptor, path: &str) -> Result<Descriptor, String> {
    let opened = directory.open_at(PathFlags::empty(), path, OpenFlags::CREATE, WRITE);
    opened.map_err(told)
}

/// A directory, to change what is in it.
pub fn folder(directory: &Descriptor, path: &str) -> Result<Descriptor, String> {
    let opened = directory.open_at(PathFlags::empty(), path, OpenFlags::DIRECTORY, CHANGE);
    opened.map_err(told)
}

/// The error, spelled as WIT does.
pub fn told(error: ErrorCode) -> String {
    error.name().to_lowercase().replace('_', "-")
}

pub fn stream_told(error: StreamError) -> String {
    match error {
        StreamError::Closed => "closed".into(),
        StreamError::LastOperationFailed(e) => format!("failed: {}", e.to_debug_string()),
    }
}

/// A result in words; an attack that could not even begin says why.
pub fn words(result: Result<String, String>) -> String {
    result.unwrap_or_else(|why| why)
}
