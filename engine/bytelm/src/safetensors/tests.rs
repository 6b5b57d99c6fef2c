use super::*;

fn weights() -> Weights {
    let config = Config {
        heads: 4,
        kv_heads: 2,
        tied: false,
        ..Config::named("test-50k").unwrap()
    };
    Weights::random(config, 1).unwrap()
}

#[test]
fn what_is_exported_is_imported_again_and_is_always_the_same_bytes() {
    let bytes = export(&weights()).unwrap();
    assert_eq!(import(&bytes).unwrap(), weights());
    assert_eq!(export(&weights()).unwrap(), bytes);
}

#[test]
fn names_and_shapes_are_hugging_faces() {
    let bytes = export(&weights()).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    for (name, shape) in [
        ("model.embed_tokens.weight", &[272, 32][..]),
        ("model.layers.2.self_attn.k_proj.weight", &[16, 32]),
        ("model.layers.0.post_attention_layernorm.weight", &[32]),
        ("model.layers.1.mlp.down_proj.weight", &[32, 96]),
        ("model.norm.weight", &[32]),
        ("lm_head.weight", &[272, 32]),
    ] {
        assert_eq!(file.tensor(name).unwrap().shape(), shape, "{name}");
    }
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(metadata.metadata().as_ref().unwrap()["format"], "pt");
}

#[test]
fn queries_and_keys_have_their_heads_in_halves() {
    // Heads of width 8: even rows first, then odd ones.
    let order = order(&weights().config().clone(), "blk.0.attn_k.weight", 16);
    assert_eq!(
        order,
        [0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15]
    );
}

#[test]
fn a_file_that_is_cut_anywhere_is_an_error() {
    let bytes = export(&weights()).unwrap();
    for end in (0..bytes.len()).step_by(997) {
        import(&bytes[..end]).unwrap_err();
    }
}

#[test]
fn a_file_without_our_config_says_so() {
    let empty: Vec<(String, safetensors::tensor::TensorView<'_>)> = Vec::new();
    let bytes = safetensors::serialize(empty, None).unwrap();
    let error = import(&bytes).unwrap_err();
    assert!(matches!(error, SafetensorsError::NoConfig), "{error}");
}
