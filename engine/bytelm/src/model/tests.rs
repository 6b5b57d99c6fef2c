mod reference;

use super::*;
use crate::vocab::{self, Token};
use crate::{WeightType, Weights};
use proptest::prelude::*;

fn weights(change: impl FnOnce(&mut Config)) -> Weights {
    let mut config = Config::named("test-50k").unwrap();
    change(&mut config);
    // Larger than at the start of a training, so that logits differ clearly.
    let small = Weights::random(config, 11).unwrap();
    let grown = small.tensors().map(|(name, tensor)| {
        let mut tensor = tensor.clone();
        let factor = if tensor.rows == 1 { 1.0 } else { 8.0 };
        tensor.data.iter_mut().for_each(|n| *n *= factor);
        (name, tensor)
    });
    Weights::new(small.config().clone(), grown.collect()).unwrap()
}

fn file(weights: &Weights, ty: WeightType) -> Vec<u8> {
    let mut file = Vec::new();
    weights.write_gguf(ty, &mut file).unwrap();
    file
}

fn model(weights: &Weights, ty: WeightType) -> ByteModel {
    ByteModel::from_bytes(&file(weights, ty)).unwrap()
}

fn tokens(seed: u64, count: usize) -> Vec<Token> {
    let mut rng = fastrand::Rng::with_seed(seed);
    (0..count).map(|_| rng.u16(..vocab::MARKERS_END)).collect()
}

fn all(model: &ByteModel, tokens: &[Token]) -> Vec<f32> {
    model.forward_all(&mut Cache::new(model), tokens)
}

fn far(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .fold(0.0, |far, (a, b)| far.max((a - b).abs()))
}

#[test]
fn logits_are_those_of_a_plain_transformer_on_every_instruction_set() {
    let cases: [fn(&mut Config); 3] = [
        |_| {},
        |config| config.tied = false,
        |config| (config.heads, config.kv_heads, config.width) = (4, 2, 64),
    ];
    for change in cases {
        let weights = weights(change);
        let tokens = tokens(1, 40);
        let expected = reference::logits(&weights, &tokens);
        for isa in Isa::available() {
            let file = file(&weights, WeightType::F32);
            let model = ByteModel::read_for(isa, &mut Cursor::new(file)).unwrap();
            let far = far(&all(&model, &tokens), &expected);
            assert!(far < 2e-4, "{}: {far}", isa.name());
        }
    }
}

#[test]
fn smaller_types_give_nearly_the_same_logits() {
    let weights = weights(|_| {});
    let tokens = tokens(2, 60);
    let exact = all(&model(&weights, WeightType::F32), &tokens);
    let spread = exact.iter().fold(0_f32, |m, x| m.max(x.abs()));
    for (ty, share) in [(WeightType::F16, 2e-3), (WeightType::Q8_0, 0.05)] {
        let far = far(&all(&model(&weights, ty), &tokens), &exact);
        assert!(far < spread * share, "{ty}: {far} of {spread}");
        assert!(far > 0.0, "{ty}");
    }
}

#[test]
fn no_logit_before_a_changed_byte_moves() {
    let model = model(&weights(|_| {}), WeightType::Q8_0);
    let before = tokens(3, 90);
    let logits = all(&model, &before);
    let vocab = model.config().vocab;
    for at in [0, 1, 40, 63, 64, 89] {
        let mut after = before.clone();
        after[at] ^= 1;
        let changed = all(&model, &after);
        assert_eq!(changed[..at * vocab], logits[..at * vocab], "{at}");
        let rest = logits.len() - at * vocab;
        let moved = changed[at * vocab..]
            .chunks(vocab)
            .zip(logits[at * vocab..].chunks(vocab));
        assert!(moved.clone().all(|(a, b)| a != b), "{at} of {rest}");
    }
}

