//! The house a runner works in.

use futures::future::BoxFuture;
use rusty_genius_core::{GeniusError, ModelSpec};
use rusty_genius_sandbox::{Guest, Sandbox};

/// What a [`Runner`](crate::Runner) asks of the house: the facade `Genius` is one.
pub trait House: Send + Sync {
    /// Where guests run.
    fn sandbox(&self) -> &Sandbox;

    /// The model of this name, and the engine it runs on.
    fn model(&self, name: &str) -> Result<ModelSpec, GeniusError>;

    /// A scenario: a built-in one by name, or a component by its path.
    fn scenario<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Guest, GeniusError>>;

    /// The sha256 of each of a model's files, in order.
    fn digests<'a>(
        &'a self,
        model: &'a ModelSpec,
    ) -> BoxFuture<'a, Result<Vec<String>, GeniusError>>;
}
