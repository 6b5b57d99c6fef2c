//! Answers, right and wrong.

use super::content::Content;
use super::http::{Request, is_gone};
use super::hub::{Access, At, Commit, Fault, File, Inner, Origin, PATIENCE, Repo, Seen};
use serde_json::json;
use std::io::{self, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Where anything endless ends.
const ENDLESS_BYTES: u64 = 1 << 30;
const ENDLESS_HEAD_BYTES: u64 = 64 << 20;
const TICK: Duration = Duration::from_millis(10);

enum Body {
    Bytes(Vec<u8>),
    Part(Content, u64, u64),
}

impl Body {
    fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Part(_, from, to) => to - from,
        }
    }

    /// A piece that begins `at` bytes into the body.
    fn piece(&self, at: u64) -> &[u8] {
        match self {
            Self::Bytes(bytes) => &bytes[at as usize..],
            Self::Part(content, from, to) => content.piece(from + at, *to),
        }
    }
}

/// An answer, before and after the faults.
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Body,
    /// What `Content-Length` says, if not the truth.
    length: Option<u64>,
    chunked: bool,
    endless: bool,
    cut: Option<u64>,
    stall: Option<(u64, bool)>,
    drip: Option<(usize, Duration)>,
    bomb: bool,
    reset: bool,
    silence: bool,
}

impl Answer {
    fn new(status: u16, body: Body) -> Self {
        Self {
            status,
            headers: vec![],
            body,
            length: None,
            chunked: false,
            endless: false,
            cut: None,
            stall: None,
            drip: None,
            bomb: false,
            reset: false,
            silence: false,
        }
    }

    fn text(status: u16, text: &str) -> Self {
        Self::new(status, Body::Bytes(text.as_bytes().to_vec()))
    }

    /// As the hub words its errors: a code in a header and a sentence.
    fn error(status: u16, code: &str, message: &str) -> Self {
        let mut answer = Self::new(
            status,
            Body::Bytes(json!({"error": message}).to_string().into()),
        );
        if !code.is_empty() {
            answer.set("X-Error-Code", code);
        }
        answer.set("X-Error-Message", message);
        answer.set("Content-Type", "application/json");
        answer
    }

    fn set(&mut self, name: &str, value: impl Into<String>) {
        self.unset(name);
        self.headers.push((name.to_owned(), value.into()));
    }

    fn unset(&mut self, name: &str) {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
    }
}

pub(super) fn connection(inner: &Inner, origin: Origin, mut stream: TcpStream) -> io::Result<()> {
    while let Some(request) = Request::peek(&stream)? {
        let seen = inner.record(origin, &request);
        let answer = answer(inner, origin, &request);
        request.take(&mut stream, usize::from(answer.reset))?;
        let kept = send(inner, &mut stream, &request, &answer, &seen);
        if kept.is_err() {
            seen.leave();
        }
        inner.finish(&seen);
        if !kept? || inner.stopped() {
            break;
        }
    }
    Ok(())
}

fn answer(inner: &Inner, origin: Origin, request: &Request) -> Answer {
    if request.method != "GET" && request.method != "HEAD" {
        return Answer::text(405, "no");
    }
    let parts: Vec<&str> = request.path.trim_start_matches('/').split('/').collect();
    match (origin, &parts[..]) {
        (Origin::Hub, ["api", "models", org, repo, rest @ ..]) => {
            let name = format!("{org}/{repo}");
            let revision = match rest {
                ["revision", revision @ ..] if !revision.is_empty() => revision.join("/"),
                [] => "main".to_owned(),
                _ => return Answer::error(404, "", "no such page"),
            };
            let faults = inner.faults(At::Api, &name);
            let right = listing(inner, request, &name, &revision);
            spoil(inner, request, right, faults)
        }
        (Origin::Hub, [org, repo, "resolve", rest @ ..]) => {
            let name = format!("{org}/{repo}");
            let faults = inner.faults(At::Resolve, rest.last().unwrap_or(&""));
            let right = resolve(inner, request, &name, &rest.join("/"));
            spoil(inner, request, right, faults)
        }
        (Origin::Cdn, ["blob", sha256, name @ ..]) => {
            let faults = inner.faults(At::Cdn, &name.join("/"));
            let blob = inner.state().blobs.get(*sha256).cloned();
            let Some(mut content) = blob else {
                return Answer::text(403, "<Error>AccessDenied</Error>");
            };
            for fault in &faults {
                match fault {
                    Fault::Swap(other) => content = other.clone(),
                    Fault::Garbage => content = Content::gguf(content.size(), 0xBAD),
                    _ => {}
                }
            }
            // Garbage keeps the etag of what it pretends to be.
            let etag = match faults.first() {
                Some(Fault::Swap(_)) => content.sha256().to_owned(),
                _ => (*sha256).to_owned(),
            };
            let ignore = matches!(faults.first(), Some(Fault::IgnoreRange));
            let right = bytes(request, &content, &etag, ignore);
            spoil(inner, request, right, faults)
        }
        (Origin::Elsewhere, _) => Answer::text(200, "GGUF from elsewhere"),
        _ => Answer::error(404, "", "no such page"),
    }
}

