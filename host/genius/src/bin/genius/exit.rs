//! How the command ends: errors on stderr, codes as `--help` tells.

use crate::safe;
use rusty_genius::core::{EngineError, GeniusError, SandboxError};
use std::process::ExitCode;

/// Wrong usage.
pub(crate) const USAGE: u8 = 2;
/// The guest was refused.
pub(crate) const REFUSED: u8 = 3;
/// The host failed.
pub(crate) const HOST: u8 = 6;
/// Ended by SIGINT, as shells count.
pub(crate) const INTERRUPTED: u8 = 130;
/// Ended by SIGTERM.
pub(crate) const TERMINATED: u8 = 143;

/// The exit code of an error.
pub(crate) fn code(error: &GeniusError) -> u8 {
    match error {
        GeniusError::Sandbox(e) => match e {
            SandboxError::GuestFailed { .. }
            | SandboxError::GuestTrapped { .. }
            | SandboxError::ToolBroken { .. } => 1,
            SandboxError::NoSuchGuest { .. }
            | SandboxError::GuestUsage { .. }
            | SandboxError::BadGrant { .. } => USAGE,
            SandboxError::NotAComponent { .. }
            | SandboxError::UngrantedImport { .. }
            | SandboxError::UngrantedPrompts { .. }
            | SandboxError::ToolNotGranted { .. }
            | SandboxError::WrongDigest { .. }
            | SandboxError::MissingExport { .. } => REFUSED,
            _ => HOST,
        },
        GeniusError::Budget(_) => 4,
        GeniusError::Engine(EngineError::Unknown { .. })
        | GeniusError::Manifest(_)
        | GeniusError::Protocol(_) => USAGE,
        GeniusError::Engine(_) | GeniusError::Asset(_) => 5,
        _ => HOST,
    }
}

/// Says what failed and what to do, and gives the exit code.
pub(crate) fn fail(error: &GeniusError) -> ExitCode {
    // The words may be a guest's or a file's: nothing in them reaches the terminal raw.
    eprintln!("error: {}", safe::line(&error.to_string()));
    if let Some(hint) = error.hint() {
        eprintln!("hint: {}", safe::line(&hint));
    }
    ExitCode::from(code(error))
}

/// Says what is wrong with the command line, or its environment, and gives the exit code.
pub(crate) fn usage(wrong: &str, hint: &str) -> ExitCode {
    eprintln!("error: {}\nhint: {hint}", safe::line(wrong));
    ExitCode::from(USAGE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusty_genius::core::{BudgetError, BudgetResource};

    #[test]
    fn each_kind_of_end_has_its_documented_code() {
        let component = String::new;
        let trapped = SandboxError::GuestTrapped {
            component: component(),
            reason: String::new(),
        };
        let refused = SandboxError::UngrantedImport {
            component: component(),
            import: String::new(),
            reason: String::new(),
        };
        let spent = BudgetError {
            resource: BudgetResource::WallTime,
            limit: 1,
        };
        let engine = EngineError::Unsupported {
            engine: String::new(),
            operation: String::new(),
        };
        assert_eq!(code(&trapped.into()), 1);
        assert_eq!(code(&refused.into()), 3);
        assert_eq!(code(&spent.into()), 4);
        assert_eq!(code(&engine.into()), 5);
    }
}
