//! One HTTP request at a time: redirects, the token, limits, stalls.
//!
//! The client underneath is libcurl, which takes its proxies from the environment
//! (`http_proxy`, `https_proxy`, `all_proxy`, `no_proxy`) and always checks certificates.
//! It speaks HTTP/1.1 here: over HTTP/2 several ranges of a file would share one TCP
//! connection, and a second one could never be faster.

mod redirect;

use crate::Settings;
use async_io::Timer;
use futures::future::{Either, select};
use futures::io::{AsyncBufRead, AsyncRead};
use http_client::http_types::{self, StatusCode};
use http_client::{HttpClient, async_trait};
use isahc::config::{Configurable, VersionNegotiation};
use redirect::Route;
pub(crate) use redirect::shown;
use rusty_genius_core::AssetError;
use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};
use surf::http::{Method, Url};

/// Longest time to connect, TLS and proxy included; never more than `Settings::stall`.
const CONNECT: Duration = Duration::from_secs(10);
/// Most bytes of one chunk. Everything in flight is lost by a SIGKILL: keep it small.
const CHUNK: usize = 128 << 10;
/// Most headers of one answer, and most bytes of all their names and values. libcurl's
/// own limits (5000 and 300 KiB) protect the time before these are looked at.
const HEADERS: usize = 200;
const HEADER_BYTES: usize = 64 << 10;

/// What to ask for.
#[derive(Debug, Clone)]
pub(crate) struct Get {
    pub(crate) url: String,
    /// `Range`, `If-Range` and the like.
    pub(crate) headers: Vec<(&'static str, String)>,
    /// Whether the token may be sent, to the endpoint's own origin.
    pub(crate) auth: bool,
    /// HEAD instead of GET.
    pub(crate) head: bool,
    /// Whether a redirect to another origin is followed; else it is the answer.
    pub(crate) leave_origin: bool,
}

impl Get {
    /// Of this URL, without the token.
    pub(crate) fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            headers: Vec::new(),
            auth: false,
            head: false,
            leave_origin: true,
        }
    }
}

/// Not worth a second try: the answer would be the same. A context of an error.
#[derive(Debug)]
pub(crate) struct Permanent;

impl fmt::Display for Permanent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("trying again will not help")
    }
}

/// Whether a failed request is worth a second try.
pub(crate) fn is_transient(error: &anyhow::Error) -> bool {
    !error.is::<Permanent>()
        && matches!(
            error.downcast_ref::<AssetError>(),
            Some(AssetError::Network { .. })
        )
}

/// [`AssetError::Network`] about a URL, whose query is left out: it may be signed.
pub(crate) fn network(url: &str, reason: impl fmt::Display) -> anyhow::Error {
    AssetError::Network {
        url: shown(url),
        reason: reason.to_string(),
    }
    .into()
}

/// Makes requests. Cheap to clone; clones share connections.
#[derive(Clone)]
pub(crate) struct Transport {
    client: surf::Client,
    endpoint: Url,
    /// The value of the `Authorization` header.
    token: Option<Arc<str>>,
    stall: Duration,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("endpoint", &self.endpoint.as_str())
            .finish_non_exhaustive()
    }
}

impl Transport {
    /// Errors: [`AssetError::Network`] where the endpoint is no http or https URL.
    pub(crate) fn new(settings: &Settings) -> anyhow::Result<Self> {
        let endpoint = redirect::parse(&settings.endpoint)?;
        let token = settings
            .token
            .as_ref()
            .map(|token| format!("Bearer {token}").into());
        // A header that cannot be sent is an error here, and one that does not show it.
        if token
            .as_ref()
            .is_some_and(|t: &Arc<str>| !t.bytes().all(|b| (b' '..=b'~').contains(&b)))
        {
            return Err(network(
                &settings.endpoint,
                "the token has characters that no token has",
            )
            .context(Permanent));
        }
        Ok(Self {
            client: surf::Client::with_http_client(Curl::new(settings.stall)?),
            endpoint,
            token,
            stall: settings.stall,
        })
    }

    /// Asks, and follows redirects. Any status is an answer.
    ///
    /// Errors: [`AssetError::Network`]; [`is_transient`] tells which are worth a retry.
    pub(crate) async fn get(&self, request: Get) -> anyhow::Result<Response> {
        let mut route = Route::new(redirect::parse(&request.url)?);
        let mut first = None;
        loop {
            let response = self.send(&request, route.here()).await?;
            let headers = Headers::of(&response)
                .map_err(|e| network(route.here().as_str(), e).context(Permanent))?;
            let status = u16::from(response.status());
            let target = match (status, headers.get("location")) {
                (301 | 302 | 303 | 307 | 308, Some(location)) => Some(route.target(location)?),
                _ => None,
            };
            if let Some(target) = target
                && (request.leave_origin || target.origin() == route.here().origin())
            {
                first.get_or_insert(headers);
                route.follow(target)?;
                continue;
            }
            let mut response: http_types::Response = response.into();
            return Ok(Response {
                status,
                url: route.here().as_str().to_owned(),
                first: first.unwrap_or_else(|| headers.clone()),
                headers,
                body: response.take_body().into_reader(),
                stall: Stall::new(self.stall),
            });
        }
    }

