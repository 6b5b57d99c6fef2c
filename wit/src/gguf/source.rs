use super::{
    ARRAY_DEPTH_LIMIT, Array, GgufError, HEADER_BYTES_LIMIT, MAGIC, NAME_BYTES_LIMIT,
    STRING_BYTES_LIMIT, TEXT_BYTES_LIMIT, Tensor, TensorType, Value, ValueType,
};
use std::io::{BufReader, Read, Seek, SeekFrom};

/// Bytes read ahead, and the most that is allocated before any of it was read.
const CHUNK: usize = 64 << 10;

/// A part of a file, read forwards, that no read or skip leaves.
#[derive(Debug)]
pub(super) struct Source<R> {
    inner: BufReader<R>,
    at: u64,
    /// Where the part ends.
    end: u64,
    /// Bytes of text that may still be held.
    text_left: u64,
}

impl<R: Read + Seek> Source<R> {
    /// The `bytes` from `offset` on.
    pub(super) fn part(mut reader: R, offset: u64, bytes: u64) -> Result<Self, GgufError> {
        reader
            .seek(SeekFrom::Start(offset))
            .map_err(|e| GgufError::io(offset, &e))?;
        Ok(Self {
            inner: BufReader::with_capacity(CHUNK, reader),
            at: offset,
            end: offset.saturating_add(bytes),
            text_left: TEXT_BYTES_LIMIT,
        })
    }

    /// Bytes from the file's beginning.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// One element of an array. Nobody holds more than one, so the limit on all text starts
    /// anew.
    pub(super) fn element(&mut self, ty: ValueType) -> Result<Value, GgufError> {
        self.text_left = TEXT_BYTES_LIMIT;
        self.value(ty)
    }

    /// Fails unless `bytes` more are there and a header may have them.
    fn need(&self, bytes: u64) -> Result<(), GgufError> {
        let have = self.end - self.at;
        if bytes > have {
            return Err(GgufError::Truncated {
                at: self.at,
                needed: bytes,
                have,
            });
        }
        let count = self.at.saturating_add(bytes);
        self.at_most("bytes of header", count, HEADER_BYTES_LIMIT)
    }

    fn at_most(&self, what: &'static str, count: u64, limit: u64) -> Result<(), GgufError> {
        if count > limit {
            return Err(GgufError::TooMany {
                at: self.at,
                what,
                count,
                limit,
            });
        }
        Ok(())
    }

    /// Checks a count that the file names: against its limit, and against the fewest bytes
    /// that so many take.
    pub(super) fn promised(
        &self,
        what: &'static str,
        count: u64,
        limit: u64,
        least_bytes: u64,
    ) -> Result<(), GgufError> {
        self.at_most(what, count, limit)?;
        self.need(least_bytes)
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), GgufError> {
        let bytes = buffer.len() as u64;
        self.need(bytes)?;
        self.inner
            .read_exact(buffer)
            .map_err(|e| GgufError::io(self.at, &e))?;
        self.at += bytes;
        Ok(())
    }

    fn skip(&mut self, bytes: u64) -> Result<(), GgufError> {
        self.need(bytes)?;
        // Below the limit on headers, so far below 2^63.
        self.inner
            .seek_relative(bytes.cast_signed())
            .map_err(|e| GgufError::io(self.at, &e))?;
        self.at += bytes;
        Ok(())
    }