fn token(request: &Request) -> Option<&str> {
    request.header("authorization")?.strip_prefix("Bearer ")
}

/// The repository, or what the hub says to one who may not read it. `files`: whether
/// its files are asked for and not only what it is.
fn repo(inner: &Inner, request: &Request, name: &str, files: bool) -> Result<Repo, Box<Answer>> {
    let token = token(request);
    let state = inner.state();
    if let Some(new) = state.moved.get(name) {
        let mut answer = Answer::text(307, "moved");
        let query = match request.query.as_str() {
            "" => String::new(),
            query => format!("?{query}"),
        };
        answer.set("Location", request.path.replacen(name, new, 1) + &query);
        return Err(Box::new(answer));
    }
    // To strangers the hub does not tell what is missing from what is hidden.
    let hidden = || match token {
        None => Answer::error(401, "RepoNotFound", "Invalid username or password."),
        Some(_) => Answer::error(404, "RepoNotFound", "Repository not found"),
    };
    let repo = state.repos.get(name).ok_or_else(|| Box::new(hidden()))?;
    match &repo.access {
        Access::Private(t) if token != Some(t) => Err(Box::new(hidden())),
        Access::Gated(t) if files && token != Some(t) => {
            let (status, message) = match token {
                None => (401, "Access to the model is restricted. Please log in."),
                Some(_) => (
                    403,
                    "Your request to access the model is awaiting a review.",
                ),
            };
            Err(Box::new(Answer::error(status, "GatedRepo", message)))
        }
        _ => Ok(repo.clone()),
    }
}

fn listing(inner: &Inner, request: &Request, name: &str, revision: &str) -> Answer {
    let repo = match repo(inner, request, name, false) {
        Ok(repo) => repo,
        Err(answer) => return *answer,
    };
    let Some(commit) = repo.at(revision) else {
        return Answer::error(404, "RevisionNotFound", "Invalid rev id");
    };
    let blobs = request.query.split('&').any(|q| q == "blobs=true");
    let siblings: Vec<_> = commit
        .files
        .iter()
        .map(|(n, f)| sibling(n, f, blobs))
        .collect();
    let gated = match repo.access {
        Access::Gated(_) => json!("manual"),
        _ => json!(false),
    };
    let listing = json!({
        "_id": "65f0000000000000000000aa",
        "id": name,
        "modelId": name,
        "sha": commit.id,
        "private": matches!(repo.access, Access::Private(_)),
        "gated": gated,
        "disabled": false,
        "downloads": 7,
        "tags": ["gguf"],
        "siblings": siblings,
    });
    let mut answer = Answer::text(200, &listing.to_string());
    answer.set("Content-Type", "application/json; charset=utf-8");
    answer.set("ETag", format!("W/\"{}\"", &commit.id[..8]));
    answer
}

fn sibling(name: &str, file: &File, blobs: bool) -> serde_json::Value {
    let mut sibling = json!({"rfilename": name});
    if blobs {
        sibling["blobId"] = json!(&file.content.sha256()[..40]);
        sibling["size"] = json!(file.content.size());
        if file.large {
            sibling["lfs"] = json!({
                "sha256": file.content.sha256(),
                "size": file.content.size(),
                "pointerSize": 134,
            });
        }
    }
    sibling
}

fn resolve(inner: &Inner, request: &Request, name: &str, rest: &str) -> Answer {
    let repo = match repo(inner, request, name, true) {
        Ok(repo) => repo,
        Err(answer) => return *answer,
    };
    let Some((commit, file)) = split(&repo, rest) else {
        return Answer::error(404, "RevisionNotFound", "Invalid rev id");
    };
    let Some(found) = commit.files.get(&file) else {
        let mut answer = Answer::error(404, "EntryNotFound", "Entry not found");
        answer.set("X-Repo-Commit", &commit.id);
        return answer;
    };
    let etag = found.etag();
    let mut answer = if found.large {
        let mut answer = Answer::text(302, "Found. Redirecting");
        let last = file.rsplit('/').next().unwrap_or_default();
        let place = format!("{}/blob/{etag}/{last}", inner.url(Origin::Cdn));
        answer.set(
            "Location",
            format!("{place}?Expires=1&Signature=SIGNED-SECRET"),
        );
        answer.set("X-Linked-Etag", format!("\"{etag}\""));
        answer.set("X-Linked-Size", found.content.size().to_string());
        answer.set("ETag", format!("\"{}\"", &etag[..40]));
        answer.set("Accept-Ranges", "bytes");
        answer
    } else {
        bytes(request, &found.content, &etag, false)
    };
    answer.set("X-Repo-Commit", &commit.id);
    answer
}

