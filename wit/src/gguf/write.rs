use super::{ALIGNMENT_KEY, DEFAULT_ALIGNMENT, Encode, Gguf, GgufError, MAGIC, TensorType};
use std::borrow::Cow;
use std::io::{self, Cursor, Read, Write};

/// Builds a GGUF file: version 3, little-endian, in the order things were given.
///
/// The same calls give the same bytes. Nothing is checked before [`GgufWriter::write`],
/// which writes only what [`Gguf::read`] reads.
#[derive(Debug, Clone, Default)]
pub struct GgufWriter<'a> {
    alignment: Option<u32>,
    key_count: u64,
    keys: Vec<u8>,
    tensors: Vec<u8>,
    data: Vec<Data<'a>>,
    data_bytes: u64,
}

#[derive(Debug, Clone)]
struct Data<'a> {
    name: String,
    /// Bytes that type and dimensions take, if they make sense.
    needed: Option<u64>,
    bytes: Cow<'a, [u8]>,
}

impl<'a> GgufWriter<'a> {
    /// A writer with the default alignment, 32 bytes.
    pub fn new() -> Self {
        Self::default()
    }

    /// A writer that aligns tensors to `alignment` bytes, a power of two from 8, and says so
    /// in `general.alignment`.
    pub fn with_alignment(alignment: u32) -> Self {
        let mut writer = Self {
            alignment: Some(alignment),
            ..Self::default()
        };
        writer.set(ALIGNMENT_KEY, alignment);
        writer
    }

    /// Adds a metadata key.
    pub fn set<T: Encode>(&mut self, key: &str, value: T) -> &mut Self {
        self.key_count += 1;
        key.encode(&mut self.keys);
        T::TYPE.number().encode(&mut self.keys);
        value.encode(&mut self.keys);
        self
    }

    /// Adds a tensor with its data, as `ty` lays it out; values of the first dimension are
    /// next to each other.
    pub fn tensor(
        &mut self,
        name: &str,
        dims: &[u64],
        ty: TensorType,
        data: impl Into<Cow<'a, [u8]>>,
    ) -> &mut Self {
        let data = data.into();
        name.encode(&mut self.tensors);
        (dims.len() as u32).encode(&mut self.tensors);
        for dim in dims {
            dim.encode(&mut self.tensors);
        }
        ty.number().encode(&mut self.tensors);
        self.data_bytes.encode(&mut self.tensors);
        self.data_bytes = self.aligned(self.data_bytes + data.len() as u64);
        self.data.push(Data {
            name: name.to_owned(),
            needed: ty.measure(dims).ok().map(|(_, bytes)| bytes),
            bytes: data,
        });
        self
    }

    /// Writes the file, with zeroes after the header and after each tensor, up to the alignment.
    pub fn write(&self, mut out: impl Write) -> Result<(), GgufError> {
        for Data {
            name,
            needed,
            bytes,
        } in &self.data
        {
            let have = bytes.len() as u64;
            if let &Some(needed) = needed
                && needed != have
            {
                let name = name.clone();
                return Err(GgufError::WrongLength { name, needed, have });
            }
        }
        let mut header = MAGIC.to_vec();
        3_u32.encode(&mut header);
        (self.data.len() as u64).encode(&mut header);
        self.key_count.encode(&mut header);
        header.extend_from_slice(&self.keys);
        header.extend_from_slice(&self.tensors);
        let size = self.aligned(header.len() as u64) + self.data_bytes;
        Gguf::read_sized(Cursor::new(&header), size)?;

        let parts = self.data.iter().map(|data| &*data.bytes);
        let mut at = 0;
        for part in std::iter::once(&*header).chain(parts) {
            let end = at + part.len() as u64;
            let next = self.aligned(end);
            out.write_all(part)
                .and_then(|()| io::copy(&mut io::repeat(0).take(next - end), &mut out))
                .map_err(|e| GgufError::io(at, &e))?;
            at = next;
        }
        out.flush().map_err(|e| GgufError::io(at, &e))
    }

    fn aligned(&self, bytes: u64) -> u64 {
        let alignment = self.alignment.map_or(DEFAULT_ALIGNMENT, u64::from);
        // Of an alignment of 0, the reader says what is wrong with it.
        bytes.next_multiple_of(alignment.max(1))
    }
}
