//! What the emulator serves: small files, and large ones that are never held in memory.

use sha2::{Digest, Sha256};
use std::sync::{Arc, OnceLock};

/// The bytes of one file. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Content(Arc<Inner>);

struct Inner {
    head: Vec<u8>,
    /// Repeated after the head. Its length is a prime, so that a piece which lands in a
    /// wrong place shows in the digest.
    pattern: Vec<u8>,
    size: u64,
    sha256: OnceLock<String>,
}

const PATTERN_BYTES: usize = 4_194_319;

/// Magic, version 3, no tensors, no keys.
fn gguf_head() -> Vec<u8> {
    let mut head = b"GGUF".to_vec();
    head.extend(3_u32.to_le_bytes());
    head.extend([0; 16]);
    head
}

fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed ^ 0x9E37_79B9_7F4A_7C15;
    let mut out = Vec::with_capacity(bytes + 8);
    while out.len() < bytes {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        out.extend((z ^ (z >> 31)).to_le_bytes());
    }
    out.truncate(bytes);
    out
}

impl Content {
    fn new(head: Vec<u8>, pattern: Vec<u8>, size: u64) -> Self {
        Self(Arc::new(Inner {
            head,
            pattern,
            size,
            sha256: OnceLock::new(),
        }))
    }

    /// These bytes.
    pub(crate) fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        let size = bytes.len() as u64;
        Self::new(bytes, vec![], size)
    }

    /// A GGUF head and noise: `size` bytes in all, the same for the same seed.
    pub(crate) fn gguf(size: u64, seed: u64) -> Self {
        let head = gguf_head();
        let rest = usize::try_from(size).map_or(PATTERN_BYTES, |s| s.min(PATTERN_BYTES));
        Self::new(head, noise(seed, rest), size)
    }

    pub(crate) fn size(&self) -> u64 {
        self.0.size
    }

    /// The longest piece at hand that begins at `at` and ends before `end`.
    pub(crate) fn piece(&self, at: u64, end: u64) -> &[u8] {
        let inner = &*self.0;
        let end = end.min(inner.size);
        if at >= end {
            return &[];
        }
        let head = inner.head.len() as u64;
        let all = if at < head {
            &inner.head[at as usize..]
        } else {
            &inner.pattern[((at - head) % inner.pattern.len() as u64) as usize..]
        };
        &all[..all.len().min((end - at) as usize)]
    }

    /// The whole file, for small ones.
    pub(crate) fn to_vec(&self) -> Vec<u8> {
        let mut out = Vec::new();
        while (out.len() as u64) < self.size() {
            out.extend_from_slice(self.piece(out.len() as u64, self.size()));
        }
        out
    }

    /// 64 hexadecimal digits, lower case.
    pub(crate) fn sha256(&self) -> &str {
        self.0.sha256.get_or_init(|| {
            let mut digest = Sha256::new();
            let mut at = 0;
            while at < self.size() {
                let piece = self.piece(at, self.size());
                digest.update(piece);
                at += piece.len() as u64;
            }
            hex(&digest.finalize())
        })
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// The digest of a file on disk.
pub(crate) fn sha256_of(path: &std::path::Path) -> std::io::Result<String> {
    use std::io::Read;
    let mut file = std::fs::File::open(path)?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&digest.finalize())),
            n => digest.update(&buffer[..n]),
        }
    }
}

/// A gzip stream of at least `bytes` zeros, about a twentieth of a thousandth as long.
pub(crate) fn gzip_of_zeros(bytes: u64) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let (mut bits, mut held) = (0_u32, 0_u64);
    let mut put = |out: &mut Vec<u8>, value: u64, count: u32| {
        held |= value << bits;
        bits += count;
        while bits >= 8 {
            out.push(held as u8);
            held >>= 8;
            bits -= 8;
        }
    };
    // One last block with the fixed codes: a zero, then "258 bytes from 1 back" again and again.
    put(&mut out, 0b011, 3);
    put(&mut out, 0b0000_1100, 8);
    for _ in 0..bytes / 258 + 1 {
        put(&mut out, 0b1010_0011, 8);
        put(&mut out, 0, 5);
    }
    put(&mut out, 0, 7);
    put(&mut out, 0, 7);
    // The trailer is nonsense; whoever reads so far has unpacked it all.
    out.extend([0; 8]);
    out
}
