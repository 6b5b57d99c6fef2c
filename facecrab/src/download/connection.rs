//! One request for one piece of a file.

use super::retry::{is_busy, retry_after};
use crate::Settings;
use crate::hub::{self, Remote};
use crate::transport::{Get, Response, Transport, is_transient, network};
use async_io::Timer;
use futures::future::{Either, select};
use futures::stream::{BoxStream, StreamExt, unfold};
use rusty_genius_core::AssetError;
use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long the end of a body may take once all of its bytes are here.
const LINGER: Duration = Duration::from_secs(1);

/// Why a connection ended early.
#[derive(Debug)]
pub(super) enum Fault {
    /// Another try may go well; the server may say when.
    Transient(anyhow::Error, Option<Duration>),
    /// The whole file came where a piece was asked for: there are no pieces to be had.
    NoRanges,
    /// The file is not the one of which a part is here.
    Changed,
    /// Another try would end the same.
    Fatal(anyhow::Error),
}

impl Fault {
    fn of(error: anyhow::Error) -> Self {
        if is_transient(&error) {
            Self::Transient(error, None)
        } else {
            Self::Fatal(error)
        }
    }
}

/// What a connection brings.
#[derive(Debug)]
pub(super) enum Event {
    /// The server answered.
    Opened {
        /// Its entity tag, if it gave a strong one.
        tag: Option<String>,
        /// Whether it says that it gives pieces of files.
        ranges: bool,
    },
    /// The next bytes, never empty.
    Chunk(Vec<u8>),
    /// It is over; always last.
    End(Result<(), Fault>),
}

/// Who is asked, and for what.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) transport: Transport,
    pub(super) settings: Settings,
    pub(super) remote: Remote,
}

/// A piece, and how it is asked for.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) id: usize,
    pub(super) range: Range<u64>,
    /// Of the whole file.
    pub(super) size: u64,
    /// The entity tag of what is here.
    pub(super) validator: Option<String>,
}

/// Fetches a piece. `end` may be lowered while it runs: it stops there.
pub(super) fn connect<'a>(
    source: &'a Source,
    request: Request,
    end: Arc<AtomicU64>,
) -> BoxStream<'a, (usize, Event)> {
    let id = request.id;
    unfold(State::Ask(request), move |state| {
        let end = end.clone();
        async move { state.step(source, &end).await }
    })
    .map(move |event| (id, event))
    .boxed()
}

enum State {
    Ask(Request),
    Read(Box<Body>),
    Over,
}

struct Body {
    response: Response,
    at: u64,
    asked: Range<u64>,
}

impl State {
    async fn step(self, source: &Source, end: &AtomicU64) -> Option<(Event, Self)> {
        match self {
            Self::Ask(request) => Some(match source.open(&request).await {
                Ok(response) => {
                    let body = Body {
                        at: request.range.start,
                        asked: request.range,
                        response,
                    };
                    let opened = Event::Opened {
                        tag: strong_tag(&body.response),
                        ranges: body.response.status == 206
                            || body.response.headers.get("accept-ranges") == Some("bytes"),
                    };
                    (opened, Self::Read(Box::new(body)))
                }
                Err(fault) => (Event::End(Err(fault)), Self::Over),
            }),
            Self::Read(mut body) => Some(match body.next(&source.remote, end).await {
                Ok(Some(bytes)) => (Event::Chunk(bytes), Self::Read(body)),
                Ok(None) => (Event::End(Ok(())), Self::Over),
                Err(fault) => (Event::End(Err(fault)), Self::Over),
            }),
            Self::Over => None,
        }
    }
}

impl Body {
    /// The next bytes of the piece; `None` at its end.
    async fn next(&mut self, remote: &Remote, end: &AtomicU64) -> Result<Option<Vec<u8>>, Fault> {
        if self.at == self.asked.end {
            return self.expect_end(remote).await.map(|()| None);
        }
        let left = |at: u64| end.load(Ordering::Relaxed).saturating_sub(at);
        if left(self.at) == 0 {
            return Ok(None);
        }
        let mut bytes = match self.response.chunk().await.map_err(Fault::of)? {
            Some(bytes) => bytes,
            None => {
                let reason =
                    format_args!("the answer ended {} bytes early", self.asked.end - self.at);
                return Err(Fault::Transient(network(&remote.url, reason), None));
            }
        };
        if bytes.len() as u64 > self.asked.end - self.at {
            return Err(too_long(remote));
        }
        bytes.truncate(usize::try_from(left(self.at)).unwrap_or(usize::MAX));
        self.at += bytes.len() as u64;
        Ok(Some(bytes).filter(|b| !b.is_empty()))
    }

