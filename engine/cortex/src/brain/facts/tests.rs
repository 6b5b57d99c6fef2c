use super::*;
use proptest::prelude::*;
use rusty_genius_core::gguf::TensorType;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

mod lies;
mod model;

use model::Meta::{Ints, Strings, U};
use model::{Folder, Model, s};

#[test]
fn a_sound_file_is_read() {
    let facts = Model::new().read().unwrap();
    assert_eq!(facts.architecture, "llama");
    assert_eq!(facts.name.as_deref(), Some("Tiny"));
    assert_eq!(
        (facts.context_length, facts.layers, facts.width),
        (128, 2, 8)
    );
    assert_eq!(
        (facts.heads, facts.kv_heads, facts.kv_heads_total),
        (4, 2, 4)
    );
    assert_eq!((facts.key_length, facts.value_length), (2, 2));
    assert_eq!((facts.vocab, facts.feed_forward), (16, 24));
    assert_eq!(facts.weights_bytes, 4 * (8 * 16 + 8));
    assert_eq!(facts.chat_template.as_deref(), Some("{{ messages }}"));
    assert!(facts.chat_template.is_some());
    assert_eq!(facts.quant, Some("F32"));
    assert!(!facts.is_embedding_model && !facts.is_recurrent);
    assert_eq!(facts.sliding_window, None);
}

#[test]
fn the_model_in_this_repository_is_read() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bytelm/weights/narf-1m-Q8_0.gguf");
    let gguf = Gguf::read(fs::File::open(&path).unwrap()).unwrap();
    let number = |key: &str| gguf.get(key).unwrap().as_u64().unwrap();
    let facts = read(std::slice::from_ref(&path)).unwrap();
    assert_eq!(facts.architecture, "llama");
    assert_eq!(facts.vocab, 272);
    assert_eq!(facts.quant, Some("Q8_0"));
    assert_eq!(facts.width, number("llama.embedding_length"));
    assert_eq!(facts.layers, number("llama.block_count"));
    assert_eq!(facts.context_length, number("llama.context_length"));
    assert_eq!(facts.key_length, facts.width / facts.heads);
    assert!(facts.chat_template.is_some());
    let file = fs::metadata(&path).unwrap().len();
    assert!(facts.weights_bytes < file && facts.weights_bytes > file * 9 / 10);
}

#[test]
fn a_model_may_have_other_shapes() {
    let embedding = Model::new()
        .with("llama.pooling_type", U(1))
        .without("tokenizer.chat_template");
    let facts = embedding.read().unwrap();
    assert!(facts.is_embedding_model && facts.chat_template.is_none());

    let windowed = Model::new().with("llama.attention.sliding_window", U(4096));
    assert_eq!(windowed.read().unwrap().sliding_window, Some(4096));

    let layered = Model::new()
        .with("llama.attention.head_count_kv", Ints(vec![4, 0]))
        .with("llama.attention.key_length", U(16))
        .with("llama.attention.value_length", U(8));
    let facts = layered.read().unwrap();
    assert_eq!((facts.kv_heads, facts.kv_heads_total), (4, 4));
    assert_eq!(facts.cache_bytes_per_token(), 2 * (16 + 8) * 4);

    let mut mamba = Model::new();
    for (key, value) in [
        ("general.architecture", s("mamba")),
        ("mamba.context_length", U(128)),
        ("mamba.block_count", U(2)),
        ("mamba.embedding_length", U(8)),
        ("mamba.attention.head_count", U(0)),
        ("mamba.ssm.state_size", U(16)),
    ] {
        mamba = mamba.with(key, value);
    }
    let facts = mamba.read().unwrap();
    assert!(facts.is_recurrent);
    assert_eq!(facts.cache_bytes_per_token(), 0);
    assert!(
        Model::new()
            .with("llama.ssm.state_size", U(16))
            .read()
            .unwrap()
            .is_recurrent
    );

    let mixture = Model::new()
        .with("llama.expert_count", U(8))
        .with("llama.expert_used_count", U(2))
        .with("llama.expert_group_count", U(4))
        .with("llama.expert_group_used_count", U(2));
    mixture.read().unwrap();
}

