use super::*;
use proptest::prelude::*;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{self, Cursor};
use std::time::{Duration, Instant};

/// Counts the bytes each thread holds.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    static HELD: Cell<i64> = const { Cell::new(0) };
    static PEAK: Cell<i64> = const { Cell::new(0) };
}

fn count(change: i64) {
    HELD.set(HELD.get() + change);
    PEAK.set(PEAK.get().max(HELD.get()));
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as i64 - layout.size() as i64);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(block, layout, size) }
    }
}

/// What `work` returns, and the most bytes this thread held during it beyond those before.
fn peak<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let before = HELD.get();
    PEAK.set(before);
    let result = work();
    (result, (PEAK.get() - before) as u64)
}

const FIXED: u64 = 128 << 10;
const PER_ENTRY: u64 = 512;

/// Bytes of a file, put together by hand.
#[derive(Clone)]
struct Raw(Vec<u8>);

impl Raw {
    fn new(tensors: u64, keys: u64) -> Self {
        Self(b"GGUF".to_vec()).u32(3).u64(tensors).u64(keys)
    }

    fn u32(mut self, v: u32) -> Self {
        v.encode(&mut self.0);
        self
    }

    fn u64(mut self, v: u64) -> Self {
        v.encode(&mut self.0);
        self
    }

    fn text(mut self, v: &[u8]) -> Self {
        (v.len() as u64).encode(&mut self.0);
        self.0.extend_from_slice(v);
        self
    }

    fn tensor(self, name: &[u8], dims: &[u64], ty: u32, offset: u64) -> Self {
        let rank = dims.len() as u32;
        let named = self.text(name).u32(rank);
        let shaped = dims.iter().fold(named, |raw, &dim| raw.u64(dim));
        shaped.u32(ty).u64(offset)
    }

    fn zeroes(mut self, bytes: usize) -> Self {
        self.0.resize(self.0.len() + bytes, 0);
        self
    }

    fn error(&self) -> GgufError {
        read(&self.0).unwrap_err()
    }
}

fn read(bytes: &[u8]) -> Result<Gguf, GgufError> {
    Gguf::read(Cursor::new(bytes))
}

fn small() -> GgufWriter<'static> {
    let mut writer = GgufWriter::with_alignment(64);
    writer
        .set("general.architecture", "llama")
        .set("general.name", "Small")
        .set("general.license", "MIT")
        .set("general.file_type", 15_u32)
        .set("llama.context_length", 2048_u32)
        .set("tokenizer.chat_template", "{{ messages }}")
        .set("tokenizer.ggml.tokens", ["a", "bc", ""])
        .set("a.u8", 1_u8)
        .set("a.i8", -1_i8)
        .set("a.u16", 2_u16)
        .set("a.i16", -2_i16)
        .set("a.i32", -3_i32)
        .set("a.f32", 0.5_f32)
        .set("a.bool", true)
        .set("a.u64", u64::MAX)
        .set("a.i64", i64::MIN)
        .set("a.f64", 0.25_f64)
        .set("a.bools", [true, false])
        .set("a.floats", vec![1.0_f32, 2.0])
        .set("a.nested", [vec![1_i16], vec![], vec![2, 3]]);
    writer
        .tensor("embed", &[32, 3], TensorType::Q8_0, vec![7; 3 * 34])
        .tensor("norm", &[3], TensorType::F32, vec![8; 12])
        .tensor("out", &[256, 1, 1, 2], TensorType::Q4K, vec![9; 288]);
    writer
}

fn bytes_of(writer: &GgufWriter<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    writer.write(&mut bytes).unwrap();
    bytes
}

/// Reads every array of a file to its end.
fn drain(gguf: &Gguf, bytes: &[u8]) {
    for value in gguf.metadata().values() {
        if let Some(array) = value.as_array() {
            let elements = array.elements(Cursor::new(bytes)).unwrap();
            assert!(elements.count() as u64 <= array.count());
        }
    }
}

