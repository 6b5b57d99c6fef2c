use std::fmt::{Debug, Display};

/// Attempts of one attack that all must be refused.
#[derive(Default)]
pub struct Tally {
    refused: usize,
    got: Vec<String>,
}

impl Tally {
    pub fn refused<T, E: Debug>(&mut self, attempt: impl Display, result: Result<T, E>) {
        match result {
            Ok(_) => self.got.push(attempt.to_string()),
            Err(_) => self.refused += 1,
        }
    }

    /// `7 refused`, or `GOT` and what.
    pub fn words(&self) -> String {
        match self.got.as_slice() {
            [] => format!("{} refused", self.refused),
            got => format!("GOT {} ({} refused)", got.join(", "), self.refused),
        }
    }
}
