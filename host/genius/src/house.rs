//! The house as the fixture runner knows it.

use crate::builder::Genius;
use futures::future::BoxFuture;
use rusty_genius_core::{GeniusError, ModelSpec, SandboxError};
use rusty_genius_sandbox::{Guest, Sandbox};
use rusty_genius_teaser::House;

impl House for Genius {
    fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    fn model(&self, name: &str) -> Result<ModelSpec, GeniusError> {
        Genius::model(self, name)
    }

    fn scenario<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Guest, GeniusError>> {
        Box::pin(Genius::scenario(self, name))
    }

    fn digests<'a>(
        &'a self,
        model: &'a ModelSpec,
    ) -> BoxFuture<'a, Result<Vec<String>, GeniusError>> {
        Box::pin(async move {
            let stem = self.stem();
            // An engine that needs no weights has none to tell of.
            if stem.ensure_model(model)?.is_none() {
                return Ok(Vec::new());
            }
            let verified = stem.facecrab().verify(model).finish().await?;
            let damaged = verified.iter().find(|file| file.matches == Some(false));
            if let Some(file) = damaged {
                return Err(SandboxError::Host {
                    what: format!("telling the digest of {}", file.path.display()),
                    reason: "it is not the file that was fetched".into(),
                }
                .into());
            }
            Ok(verified.into_iter().map(|file| file.sha256).collect())
        })
    }
}
