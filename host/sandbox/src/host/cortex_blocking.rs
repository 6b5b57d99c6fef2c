//! `cortex-blocking`: the same for toolchains without async functions. The guest waits
//! in its call; the host's thread does not.

use super::Ctx;
use super::cortex::{HostInference, HostSession};
use crate::bindings::cortex_blocking as blocking;
use crate::bindings::types::{Error, InferenceConfig, InferenceEvent, Turn};
use wasmtime::component::Resource;

impl blocking::HostSession for Ctx {
    async fn open(
        &mut self,
        model: String,
    ) -> wasmtime::Result<Result<Resource<HostSession>, Error>> {
        self.open_session(&model)
    }

    async fn infer(
        &mut self,
        session: Resource<HostSession>,
        turns: Vec<Turn>,
        config: InferenceConfig,
    ) -> wasmtime::Result<Result<Resource<HostInference>, Error>> {
        let session = self.table.get(&session)?.handle();
        let inference = self.desk.infer(session, turns, config).await;
        self.push(inference)
    }

    async fn fork(
        &mut self,
        session: Resource<HostSession>,
    ) -> wasmtime::Result<Result<Resource<HostSession>, Error>> {
        self.fork_session(&session)
    }

    async fn drop(&mut self, session: Resource<HostSession>) -> wasmtime::Result<()> {
        self.table.delete(session)?;
        Ok(())
    }
}

impl blocking::HostInference for Ctx {
    async fn next(
        &mut self,
        inference: Resource<HostInference>,
    ) -> wasmtime::Result<Option<InferenceEvent>> {
        Ok(self.table.get_mut(&inference)?.next().await)
    }

    async fn cancel(&mut self, inference: Resource<HostInference>) -> wasmtime::Result<()> {
        self.table.get(&inference)?.cancel();
        Ok(())
    }

    async fn drop(&mut self, inference: Resource<HostInference>) -> wasmtime::Result<()> {
        self.table.delete(inference)?;
        Ok(())
    }
}

impl blocking::Host for Ctx {
    async fn count_tokens(
        &mut self,
        model: String,
        text: String,
    ) -> wasmtime::Result<Result<u32, Error>> {
        Ok(self.desk.count_tokens(&model, &text).await)
    }

    async fn embed(
        &mut self,
        model: String,
        text: String,
    ) -> wasmtime::Result<Result<Vec<f32>, Error>> {
        Ok(self.desk.embed(&model, &text).await)
    }
}
