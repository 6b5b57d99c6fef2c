use super::*;
use proptest::prelude::*;

fn sized<'a>(names: &[&'a str]) -> Vec<(&'a str, u64)> {
    names.iter().map(|name| (*name, 10)).collect()
}

/// The names of the chosen files, or the candidates with whether none fits.
fn ask<'a>(names: &[&'a str], quant: Option<&str>) -> Result<Vec<&'a str>, (bool, Vec<String>)> {
    match choose("o/x", &sized(names), quant) {
        Ok(model) => {
            let files = model.map(|model| model.files).unwrap_or_default();
            Ok(files.into_iter().map(|at| names[at]).collect())
        }
        Err(AssetError::Ambiguous {
            spec,
            none,
            candidates,
        }) => {
            assert_eq!(spec, "o/x");
            Err((none, candidates))
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn the_quant_matches_whatever_its_case_and_punctuation() {
    let files = ["x-q4_k_m.gguf", "x.Q4_K_S.gguf", "x-q8_0.GGUF", "README.md"];
    for (quant, file) in [
        ("Q4_K_M", "x-q4_k_m.gguf"),
        ("q4-k-s", "x.Q4_K_S.gguf"),
        ("Q80", "x-q8_0.GGUF"),
        ("x-q8_0", "x-q8_0.GGUF"),
    ] {
        assert_eq!(ask(&files, Some(quant)), Ok(vec![file]), "{quant}");
    }
}

#[test]
fn an_unknown_quant_says_which_there_are() {
    let files = ["x-q4_k_m.gguf", "x-q8_0.gguf"];
    let there_are = vec!["q4_k_m".to_owned(), "q8_0".to_owned()];
    for quant in ["Q4_K", "K_M", "M", "0", "4_k_m", "Q2_K"] {
        assert_eq!(ask(&files, Some(quant)), Err((true, there_are.clone())));
    }
}

#[test]
fn without_a_quant_the_only_model_is_meant() {
    assert_eq!(ask(&["x-q8_0.gguf"], None), Ok(vec!["x-q8_0.gguf"]));
    assert_eq!(ask(&["weights.gguf"], None), Ok(vec!["weights.gguf"]));
    let both = ask(&["x-q8_0.gguf", "x-F16.gguf"], None);
    assert_eq!(both, Err((false, vec!["F16".into(), "q8_0".into()])));
}

#[test]
fn where_there_is_no_model_there_is_none() {
    for files in [
        &["model.safetensors", "config.json", ".gguf", "a/.gguf"][..],
        &[],
    ] {
        assert_eq!(ask(files, None), Ok(vec![]));
        assert_eq!(ask(files, Some("Q8_0")), Ok(vec![]));
    }
}

#[test]
fn a_split_model_is_one_in_the_order_of_its_parts() {
    let files = [
        "x-q8_0-00002-of-00002.gguf",
        "x-q8_0-00001-of-00002.gguf",
        "x-q4_0.gguf",
    ];
    assert_eq!(ask(&files, Some("Q8_0")), Ok(vec![files[1], files[0]]),);
    let model = choose("o/x", &sized(&files), Some("q8_0"))
        .unwrap()
        .unwrap();
    assert_eq!((model.size, model.quant.as_deref()), (20, Some("q8_0")));
}

#[test]
fn an_incomplete_split_model_is_none() {
    for files in [
        &["x-q8_0-00001-of-00002.gguf"][..],
        &["x-q8_0-00002-of-00002.gguf"],
        &["x-q8_0-00001-of-00003.gguf", "x-q8_0-00003-of-00003.gguf"],
        &["x-q8_0-00000-of-00001.gguf"],
        &["x-q8_0-00002-of-00001.gguf"],
        &["x-q8_0-00000-of-00000.gguf"],
        &["x-q8_0-00001-of-00002.gguf", "y-q8_0-00002-of-00002.gguf"],
        &["x-q8_0-00001-of-00002.gguf", "a/x-q8_0-00002-of-00002.gguf"],
    ] {
        assert_eq!(ask(files, None), Ok(vec![]), "{files:?}");
    }
}

#[test]
fn a_model_given_whole_and_split_is_taken_whole() {
    let files = [
        "x-q8_0-00001-of-00002.gguf",
        "x-q8_0-00002-of-00002.gguf",
        "x-q8_0.gguf",
    ];
    assert_eq!(ask(&files, Some("Q8_0")), Ok(vec!["x-q8_0.gguf"]));
}

#[test]
fn a_folder_named_after_the_quant_counts() {
    let files = [
        "Q4_K_M/x-00001-of-00002.gguf",
        "Q4_K_M/x-00002-of-00002.gguf",
        "BF16/x-BF16.gguf",
    ];
    assert_eq!(ask(&files, Some("q4_k_m")), Ok(files[..2].to_vec()));
    assert_eq!(ask(&files, Some("bf16")), Ok(vec!["BF16/x-BF16.gguf"]));
}

#[test]
fn companions_of_a_model_are_taken_only_by_name() {
    let files = [
        "mmproj-model-f16.gguf",
        "x-mmproj-f16.gguf",
        "x-q8_0.gguf",
        "x.imatrix.gguf",
    ];
    assert_eq!(ask(&files, None), Ok(vec!["x-q8_0.gguf"]));
    assert_eq!(ask(&files, Some("f16")), Err((true, vec!["q8_0".into()])));
    let named = ask(&files, Some("mmproj-model-f16"));
    assert_eq!(named, Ok(vec!["mmproj-model-f16.gguf"]));
}

#[test]
fn a_marked_quant_gives_way_to_the_plain_one() {
    let both = ["x-UD-Q4_K_XL.gguf", "x-Q4_K_XL.gguf"];
    assert_eq!(ask(&both, Some("Q4_K_XL")), Ok(vec![both[1]]));
    assert_eq!(ask(&both, Some("ud-q4_k_xl")), Ok(vec![both[0]]));
    assert_eq!(ask(&both[..1], Some("Q4_K_XL")), Ok(vec![both[0]]));
}

#[test]
fn names_that_share_a_quant_are_told_apart_by_more_of_the_name() {
    let files = ["base-q8_0.gguf", "chat-q8_0.gguf"];
    let names = vec!["base-q8_0".to_owned(), "chat-q8_0".to_owned()];
    assert_eq!(ask(&files, Some("Q8_0")), Err((false, names.clone())));
    assert_eq!(ask(&files, None), Err((false, names)));
    assert_eq!(ask(&files, Some("chat-q8_0")), Ok(vec![files[1]]));
}

#[test]
fn the_quants_people_publish_are_recognised() {
    for (name, quant) in [
        ("qwen2.5-1.5b-instruct-q4_k_m", "q4_k_m"),
        ("Phi-3-mini-4k-instruct-q4", "q4"),
        ("Llama-3.2-1B-Instruct-Q4_0_4_8", "Q4_0_4_8"),
        ("Llama-3.2-1B-Instruct-IQ3_XXS", "IQ3_XXS"),
        ("x.i1-IQ2_M", "IQ2_M"),
        ("gpt-oss-20b-mxfp4", "mxfp4"),
        ("model_q4km", "q4km"),
        ("x-Q4_K_M-imat", "Q4_K_M"),
        ("bitnet-TQ2_0", "TQ2_0"),
        ("gemma-3-1b-it-bf16", "bf16"),
        ("ggml-model-f16", "f16"),
    ] {
        let file = format!("{name}.gguf");
        let found = models(&sized(&[&file]));
        assert_eq!(found[0].quant.as_deref(), Some(quant), "{name}");
    }
    for name in ["qwen2.5-1.5b-instruct", "q", "Q9_0-x", "iq", "k-m", "x-4"] {
        let file = format!("{name}.gguf");
        assert_eq!(models(&sized(&[&file]))[0].quant, None, "{name}");
    }
}

#[test]
fn sizes_that_lie_do_not_overflow() {
    let files = [
        ("x-00001-of-00002.gguf", u64::MAX),
        ("x-00002-of-00002.gguf", u64::MAX),
    ];
    assert_eq!(models(&files)[0].size, u64::MAX);
}

proptest! {
    #[test]
    fn no_names_make_it_panic_and_what_is_chosen_exists_once(
        names in prop::collection::vec(
            "([a-zß/._ -]|q4_k|-0000[0-3]-of-0000[0-3]|mmproj|UD-|F16){0,6}(\\.gguf|\\.GGUF|)", 0..8),
        quant in prop::option::of("[a-z0-9_.-]{0,8}|q4_k|F16"),
    ) {
        let files: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 1)).collect();
        if let Ok(Some(model)) = choose("o/x", &files, quant.as_deref()) {
            let mut seen = model.files.clone();
            seen.sort_unstable();
            seen.dedup();
            prop_assert_eq!(seen.len(), model.files.len());
            prop_assert!(model.files.iter().all(|at| *at < files.len()));
            prop_assert_eq!(model.size, model.files.len() as u64);
        }
    }

    #[test]
    fn the_order_of_the_listing_does_not_matter(
        names in prop::collection::vec("[ab](-q4_0|-q8_0)(-0000[12]-of-00002|)\\.gguf", 0..6)
            .prop_map(|mut names| { names.sort(); names.dedup(); names })
            .prop_shuffle(),
        quant in prop::option::of("q4_0|q8_0|a-q4_0"),
    ) {
        let mut sorted: Vec<&str> = names.iter().map(String::as_str).collect();
        let shuffled = sorted.clone();
        sorted.sort_unstable();
        prop_assert_eq!(ask(&shuffled, quant.as_deref()), ask(&sorted, quant.as_deref()));
    }

    #[test]
    fn every_candidate_that_is_offered_can_be_asked_for(
        names in prop::collection::vec("[ab](-q4_0|-q8_0|-UD-Q4_0|)\\.gguf", 2..6)
            .prop_map(|mut names| { names.sort(); names.dedup(); names }),
    ) {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        if let Err((_, candidates)) = ask(&names, None) {
            for candidate in candidates {
                prop_assert!(ask(&names, Some(&candidate)).is_ok(), "{} of {:?}", candidate, names);
            }
        }
    }
}
