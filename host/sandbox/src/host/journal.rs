//! `journal`: notes that land in the run's record.

use super::Ctx;
use crate::bindings::journal::{Host, Level};
use crate::bindings::types::Error;
use crate::convert;
use crate::meter::CallClass;

impl Host for Ctx {
    async fn append(&mut self, level: Level, text: String) -> wasmtime::Result<Result<(), Error>> {
        self.desk.meter.called(CallClass::Journal);
        let noted = self.desk.meter.note(convert::note_in(level, text));
        Ok(self.desk.report(noted.map_err(Into::into)))
    }
}
