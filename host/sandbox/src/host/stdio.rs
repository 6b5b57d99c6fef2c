//! What a guest prints: part of the reply, or lines of the journal, where that is granted,
//! and nowhere else; metered in any case.

use super::{Ctx, Desk, Host};
use crate::meter::CallClass;
use async_channel::Sender;
use futures::future::BoxFuture;
use rusty_genius_core::{BudgetResource, Fragment, Level, Note, Stdio};
use std::io;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::bindings::cli::{stderr, stdout};
use wasmtime_wasi::p2::{DynOutputStream, OutputStream, Pollable, StreamError, StreamResult};

/// Most bytes of one write.
const CHUNK: usize = 64 << 10;
/// Longest line kept for the journal; a longer one is cut into several.
const LINE_LIMIT: usize = 4 << 10;

/// Puts it in the place of Wasmtime's, which is another runtime's.
pub(super) fn add_to_linker(linker: &mut Linker<Ctx>) -> wasmtime::Result<()> {
    stdout::add_to_linker::<_, Host>(linker, |ctx| ctx)?;
    stderr::add_to_linker::<_, Host>(linker, |ctx| ctx)
}

impl stdout::Host for Ctx {
    fn get_stdout(&mut self) -> wasmtime::Result<Resource<DynOutputStream>> {
        let granted = self.desk.grant.stdio.contains(&Stdio::Out);
        let reply = self.reply.clone().filter(|_| granted);
        let sink = if granted {
            Sink::Reply(reply)
        } else {
            Sink::Nowhere
        };
        self.printer(Stdio::Out, sink)
    }
}

impl stderr::Host for Ctx {
    fn get_stderr(&mut self) -> wasmtime::Result<Resource<DynOutputStream>> {
        let granted = self.desk.grant.stdio.contains(&Stdio::Err);
        let sink = if granted {
            Sink::Journal
        } else {
            Sink::Nowhere
        };
        self.printer(Stdio::Err, sink)
    }
}

impl Ctx {
    fn printer(
        &mut self,
        stream: Stdio,
        sink: Sink,
    ) -> wasmtime::Result<Resource<DynOutputStream>> {
        self.desk.meter.called(CallClass::Stdio);
        let printer: DynOutputStream = Box::new(Printer {
            desk: self.desk.clone(),
            stream,
            sink,
            held: Vec::new(),
            sending: None,
        });
        Ok(self.table.push(printer)?)
    }
}

/// Where what is printed goes.
enum Sink {
    Nowhere,
    /// To whoever reads the reply, if anybody does.
    Reply(Option<Sender<Vec<Fragment>>>),
    Journal,
}

struct Printer {
    desk: Desk,
    stream: Stdio,
    sink: Sink,
    /// The beginning of a character, or of a line, that is not whole yet.
    held: Vec<u8>,
    /// What the reader of the reply has no room for yet.
    sending: Option<BoxFuture<'static, ()>>,
}

impl Printer {
    fn print(&mut self, bytes: &[u8]) -> StreamResult<()> {
        let meter = &self.desk.meter;
        meter.called(CallClass::Stdio);
        if let Err(spent) = meter.take(BudgetResource::Stdout, bytes.len() as u64) {
            meter.deny_budget(&spent);
            let full = io::Error::from(io::ErrorKind::StorageFull);
            return Err(StreamError::LastOperationFailed(full.into()));
        }
        match &self.sink {
            Sink::Nowhere => {
                let (name, key) = match self.stream {
                    Stdio::Err => ("stderr", "err"),
                    _ => ("stdout", "out"),
                };
                // A panic's last words are worth a line even where nobody granted any.
                let key = Some(format!("grants.stdio = [\"{key}\"]"));
                meter.deny(format!("printing to {name}"), key);
            }
            Sink::Reply(reply) => {
                let reply = reply.clone();
                self.held.extend_from_slice(bytes);
                let text = take_text(&mut self.held);
                self.say(reply, text)?;
            }
            Sink::Journal => {
                self.held.extend_from_slice(bytes);
                while let Some(line) = take_line(&mut self.held) {
                    self.note(line);
                }
            }
        }
        Ok(())
    }