    fn array_of<const N: usize>(&mut self) -> Result<[u8; N], GgufError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32, GgufError> {
        self.array_of().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, GgufError> {
        self.array_of().map(u64::from_le_bytes)
    }

    pub(super) fn version(&mut self) -> Result<u32, GgufError> {
        let found = self.array_of()?;
        if found != MAGIC {
            return Err(GgufError::WrongMagic { found });
        }
        match self.u32()? {
            version @ (2 | 3) => Ok(version),
            other => match other.swap_bytes() {
                version @ 1..=3 => Err(GgufError::BigEndian { version }),
                _ => Err(GgufError::UnsupportedVersion { version: other }),
            },
        }
    }

    /// The length of a text, checked against `limit` and the bytes left.
    fn text_bytes(&mut self, what: &'static str, limit: u64) -> Result<u64, GgufError> {
        let bytes = self.u64()?;
        self.promised(what, bytes, limit, bytes)?;
        Ok(bytes)
    }

    fn text(
        &mut self,
        what: &'static str,
        counted: &'static str,
        limit: u64,
    ) -> Result<String, GgufError> {
        let mut left = self.text_bytes(counted, limit)?;
        let at = self.at;
        let held = TEXT_BYTES_LIMIT - self.text_left;
        self.at_most("bytes of text", held + left, TEXT_BYTES_LIMIT)?;
        self.text_left -= left;
        // Memory grows with what was really read, should the file be shorter than it is
        // said to be.
        let mut text = Vec::new();
        while left > 0 {
            let begin = text.len();
            let step = left.min(begin.max(CHUNK) as u64);
            text.reserve_exact(step as usize);
            text.resize(begin + step as usize, 0);
            self.fill(&mut text[begin..])?;
            left -= step;
        }
        String::from_utf8(text).map_err(|_| GgufError::BadString {
            at,
            what,
            reason: "is not UTF-8",
        })
    }

    /// A key or a tensor's name.
    pub(super) fn name(
        &mut self,
        what: &'static str,
        limit: u64,
        ascii: bool,
    ) -> Result<String, GgufError> {
        let counted = if ascii {
            "bytes of key"
        } else {
            "bytes of tensor name"
        };
        let begin = self.at.saturating_add(8);
        let name = self.text(what, counted, limit)?;
        let reason = if name.is_empty() {
            "is empty"
        } else if ascii && !name.is_ascii() {
            "is not ASCII"
        } else if name.contains(char::is_control) {
            "has control characters"
        } else {
            return Ok(name);
        };
        Err(GgufError::BadString {
            at: begin,
            what,
            reason,
        })
    }

    pub(super) fn value_type(&mut self) -> Result<ValueType, GgufError> {
        let at = self.at;
        let number = self.u32()?;
        ValueType::from_number(number).ok_or(GgufError::BadType { at, number })
    }

    pub(super) fn value(&mut self, ty: ValueType) -> Result<Value, GgufError> {
        Ok(match ty {
            ValueType::U8 => Value::U8(u8::from_le_bytes(self.array_of()?)),
            ValueType::I8 => Value::I8(i8::from_le_bytes(self.array_of()?)),
            ValueType::U16 => Value::U16(u16::from_le_bytes(self.array_of()?)),
            ValueType::I16 => Value::I16(i16::from_le_bytes(self.array_of()?)),
            ValueType::U32 => Value::U32(self.u32()?),
            ValueType::I32 => Value::I32(i32::from_le_bytes(self.array_of()?)),
            ValueType::F32 => Value::F32(f32::from_le_bytes(self.array_of()?)),
            ValueType::U64 => Value::U64(self.u64()?),
            ValueType::I64 => Value::I64(i64::from_le_bytes(self.array_of()?)),
            ValueType::F64 => Value::F64(f64::from_le_bytes(self.array_of()?)),
            ValueType::Bool => Value::Bool(self.bool()?),
            ValueType::String => {
                Value::String(self.text("a string", "bytes of string", STRING_BYTES_LIMIT)?)
            }
            ValueType::Array => Value::Array(self.array()?),
        })
    }

    fn bool(&mut self) -> Result<bool, GgufError> {
        let at = self.at;
        match self.array_of()? {
            [0] => Ok(false),
            [1] => Ok(true),
            [found] => Err(GgufError::BadBool { at, found }),
        }
    }

    /// Type and count of an array's elements.
    fn array_head(&mut self) -> Result<(ValueType, u64), GgufError> {
        let element = self.value_type()?;
        let count = self.u64()?;
        self.need(count.saturating_mul(element.least_bytes()))?;
        Ok((element, count))
    }

    /// Walks over an array and says where its elements lie.
    fn array(&mut self) -> Result<Array, GgufError> {
        let (element, count) = self.array_head()?;
        let offset = self.at;
        // Per level, the arrays not walked yet. The innermost level has none.
        let mut waiting = [0_u64; ARRAY_DEPTH_LIMIT - 1];
        let mut depth = 0;
        let mut current = (element, count);
        loop {
            match current {
                (ValueType::Array, count) => {
                    let level = waiting.get_mut(depth).ok_or(GgufError::TooDeep {
                        at: self.at,
                        limit: ARRAY_DEPTH_LIMIT,
                    })?;
                    *level = count;
                    depth += 1;
                }
                (ValueType::String, count) => {
                    for _ in 0..count {
                        let bytes = self.text_bytes("bytes of string", STRING_BYTES_LIMIT)?;
                        self.skip(bytes)?;
                    }
                }
                (ValueType::Bool, count) => {
                    for _ in 0..count {
                        self.bool()?;
                    }
                }
                (ty, count) => self.skip(count.saturating_mul(ty.least_bytes()))?,
            }
            while depth > 0 && waiting[depth - 1] == 0 {
                depth -= 1;
            }
            if depth == 0 {
                return Ok(Array {
                    element,
                    count,
                    offset,
                    bytes: self.at - offset,
                });
            }
            waiting[depth - 1] -= 1;
            current = self.array_head()?;
        }
    }

    pub(super) fn tensor(&mut self) -> Result<Tensor, GgufError> {
        let at = self.at;
        let name = self.name("a tensor's name", NAME_BYTES_LIMIT, false)?;
        let rank = self.u32()?;
        let mut dims = [0; 4];
        let Some(used) = usize::try_from(rank).ok().and_then(|n| dims.get_mut(..n)) else {
            let reason = "a tensor has 1 to 4 dimensions";
            return Err(GgufError::BadDims { at, name, reason });
        };
        for dim in &mut *used {
            *dim = self.u64()?;
        }
        let type_at = self.at;
        let number = self.u32()?;
        let Some(ty) = TensorType::from_number(number) else {
            return Err(GgufError::UnknownTensorType {
                at: type_at,
                name,
                number,
            });
        };
        let (elements, bytes) = match ty.measure(used) {
            Ok(measure) => measure,
            Err(reason) => return Err(GgufError::BadDims { at, name, reason }),
        };
        Ok(Tensor {
            name,
            dims,
            rank: rank as u8,
            ty,
            elements,
            offset: self.u64()?,
            bytes,
        })
    }
}