/// `REVISION/FILE`, where both may have slashes.
fn split<'a>(repo: &'a Repo, rest: &str) -> Option<(&'a Commit, String)> {
    let cuts = rest.match_indices('/');
    let mut found =
        cuts.filter_map(|(at, _)| Some((repo.at(&rest[..at])?, rest[at + 1..].to_owned())));
    found.next()
}

/// A file or the range of it that was asked for.
fn bytes(request: &Request, content: &Content, etag: &str, ignore_range: bool) -> Answer {
    let size = content.size();
    let quoted = format!("\"{etag}\"");
    let range = request.range(size).filter(|_| !ignore_range);
    let fresh = request.header("if-range").is_none_or(|v| v == quoted);
    let mut answer = match range.filter(|_| fresh) {
        None => Answer::new(200, Body::Part(content.clone(), 0, size)),
        Some(Ok((from, to))) => {
            let mut answer = Answer::new(206, Body::Part(content.clone(), from, to));
            answer.set("Content-Range", format!("bytes {from}-{}/{size}", to - 1));
            answer
        }
        Some(Err(())) => {
            let mut answer = Answer::text(416, "");
            answer.set("Content-Range", format!("bytes */{size}"));
            answer
        }
    };
    answer.set("ETag", quoted);
    answer.set("Accept-Ranges", "bytes");
    answer.set("Content-Type", "application/octet-stream");
    answer
}

fn spoil(inner: &Inner, request: &Request, mut answer: Answer, faults: Vec<Fault>) -> Answer {
    for fault in faults {
        match fault {
            Fault::Status(status, retry_after) => {
                answer = Answer::error(status, "", "not now");
                if let Some(after) = retry_after {
                    answer.set("Retry-After", after);
                }
            }
            Fault::Length(more) => {
                answer.length = Some(answer.body.len().saturating_add_signed(more));
            }
            Fault::Cut(at) => answer.cut = Some(at),
            Fault::Stall(at) => answer.stall = Some((at, false)),
            Fault::Hold(at) => answer.stall = Some((at, true)),
            Fault::Drip(bytes, every) => answer.drip = Some((bytes, every)),
            Fault::Endless => answer.endless = true,
            Fault::Chunked => answer.chunked = true,
            // Done before there was an answer.
            Fault::IgnoreRange | Fault::Garbage | Fault::Swap(_) => {}
            Fault::OtherRange(by) | Fault::LyingRange(by) => {
                if let Body::Part(content, from, to) = &mut answer.body {
                    let size = content.size();
                    *from = (*from + by).min(size);
                    *to = (*to + by).min(size).max(*from);
                    let said = format!("bytes {from}-{}/{size}", to.saturating_sub(1));
                    if matches!(fault, Fault::OtherRange(_)) {
                        answer.status = 206;
                        answer.set("Content-Range", said);
                    }
                }
            }
            Fault::Redirect(to) => {
                answer.status = 302;
                answer.set("Location", to);
                answer.body = Body::Bytes(vec![]);
            }
            Fault::Loop => {
                let origin = match request.path.starts_with("/blob/") {
                    true => Origin::Cdn,
                    false => Origin::Hub,
                };
                let round = request.query.len() + 1;
                answer = Answer::text(302, "");
                let path = format!(
                    "{}{}?{}",
                    inner.url(origin),
                    request.path,
                    "x".repeat(round % 512)
                );
                answer.set("Location", path);
            }
            Fault::Body(body) => {
                answer.status = 200;
                answer.body = Body::Bytes(body);
            }
            Fault::Gzip(body) => {
                answer.status = 200;
                answer.set("Content-Encoding", "gzip");
                answer.body = Body::Bytes(body.to_vec());
            }
            Fault::HeaderBomb => answer.bomb = true,
            Fault::Reset => answer.reset = true,
            Fault::Silence => answer.silence = true,
            Fault::Header(name, value) => answer.set(name, value),
            Fault::Without(name) => answer.unset(name),
        }
    }
    answer
}