#[test]
fn what_was_written_is_read() {
    let bytes = bytes_of(&small());
    assert_eq!(bytes, bytes_of(&small()));
    let gguf = read(&bytes).unwrap();
    assert_eq!((gguf.version(), gguf.alignment()), (3, 64));
    assert_eq!(gguf.size(), bytes.len() as u64);
    assert_eq!(gguf.architecture(), Some("llama"));
    assert_eq!(gguf.name(), Some("Small"));
    assert_eq!(gguf.license(), Some("MIT"));
    assert_eq!(gguf.quant(), Some("Q4_K_M"));
    assert_eq!(gguf.context_length(), Some(2048));
    assert_eq!(gguf.chat_template(), Some("{{ messages }}"));
    assert_eq!(gguf.parameter_count(), 96 + 3 + 512);
    for (key, value) in [
        ("a.u8", Value::U8(1)),
        ("a.i8", Value::I8(-1)),
        ("a.u16", Value::U16(2)),
        ("a.i16", Value::I16(-2)),
        ("a.i32", Value::I32(-3)),
        ("a.f32", Value::F32(0.5)),
        ("a.bool", Value::Bool(true)),
        ("a.u64", Value::U64(u64::MAX)),
        ("a.i64", Value::I64(i64::MIN)),
        ("a.f64", Value::F64(0.25)),
    ] {
        assert_eq!(gguf.get(key), Some(&value), "{key}");
    }
    assert_eq!(gguf.metadata().len(), 21);
    for (name, dims, ty, fill) in [
        ("embed", &[32, 3][..], TensorType::Q8_0, 7),
        ("norm", &[3], TensorType::F32, 8),
        ("out", &[256, 1, 1, 2], TensorType::Q4K, 9),
    ] {
        let tensor = gguf.tensor(name).unwrap();
        assert_eq!((tensor.dims(), tensor.ty()), (dims, ty));
        assert_eq!(tensor.offset() % 64, 0);
        let (begin, end) = (tensor.offset(), tensor.offset() + tensor.bytes());
        let data = &bytes[begin as usize..end as usize];
        assert!(data.iter().all(|&byte| byte == fill), "{name}");
    }
    assert_eq!(gguf.tensor("none"), None);
    assert_eq!(gguf.tensors().len(), 3);
}

#[test]
fn array_elements_are_read_when_asked_for() {
    let bytes = bytes_of(&small());
    let gguf = read(&bytes).unwrap();
    let elements = |array: &Array| -> Vec<Value> {
        let elements = array.elements(Cursor::new(&bytes)).unwrap();
        elements.collect::<Result<_, _>>().unwrap()
    };
    let array = |key| gguf.get(key).unwrap().as_array().unwrap();
    let tokens = array("tokenizer.ggml.tokens");
    assert_eq!(
        (tokens.element(), tokens.count(), tokens.bytes()),
        (ValueType::String, 3, 27)
    );
    let texts = ["a", "bc", ""].map(|text| Value::String(text.into()));
    assert_eq!(elements(tokens), texts);
    assert_eq!(
        elements(array("a.bools")),
        [Value::Bool(true), Value::Bool(false)]
    );
    assert_eq!(
        elements(array("a.floats")),
        [Value::F32(1.0), Value::F32(2.0)]
    );
    let nested = elements(array("a.nested"));
    let inner: Vec<_> = nested
        .iter()
        .map(|value| elements(value.as_array().unwrap()))
        .collect();
    let expected: [&[i16]; 3] = [&[1], &[], &[2, 3]];
    assert_eq!(
        inner,
        expected.map(|v| v.iter().copied().map(Value::I16).collect::<Vec<_>>())
    );
}

#[test]
fn a_string_in_an_array_that_is_not_utf8_fails_when_it_is_read() {
    let raw = Raw::new(0, 1).text(b"k").u32(9).u32(8).u64(2);
    let raw = raw.text(b"\xff").text(b"b");
    let gguf = read(&raw.0).unwrap();
    let array = gguf.get("k").unwrap().as_array().unwrap();
    let mut elements = array.elements(Cursor::new(&raw.0)).unwrap();
    assert!(matches!(
        elements.next(),
        Some(Err(GgufError::BadString { .. }))
    ));
    assert_eq!(elements.next(), None);
}

