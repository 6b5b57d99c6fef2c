//! `facecrab`: model files, of which a guest sees names and sizes.

use super::batches::Batches;
use super::{Ctx, Desk, Host};
use crate::bindings::facecrab::{self, AssetProgress, ModelInfo};
use crate::bindings::types::{AssetError, Error};
use crate::convert;
use crate::meter::CallClass;
use blocking::unblock;
use futures::stream::{self, BoxStream, StreamExt};
use rusty_genius_core::GeniusError;
use rusty_genius_stem::EnsureModel;
use wasmtime::component::{Accessor, StreamReader};

impl<T: Send + 'static> facecrab::HostWithStore<T> for Host {
    async fn ensure_model(
        accessor: &Accessor<T, Self>,
        model: String,
    ) -> wasmtime::Result<Result<StreamReader<AssetProgress>, Error>> {
        accessor.with(|mut access| {
            let progress = access.get().desk.ensure(&model);
            Ok(match progress {
                Ok(progress) => {
                    let batches = Batches::new(Some(progress));
                    Ok(StreamReader::new(&mut access, batches)?)
                }
                Err(error) => Err(error),
            })
        })
    }
}

impl facecrab::Host for Ctx {
    async fn list_models(&mut self) -> wasmtime::Result<Vec<ModelInfo>> {
        self.desk.meter.called(CallClass::Facecrab);
        let facecrab = self.desk.stem.facecrab().clone();
        let grant = self.desk.grant.clone();
        let found = unblock(move || {
            let own = (grant.guest_name(), grant.model.clone());
            let others = grant
                .models
                .granted()
                .map(|(name, spec)| (name.to_owned(), spec));
            let others: Vec<_> = others.filter(|(_, spec)| spec.id() != own.1.id()).collect();
            let named = [own].into_iter().chain(others);
            named
                .filter_map(|(name, spec)| Some((name, facecrab.details(&spec).ok()?)))
                .collect::<Vec<_>>()
        });
        let models = found.await.into_iter();
        Ok(models
            .map(|(name, details)| convert::model_out(details, name))
            .collect())
    }
}

impl Desk {
    fn ensure(&self, model: &str) -> Result<BoxStream<'static, AssetProgress>, Error> {
        self.meter.called(CallClass::Facecrab);
        let ensure = self
            .granted(model)
            .and_then(|spec| self.stem.ensure_model(&spec));
        Ok(match self.report(ensure)? {
            Some(ensure) => self.progress(ensure),
            // An engine without weights is always ready.
            None => stream::iter([AssetProgress::Ready]).boxed(),
        })
    }

    fn progress(&self, ensure: EnsureModel) -> BoxStream<'static, AssetProgress> {
        let desk = self.clone();
        let steps = stream::unfold(Some(ensure), move |ensure| {
            let desk = desk.clone();
            async move {
                let mut ensure = ensure?;
                while let Some(event) = ensure.next().await {
                    if let Some(progress) = convert::progress_out(&event) {
                        return Some((progress, Some(ensure)));
                    }
                }
                let failed = ensure.finish().await.err()?;
                Some((AssetProgress::Failed(desk.told(&failed)), None))
            }
        });
        steps.boxed()
    }

    /// Keeps an error for the person; the guest is told its kind.
    fn told(&self, error: &GeniusError) -> AssetError {
        self.meter.trouble(error);
        match convert::error_out(error) {
            Error::Asset(kind) => kind,
            _ => AssetError::NotFound,
        }
    }
}
