//! Which engines this build has, by name.

use crate::{Backend, Clock, Pinky, PinkyConfig};
use rusty_genius_core::EngineError;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The engine used where nobody names one.
#[cfg(not(feature = "real-engine"))]
pub const DEFAULT_ENGINE: &str = "pinky";
/// The engine used where nobody names one.
#[cfg(feature = "real-engine")]
pub const DEFAULT_ENGINE: &str = "brain";

/// The backends there are, and the clock they share. Cheap to clone.
#[derive(Clone)]
pub struct Cortex {
    backends: BTreeMap<String, Arc<dyn Backend>>,
    clock: Arc<dyn Clock>,
}

impl Cortex {
    /// The backends of this build, at their defaults: [`Pinky`], and `brain` with the feature
    /// `real-engine`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let pinky = Pinky::new(PinkyConfig::default(), clock.clone());
        let cortex = Self {
            backends: BTreeMap::new(),
            clock,
        };
        #[cfg(feature = "real-engine")]
        let cortex = cortex.with(Arc::new(crate::Brain::default()));
        cortex.with(Arc::new(pinky))
    }

    /// Adds a backend; one of the same name is replaced.
    #[must_use]
    pub fn with(mut self, backend: Arc<dyn Backend>) -> Self {
        self.backends.insert(backend.name().to_owned(), backend);
        self
    }

    /// The backend of this name, or of [`DEFAULT_ENGINE`] for `None`.
    ///
    /// Fails with [`EngineError::Unknown`], which names those there are.
    pub fn backend(&self, name: Option<&str>) -> Result<Arc<dyn Backend>, EngineError> {
        let name = name.unwrap_or(DEFAULT_ENGINE);
        self.backends
            .get(name)
            .cloned()
            .ok_or_else(|| EngineError::Unknown {
                name: name.to_owned(),
                known: self.names(),
            })
    }

    /// The names of all backends, sorted.
    pub fn names(&self) -> Vec<String> {
        self.backends.keys().cloned().collect()
    }

    /// The clock everything here goes by.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }
}

impl fmt::Debug for Cortex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cortex")
            .field("backends", &self.names())
            .field("clock", &self.clock)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BoxFuture, LoadRequest, Model, VirtualClock};

    struct Named(&'static str, bool);

    impl Backend for Named {
        fn name(&self) -> &str {
            self.0
        }

        fn needs_weights(&self) -> bool {
            self.1
        }

        fn load(&self, request: LoadRequest) -> BoxFuture<'_, Result<Arc<dyn Model>, EngineError>> {
            let error = EngineError::LoadFailed {
                model: request.model,
                reason: "it is a name only".into(),
            };
            Box::pin(std::future::ready(Err(error)))
        }
    }

    fn cortex() -> Cortex {
        Cortex::new(Arc::new(VirtualClock::new()))
    }

    #[test]
    fn pinky_is_always_there() {
        assert!(cortex().names().contains(&"pinky".into()));
        assert_eq!(cortex().backend(Some("pinky")).unwrap().name(), "pinky");
    }

    #[test]
    fn without_a_name_the_default_answers() {
        assert_eq!(cortex().backend(None).unwrap().name(), DEFAULT_ENGINE);
    }

    #[test]
    fn an_unknown_engine_is_an_error_that_names_those_there_are() {
        let cortex = cortex().with(Arc::new(Named("brain", true)));
        let error = cortex.backend(Some("snowball")).err().unwrap();
        assert_eq!(
            error,
            EngineError::Unknown {
                name: "snowball".into(),
                known: vec!["brain".into(), "pinky".into()],
            }
        );
    }

    #[test]
    fn a_backend_replaces_its_namesake() {
        let before = cortex().names();
        let cortex = cortex().with(Arc::new(Named("pinky", true)));
        assert_eq!(cortex.names(), before);
        assert!(cortex.backend(Some("pinky")).unwrap().needs_weights());
    }
}
