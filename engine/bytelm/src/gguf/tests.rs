use super::*;
use crate::Config;
use proptest::prelude::*;
use std::io::Cursor;

fn weights(change: impl FnOnce(&mut Config)) -> Weights {
    let mut config = Config::named("test-50k").unwrap();
    change(&mut config);
    Weights::random(config, 7).unwrap()
}

fn file(weights: &Weights, ty: WeightType) -> Vec<u8> {
    let mut file = Vec::new();
    weights.write_gguf(ty, &mut file).unwrap();
    file
}

fn read(file: &[u8]) -> Result<Weights, LoadError> {
    Weights::read_gguf(Cursor::new(file))
}

#[test]
fn f32_comes_back_bit_for_bit() {
    for tied in [true, false] {
        let weights = weights(|config| config.tied = tied);
        assert_eq!(read(&file(&weights, WeightType::F32)).unwrap(), weights);
    }
}

#[test]
fn a_config_of_grouped_heads_comes_back() {
    let weights = weights(|config| {
        (config.heads, config.kv_heads) = (4, 2);
        config.rope_base = 500_000.0;
    });
    let back = read(&file(&weights, WeightType::F32)).unwrap();
    assert_eq!(back.config(), weights.config());
}

#[test]
fn f16_and_q8_0_come_back_close_and_then_stay_the_same() {
    let weights = weights(|_| {});
    for (ty, close) in [(WeightType::F16, 2e-5), (WeightType::Q8_0, 2e-4)] {
        let first = file(&weights, ty);
        let back = read(&first).unwrap();
        for ((name, a), (_, b)) in weights.tensors().zip(back.tensors()) {
            for (a, b) in a.data.iter().zip(&b.data) {
                assert!((a - b).abs() < close, "{ty} {name}: {a} {b}");
            }
        }
        // Rounding what was rounded changes nothing.
        assert_eq!(file(&back, ty), first, "{ty}");
    }
}

#[test]
fn the_same_weights_give_the_same_file() {
    for ty in WeightType::ALL {
        assert_eq!(file(&weights(|_| {}), ty), file(&weights(|_| {}), ty));
    }
}

#[test]
fn a_file_says_what_it_is() {
    let bytes = file(&weights(|_| {}), WeightType::Q8_0);
    let gguf = Gguf::read(Cursor::new(&bytes)).unwrap();
    assert_eq!(gguf.architecture(), Some("llama"));
    assert_eq!(gguf.name(), Some("test-50k"));
    assert_eq!(gguf.quant(), Some("Q8_0"));
    assert_eq!(gguf.license(), Some("MIT OR Apache-2.0"));
    assert_eq!(gguf.context_length(), Some(128));
    assert_eq!(gguf.parameter_count(), 48_864);
    assert!(gguf.chat_template().unwrap().contains("<|im_start|>"));
}

#[test]
fn weights_that_the_type_cannot_hold_are_an_error() {
    for (ty, number) in [
        (WeightType::F32, f32::NAN),
        (WeightType::F16, 1e5),
        (WeightType::Q8_0, f32::INFINITY),
    ] {
        let good = weights(|_| {});
        let mut tensors: BTreeMap<_, _> =
            good.tensors().map(|(name, t)| (name, t.clone())).collect();
        tensors.get_mut("blk.1.ffn_up.weight").unwrap().data[5] = number;
        let bad = Weights::new(good.config().clone(), tensors).unwrap();
        let error = bad.write_gguf(ty, Vec::new()).unwrap_err().to_string();
        assert!(error.contains("blk.1.ffn_up.weight"), "{error}");
    }
}

/// What is said of a file with some things about it changed.
fn changed(change: impl FnOnce(&mut Changes)) -> String {
    let good = weights(|_| {});
    let mut changes = Changes::default();
    change(&mut changes);
    let mut writer = GgufWriter::new();
    metadata::write(&mut writer, good.config(), WeightType::F32);
    if let Some(set) = changes.set {
        set(&mut writer);
    }
    for (name, tensor) in good
        .tensors()
        .filter(|(name, _)| *name != changes.without_tensor)
    {
        let dims: &[u64] = match tensor.rows {
            1 => &[tensor.columns as u64],
            _ => &[tensor.columns as u64, tensor.rows as u64],
        };
        let data = numbers::encode(&tensor.data, tensor.columns, TensorType::F32).unwrap();
        writer.tensor(&name, dims, TensorType::F32, data);
    }
    if let Some((name, dims, ty)) = changes.tensor {
        let count: u64 = dims.iter().product();
        let bytes = count / ty.block_values() * ty.block_bytes();
        writer.tensor(name, dims, ty, vec![0; bytes as usize]);
    }
    let mut file = Vec::new();
    writer.write(&mut file).unwrap();
    // The writer takes no key twice: the old one gets another name, of the same length, and
    // the new one, set as `NEW:…`, its own.
    if !changes.without.is_empty() {
        let old = format!("OLD:{}", &changes.without[4..]);
        replace(&mut file, changes.without, &old);
        let new = format!("NEW:{}", &changes.without[4..]);
        replace(&mut file, &new, changes.without);
    }
    let error = read(&file).unwrap_err();
    let runtime = crate::ByteModel::from_bytes(&file).err().unwrap();
    // As text: a NaN is not itself.
    assert_eq!(runtime.to_string(), error.to_string());
    error.to_string()
}

