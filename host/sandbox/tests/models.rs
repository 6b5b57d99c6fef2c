//! What a guest sees of models: names and sizes, no path and no URL.

#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod support;

use rusty_genius_core::gguf::GgufWriter;
use rusty_genius_core::{AssetError, GeniusError, ModelSource};
use support::{Load, content, gated, model, pinky, run, sandbox, test, thoughts, tmp};

#[test]
fn a_model_of_an_engine_without_weights_is_always_ready() {
    test(async {
        let (report, reply) = run(&sandbox(pinky(|_| {})), "pull", &[], |_| {}).await;
        report.result.unwrap();
        assert_eq!(thoughts(&reply), "ready\n");
        assert_eq!(content(&reply), "");
    });
}

#[test]
fn a_model_that_cannot_be_had_ends_the_progress_and_the_person_learns_why() {
    test(async {
        let (sandbox, _gate) = gated(Load::NeedsWeights);
        let (report, reply) = run(&sandbox, "pull", &[], |job| {
            job.grant.model.engine = Some("gate".into());
        })
        .await;
        match report.result {
            Err(GeniusError::Asset(AssetError::Offline { what })) => {
                assert!(what.starts_with("test/model"), "{what}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(thoughts(&reply), "resolving\n");
    });
}

#[test]
fn a_model_that_is_not_granted_is_refused_and_the_refusal_says_what_would_grant_it() {
    test(async {
        let sandbox = sandbox(pinky(|_| {}));
        let (report, _) = run(&sandbox, "pull", &["other/model"], |_| {}).await;
        assert!(matches!(
            report.result,
            Err(GeniusError::Asset(AssetError::NotGranted { .. }))
        ));
        assert_eq!(report.denials.len(), 1);
        assert!(report.denials[0].to_string().contains("grants.models"));
    });
}

#[test]
fn an_installed_model_is_listed_without_its_path() {
    test(async {
        let path = tmp("models-secret-folder").join("small.gguf");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut writer = GgufWriter::new();
        writer.set("general.architecture", "llama");
        writer.set("llama.context_length", 512_u32);
        writer.write(std::fs::File::create(&path).unwrap()).unwrap();

        let (sandbox, _gate) = gated(Load::NeedsWeights);
        let (report, reply) = run(&sandbox, "pull", &[], |job| {
            job.grant.model = model();
            job.grant.model.engine = Some("gate".into());
            job.grant.model.source = ModelSource::File(path.clone());
        })
        .await;
        report.result.unwrap();
        assert!(content(&reply).contains("context 512"), "{reply:?}");
        assert!(!format!("{reply:?}").contains("secret"), "{reply:?}");
    });
}
