use std::io;
use thiserror::Error;

/// Why bytes are not a GGUF file that can be used.
///
/// Offsets (`at`) are bytes from the file's beginning; the caller, who opened the file, adds
/// its path. Names from the file are shown escaped.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GgufError {
    /// The first four bytes are others.
    #[error("not a GGUF file: it begins with \"{}\", not \"GGUF\"", found.escape_ascii())]
    WrongMagic {
        /// What is there.
        found: [u8; 4],
    },
    /// A version other than 2 and 3.
    #[error("GGUF version {version} is not supported (versions 2 and 3 are)")]
    UnsupportedVersion {
        /// The version the file names.
        version: u32,
    },
    /// Written for machines of the other byte order.
    #[error("a big-endian GGUF file (version {version}); only little-endian ones are supported")]
    BigEndian {
        /// The version the file names.
        version: u32,
    },
    /// The file ends too early.
    #[error("truncated: at byte {at} {needed} more bytes are needed, the file has {have}")]
    Truncated {
        /// Where the bytes should begin.
        at: u64,
        /// Bytes needed from there.
        needed: u64,
        /// Bytes there are from there.
        have: u64,
    },
    /// A limit of this module was passed.
    #[error("at byte {at}: {count} {what}, the limit is {limit}")]
    TooMany {
        /// Where.
        at: u64,
        /// What is counted.
        what: &'static str,
        /// How many there are.
        count: u64,
        /// How many there may be.
        limit: u64,
    },
    /// A text is not what its place asks for.
    #[error("at byte {at}: {what} {reason}")]
    BadString {
        /// Where its bytes begin.
        at: u64,
        /// Its place: `a key`.
        what: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A key stands twice.
    #[error("at byte {at}: the key {key:?} stands twice")]
    DuplicateKey {
        /// Where the second one ends.
        at: u64,
        /// The key, cut to 80 characters.
        key: String,
    },
    /// A value's type is none of the thirteen.
    #[error("at byte {at}: {number} is no type of value (expected 0 to 12)")]
    BadType {
        /// Where.
        at: u64,
        /// The number that is there.
        number: u32,
    },
    /// A boolean is neither 0 nor 1.
    #[error("at byte {at}: a boolean is {found} (expected 0 or 1)")]
    BadBool {
        /// Where.
        at: u64,
        /// The byte that is there.
        found: u8,
    },
    /// Arrays are nested too deep.
    #[error("at byte {at}: arrays nested over {limit} deep")]
    TooDeep {
        /// Where the array too many begins.
        at: u64,
        /// The deepest nesting there may be.
        limit: usize,
    },
    /// `general.alignment` is no alignment.
    #[error("`general.alignment` is {found} (expected a power of two from 8, as u32)")]
    BadAlignment {
        /// What it is.
        found: String,
    },
    /// Two tensors have one name.
    #[error("two tensors are named {name:?}")]
    DuplicateTensor {
        /// The name.
        name: String,
    },
    /// A tensor's dimensions are impossible.
    #[error("at byte {at}: tensor {name:?}: {reason}")]
    BadDims {
        /// Where the tensor's entry begins.
        at: u64,
        /// The tensor.
        name: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// A tensor's type is none that is known.
    #[error("at byte {at}: tensor {name:?} has the unknown type {number}")]
    UnknownTensorType {
        /// Where.
        at: u64,
        /// The tensor.
        name: String,
        /// The number that is there.
        number: u32,
    },
    /// A tensor's data does not begin at a multiple of the alignment.
    #[error(
        "tensor {name:?} begins {offset} bytes into the data, which is no multiple of {alignment}"
    )]
    Misaligned {
        /// The tensor.
        name: String,
        /// Its offset as the file names it, relative to the tensor data.
        offset: u64,
        /// The file's alignment, bytes.
        alignment: u64,
    },
    /// A tensor's data is not all in the file.
    #[error(
        "tensor {name:?} has {bytes} bytes at {offset} bytes into the data, which begins at \
         byte {data}; the file has {size} bytes"
    )]
    TensorOutOfFile {
        /// The tensor.
        name: String,
        /// Its offset as the file names it, relative to the tensor data.
        offset: u64,
        /// Its length, bytes.
        bytes: u64,
        /// Where the tensor data begins, bytes.
        data: u64,
        /// The file's length, bytes.
        size: u64,
    },
    /// Two tensors share bytes.
    #[error("tensors {a:?} and {b:?} overlap")]
    TensorsOverlap {
        /// The one that begins first.
        a: String,
        /// The other.
        b: String,
    },
    /// The data given to the writer is not as long as the tensor.
    #[error("tensor {name:?} takes {needed} bytes of data, {have} were given")]
    WrongLength {
        /// The tensor.
        name: String,
        /// Bytes its type and dimensions take.
        needed: u64,
        /// Bytes given.
        have: u64,
    },
    /// Reading, seeking or writing failed.
    #[error("at byte {at}: {reason}")]
    Io {
        /// Where in the file, as far as that is known.
        at: u64,
        /// What the system said.
        reason: String,
    },
}

impl GgufError {
    pub(super) fn io(at: u64, e: &io::Error) -> Self {
        let reason = if e.kind() == io::ErrorKind::UnexpectedEof {
            "the file ends before the length it is said to have".into()
        } else {
            e.to_string()
        };
        Self::Io { at, reason }
    }
}