#[test]
fn memory_is_weights_cache_logits_and_activations() {
    let facts = Model::new().read().unwrap();
    // 2 bytes, keys and values of 2 numbers each, 2 heads, 2 layers.
    assert_eq!(facts.cache_bytes_per_token(), 2 * (2 + 2) * 2 * 2);
    let cache = 100 * 32;
    let buffers = 10 * 4 * (16 + 8 * 8 + 3 * 24 + 4 * 100);
    assert_eq!(
        facts.memory_needed(100, 10),
        facts.weights_bytes + cache + buffers
    );
    let huge = Facts {
        weights_bytes: u64::MAX - 1,
        ..facts
    };
    assert_eq!(huge.memory_needed(u32::MAX, u32::MAX), u64::MAX);
}

#[test]
fn what_is_missing_is_named() {
    for key in [
        "general.architecture",
        "llama.context_length",
        "llama.block_count",
        "llama.embedding_length",
        "llama.attention.head_count",
        "tokenizer.ggml.tokens",
        "tokenizer.ggml.model",
    ] {
        let said = Model::new().without(key).refused();
        assert!(said.contains(&format!("`{key}` is missing")), "{said}");
    }
}

#[test]
fn tensors_without_arithmetic_are_refused() {
    let embd = "token_embd.weight";
    for (name, dims, ty, must_say) in [
        (
            embd,
            &[16, 8][..],
            TensorType::F32,
            "[16, 8] (expected [8, 16]",
        ),
        (embd, &[8, 16, 2], TensorType::F32, "expected [8, 16]"),
        (embd, &[128], TensorType::F32, "expected [8, 16]"),
        (embd, &[8, 16], TensorType::F64, "is F64"),
        (embd, &[8, 16], TensorType::I32, "is I32"),
        ("output_norm.weight", &[8], TensorType::F16, "is F16"),
        ("output_norm.weight", &[32], TensorType::Q8_0, "is Q8_0"),
        ("output.weight", &[256, 1], TensorType::Q8K, "is Q8_K"),
    ] {
        let said = Model::new().tensor(name, dims, ty).refused();
        assert!(said.contains(must_say), "{said}");
    }
    let mut none = Model::new();
    none.tensors.remove(0);
    assert!(none.refused().contains("no tensor `token_embd.weight`"));
}

#[test]
fn a_sentencepiece_vocabulary_has_all_bytes() {
    let mut tokens: Vec<String> = ["<unk>", "<s>", "</s>"].map(String::from).into();
    tokens.extend((0..=255).map(|byte| format!("<0x{byte:02X}>")));
    let count = tokens.len();
    let mut types = vec![6; count];
    types[..3].fill(3);
    let model = |tokens: Vec<String>| {
        Model::new()
            .with("tokenizer.ggml.model", s("llama"))
            .with("tokenizer.ggml.tokens", Strings(tokens))
            .with("tokenizer.ggml.token_type", Ints(types.clone()))
            .tensor("token_embd.weight", &[8, count as u64], TensorType::F32)
    };
    assert_eq!(model(tokens.clone()).read().unwrap().vocab, 259);
    tokens[3 + 0xC3] = "<0xcg>".into();
    assert!(model(tokens).refused().contains("of the type of bytes"));
}