    /// All that was asked for is here: nothing may follow. A connection whose end was
    /// read can be used again.
    async fn expect_end(&mut self, remote: &Remote) -> Result<(), Fault> {
        let (more, limit) = (pin!(self.response.chunk()), Timer::after(LINGER));
        match select(more, limit).await {
            Either::Left((Ok(Some(_)), _)) => Err(too_long(remote)),
            _ => Ok(()),
        }
    }
}

impl Source {
    /// Asks for a piece, and makes sure that it is the one that comes. Every request goes
    /// through the file's own URL: what that redirects to is valid for a while only.
    async fn open(&self, request: &Request) -> Result<Response, Fault> {
        let Range { start, end } = request.range;
        let whole = start == 0 && end == request.size;
        let mut headers = Vec::new();
        // Without a range a server that knows none is as good as any.
        if !whole {
            headers.push(("range", format!("bytes={start}-{}", end - 1)));
            if let Some(tag) = &request.validator {
                headers.push(("if-range", tag.clone()));
            }
        }
        let response = self.get(headers).await.map_err(Fault::of)?;
        let announced = response.first.get("x-linked-etag").map(hub::etag);
        if let (Some(announced), Some(known)) = (announced, &self.remote.etag)
            && announced != *known
        {
            let reason = "the hub announces another file than before".to_owned();
            return Err(Fault::Fatal(self.corrupt(reason)));
        }
        match response.status {
            200 if whole => self.check_length(&response, request.size)?,
            200 => {
                let tag = strong_tag(&response);
                let same_length = length(&response).is_none_or(|len| len == request.size);
                return Err(match (&request.validator, tag) {
                    (Some(old), Some(new)) if *old != new => Fault::Changed,
                    _ if same_length => Fault::NoRanges,
                    _ => Fault::Changed,
                });
            }
            206 => self.check_range(&response, request)?,
            416 => return Err(Fault::Changed),
            status if is_busy(status) => return Err(self.busy(&response, status)),
            status => return Err(self.refused(&response, status)),
        }
        match response.headers.get("content-encoding") {
            None | Some("identity") => Ok(response),
            Some(_) => Err(Fault::Fatal(self.corrupt(
                "the server encoded it, which it was asked not to do".to_owned(),
            ))),
        }
    }

