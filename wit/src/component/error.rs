use thiserror::Error;

/// Why bytes are no component that can be looked at.
///
/// Offsets (`at`) are bytes from the beginning; the caller, who has the file, adds its path.
/// Texts from the bytes are shown escaped.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ComponentError {
    /// There are no bytes.
    #[error("the file is empty")]
    Empty,
    /// A core module.
    #[error("it is a core WebAssembly module, not a component")]
    CoreModule,
    /// WebAssembly of a layer or version that is neither a module's nor a component's.
    #[error("it is WebAssembly of a version this host does not know")]
    UnknownVersion,
    /// WebAssembly as text.
    #[error("it is WebAssembly in text form")]
    Text,
    /// Something else.
    #[error("it is not WebAssembly (it begins with {head:?})")]
    NotWebAssembly {
        /// Its first characters, at most 16.
        head: String,
    },
    /// It ends too early.
    #[error("it is truncated: at byte {at} more is needed than the {size} bytes there are")]
    Truncated {
        /// Where more bytes should be.
        at: u64,
        /// Bytes there are.
        size: u64,
    },
    /// A section is not what it should be.
    #[error("it is damaged: at byte {at}: {reason}")]
    Malformed {
        /// Where.
        at: u64,
        /// What is wrong.
        reason: String,
    },
    /// A limit of this module was passed.
    #[error("at byte {at}: over {limit} {what}")]
    TooMany {
        /// Where.
        at: u64,
        /// What is counted.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// Components are nested too deep.
    #[error("at byte {at}: components nested over {limit} deep")]
    TooDeep {
        /// Where the component too many begins.
        at: u64,
        /// The deepest nesting there may be.
        limit: usize,
    },
    /// It instantiates a component that it is given from outside, or that an instance exports:
    /// how much that comes to cannot be told beforehand. No toolchain makes one like it.
    #[error("at byte {at}: it instantiates a component that is not spelled out in it")]
    HigherOrder {
        /// Where.
        at: u64,
    },
}

impl ComponentError {
    /// What a person can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Empty | Self::CoreModule | Self::UnknownVersion | Self::NotWebAssembly { .. } => {
                "build one with: cargo build --release --target wasm32-wasip2"
            }
            Self::Text => "make it binary with: wasm-tools parse FILE.wat -o FILE.wasm",
            Self::Truncated { .. } | Self::Malformed { .. } => {
                "get the file again, or build it anew"
            }
            Self::TooMany { .. } | Self::TooDeep { .. } | Self::HigherOrder { .. } => {
                "build it from fewer parts: no toolchain makes one like it"
            }
        }
    }
}
