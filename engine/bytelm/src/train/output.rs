//! The files that a run leaves, beside its checkpoints.

use super::{EpochReport, TrainError, curve, history};
use crate::{WeightType, Weights, aside, safetensors};
use std::path::{Path, PathBuf};

/// Writes `curve.svg` and `curve.csv` anew.
pub(super) fn curve(dir: &Path, name: &str, reports: &[EpochReport]) -> Result<(), TrainError> {
    write(dir.join("curve.csv"), history::csv(reports).as_bytes())?;
    write(dir.join("curve.svg"), curve::svg(name, reports)?.as_bytes())?;
    Ok(())
}

/// Writes the trained model: `weights.safetensors` for other programs, and `<name>.gguf` to
/// run. Gives the paths.
pub(super) fn weights(dir: &Path, weights: &Weights) -> Result<Vec<PathBuf>, TrainError> {
    let bytes =
        safetensors::export(weights).map_err(|error| TrainError::Export(error.to_string()))?;
    Ok(vec![
        write(dir.join("weights.safetensors"), &bytes)?,
        export_gguf(dir, weights)?,
    ])
}

fn export_gguf(dir: &Path, weights: &Weights) -> Result<PathBuf, TrainError> {
    let mut bytes = Vec::new();
    weights
        .write_gguf(WeightType::Q8_0, &mut bytes)
        .map_err(|error| TrainError::Export(error.to_string()))?;
    write(dir.join(format!("{}.gguf", weights.config().name)), &bytes)
}

fn write(path: PathBuf, bytes: &[u8]) -> Result<PathBuf, TrainError> {
    match aside::write(&path, bytes) {
        Ok(()) => Ok(path),
        Err(error) => Err(TrainError::Write { path, error }),
    }
}
