//! Small model files, made as they are needed.

use crate::brain::facts::Facts;
use rusty_genius_core::gguf::{GgufWriter, TensorType};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder that goes with its test.
pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    pub(super) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("brain-facts-{}-{number}", std::process::id());
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../target/tmp")
            .join(name);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub(super) fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[derive(Clone)]
pub(super) enum Meta {
    U(u32),
    I(i32),
    F(f32),
    B(bool),
    S(String),
    Strings(Vec<String>),
    Ints(Vec<i32>),
    Floats(Vec<f32>),
}
use Meta::{B, F, Floats, I, Ints, S, Strings, U};

pub(super) fn s(text: &str) -> Meta {
    S(text.into())
}

/// A file to be: two layers of width 8, a vocabulary of 16.
#[derive(Clone)]
pub(super) struct Model {
    pub(super) keys: BTreeMap<String, Meta>,
    pub(super) tensors: Vec<(String, Vec<u64>, TensorType)>,
}

impl Model {
    pub(super) fn new() -> Self {
        let tokens: Vec<String> = (0..16).map(|n| format!("t{n}")).collect();
        let keys = [
            ("general.architecture", s("llama")),
            ("general.name", s("Tiny")),
            ("general.file_type", U(0)),
            ("llama.context_length", U(128)),
            ("llama.block_count", U(2)),
            ("llama.embedding_length", U(8)),
            ("llama.feed_forward_length", U(24)),
            ("llama.attention.head_count", U(4)),
            ("llama.attention.head_count_kv", U(2)),
            ("llama.attention.layer_norm_rms_epsilon", F(1e-5)),
            ("llama.rope.dimension_count", U(2)),
            ("llama.rope.freq_base", F(10_000.0)),
            ("tokenizer.ggml.model", s("gpt2")),
            ("tokenizer.ggml.tokens", Strings(tokens)),
            ("tokenizer.ggml.token_type", Ints(vec![1; 16])),
            ("tokenizer.ggml.bos_token_id", U(1)),
            ("tokenizer.ggml.eos_token_id", U(2)),
            ("tokenizer.chat_template", s("{{ messages }}")),
        ];
        Self {
            keys: keys.map(|(key, value)| (key.into(), value)).into(),
            tensors: vec![
                ("token_embd.weight".into(), vec![8, 16], TensorType::F32),
                ("output_norm.weight".into(), vec![8], TensorType::F32),
            ],
        }
    }

    pub(super) fn with(mut self, key: &str, value: Meta) -> Self {
        self.keys.insert(key.into(), value);
        self
    }

    pub(super) fn without(mut self, key: &str) -> Self {
        self.keys.remove(key).unwrap();
        self
    }

    pub(super) fn tensor(mut self, name: &str, dims: &[u64], ty: TensorType) -> Self {
        self.tensors.retain(|(there, ..)| there != name);
        self.tensors.push((name.into(), dims.to_vec(), ty));
        self
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut writer = GgufWriter::new();
        for (key, value) in &self.keys {
            match value {
                U(v) => writer.set(key, *v),
                I(v) => writer.set(key, *v),
                F(v) => writer.set(key, *v),
                B(v) => writer.set(key, *v),
                S(v) => writer.set(key, v.as_str()),
                Strings(v) => writer.set(key, v.as_slice()),
                Ints(v) => writer.set(key, v.as_slice()),
                Floats(v) => writer.set(key, v.as_slice()),
            };
        }
        for (name, dims, ty) in &self.tensors {
            let elements: u64 = dims.iter().product();
            let bytes = elements / ty.block_values() * ty.block_bytes();
            writer.tensor(name, dims, *ty, vec![0; bytes as usize]);
        }
        let mut bytes = Vec::new();
        writer.write(&mut bytes).unwrap();
        bytes
    }

    pub(super) fn read(&self) -> Result<Facts, String> {
        let folder = Folder::new();
        super::read(&[folder.file("model.gguf", &self.bytes())])
    }

    /// What is said against the model; it must name the file.
    pub(super) fn refused(&self) -> String {
        let said = self.read().unwrap_err();
        assert!(said.contains("model.gguf"), "{said}");
        said
    }
}