fn replace(file: &mut [u8], from: &str, to: &str) {
    let found = file
        .windows(from.len())
        .position(|bytes| bytes == from.as_bytes());
    if let Some(at) = found {
        file[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
}

#[derive(Default)]
struct Changes {
    without: &'static str,
    set: Option<fn(&mut GgufWriter<'_>)>,
    without_tensor: &'static str,
    tensor: Option<(&'static str, &'static [u64], TensorType)>,
}

#[test]
fn a_file_of_another_model_is_refused_with_what_is_wrong_about_it() {
    let key = |key, set: fn(&mut GgufWriter<'_>)| {
        changed(|c| {
            c.without = key;
            c.set = Some(set);
        })
    };
    let tensor = |without, tensor| {
        changed(|c| {
            c.without_tensor = without;
            c.tensor = tensor;
        })
    };
    for (error, said) in [
        (
            key("general.architecture", |w| {
                w.set("NEW:ral.architecture", "qwen2");
            }),
            "its architecture is \"qwen2\"",
        ),
        (
            key("llama.block_count", |_| {}),
            "`llama.block_count` is missing; it must be a whole number",
        ),
        (
            key("llama.block_count", |w| {
                w.set("NEW:a.block_count", 400_u32);
            }),
            "at most the 29 tensors there are",
        ),
        (
            key("llama.embedding_length", |w| {
                w.set("NEW:a.embedding_length", "32");
            }),
            "`llama.embedding_length` is \"32\"",
        ),
        (
            key("llama.embedding_length", |w| {
                w.set("NEW:a.embedding_length", u64::MAX);
            }),
            "`width` is 18446744073709551615",
        ),
        (
            key("llama.attention.head_count", |w| {
                w.set("NEW:a.attention.head_count", 0_u32);
            }),
            "`heads` is 0",
        ),
        (
            key("llama.rope.dimension_count", |w| {
                w.set("NEW:a.rope.dimension_count", 8_u32);
            }),
            "`llama.rope.dimension_count` is 8",
        ),
        (
            key("llama.rope.freq_base", |w| {
                w.set("NEW:a.rope.freq_base", f32::NAN);
            }),
            "`rope base` is NaN",
        ),
        (
            key("", |w| {
                w.set("llama.rope.scaling.type", "yarn");
            }),
            "`llama.rope.scaling.type` is \"yarn\"",
        ),
        (
            key("", |w| {
                w.set("llama.expert_count", 8_u32);
            }),
            "`llama.expert_count` is 8",
        ),
        (
            key("tokenizer.ggml.tokens", |w| {
                w.set("NEW:nizer.ggml.tokens", ["a", "b"]);
            }),
            "`tokenizer.ggml.tokens` is [String; 2]",
        ),
        (
            key("tokenizer.ggml.tokens", |w| {
                w.set("NEW:nizer.ggml.tokens", vec!["the"; 272]);
            }),
            "token 0 is \"the\"",
        ),
        (
            key("tokenizer.ggml.tokens", |w| {
                w.set("NEW:nizer.ggml.tokens", vec![7_u32; 272]);
            }),
            "token 0 is \"\"",
        ),
        (
            tensor("blk.2.ffn_down.weight", None),
            "the tensor \"blk.2.ffn_down.weight\" is missing",
        ),
        (
            tensor("", Some(("rope_freqs.weight", &[32], TensorType::F32))),
            "the tensor \"rope_freqs.weight\" is none of this model's",
        ),
        (
            tensor(
                "blk.0.attn_k.weight",
                Some(("blk.0.attn_k.weight", &[32, 16], TensorType::F32)),
            ),
            "has dimensions [32, 16]; the model needs [32, 32]",
        ),
        (
            tensor(
                "blk.0.attn_k.weight",
                Some(("blk.0.attn_k.weight", &[32, 32], TensorType::Q4_0)),
            ),
            "is of type Q4_0; bytelm runs F32, F16 and Q8_0",
        ),
    ] {
        assert!(error.contains(said), "{error:?} does not say {said:?}");
    }
}

#[test]
fn a_file_cut_anywhere_is_an_error() {
    let whole = file(&weights(|_| {}), WeightType::Q8_0);
    let ends = (0..whole.len())
        .step_by(97)
        .chain(whole.len() - 31..whole.len());
    for end in ends {
        assert!(read(&whole[..end]).is_err(), "{end}");
        assert!(
            crate::ByteModel::from_bytes(&whole[..end]).is_err(),
            "{end}"
        );
    }
}

proptest! {
    #[test]
    fn a_file_with_changed_bytes_loads_or_is_an_error(
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut file = file(&weights(|_| {}), WeightType::Q8_0);
        for (at, byte) in changes {
            // Most in the header, where they hurt.
            let at = at.index(12_000);
            file[at] = byte;
        }
        let _ = read(&file);
        let _ = crate::ByteModel::from_bytes(&file);
    }
}
