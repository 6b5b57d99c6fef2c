use super::*;
use proptest::prelude::*;

fn run() -> RunId {
    RunId {
        config: ConfigJson(Config::named("test-50k").unwrap()),
        options: TrainOptions::default(),
        data: "0123456789abcdef".into(),
    }
}

fn state() -> State {
    let weights = crate::Weights::random(run().config.0, 1).unwrap();
    let mut adamw = AdamW::new(lengths(weights.config()).into_iter());
    adamw.mean[0][0] = 0.1;
    adamw.square[1][2] = f32::MIN_POSITIVE / 3.0;
    State {
        weights: weights.tensors().map(|(_, t)| t.data.clone()).collect(),
        adamw,
        position: Position {
            epoch: 3,
            batch: 7,
            step: 99,
            // Numbers that decimals only come close to.
            loss: 0.1 + 0.2,
            answers: 12,
            bytes: 34,
            seconds: 1.0 / 3.0,
        },
        history: Vec::new(),
    }
}

#[test]
fn what_is_written_is_read_again() {
    // Not `assert_eq`, which would print some 100,000 numbers.
    assert!(decode(&encode(&run(), &state())).unwrap() == (run(), state()));
}

#[test]
fn a_checkpoint_cut_anywhere_is_never_one() {
    let bytes = encode(&run(), &state());
    let ends = (0..64).chain((64..bytes.len()).step_by(3989));
    for end in ends.chain(bytes.len() - 64..bytes.len()) {
        assert!(decode(&bytes[..end]).is_err(), "{end}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_checkpoint_with_a_changed_byte_is_never_one(at: prop::sample::Index, by in 1..=255_u8) {
        let mut bytes = encode(&run(), &state());
        let at = at.index(bytes.len());
        bytes[at] ^= by;
        prop_assert!(decode(&bytes).is_err());
    }

    #[test]
    fn bytes_that_are_no_checkpoint_do_no_harm(bytes: Vec<u8>) {
        prop_assert!(decode(&bytes).is_err());
    }
}

#[test]
fn what_differs_between_runs_is_named() {
    let mut other = run();
    other.config.0.layers = 9;
    other.options.seed = 2;
    other.data = "fedcba9876543210".into();
    let names: Vec<String> = differences(&other, &run())
        .into_iter()
        .map(|(name, there, here)| format!("{name} {there} {here}"))
        .collect();
    assert_eq!(
        names,
        [
            "config layers 9 3",
            "data ledger.toml:fedcba987654 ledger.toml:0123456789ab",
            "seed 2 1"
        ]
    );
    // How it is computed is not part of what is computed.
    let mut other = run();
    other.options.threads = 5;
    other.options.checkpoint_every = 1;
    assert!(differences(&other, &run()).is_empty());
}
