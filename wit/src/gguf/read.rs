use super::source::Source;
use super::{
    ALIGNMENT_KEY, DEFAULT_ALIGNMENT, Gguf, GgufError, KEY_BYTES_LIMIT, KEY_COUNT_LIMIT,
    TENSOR_COUNT_LIMIT, Tensor, Value,
};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::{Read, Seek};

/// Fewest bytes of a key with its value: two numbers, one letter, one byte.
const LEAST_KEY: u64 = 8 + 1 + 4 + 1;
/// Fewest bytes of a tensor's entry: one letter, one dimension.
const LEAST_TENSOR: u64 = 8 + 1 + 4 + 8 + 4 + 8;

/// Reads and checks all of a header.
pub(super) fn header<R: Read + Seek>(reader: R, size: u64) -> Result<Gguf, GgufError> {
    let mut source = Source::part(reader, 0, size)?;
    let version = source.version()?;
    let tensor_count = source.u64()?;
    let key_count = source.u64()?;
    source.promised(
        "metadata keys",
        key_count,
        KEY_COUNT_LIMIT,
        key_count.saturating_mul(LEAST_KEY),
    )?;
    source.promised(
        "tensors",
        tensor_count,
        TENSOR_COUNT_LIMIT,
        tensor_count.saturating_mul(LEAST_TENSOR),
    )?;

    let mut metadata = BTreeMap::new();
    for _ in 0..key_count {
        let key = source.name("a key", KEY_BYTES_LIMIT, true)?;
        match metadata.entry(key) {
            Entry::Vacant(place) => {
                let ty = source.value_type()?;
                place.insert(source.value(ty)?);
            }
            Entry::Occupied(there) => {
                return Err(GgufError::DuplicateKey {
                    at: source.at(),
                    key: there.key().chars().take(80).collect(),
                });
            }
        }
    }
    let alignment = alignment(metadata.get(ALIGNMENT_KEY))?;

    let mut tensors = Vec::new();
    for _ in 0..tensor_count {
        tensors.push(source.tensor()?);
    }
    place(&mut tensors, source.at(), alignment, size)?;
    let by_name = by_name(&tensors)?;
    Ok(Gguf {
        version,
        metadata,
        tensors,
        by_name,
        alignment,
        header_bytes: source.at(),
        size,
    })
}

fn alignment(value: Option<&Value>) -> Result<u64, GgufError> {
    match value {
        None => Ok(DEFAULT_ALIGNMENT),
        Some(&Value::U32(alignment)) if alignment >= 8 && alignment.is_power_of_two() => {
            Ok(alignment.into())
        }
        Some(other) => Err(GgufError::BadAlignment {
            found: other.to_string().chars().take(80).collect(),
        }),
    }
}

/// Makes offsets absolute; each tensor must lie in the file, aligned, and alone.
fn place(
    tensors: &mut [Tensor],
    header_bytes: u64,
    alignment: u64,
    size: u64,
) -> Result<(), GgufError> {
    // The header is at most 512 MiB and the alignment below 2^32.
    let data = header_bytes.next_multiple_of(alignment);
    for tensor in &mut *tensors {
        let offset = tensor.offset;
        if offset % alignment != 0 {
            return Err(GgufError::Misaligned {
                name: tensor.name.clone(),
                offset,
                alignment,
            });
        }
        let begin = data.checked_add(offset);
        let end = begin.and_then(|begin| begin.checked_add(tensor.bytes));
        match (begin, end) {
            (Some(begin), Some(end)) if end <= size => tensor.offset = begin,
            _ => {
                return Err(GgufError::TensorOutOfFile {
                    name: tensor.name.clone(),
                    offset,
                    bytes: tensor.bytes,
                    data,
                    size,
                });
            }
        }
    }
    let mut in_order: Vec<&Tensor> = tensors.iter().collect();
    in_order.sort_unstable_by_key(|tensor| tensor.offset);
    match in_order
        .windows(2)
        .find(|pair| pair[0].offset + pair[0].bytes > pair[1].offset)
    {
        None => Ok(()),
        Some(pair) => Err(GgufError::TensorsOverlap {
            a: pair[0].name.clone(),
            b: pair[1].name.clone(),
        }),
    }
}

fn by_name(tensors: &[Tensor]) -> Result<Vec<usize>, GgufError> {
    let mut order: Vec<usize> = (0..tensors.len()).collect();
    order.sort_unstable_by(|&a, &b| tensors[a].name.cmp(&tensors[b].name));
    match order
        .windows(2)
        .find(|pair| tensors[pair[0]].name == tensors[pair[1]].name)
    {
        None => Ok(order),
        Some(pair) => Err(GgufError::DuplicateTensor {
            name: tensors[pair[0]].name.clone(),
        }),
    }
}
