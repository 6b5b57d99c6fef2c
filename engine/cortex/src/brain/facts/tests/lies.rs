//! Files that are sound but for one lie.

use super::model::Meta::{B, F, Floats, I, Ints, S, Strings, U};
use super::model::{Model, s};

/// One lie each: the key, what it is made, and what must be said of it.
#[test]
fn each_lie_is_named() {
    let lies = [
        ("general.architecture", s("Llama 3"), "general.architecture"),
        ("general.architecture", s(""), "general.architecture"),
        (
            "general.architecture",
            s("llama\u{202e}"),
            "general.architecture",
        ),
        ("general.architecture", U(1), "general.architecture` is 1"),
        (
            "general.architecture",
            s("qwen2"),
            "`qwen2.context_length` is missing",
        ),
        ("llama.context_length", U(0), "from 1 to 16777216"),
        (
            "llama.context_length",
            U((1 << 24) + 1),
            "from 1 to 16777216",
        ),
        ("llama.context_length", F(1.0), "context_length"),
        ("llama.block_count", U(0), "from 1 to 512"),
        ("llama.block_count", U(513), "from 1 to 512"),
        ("llama.nextn_predict_layers", U(3), "from 0 to 2"),
        ("llama.embedding_length", U(0), "from 1 to 1048576"),
        (
            "llama.embedding_length",
            I(-8),
            "`llama.embedding_length` is -8",
        ),
        ("llama.embedding_length", U(16), "[16, 16]"),
        ("llama.attention.head_count", U(0), "at least 1"),
        (
            "llama.attention.head_count",
            U(6),
            "divisor of the width, 8",
        ),
        (
            "llama.attention.head_count",
            Ints(vec![4]),
            "one number for each of 2 layers",
        ),
        (
            "llama.attention.head_count",
            Ints(vec![4, -4]),
            "head_count[1]` is -4",
        ),
        (
            "llama.attention.head_count_kv",
            U(0),
            "divisor of the 4 heads",
        ),
        (
            "llama.attention.head_count_kv",
            U(3),
            "divisor of the 4 heads",
        ),
        (
            "llama.attention.head_count_kv",
            U(8),
            "divisor of the 4 heads",
        ),
        (
            "llama.attention.head_count_kv",
            Floats(vec![1.0; 2]),
            "head_count_kv[0]",
        ),
        ("llama.attention.key_length", U(0), "key_length` is 0"),
        ("llama.attention.value_length", U(1 << 20), "value_length"),
        ("llama.rope.dimension_count", U(3), "from 0 to 2"),
        ("llama.rope.freq_base", F(0.0), "above 0"),
        ("llama.rope.freq_base", F(f32::INFINITY), "above 0"),
        ("llama.rope.scaling.factor", F(f32::NAN), "finite"),
        (
            "llama.rope.scaling.type",
            s("spiral"),
            "none, linear, yarn, longrope",
        ),
        ("llama.attention.layer_norm_rms_epsilon", F(-1.0), "above 0"),
        ("llama.attention.layer_norm_epsilon", F(f32::NAN), "above 0"),
        ("llama.expert_count", U(1025), "from 0 to 1024"),
        ("llama.expert_count", U(8), "expert_used_count` is missing"),
        ("llama.expert_used_count", U(1), "from 0 to 0"),
        ("llama.expert_group_count", U(1), "from 0 to 0"),
        (
            "llama.feed_forward_length",
            U(u32::MAX),
            "feed_forward_length",
        ),
        ("llama.pooling_type", U(99), "pooling_type"),
        ("tokenizer.ggml.model", s("none"), "a tokenizer"),
        ("tokenizer.ggml.model", s("llama"), "no `<0x00>`"),
        (
            "tokenizer.ggml.tokens",
            Ints(vec![1; 16]),
            "an array of String",
        ),
        ("tokenizer.ggml.tokens", Strings(vec![]), "has 0 tokens"),
        (
            "tokenizer.ggml.tokens",
            Strings(vec!["same".into(); 16]),
            "no other token has",
        ),
        (
            "tokenizer.ggml.token_type",
            Ints(vec![1; 15]),
            "has 15 elements (expected 16",
        ),
        (
            "tokenizer.ggml.token_type",
            Floats(vec![1.0; 16]),
            "an array of I32",
        ),
        (
            "tokenizer.ggml.token_type",
            Ints(vec![6; 16]),
            "of the type of bytes",
        ),
        (
            "tokenizer.ggml.scores",
            Floats(vec![0.0; 17]),
            "has 17 elements",
        ),
        ("tokenizer.ggml.merges", U(7), "an array of String"),
        (
            "tokenizer.ggml.precompiled_charsmap",
            s("x"),
            "an array of I8 or U8",
        ),
        ("tokenizer.ggml.bos_token_id", U(16), "one of 16 tokens"),
        ("tokenizer.ggml.eos_token_id", I(-1), "one of 16 tokens"),
        (
            "tokenizer.ggml.padding_token_id",
            s("2"),
            "one of 16 tokens",
        ),
        (
            "tokenizer.ggml.add_sep_token",
            B(true),
            "no `tokenizer.ggml.seperator_token_id`",
        ),
        ("tokenizer.ggml.add_bos_token", U(1), "a boolean"),
        ("tokenizer.chat_template", U(1), "a string"),
        (
            "tokenizer.chat_template",
            S(" ".repeat((256 << 10) + 1)),
            "the limit is 262144",
        ),
        ("split.count", U(2), "`split.count` is 2 (expected 1"),
        ("split.no", U(1), "`split.no` is 1 (expected 0"),
        (
            "split.tensors.count",
            U(3),
            "`split.tensors.count` is 3 (expected 2",
        ),
    ];
    for (key, value, must_say) in lies {
        let said = Model::new().with(key, value).refused();
        assert!(said.contains(must_say), "{key}: {said}");
    }
}