    async fn send(&self, request: &Get, url: &Url) -> anyhow::Result<surf::Response> {
        let method = if request.head {
            Method::Head
        } else {
            Method::Get
        };
        let mut outgoing = surf::Request::new(method, url.clone());
        outgoing.insert_header(
            "user-agent",
            concat!("facecrab/", env!("CARGO_PKG_VERSION")),
        );
        // A small compressed answer can unpack to anything; weights do not compress.
        outgoing.insert_header("accept-encoding", "identity");
        for (name, value) in &request.headers {
            outgoing.insert_header(*name, value.as_str());
        }
        if let Some(token) = &self.token
            && request.auth
            && url.origin() == self.endpoint.origin()
        {
            outgoing.insert_header("authorization", &**token);
        }
        // The whole head has to come within this time: it does not help to drip it.
        let limit = Timer::after(self.stall + CONNECT.min(self.stall));
        match select(pin!(self.client.send(outgoing)), pin!(limit)).await {
            Either::Left((Ok(response), _)) => Ok(response),
            Either::Left((Err(e), _)) => {
                let permanent = is_permanent(&e);
                let error = network(url.as_str(), reason(&e.into_inner()));
                Err(if permanent {
                    error.context(Permanent)
                } else {
                    error
                })
            }
            Either::Right(_) => Err(network(
                url.as_str(),
                format_args!("no answer within {:?}", self.stall),
            )),
        }
    }

    /// Whether the token would be sent to this URL, if asked to.
    pub(crate) fn has_token_for(&self, url: &str) -> bool {
        self.token.is_some()
            && redirect::parse(url).is_ok_and(|url| url.origin() == self.endpoint.origin())
    }
}

/// The causes of an error, joined, without repetition.
fn reason(error: &anyhow::Error) -> String {
    let mut reason = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !reason.contains(&cause) {
            if !reason.is_empty() {
                reason.push_str(": ");
            }
            reason.push_str(&cause);
        }
    }
    reason
}

/// The headers of an answer, in order, names in lower case.
#[derive(Debug, Clone, Default)]
pub(crate) struct Headers(Vec<(String, String)>);

impl Headers {
    fn of(response: &surf::Response) -> Result<Self, &'static str> {
        let mut headers = Vec::new();
        let mut bytes = 0;
        for (name, values) in response.iter() {
            for value in values.iter() {
                bytes += name.as_str().len() + value.as_str().len();
                if headers.len() == HEADERS || bytes > HEADER_BYTES {
                    return Err("the answer has too many headers");
                }
                headers.push((name.as_str().to_owned(), value.as_str().to_owned()));
            }
        }
        Ok(Self(headers))
    }

    /// The first value of a header; its name in lower case.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(n, _)| n == name)?;
        Some(value)
    }
}

/// The answer's head; its body comes in chunks. Dropping it breaks off.
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Where the answer came from, after redirects. May hold secrets: see [`shown`].
    pub(crate) url: String,
    pub(crate) headers: Headers,
    /// The headers of the first answer, before any redirect: what the hub itself said.
    pub(crate) first: Headers,
    body: Box<dyn AsyncBufRead + Unpin + Send + Sync>,
    stall: Stall,
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("url", &shown(&self.url))
            .finish_non_exhaustive()
    }
}