#[test]
fn an_array_read_from_a_file_that_shrank_gives_an_error() {
    let bytes = bytes_of(&small());
    let gguf = read(&bytes).unwrap();
    let tokens = gguf.get("tokenizer.ggml.tokens").unwrap();
    let array = tokens.as_array().unwrap();
    let shrunk = &bytes[..array.offset() as usize + 4];
    let mut elements = array.elements(Cursor::new(shrunk)).unwrap();
    assert!(matches!(elements.next(), Some(Err(GgufError::Io { .. }))));
    assert_eq!(elements.next(), None);
}

#[test]
fn the_file_may_have_no_keys_and_no_tensors() {
    let gguf = read(&Raw::new(0, 0).0).unwrap();
    assert_eq!((gguf.quant(), gguf.context_length()), (None, None));
    assert_eq!(gguf.alignment(), DEFAULT_ALIGNMENT);
    assert!(read(&bytes_of(&GgufWriter::new())).is_ok());
}

#[test]
fn quant_is_that_of_most_parameters_if_the_file_names_none() {
    let mut writer = GgufWriter::new();
    writer
        .set("general.file_type", 5_u32)
        .tensor("a", &[4], TensorType::F32, vec![0; 16])
        .tensor("b", &[64], TensorType::Q8_0, vec![0; 68]);
    assert_eq!(read(&bytes_of(&writer)).unwrap().quant(), Some("Q8_0"));
}

#[test]
fn every_known_type_has_its_number_and_block() {
    let known: Vec<_> = (0..64).filter_map(TensorType::from_number).collect();
    assert_eq!(known.len(), 35);
    for ty in known {
        assert_eq!(TensorType::from_number(ty.number()), Some(ty));
        let mut writer = GgufWriter::new();
        let data = vec![0; ty.block_bytes() as usize];
        writer.tensor("t", &[ty.block_values()], ty, data);
        let gguf = read(&bytes_of(&writer)).unwrap();
        assert_eq!(gguf.quant(), Some(ty.name()));
    }
}