#[test]
fn cached_logits_are_uncached_logits() {
    for ty in WeightType::ALL {
        let model = model(&weights(|_| {}), ty);
        let tokens = tokens(4, 100);
        let vocab = model.config().vocab;
        let at_once = all(&model, &tokens);
        let mut cache = Cache::new(&model);
        for (token, expected) in tokens.iter().zip(at_once.chunks(vocab)) {
            // One at a time, each on the cache of those before it.
            assert_eq!(model.forward(&mut cache, &[*token]), expected, "{ty}");
        }
        assert_eq!(cache.tokens(), tokens);
    }
}

#[test]
fn a_cache_cut_back_is_as_if_the_rest_had_never_been_read() {
    let model = model(&weights(|_| {}), WeightType::Q8_0);
    let (kept, dropped, next) = (tokens(5, 30), tokens(6, 20), tokens(7, 10));
    let mut cache = Cache::new(&model);
    model.forward(&mut cache, &kept);
    let mut fork = cache.clone();
    model.forward(&mut cache, &dropped);
    cache.truncate(kept.len());
    let logits = model.forward(&mut cache, &next).to_vec();
    assert_eq!(model.forward(&mut fork, &next), logits);
    assert_eq!(cache.tokens(), fork.tokens());
    cache.truncate(1000);
    assert_eq!(cache.tokens().len(), 40);
    cache.truncate(0);
    assert!(cache.tokens().is_empty());
}

#[test]
fn every_byte_every_marker_and_no_tokens_at_all_can_be_read() {
    let model = model(&weights(|_| {}), WeightType::Q8_0);
    // Every value, NUL and invalid UTF-8 among them, and what is no token.
    let mut tokens: Vec<Token> = (0..vocab::SIZE as Token).collect();
    tokens.extend(vocab::encode(b"\0\xFF\xC3\x28\xED\xA0\x80"));
    tokens.extend([Token::MAX, 272]);
    let logits = all(&model, &tokens);
    assert_eq!(logits.len(), tokens.len() * vocab::SIZE);
    assert!(logits.iter().all(|x| x.is_finite()));
    let mut cache = Cache::new(&model);
    assert!(model.forward(&mut cache, &[]).is_empty());
    assert!(all(&model, &[]).is_empty());
}

#[test]
fn a_model_takes_the_bytes_of_its_tensors() {
    let weights = weights(|config| config.tied = false);
    let parameters = weights.config().parameters();
    let norms = 7 * 32;
    assert_eq!(model(&weights, WeightType::F32).memory(), parameters * 4);
    let q8 = (parameters - norms) / 32 * 34 + norms * 4;
    assert_eq!(model(&weights, WeightType::Q8_0).memory(), q8);
}

#[test]
fn sizes_the_kernels_cannot_take_are_an_error() {
    let weights = weights(|config| config.feed_forward = 40);
    let error = ByteModel::from_bytes(&file(&weights, WeightType::F32))
        .err()
        .unwrap();
    assert_eq!(
        error.to_string(),
        "`feed-forward` is 40; it must be a multiple of 32"
    );
}

#[test]
fn what_is_no_file_is_an_error() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let error = ByteModel::open(folder).err().unwrap().to_string();
    assert_eq!(error, "it is not a regular file");
    assert!(ByteModel::open(&folder.join("none.gguf")).is_err());
    let error = ByteModel::open(&folder.join("Cargo.toml"))
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("GGUF"), "{error}");
}

proptest! {
    #[test]
    fn however_a_text_is_cut_its_logits_are_the_same(
        cuts in proptest::collection::vec(1_usize..80, 1..6),
    ) {
        let model = model(&weights(|_| {}), WeightType::Q8_0);
        let tokens = tokens(8, cuts.iter().sum());
        let expected = model.forward(&mut Cache::new(&model), &tokens).to_vec();
        let (mut cache, mut rest, mut last) = (Cache::new(&model), &tokens[..], Vec::new());
        for cut in cuts {
            let (now, later) = rest.split_at(cut);
            last = model.forward(&mut cache, now).to_vec();
            rest = later;
        }
        prop_assert_eq!(last, expected);
    }
}
