use crate::assert_line;
use rusty_genius_core::gguf::{
    ARRAY_DEPTH_LIMIT, Gguf, GgufError, GgufWriter, HEADER_BYTES_LIMIT, KEY_COUNT_LIMIT,
    NAME_BYTES_LIMIT, TENSOR_COUNT_LIMIT, Value,
};
use std::io::Cursor;
use std::ops::Range;

/// Elements of an array that are looked at.
const ELEMENTS: usize = 1000;

/// The header of a model file ([`Gguf::read`]).
///
/// Tensors lie in the file, aligned and apart; limits hold; errors are lines; and what was
/// read can be written, and says the same when it is read again.
pub fn gguf(bytes: &[u8]) {
    let file = match Gguf::read(Cursor::new(bytes)) {
        Ok(file) => file,
        Err(error) => return assert_line(&error.to_string()),
    };
    assert_eq!(file.size(), bytes.len() as u64);
    assert!(file.header_bytes() <= file.size().min(HEADER_BYTES_LIMIT));
    assert!(file.alignment().is_power_of_two() && file.alignment() >= 8);
    assert!(file.metadata().len() as u64 <= KEY_COUNT_LIMIT);
    assert!(file.tensors().len() as u64 <= TENSOR_COUNT_LIMIT);
    let _ = (file.quant(), file.context_length(), file.parameter_count());
    for value in file.metadata().values() {
        assert_line(&value.to_string());
        check_elements(value, bytes, 0);
    }
    let places = places(&file);
    for place in &places {
        assert!(place.end <= bytes.len(), "{place:?}");
    }
    let mut sorted: Vec<_> = places.iter().collect();
    sorted.sort_by_key(|place| place.start);
    for pair in sorted.windows(2) {
        assert!(pair[0].end <= pair[1].start, "{pair:?}");
    }
    check_writing(&file, &places, bytes);
}

fn check_elements(value: &Value, bytes: &[u8], depth: usize) {
    let Value::Array(array) = value else { return };
    assert!(depth < ARRAY_DEPTH_LIMIT);
    let end = array.offset().checked_add(array.bytes());
    assert!(end.is_some_and(|end| end <= bytes.len() as u64));
    let Ok(elements) = array.elements(Cursor::new(bytes)) else {
        panic!("an array in the file that is none: {array:?}");
    };
    let mut seen = 0;
    for element in elements.take(ELEMENTS) {
        match element {
            Ok(element) => check_elements(&element, bytes, depth + 1),
            // Whether its strings are UTF-8 shows only now.
            Err(GgufError::BadString { .. } | GgufError::BadBool { .. }) => return,
            Err(error) => panic!("{error}"),
        }
        seen += 1;
    }
    assert_eq!(seen, array.count().min(ELEMENTS as u64));
}

/// Where each tensor's data lies in the file.
fn places(file: &Gguf) -> Vec<Range<usize>> {
    let data = file.header_bytes().next_multiple_of(file.alignment());
    let place = |start: u64, length: u64| {
        let end = start.checked_add(length)?;
        Some(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
    };
    let mut places = Vec::new();
    for tensor in file.tensors() {
        assert!(tensor.name().len() as u64 <= NAME_BYTES_LIMIT);
        assert_line(tensor.name());
        assert!((1..=4).contains(&tensor.dims().len()));
        let product = tensor
            .dims()
            .iter()
            .try_fold(1_u64, |n, d| n.checked_mul(*d));
        assert_eq!(product, Some(tensor.elements()));
        assert_eq!(tensor.offset() % file.alignment(), 0);
        assert!(tensor.offset() >= data);
        assert_eq!(file.tensor(tensor.name()), Some(tensor));
        match place(tensor.offset(), tensor.bytes()) {
            Some(place) => places.push(place),
            None => panic!("a tensor beyond all files: {tensor:?}"),
        }
    }
    places
}

fn check_writing(file: &Gguf, places: &[Range<usize>], bytes: &[u8]) {
    const ALIGNMENT: &str = "general.alignment";
    let mut writer = match file.get(ALIGNMENT) {
        Some(&Value::U32(alignment)) => GgufWriter::with_alignment(alignment),
        _ => GgufWriter::new(),
    };
    let simple = |value: &&Value| !matches!(value, Value::Array(_));
    let metadata = |file: &Gguf| -> Vec<(String, String)> {
        let entries = file.metadata().iter().filter(|(_, value)| simple(value));
        entries
            .map(|(k, v)| (k.clone(), format!("{v:?}")))
            .collect()
    };
    for (key, value) in file.metadata() {
        if key == ALIGNMENT {
            continue;
        }
        match value {
            Value::U8(v) => writer.set(key, *v),
            Value::I8(v) => writer.set(key, *v),
            Value::U16(v) => writer.set(key, *v),
            Value::I16(v) => writer.set(key, *v),
            Value::U32(v) => writer.set(key, *v),
            Value::I32(v) => writer.set(key, *v),
            Value::F32(v) => writer.set(key, *v),
            Value::Bool(v) => writer.set(key, *v),
            Value::String(v) => writer.set(key, v.as_str()),
            Value::U64(v) => writer.set(key, *v),
            Value::I64(v) => writer.set(key, *v),
            Value::F64(v) => writer.set(key, *v),
            Value::Array(_) => &mut writer,
        };
    }
    for (tensor, place) in file.tensors().iter().zip(places) {
        let data = &bytes[place.clone()];
        writer.tensor(tensor.name(), tensor.dims(), tensor.ty(), data);
    }
    let mut written = Vec::new();
    if let Err(error) = writer.write(&mut written) {
        panic!("what was read cannot be written: {error}");
    }
    let again = match Gguf::read(Cursor::new(&written)) {
        Ok(again) => again,
        Err(error) => panic!("what was written cannot be read: {error}"),
    };
    assert_eq!(metadata(&again), metadata(file));
    let shapes = |file: &Gguf| -> Vec<_> {
        let shape = file.tensors().iter();
        shape
            .map(|t| (t.name().to_owned(), t.dims().to_vec(), t.ty()))
            .collect()
    };
    assert_eq!(shapes(&again), shapes(file));
}