#[test]
fn other_bytes_are_not_a_gguf_file() {
    let error = read(b"PK\x03\x04 and more").unwrap_err();
    assert_eq!(
        error,
        GgufError::WrongMagic {
            found: *b"PK\x03\x04"
        }
    );
    assert!(error.to_string().contains(r#""PK\x03\x04""#), "{error}");
    for bytes in [&b""[..], b"GGU"] {
        let (needed, have) = (4, bytes.len() as u64);
        let at = 0;
        assert_eq!(
            read(bytes).unwrap_err(),
            GgufError::Truncated { at, needed, have }
        );
    }
}

#[test]
fn only_little_endian_versions_2_and_3_are_read() {
    let with_version = |version: [u8; 4]| {
        let mut bytes = Raw::new(0, 0).0;
        bytes[4..8].copy_from_slice(&version);
        read(&bytes)
    };
    assert_eq!(with_version([2, 0, 0, 0]).unwrap().version(), 2);
    for version in [0, 1, 4, u32::MAX] {
        assert_eq!(
            with_version(version.to_le_bytes()).unwrap_err(),
            GgufError::UnsupportedVersion { version }
        );
    }
    assert_eq!(
        with_version([0, 0, 0, 3]).unwrap_err(),
        GgufError::BigEndian { version: 3 }
    );
}

#[test]
fn lying_counts_are_refused_at_once() {
    let started = Instant::now();
    let text = Raw::new(0, 1).u64(u64::MAX).zeroes(8);
    let string = Raw::new(0, 1).text(b"k").u32(8).u64(u64::MAX);
    let array = |element| {
        let raw = Raw::new(0, 1).text(b"k").u32(9).u32(element);
        raw.u64(1 << 63).zeroes(64)
    };
    let strings = Raw::new(0, 1).text(b"k").u32(9).u32(8).u64(1);
    for (raw, counted) in [
        (Raw::new(1 << 63, 0), "tensors"),
        (Raw::new(0, u64::MAX), "metadata keys"),
        (text, "bytes of key"),
        (string, "bytes of string"),
        (strings.u64(u64::MAX), "bytes of string"),
    ] {
        match raw.error() {
            GgufError::TooMany { what, .. } => assert_eq!(what, counted),
            other => panic!("{counted}: {other}"),
        }
    }
    for raw in [
        Raw::new(TENSOR_COUNT_LIMIT, 0),
        Raw::new(0, KEY_COUNT_LIMIT),
        Raw::new(0, 1).text(b"k").u32(8).u64(STRING_BYTES_LIMIT),
        array(0),
        array(7),
        array(8),
        array(9),
        array(12),
    ] {
        let error = raw.error();
        assert!(matches!(error, GgufError::Truncated { .. }), "{error}");
    }
    assert!(started.elapsed() < Duration::from_secs(1));
}

#[test]
fn nesting_is_bounded() {
    let nested = |levels| {
        let raw = Raw::new(0, 1).text(b"k").u32(9);
        let raw = (1..levels).fold(raw, |raw, _| raw.u32(9).u64(1));
        raw.u32(4).u64(1).u32(7)
    };
    let raw = nested(ARRAY_DEPTH_LIMIT);
    drain(&read(&raw.0).unwrap(), &raw.0);
    for levels in [ARRAY_DEPTH_LIMIT + 1, 10_000] {
        let error = nested(levels).error();
        assert!(matches!(error, GgufError::TooDeep { .. }), "{error}");
    }
}

#[test]
fn a_bad_value_says_where_and_what() {
    assert_eq!(
        Raw::new(0, 1).text(b"k").u32(13).zeroes(8).error(),
        GgufError::BadType { at: 33, number: 13 }
    );
    let head = Raw::new(0, 1).text(b"k").u32(9).u32(99).zeroes(8);
    assert_eq!(head.error(), GgufError::BadType { at: 37, number: 99 });
    let mut bytes = Raw::new(0, 1).text(b"k").u32(7).0;
    bytes.push(2);
    assert_eq!(
        read(&bytes).unwrap_err(),
        GgufError::BadBool { at: 37, found: 2 }
    );
    let mut bytes = Raw::new(0, 1).text(b"k").u32(9).u32(7).u64(2).0;
    bytes.extend([1, 3]);
    assert_eq!(
        read(&bytes).unwrap_err(),
        GgufError::BadBool { at: 50, found: 3 }
    );
}

#[test]
fn keys_and_names_are_clean_text() {
    let key = |key: &[u8]| Raw::new(0, 1).text(key).u32(0).zeroes(8).error();
    let name = |name: &[u8]| {
        let raw = Raw::new(1, 0).tensor(name, &[1], 0, 0);
        raw.zeroes(100).error()
    };
    for (error, expected) in [
        (key(b""), "is empty"),
        (key(b"\xff"), "is not UTF-8"),
        (key("é".as_bytes()), "is not ASCII"),
        (key(b"a\x1b[2J"), "has control characters"),
        (name(b""), "is empty"),
        (name(b"a\0b"), "has control characters"),
        (name(b"\xc3"), "is not UTF-8"),
    ] {
        match error {
            GgufError::BadString { at: 32, reason, .. } => assert_eq!(reason, expected),
            other => panic!("{expected}: {other}"),
        }
    }
    let value = Raw::new(0, 1).text(b"k").u32(8).text(b"\xff").error();
    assert!(matches!(value, GgufError::BadString { at: 45, .. }));
    let long = |limit: u64| vec![b'a'; limit as usize + 1];
    assert!(matches!(
        name(&long(NAME_BYTES_LIMIT)),
        GgufError::TooMany { limit: 255, .. }
    ));
    assert!(matches!(
        key(&long(KEY_BYTES_LIMIT)),
        GgufError::TooMany { limit: 65535, .. }
    ));
}

#[test]
fn a_key_stands_once() {
    let raw = Raw::new(0, 2).text(b"k").u32(4).u32(1);
    let error = raw.text(b"k").u32(4).u32(2).error();
    assert_eq!(
        error,
        GgufError::DuplicateKey {
            at: 50,
            key: "k".into()
        }
    );
}

#[test]
fn the_alignment_is_a_power_of_two_from_8() {
    let write = |alignment| {
        let writer = GgufWriter::with_alignment(alignment);
        writer.write(&mut io::sink())
    };
    for good in [8, 16, 1024] {
        assert_eq!(write(good), Ok(()));
    }
    for bad in [0, 1, 4, 24, u32::MAX] {
        let found = bad.to_string();
        assert_eq!(write(bad), Err(GgufError::BadAlignment { found }));
    }
    let mut writer = GgufWriter::new();
    writer.set(ALIGNMENT_KEY, 32_u64);
    let error = writer.write(&mut io::sink()).unwrap_err();
    assert!(matches!(error, GgufError::BadAlignment { .. }));
}

#[test]
fn impossible_dimensions_are_refused() {
    let f32_of = |dims: &[u64]| Raw::new(1, 0).tensor(b"t", dims, 0, 0).zeroes(99);
    let huge = Raw::new(1, 0).tensor(b"t", &[1 << 62], 0, 0).zeroes(99);
    for (raw, expected) in [
        (f32_of(&[]), "1 to 4"),
        (f32_of(&[1; 5]), "1 to 4"),
        (f32_of(&[1, 0]), "is 0"),
        (f32_of(&[1 << 32, 1 << 32]), "elements"),
        (f32_of(&[1 << 31, 1 << 32]), "elements"),
        (huge, "bytes"),
        (
            Raw::new(1, 0).tensor(b"t", &[33], 8, 0).zeroes(99),
            "multiple",
        ),
    ] {
        match raw.error() {
            GgufError::BadDims { at: 24, reason, .. } => {
                assert!(reason.contains(expected), "{reason}");
            }
            other => panic!("{expected}: {other}"),
        }
    }
    let mut bytes = f32_of(&[1]).0;
    bytes[33..37].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(matches!(
        read(&bytes).unwrap_err(),
        GgufError::BadDims { .. }
    ));
}

#[test]
fn an_unknown_tensor_type_is_named() {
    for number in [4, 5, 31, 38, 43, u32::MAX] {
        let raw = Raw::new(1, 0).tensor(b"t", &[32], number, 0).zeroes(99);
        match raw.error() {
            GgufError::UnknownTensorType { number: found, .. } => assert_eq!(found, number),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn tensors_lie_in_the_file_aligned_and_apart() {
    let two = |a: u64, b: u64| {
        let raw = Raw::new(2, 0).tensor(b"a", &[16], 0, a);
        raw.tensor(b"b", &[16], 0, b).zeroes(6 + 128)
    };
    assert_eq!(two(0, 64).0.len(), 96 + 128);
    assert!(read(&two(0, 64).0).is_ok());
    assert!(read(&two(64, 0).0).is_ok());
    for (a, b) in [(0, 0), (0, 32), (32, 0)] {
        let error = two(a, b).error();
        assert!(matches!(error, GgufError::TensorsOverlap { .. }), "{error}");
    }
    for b in [96, 128, 1 << 40, u64::MAX - 31] {
        let error = two(0, b).error();
        assert!(
            matches!(&error, GgufError::TensorOutOfFile { name, .. } if name == "b"),
            "{error}"
        );
    }
    for b in [1, 65, u64::MAX] {
        let error = two(0, b).error();
        assert!(matches!(error, GgufError::Misaligned { .. }), "{error}");
    }
    let raw = Raw::new(2, 0).tensor(b"a", &[8], 0, 0);
    let error = raw.tensor(b"a", &[8], 0, 32).zeroes(99).error();
    assert_eq!(error, GgufError::DuplicateTensor { name: "a".into() });
}

#[test]
fn the_writer_refuses_what_the_reader_would() {
    let mut writer = GgufWriter::new();
    writer.tensor("t", &[4], TensorType::F32, vec![0; 15]);
    let error = writer.write(&mut io::sink()).unwrap_err();
    assert_eq!(
        error,
        GgufError::WrongLength {
            name: "t".into(),
            needed: 16,
            have: 15
        }
    );
    let mut writer = GgufWriter::new();
    writer.set("a", 1_u8).set("a", 2_u8);
    let error = writer.write(&mut io::sink()).unwrap_err();
    assert!(matches!(error, GgufError::DuplicateKey { .. }));
    let mut writer = GgufWriter::new();
    writer.tensor("t", &[4, 0], TensorType::F32, vec![]);
    let error = writer.write(&mut io::sink()).unwrap_err();
    assert!(matches!(error, GgufError::BadDims { .. }));
}

#[test]
fn a_file_cut_anywhere_gives_an_error() {
    let bytes = bytes_of(&small());
    let gguf = read(&bytes).unwrap();
    let last = gguf.tensor("out").unwrap();
    let end = (last.offset() + last.bytes()) as usize;
    assert!(read(&bytes[..end]).is_ok());
    for cut in 0..end {
        let error = read(&bytes[..cut]).unwrap_err();
        assert!(
            matches!(
                error,
                GgufError::Truncated { .. } | GgufError::TensorOutOfFile { .. }
            ),
            "cut at {cut}: {error}"
        );
        let error = Gguf::read_sized(Cursor::new(&bytes[..cut]), bytes.len() as u64);
        assert!(cut as u64 >= gguf.header_bytes() || matches!(error, Err(GgufError::Io { .. })));
    }
}

#[test]
fn a_file_with_any_byte_changed_is_read_or_refused() {
    let mut bytes = bytes_of(&small());
    for at in 0..bytes.len() {
        let byte = bytes[at];
        for change in [1, 2, 0x10, 0x80, 0xff] {
            bytes[at] = byte ^ change;
            if let Ok(gguf) = read(&bytes) {
                drain(&gguf, &bytes);
            }
        }
        bytes[at] = byte;
    }
}

/// A file that fails once `good` bytes were read.
struct Failing {
    inner: Cursor<Vec<u8>>,
    good: usize,
}

impl Read for Failing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.good == 0 {
            return Err(io::Error::other("the disk is gone"));
        }
        let most = buffer.len().min(self.good);
        let read = self.inner.read(&mut buffer[..most])?;
        self.good -= read;
        Ok(read)
    }
}

impl Seek for Failing {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

#[test]
fn a_reader_that_fails_midway_is_an_io_error() {
    let bytes = bytes_of(&small());
    for good in [0, 3, 30, 400] {
        let inner = Cursor::new(bytes.clone());
        match Gguf::read(Failing { inner, good }).unwrap_err() {
            GgufError::Io { reason, .. } => assert_eq!(reason, "the disk is gone"),
            other => panic!("{other}"),
        }
    }
}

/// A file that begins with `head` and goes on with zeroes for ever.
struct Endless {
    head: Vec<u8>,
    at: u64,
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        buffer.fill(0);
        let begin = self.head.len().min(self.at as usize);
        let mut head = &self.head[begin..];
        let _ = head.read(buffer)?;
        self.at += buffer.len() as u64;
        Ok(buffer.len())
    }
}

impl Seek for Endless {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = match to {
            SeekFrom::Start(at) => at,
            SeekFrom::Current(by) => self.at.checked_add_signed(by).unwrap(),
            SeekFrom::End(_) => u64::MAX,
        };
        Ok(self.at)
    }
}

#[test]
fn a_header_longer_than_its_limit_is_refused_at_once() {
    let started = Instant::now();
    let array = Raw::new(0, 1).text(b"k").u32(9).u32(0);
    for count in [HEADER_BYTES_LIMIT, 1 << 62, u64::MAX - 1024] {
        let head = array.clone().u64(count).0;
        let error = Gguf::read(Endless { head, at: 0 }).unwrap_err();
        assert!(
            matches!(error, GgufError::TooMany { what, .. } if what == "bytes of header"),
            "{error}"
        );
    }
    let head = array.u64(HEADER_BYTES_LIMIT - 4096).0;
    assert!(Gguf::read(Endless { head, at: 0 }).is_ok());
    assert!(started.elapsed() < Duration::from_secs(1));
}

#[test]
fn text_is_held_up_to_its_limit() {
    let long = "a".repeat(STRING_BYTES_LIMIT as usize);
    let mut writer = GgufWriter::new();
    for key in ["a", "b", "c", "d"] {
        writer.set(key, &*long);
    }
    let error = writer.write(&mut io::sink()).unwrap_err();
    assert!(
        matches!(error, GgufError::TooMany { what, .. } if what == "bytes of text"),
        "{error}"
    );
}

#[test]
fn a_length_that_lies_takes_no_memory() {
    let head = Raw::new(0, 1).text(b"k").u32(8).u64(STRING_BYTES_LIMIT);
    let (error, held) = peak(|| Gguf::read_sized(Cursor::new(&head.0), 1 << 40).unwrap_err());
    assert!(matches!(error, GgufError::Io { .. }), "{error}");
    assert!(held <= FIXED + 1024, "{held}");
    for raw in [
        Raw::new(TENSOR_COUNT_LIMIT, 0),
        Raw::new(0, KEY_COUNT_LIMIT),
    ] {
        let (error, held) = peak(|| Gguf::read_sized(Cursor::new(&raw.0), 1 << 40).unwrap_err());
        assert!(matches!(error, GgufError::Io { .. }), "{error}");
        assert!(held <= FIXED, "{held}");
    }
}

#[test]
fn memory_is_bounded_by_the_header() {
    let mut tiny = GgufWriter::new();
    for i in 0..10_000 {
        tiny.set(&format!("{i:x}"), 0_u8);
        tiny.tensor(&format!("{i:x}"), &[1], TensorType::I8, vec![0]);
    }
    let mut long = GgufWriter::new();
    long.set("long", "a".repeat(10 << 20));
    let mut vocabulary = GgufWriter::new();
    vocabulary.set("tokens", vec!["a token"; 200_000]);
    for writer in [tiny, long, vocabulary] {
        let bytes = bytes_of(&writer);
        let (gguf, held) = peak(|| read(&bytes).unwrap());
        let entries = (gguf.metadata().len() + gguf.tensors().len()) as u64;
        let most = 2 * gguf.header_bytes() + PER_ENTRY * entries + FIXED;
        assert!(held <= most, "{held} of {most}");
    }
    let mut vocabulary = GgufWriter::new();
    vocabulary.set("tokens", vec!["a token"; 200_000]);
    let bytes = bytes_of(&vocabulary);
    let (gguf, held) = peak(|| read(&bytes).unwrap());
    assert!(held < FIXED, "{held}");
    let tokens = gguf.get("tokens").unwrap().as_array().unwrap();
    let elements = || tokens.elements(Cursor::new(&bytes)).unwrap().count();
    let (count, held) = peak(elements);
    assert_eq!(count, 200_000);
    assert!(held < FIXED, "{held}");
}

proptest! {
    #[test]
    fn random_bytes_after_the_magic_never_panic_nor_take_much_memory(
        counts in prop::array::uniform2(prop_oneof![0_u64..4, any::<u64>()]),
        tail in prop::collection::vec(
            prop_oneof![3 => Just(0_u8), 2 => 0_u8..16, 1 => any::<u8>()],
            0..600,
        ),
    ) {
        let mut bytes = Raw::new(counts[0], counts[1]).0;
        bytes.extend(tail);
        let (result, held) = peak(|| read(&bytes));
        let entries = bytes.len() as u64 / 14;
        prop_assert!(held <= 2 * bytes.len() as u64 + PER_ENTRY * entries + FIXED, "{}", held);
        if let Ok(gguf) = result {
            drain(&gguf, &bytes);
        }
    }

    #[test]
    fn a_valid_file_with_a_stretch_overwritten_never_panics(
        at in 0_usize..1024,
        stretch in prop::collection::vec(any::<u8>(), 1..24),
    ) {
        let mut bytes = bytes_of(&small());
        for (byte, with) in bytes.iter_mut().skip(at).zip(stretch) {
            *byte = with;
        }
        let (result, held) = peak(|| read(&bytes));
        prop_assert!(held <= 2 * bytes.len() as u64 + PER_ENTRY * 24 + FIXED, "{}", held);
        if let Ok(gguf) = result {
            drain(&gguf, &bytes);
        }
    }

    #[test]
    fn tensors_of_any_shape_come_back(
        dims in prop::collection::vec(1_u64..9, 1..5),
        alignment in 3_u32..8,
    ) {
        let elements: u64 = dims.iter().product();
        let data = vec![1; elements as usize * 2];
        let mut writer = GgufWriter::with_alignment(1 << alignment);
        writer.tensor("a", &dims, TensorType::F16, &data[..]);
        writer.tensor("b", &dims, TensorType::F16, &data[..]);
        let gguf = read(&bytes_of(&writer)).unwrap();
        prop_assert_eq!(gguf.tensor("b").unwrap().dims(), &dims[..]);
        prop_assert_eq!(gguf.parameter_count(), 2 * elements);
    }
}
