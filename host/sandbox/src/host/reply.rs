//! `reply`: what the guest says to whoever ran it.

use super::Ctx;
use crate::bindings::reply::{Fragment, Host};
use crate::bindings::types::Error;
use crate::convert;
use crate::meter::CallClass;

impl Host for Ctx {
    async fn emit(&mut self, fragments: Vec<Fragment>) -> wasmtime::Result<Result<(), Error>> {
        self.desk.meter.called(CallClass::Reply);
        let fragments = convert::fragments_in(fragments);
        let metered = self.desk.meter.say(&fragments).map_err(Into::into);
        if let Err(error) = self.desk.report(metered) {
            return Ok(Err(error));
        }
        if let Some(reply) = &self.reply {
            // Waits while the reader is behind. A reader that went away hears no more.
            let _ = reply.send(fragments).await;
        }
        Ok(Ok(()))
    }
}
