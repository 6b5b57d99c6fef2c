use super::GgufError;
use super::source::Source;
use std::fmt;
use std::io::{Read, Seek};

/// The type of a metadata value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ValueType {
    /// Unsigned, 8 bits.
    U8,
    /// Signed, 8 bits.
    I8,
    /// Unsigned, 16 bits.
    U16,
    /// Signed, 16 bits.
    I16,
    /// Unsigned, 32 bits.
    U32,
    /// Signed, 32 bits.
    I32,
    /// IEEE 754, 32 bits.
    F32,
    /// One byte, 0 or 1.
    Bool,
    /// UTF-8.
    String,
    /// Values of one type.
    Array,
    /// Unsigned, 64 bits.
    U64,
    /// Signed, 64 bits.
    I64,
    /// IEEE 754, 64 bits.
    F64,
}

impl ValueType {
    /// In the order of their numbers.
    const ALL: [Self; 13] = [
        Self::U8,
        Self::I8,
        Self::U16,
        Self::I16,
        Self::U32,
        Self::I32,
        Self::F32,
        Self::Bool,
        Self::String,
        Self::Array,
        Self::U64,
        Self::I64,
        Self::F64,
    ];

    pub(super) fn from_number(number: u32) -> Option<Self> {
        Self::ALL.get(usize::try_from(number).ok()?).copied()
    }

    /// The number that stands for it in a file.
    pub fn number(self) -> u32 {
        self as u32
    }

    /// Bytes of a value of fixed size; of others, the fewest they can have.
    pub(super) fn least_bytes(self) -> u64 {
        match self {
            Self::U8 | Self::I8 | Self::Bool => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 | Self::String => 8,
            Self::Array => 12,
        }
    }
}

/// A metadata value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Unsigned, 8 bits.
    U8(u8),
    /// Signed, 8 bits.
    I8(i8),
    /// Unsigned, 16 bits.
    U16(u16),
    /// Signed, 16 bits.
    I16(i16),
    /// Unsigned, 32 bits.
    U32(u32),
    /// Signed, 32 bits.
    I32(i32),
    /// IEEE 754, 32 bits.
    F32(f32),
    /// One byte.
    Bool(bool),
    /// UTF-8.
    String(String),
    /// Values of one type, left in the file.
    Array(Array),
    /// Unsigned, 64 bits.
    U64(u64),
    /// Signed, 64 bits.
    I64(i64),
    /// IEEE 754, 64 bits.
    F64(f64),
}

impl Value {
    /// An integer of any width that is not negative.
    pub fn as_u64(&self) -> Option<u64> {
        match *self {
            Self::U8(v) => Some(v.into()),
            Self::U16(v) => Some(v.into()),
            Self::U32(v) => Some(v.into()),
            Self::U64(v) => Some(v),
            Self::I8(v) => v.try_into().ok(),
            Self::I16(v) => v.try_into().ok(),
            Self::I32(v) => v.try_into().ok(),
            Self::I64(v) => v.try_into().ok(),
            _ => None,
        }
    }

    /// A float of either width.
    pub fn as_f64(&self) -> Option<f64> {
        match *self {
            Self::F32(v) => Some(v.into()),
            Self::F64(v) => Some(v),
            _ => None,
        }
    }

    /// A boolean.
    pub fn as_bool(&self) -> Option<bool> {
        match *self {
            Self::Bool(v) => Some(v),
            _ => None,
        }
    }

    /// A string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(v) => Some(v),
            _ => None,
        }
    }

    /// An array.
    pub fn as_array(&self) -> Option<&Array> {
        match self {
            Self::Array(v) => Some(v),
            _ => None,
        }
    }
}

impl fmt::Display for Value {
    /// Strings escaped and in quotes; an array as its type and length: `[I32; 7]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::U8(v) => v.fmt(f),
            Self::I8(v) => v.fmt(f),
            Self::U16(v) => v.fmt(f),
            Self::I16(v) => v.fmt(f),
            Self::U32(v) => v.fmt(f),
            Self::I32(v) => v.fmt(f),
            Self::F32(v) => v.fmt(f),
            Self::Bool(v) => v.fmt(f),
            Self::String(v) => write!(f, "{v:?}"),
            Self::Array(v) => write!(f, "[{:?}; {}]", v.element, v.count),
            Self::U64(v) => v.fmt(f),
            Self::I64(v) => v.fmt(f),
            Self::F64(v) => v.fmt(f),
        }
    }
}

/// Where the elements of an array lie in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Array {
    pub(super) element: ValueType,
    pub(super) count: u64,
    pub(super) offset: u64,
    pub(super) bytes: u64,
}

impl Array {
    /// The type of every element.
    pub fn element(&self) -> ValueType {
        self.element
    }

    /// How many elements there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Where the first element begins, bytes from the file's beginning.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes of all elements, with the lengths of strings and of arrays.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads the elements one by one from the file the array was found in; its reader must
    /// begin where that of [`Gguf::read`](super::Gguf::read) began. One element is held at
    /// a time, a string of at most [`STRING_BYTES_LIMIT`](super::STRING_BYTES_LIMIT) bytes.
    pub fn elements<R: Read + Seek>(&self, reader: R) -> Result<Elements<R>, GgufError> {
        Ok(Elements {
            source: Source::part(reader, self.offset, self.bytes)?,
            element: self.element,
            left: self.count,
        })
    }
}

/// The elements of an [`Array`]; it ends after the first error.
#[derive(Debug)]
pub struct Elements<R> {
    source: Source<R>,
    element: ValueType,
    left: u64,
}

impl<R: Read + Seek> Iterator for Elements<R> {
    type Item = Result<Value, GgufError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let value = self.source.element(self.element);
        if value.is_err() {
            self.left = 0;
        }
        Some(value)
    }
}
