//! `bytelm export`.

use crate::cli::ExportArgs;
use crate::failure::Failure;
use rusty_genius_bytelm::{Weights, aside, safetensors};
use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::process::ExitCode;

/// What a GGUF file begins with.
const GGUF: &[u8] = b"GGUF";

pub(crate) fn run(arguments: &ExportArgs) -> Result<ExitCode, Failure> {
    let weights = read(&arguments.weights)?;
    let mut bytes = Vec::new();
    let (out, ty) = (&arguments.out, arguments.r#type);
    let failed = |what: &dyn ToString| Failure {
        message: format!("{}: {}", out.display(), what.to_string()),
        hint: "choose another --type, or another file to write to".into(),
    };
    weights.write_gguf(ty, &mut bytes).map_err(|e| failed(&e))?;
    aside::write(out, &bytes).map_err(|e| failed(&e))?;
    println!("{}", out.display());
    Ok(ExitCode::SUCCESS)
}

/// Reads weights from a file of either kind.
fn read(path: &Path) -> Result<Weights, Failure> {
    let failed = |what: &dyn ToString| Failure {
        message: format!("{}: {}", path.display(), what.to_string()),
        hint: "give it what `bytelm train` has made: weights.safetensors, or a .gguf".into(),
    };
    let bytes = fs::read(path).map_err(|e| failed(&e))?;
    match bytes.starts_with(GGUF) {
        true => Weights::read_gguf(Cursor::new(bytes)).map_err(|e| failed(&e)),
        false => safetensors::import(&bytes).map_err(|e| failed(&e)),
    }
}