/// Whether the connection can be used again. An error: the client is gone.
fn send(
    inner: &Inner,
    stream: &mut TcpStream,
    request: &Request,
    answer: &Answer,
    seen: &Arc<Seen>,
) -> io::Result<bool> {
    let start = match &answer.body {
        Body::Part(_, from, _) => *from,
        Body::Bytes(_) => 0,
    };
    seen.begin(answer.status, start);
    let mut head = format!("HTTP/1.1 {} Whatever\r\n", answer.status);
    if answer.reset {
        head.push_str("ETag: \"half");
        return stream.write_all(head.as_bytes()).map(|()| false);
    }
    if answer.silence {
        stream.write_all(head.as_bytes())?;
        return wait(inner, stream, false).map(|()| false);
    }
    let unsized_body = answer.chunked || answer.endless;
    let short = answer.length.is_some() || answer.cut.is_some() || answer.endless;
    let asked = request
        .header("connection")
        .is_some_and(|v| v.eq_ignore_ascii_case("close"));
    let close = short || asked || inner.close.load(Ordering::SeqCst);
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if answer.bomb {
        stream.write_all(head.as_bytes())?;
        return header_bomb(stream, seen).map(|()| false);
    }
    if answer.chunked {
        head.push_str("Transfer-Encoding: chunked\r\n");
    } else if !unsized_body {
        let length = answer.length.unwrap_or(answer.body.len());
        head.push_str(&format!("Content-Length: {length}\r\n"));
    }
    head.push_str(if close {
        "Connection: close\r\n\r\n"
    } else {
        "Connection: keep-alive\r\n\r\n"
    });
    stream.write_all(head.as_bytes())?;
    if request.method != "HEAD" {
        body(inner, stream, answer, seen)?;
    }
    stream.flush()?;
    Ok(!close)
}

fn header_bomb(stream: &mut TcpStream, seen: &Seen) -> io::Result<()> {
    let line = format!("X-Bomb: {}\r\n", "b".repeat(1000));
    while seen.sent() < ENDLESS_HEAD_BYTES {
        stream.write_all(line.as_bytes())?;
        seen.add(line.len() as u64);
    }
    Ok(())
}

fn body(inner: &Inner, stream: &mut TcpStream, answer: &Answer, seen: &Seen) -> io::Result<()> {
    let pace = match answer.body {
        Body::Part(..) => inner.pace.load(Ordering::SeqCst),
        Body::Bytes(_) => 0,
    };
    let began = Instant::now();
    let len = if answer.endless {
        ENDLESS_BYTES
    } else {
        answer.body.len()
    };
    let len = len.min(answer.cut.unwrap_or(u64::MAX));
    let mut stall = answer.stall;
    let mut at = 0;
    while at < len {
        if let Some((_, goes_on)) = stall.filter(|(after, _)| at >= *after) {
            wait(inner, stream, goes_on)?;
            stall = None;
        }
        let mut most = (len - at).min(stall.map_or(u64::MAX, |(after, _)| after - at));
        if pace > 0 {
            most = most.min(16 * 1024);
        }
        if let Some((bytes, every)) = answer.drip {
            most = most.min(bytes as u64);
            if is_gone(stream, every) {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
        }
        let piece = match answer.endless {
            true => answer.body.piece(at % answer.body.len()),
            false => answer.body.piece(at),
        };
        let piece = &piece[..piece.len().min(most.min(1 << 20) as usize)];
        write_piece(stream, piece, answer.chunked)?;
        at += piece.len() as u64;
        seen.add(piece.len() as u64);
        if stall.is_some_and(|(after, _)| at >= after) {
            inner.notify();
        }
        if pace > 0 {
            let due = Duration::from_secs_f64(at as f64 / pace as f64);
            std::thread::sleep(due.saturating_sub(began.elapsed()));
        }
        if inner.stopped() {
            return Err(io::ErrorKind::Interrupted.into());
        }
    }
    if answer.chunked {
        stream.write_all(b"0\r\n\r\n")?;
    }
    Ok(())
}

fn write_piece(stream: &mut TcpStream, piece: &[u8], chunked: bool) -> io::Result<()> {
    if chunked {
        stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes())?;
        stream.write_all(piece)?;
        return stream.write_all(b"\r\n");
    }
    stream.write_all(piece)
}

/// Until the client leaves (an error), or, where it `goes_on`, until the hold is released.
fn wait(inner: &Inner, stream: &TcpStream, goes_on: bool) -> io::Result<()> {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until && !inner.stopped() {
        if goes_on && inner.released.load(Ordering::SeqCst) {
            return Ok(());
        }
        if is_gone(stream, TICK) {
            break;
        }
    }
    Err(io::ErrorKind::BrokenPipe.into())
}
