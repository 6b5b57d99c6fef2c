//! The model that comes with the house.
//!
//! With the feature `narf`, which is on by default, the program holds the weights of
//! `rusty-genius/narf-1m:Q8_0`, a byte-level model of a million parameters trained here
//! (`engine/bytelm`). It runs on the engine `bytelm` and answers where nobody names a model.

use facecrab::Settings;
use rusty_genius_core::ModelSource;

/// The model of a run that names none, unless the user's manifest has a default: a name of
/// [`catalog::builtin`](facecrab::catalog::builtin).
pub const DEFAULT_MODEL: &str = match cfg!(feature = "narf") {
    true => "narf-1m",
    false => "qwen2.5-1.5b",
};

/// The repository of the model's specs.
const REPO: &str = "rusty-genius/narf-1m";

#[cfg(feature = "narf")]
static NARF: facecrab::Bundled =
    facecrab::Bundled::new(REPO, "narf-1m-Q8_0.gguf", rusty_genius_bytelm::NARF_1M);

/// What the environment says ([`Settings::from_env`]), and what comes with the house.
pub fn settings() -> Settings {
    Settings {
        #[cfg(feature = "narf")]
        bundled: vec![&NARF],
        ..Settings::from_env()
    }
}

/// The engine of a model that comes with the house, however its quant was spelled.
pub(crate) fn engine(source: &ModelSource) -> Option<&'static str> {
    let ModelSource::Hub { repo, .. } = source else {
        return None;
    };
    let own = cfg!(feature = "narf") && repo.eq_ignore_ascii_case(REPO);
    own.then_some(rusty_genius_bytelm::ENGINE)
}