#[test]
fn parts_must_be_those_of_one_model() {
    let folder = Folder::new();
    let part = |number: u32, count: u32| {
        let mut part = match number {
            0 => Model::new().with("split.tensors.count", U(3)),
            _ => Model {
                keys: BTreeMap::new(),
                tensors: vec![("output.weight".into(), vec![8, 16], TensorType::F32)],
            },
        };
        part = part
            .with("split.no", U(number))
            .with("split.count", U(count));
        part
    };
    let (a, b) = (part(0, 2), part(1, 2));
    let first = folder.file("a.gguf", &a.bytes());
    let second = folder.file("b.gguf", &b.bytes());
    let facts = read(&[first.clone(), second.clone()]).unwrap();
    assert_eq!(facts.weights_bytes, 4 * (8 * 16 + 8 + 8 * 16));

    let fails = |paths: &[&PathBuf], must_say: &str| {
        let paths: Vec<PathBuf> = paths.iter().map(|&path| path.clone()).collect();
        let said = read(&paths).unwrap_err();
        assert!(said.contains(must_say), "{said}");
    };
    fails(&[&second, &first], "b.gguf: `split.no` is 1 (expected 0");
    fails(&[&first], "a.gguf: `split.count` is 2 (expected 1");
    fails(&[&first, &first], "a.gguf: `split.no` is 0 (expected 1");
    fails(
        &[&first, &second, &second],
        "`split.count` is 2 (expected 3",
    );
    fails(&[], "at least one file");
    let few = folder.file(
        "few.gguf",
        &a.clone().with("split.tensors.count", U(4)).bytes(),
    );
    fails(&[&few, &second], "`split.tensors.count` is 4 (expected 3");
    let silent = folder.file("silent.gguf", &a.without("split.tensors.count").bytes());
    fails(&[&silent, &second], "`split.tensors.count` is missing");
    let twice = b.tensor("token_embd.weight", &[1, 1], TensorType::F32);
    let mut twice = twice;
    twice.tensors.remove(0);
    let twice = folder.file("twice.gguf", &twice.bytes());
    fails(
        &[&first, &twice],
        "two parts have a tensor \"token_embd.weight\"",
    );
}

#[test]
fn only_regular_files_of_some_length_are_read() {
    let folder = Folder::new();
    for (path, must_say) in [
        (folder.0.clone(), "not a regular file"),
        (folder.0.join("absent.gguf"), "absent.gguf"),
        (folder.file("empty.gguf", b""), "truncated"),
        (folder.file("short.gguf", b"GGUF\x03\0"), "truncated"),
        (
            folder.file("other.gguf", b"MZ\x90\0 and so on"),
            "not a GGUF file",
        ),
    ] {
        let said = read(std::slice::from_ref(&path)).unwrap_err();
        assert!(said.contains(must_say), "{said}");
        assert!(said.contains(&*path.to_string_lossy()), "{said}");
    }
}

/// To open the one would wait for ever, to read the other never end.
#[cfg(unix)]
#[test]
fn pipes_and_devices_are_not_opened() {
    let folder = Folder::new();
    let pipe = folder.0.join("pipe.gguf");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    for path in [pipe, "/dev/zero".into()] {
        let said = read(&[path]).unwrap_err();
        assert!(said.contains("not a regular file"), "{said}");
    }
}

#[test]
fn the_fingerprint_tells_files_apart() {
    let one = Model::new().read().unwrap().fingerprint;
    assert_eq!(one, Model::new().read().unwrap().fingerprint);
    let named = Model::new().with("general.name", s("Tinz"));
    assert_ne!(one, named.read().unwrap().fingerprint);
    let mut longer = Model::new().bytes();
    longer.extend([0; 32]);
    let folder = Folder::new();
    let longer = read(&[folder.file("model.gguf", &longer)]).unwrap();
    assert_ne!(one, longer.fingerprint);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn damage_never_panics(
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        length in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let mut bytes = Model::new().bytes();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if cut {
            bytes.truncate(length.index(bytes.len()));
        }
        let folder = Folder::new();
        if let Ok(facts) = read(&[folder.file("model.gguf", &bytes)]) {
            facts.memory_needed(u32::MAX, u32::MAX);
        }
    }

    #[test]
    fn no_number_panics(key in 0..7_usize, value in any::<u32>(), layers in proptest::collection::vec(any::<i32>(), 0..4)) {
        let keys = [
            "llama.block_count", "llama.embedding_length", "llama.attention.head_count",
            "llama.attention.head_count_kv", "llama.attention.key_length",
            "llama.expert_count", "llama.expert_group_count",
        ];
        let _ = Model::new().with(keys[key], U(value)).read();
        let _ = Model::new().with(keys[key], Ints(layers)).read();
    }
}
