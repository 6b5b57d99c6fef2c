//! Makes sure that the run's model is on this machine, and says what it is: what a guest
//! sees of models, on one screen.

use rusty_genius::genius::facecrab::{AssetProgress, ensure_model, list_models};
use rusty_genius::genius::reply::{Fragment, emit};
use rusty_genius::genius::types::{Error, ThoughtEvent};

wit_bindgen::generate!({ path: "../../../wit", world: "workflow" });

struct Pull;
export!(Pull);

impl Guest for Pull {
    async fn run(args: Vec<String>) -> Result<(), Failure> {
        // Without a name it is the run's default model.
        let model = args.join(" ");
        let mut progress = ensure_model(model).await.map_err(Failure::Host)?;
        emit(&[Fragment::Thought(ThoughtEvent::Start)]).map_err(Failure::Host)?;
        let mut steps = Vec::with_capacity(64);
        let mut last = None;
        loop {
            (_, steps) = progress.read(steps).await;
            if steps.is_empty() {
                break;
            }
            for step in steps.drain(..) {
                if let Some(line) = describe(&step) {
                    let delta = ThoughtEvent::Delta(format!("{line}\n"));
                    emit(&[Fragment::Thought(delta)]).map_err(Failure::Host)?;
                }
                last = Some(step);
            }
        }
        emit(&[Fragment::Thought(ThoughtEvent::Stop)]).map_err(Failure::Host)?;
        match last {
            Some(AssetProgress::Ready) => list().map_err(Failure::Host),
            Some(AssetProgress::Failed(why)) => Err(Failure::Host(Error::Asset(why))),
            _ => Err(Failure::Failed("the host broke off".into())),
        }
    }
}

/// What is worth a line. Counts of bytes are for bars, and a guest has none.
fn describe(step: &AssetProgress) -> Option<&'static str> {
    match step {
        AssetProgress::Resolving => Some("resolving"),
        AssetProgress::Queued => Some("waiting for another process"),
        AssetProgress::Verifying => Some("verifying"),
        AssetProgress::Ready => Some("ready"),
        AssetProgress::Bytes(_) | AssetProgress::Failed(_) => None,
    }
}

fn list() -> Result<(), Error> {
    let lines: Vec<Fragment> = list_models()
        .iter()
        .map(|model| {
            Fragment::Content(format!(
                "{} ({}, {} bytes, context {})\n",
                model.spec, model.quant, model.size, model.context_length
            ))
        })
        .collect();
    emit(&lines)
}