impl Response {
    /// More of the body, never empty; `None` at its end.
    ///
    /// A body that brings at least one byte per `Settings::stall` may go on for ever;
    /// below one byte a second on average libcurl gives up after twice that time.
    ///
    /// Errors: a transient [`AssetError::Network`] where the connection broke or stalled.
    pub(crate) async fn chunk(&mut self) -> anyhow::Result<Option<Vec<u8>>> {
        let Self { body, stall, .. } = self;
        stall.restart();
        let mut chunk = vec![0; CHUNK];
        let mut len = 0;
        // The client hands out what one read of the socket gave; as many of those as
        // there are make one chunk, so that what comes after works on large ones.
        let read = poll_fn(|cx| {
            loop {
                match Pin::new(&mut *body).poll_read(cx, &mut chunk[len..]) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Ok(())),
                    Poll::Ready(Ok(n)) => len += n,
                    // What came before an error counts; the error comes again.
                    Poll::Ready(Err(_)) | Poll::Pending if len > 0 => return Poll::Ready(Ok(())),
                    Poll::Ready(Err(e)) => return Poll::Ready(Err(reason(&e.into()))),
                    Poll::Pending if stall.is_over(cx) => {
                        let limit = stall.limit;
                        return Poll::Ready(Err(format!("no byte came for {limit:?}")));
                    }
                    Poll::Pending => return Poll::Pending,
                }
                if len == CHUNK {
                    return Poll::Ready(Ok(()));
                }
            }
        })
        .await;
        read.map_err(|reason| network(&self.url, reason))?;
        chunk.truncate(len);
        Ok((len > 0).then_some(chunk))
    }

    /// The whole body, if it is no longer than `limit` bytes and comes within `time`.
    pub(crate) async fn read(&mut self, limit: usize, time: Duration) -> anyhow::Result<Vec<u8>> {
        let start = Instant::now();
        let mut whole = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            whole.extend_from_slice(&chunk);
            if whole.len() > limit {
                let reason = format_args!("the answer is longer than {limit} bytes");
                return Err(network(&self.url, reason).context(Permanent));
            }
            if start.elapsed() > time {
                return Err(network(&self.url, "the answer comes too slowly"));
            }
        }
        Ok(whole)
    }
}

/// The time since the last byte. One timer that is moved now and then: setting one for
/// every chunk would cost more than reading it.
struct Stall {
    limit: Duration,
    since: Instant,
    timer: Timer,
}

impl Stall {
    fn new(limit: Duration) -> Self {
        Self {
            limit,
            since: Instant::now(),
            timer: Timer::after(limit),
        }
    }

    fn restart(&mut self) {
        self.since = Instant::now();
    }

    fn is_over(&mut self, cx: &mut std::task::Context<'_>) -> bool {
        while Pin::new(&mut self.timer).poll(cx).is_ready() {
            if self.since.elapsed() >= self.limit {
                return true;
            }
            self.timer.set_at(self.since + self.limit);
        }
        false
    }
}

/// The one HTTP client, as surf wants it.
struct Curl(isahc::HttpClient);

impl Curl {
    fn new(stall: Duration) -> anyhow::Result<Self> {
        let client = isahc::HttpClient::builder()
            .version_negotiation(VersionNegotiation::http11())
            .automatic_decompression(false)
            .connect_timeout(CONNECT.min(stall))
            // A body nobody reads any more is noticed only when a byte comes: without
            // this, a stalled server would keep its dropped connections for ever.
            .low_speed_timeout(1, stall * 2 + Duration::from_secs(1))
            .build()?;
        Ok(Self(client))
    }
}

impl fmt::Debug for Curl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Curl")
    }
}

#[async_trait]
impl HttpClient for Curl {
    async fn send(
        &self,
        request: http_client::Request,
    ) -> Result<http_client::Response, http_client::Error> {
        let mut outgoing = isahc::http::Request::builder()
            .method(request.method().as_ref())
            .uri(request.url().as_str());
        for (name, values) in request.iter() {
            for value in values.iter() {
                outgoing = outgoing.header(name.as_str(), value.as_str());
            }
        }
        let incoming = self.0.send_async(outgoing.body(())?).await?;
        let (head, body) = incoming.into_parts();
        let status = StatusCode::try_from(head.status.as_u16()).map_err(|_| {
            http_client::Error::from_str(
                StatusCode::BadGateway,
                format!("unknown status {}", head.status),
            )
        })?;
        let mut response = http_client::Response::new(status);
        for (name, value) in &head.headers {
            // None of the headers that matter here holds anything but ASCII.
            if let Ok(value) = value.to_str() {
                response.append_header(name.as_str(), value);
            }
        }
        // Chunks are gathered by the reader: a buffer here would only copy.
        let body = futures::io::BufReader::with_capacity(1, body);
        response.set_body(http_client::Body::from_reader(body, None));
        Ok(response)
    }
}

/// Whether the client says that the server is not to be trusted or the request wrong.
fn is_permanent(error: &http_client::Error) -> bool {
    use isahc::error::ErrorKind;
    error.downcast_ref::<isahc::Error>().is_some_and(|e| {
        matches!(
            e.kind(),
            ErrorKind::BadServerCertificate
                | ErrorKind::BadClientCertificate
                | ErrorKind::InvalidRequest
                | ErrorKind::InvalidTlsConfiguration
        )
    })
}

#[cfg(test)]
mod tests;