    async fn get(&self, headers: Vec<(&'static str, String)>) -> anyhow::Result<Response> {
        let get = Get {
            headers,
            auth: self.remote.repo.is_some(),
            ..Get::new(&*self.remote.url)
        };
        self.transport.get(get).await
    }

    /// The size of a file of which it is not known, as the server gives it.
    pub(super) async fn size(&self) -> Result<u64, Fault> {
        let response = self
            .get(vec![("range", "bytes=0-0".to_owned())])
            .await
            .map_err(Fault::of)?;
        let range = response.headers.get("content-range");
        let size = match response.status {
            200 => length(&response),
            206 => range.and_then(content_range).map(|(_, size)| size),
            // There is no first byte.
            416 if range.is_some_and(|r| r.trim() == "bytes */0") => Some(0),
            status if is_busy(status) => return Err(self.busy(&response, status)),
            status => return Err(self.refused(&response, status)),
        };
        let unknown =
            || Fault::Fatal(self.corrupt("the server does not say how long it is".to_owned()));
        size.ok_or_else(unknown)
    }

    fn check_length(&self, response: &Response, size: u64) -> Result<(), Fault> {
        match length(response) {
            Some(len) if len != size => {
                let reason = format!("the server has {len} bytes where {size} were announced");
                Err(Fault::Fatal(self.corrupt(reason)))
            }
            _ => Ok(()),
        }
    }

    fn check_range(&self, response: &Response, request: &Request) -> Result<(), Fault> {
        let header = response.headers.get("content-range").unwrap_or_default();
        let Some((range, size)) = content_range(header) else {
            let reason = format!("the server sent a range it does not name ({header:?})");
            return Err(Fault::Fatal(self.corrupt(reason)));
        };
        if size != request.size {
            return Err(Fault::Changed);
        }
        let len = length(response);
        if range != request.range || len.is_some_and(|len| len != range.end - range.start) {
            let reason = format!(
                "the server sent another range ({header}) than {}-{}",
                request.range.start,
                request.range.end - 1
            );
            return Err(Fault::Fatal(self.corrupt(reason)));
        }
        Ok(())
    }

    /// A status that says no.
    fn busy(&self, response: &Response, status: u16) -> Fault {
        let error = network(
            &self.remote.url,
            format_args!("the server answered {status}"),
        );
        Fault::Transient(error, retry_after(response.headers.get("retry-after")))
    }

    fn refused(&self, response: &Response, status: u16) -> Fault {
        let Remote {
            url, name, repo, ..
        } = &self.remote;
        let network = || network(&response.url, format_args!("the server answered {status}"));
        match (status, repo) {
            (401 | 403, Some(repo)) if response.url == *url => {
                Fault::Fatal(hub::gated(&self.transport, &self.settings, repo, status))
            }
            // The signed URL may have expired on the way; the next try gets another.
            (401 | 403, Some(_)) => Fault::Transient(network(), None),
            (404 | 410, _) => Fault::Fatal(
                AssetError::NotFound {
                    spec: match repo {
                        Some(repo) => format!("{repo}/{name}"),
                        None => name.clone(),
                    },
                    searched: vec![crate::transport::shown(url)],
                }
                .into(),
            ),
            _ => Fault::Fatal(network()),
        }
    }

    pub(super) fn corrupt(&self, reason: String) -> anyhow::Error {
        AssetError::Corrupt {
            file: self.remote.name.clone(),
            reason,
        }
        .into()
    }
}

fn too_long(remote: &Remote) -> Fault {
    Fault::Fatal(
        AssetError::Corrupt {
            file: remote.name.clone(),
            reason: "more bytes came than were announced".to_owned(),
        }
        .into(),
    )
}

fn length(response: &Response) -> Option<u64> {
    response.headers.get("content-length")?.trim().parse().ok()
}

/// A weak tag does not promise equal bytes, and is of no use here.
fn strong_tag(response: &Response) -> Option<String> {
    let tag = response.headers.get("etag")?.trim();
    (tag.starts_with('"') && tag.len() > 2).then(|| tag.to_owned())
}

/// The range and the size of the whole in `bytes FIRST-LAST/SIZE`.
fn content_range(header: &str) -> Option<(Range<u64>, u64)> {
    let (range, size) = header.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    // `parse` would take a plus sign.
    let number = |s: &str| {
        s.parse()
            .ok()
            .filter(|_| s.bytes().all(|b| b.is_ascii_digit()))
    };
    let (first, last, size): (u64, u64, u64) = (number(first)?, number(last)?, number(size)?);
    (first <= last && last < size).then(|| (first..last + 1, size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_content_range_names_the_piece_and_the_whole() {
        assert_eq!(content_range("bytes 0-9/10"), Some((0..10, 10)));
        assert_eq!(content_range(" bytes 3-3/10 "), Some((3..4, 10)));
        for bad in [
            "",
            "bytes",
            "bytes */10",
            "bytes 0-9/*",
            "bytes 0-10/10",
            "bytes 5-4/10",
            "items 0-9/10",
            "bytes +0-9/10",
            "bytes 0-9",
            "bytes -1-9/10",
            "bytes 0-18446744073709551615/18446744073709551615",
            "bytes 0-99999999999999999999/10",
        ] {
            assert_eq!(content_range(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_content_range_panics(text in "\\PC{0,40}", a: u64, b: u64, c: u64) {
            let _ = content_range(&text);
            if let Some((range, size)) = content_range(&format!("bytes {a}-{b}/{c}")) {
                prop_assert!(!range.is_empty() && range.end <= size);
            }
        }
    }
}