    fn say(&mut self, reply: Option<Sender<Vec<Fragment>>>, text: String) -> StreamResult<()> {
        if text.is_empty() {
            return Ok(());
        }
        let fragments = vec![Fragment::Content { text }];
        if let Err(spent) = self.desk.meter.say(&fragments) {
            self.desk.meter.deny_budget(&spent);
            let full = io::Error::from(io::ErrorKind::StorageFull);
            return Err(StreamError::LastOperationFailed(full.into()));
        }
        if let Some(reply) = reply {
            // A reader that went away hears no more.
            self.sending = Some(Box::pin(async move {
                let _ = reply.send(fragments).await;
            }));
        }
        Ok(())
    }

    fn note(&self, line: String) {
        let note = Note {
            level: Level::Debug,
            text: line,
        };
        if let Err(spent) = self.desk.meter.note(note) {
            self.desk.meter.deny_budget(&spent);
        }
    }
}

/// What of the bytes is whole characters; at most the beginning of one is left.
fn take_text(held: &mut Vec<u8>) -> String {
    let end = held
        .utf8_chunks()
        .last()
        .map_or(&[][..], |chunk| chunk.invalid());
    // Only a character that is cut off may become something yet.
    let cut_off = std::str::from_utf8(end).is_err_and(|e| e.error_len().is_none());
    let whole = held.len() - if cut_off { end.len() } else { 0 };
    let rest = held.split_off(whole);
    let text = String::from_utf8_lossy(held).into_owned();
    *held = rest;
    text
}

/// The first line of the bytes, if it is whole, or too long to wait for its end.
fn take_line(held: &mut Vec<u8>) -> Option<String> {
    let end = held.iter().take(LINE_LIMIT).position(|b| *b == b'\n');
    let (line, skip) = match end {
        Some(end) => (end, 1),
        None if held.len() >= LINE_LIMIT => (LINE_LIMIT, 0),
        None => return None,
    };
    let text = String::from_utf8_lossy(&held[..line]).into_owned();
    held.drain(..line + skip);
    Some(text)
}

#[async_trait]
impl Pollable for Printer {
    async fn ready(&mut self) {
        if let Some(sending) = &mut self.sending {
            sending.await;
            self.sending = None;
        }
    }
}

#[async_trait]
impl OutputStream for Printer {
    fn write(&mut self, bytes: bytes::Bytes) -> StreamResult<()> {
        self.print(&bytes)
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        if let Some(sending) = &mut self.sending {
            use futures::FutureExt;
            if sending.now_or_never().is_none() {
                return Ok(0);
            }
            self.sending = None;
        }
        Ok(CHUNK)
    }
}

impl Drop for Printer {
    fn drop(&mut self) {
        let rest = std::mem::take(&mut self.held);
        if !rest.is_empty() && matches!(self.sink, Sink::Journal) {
            self.note(String::from_utf8_lossy(&rest).into_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_is_the_same_however_it_is_cut(bytes in any::<Vec<u8>>(), cuts in any::<Vec<usize>>()) {
            let mut cuts: Vec<usize> = cuts.iter().map(|c| c % (bytes.len() + 1)).collect();
            cuts.sort_unstable();
            let (mut text, mut held, mut from) = (String::new(), Vec::new(), 0);
            for cut in cuts.into_iter().chain([bytes.len()]) {
                held.extend_from_slice(&bytes[from..cut]);
                text += &take_text(&mut held);
                from = cut;
            }
            prop_assert!(held.len() < 4);
            text += &String::from_utf8_lossy(&held);
            prop_assert_eq!(text, String::from_utf8_lossy(&bytes));
        }
    }

    #[test]
    fn lines_are_whole_or_cut_where_they_are_too_long() {
        let mut held = b"one\n\ntwo".to_vec();
        assert_eq!(take_line(&mut held).as_deref(), Some("one"));
        assert_eq!(take_line(&mut held).as_deref(), Some(""));
        assert_eq!(take_line(&mut held), None);
        held.extend(vec![b'x'; LINE_LIMIT]);
        assert_eq!(take_line(&mut held).map(|l| l.len()), Some(LINE_LIMIT));
        assert_eq!(held, b"xxx");
    }
}
