//! A small server on loopback; a closure says what it answers.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

pub(crate) struct Server {
    pub(crate) url: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// The heads of the requests so far, names in the case they came in.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

pub(crate) struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// How many bytes of the body are sent before the connection breaks.
    breaks: Option<usize>,
    wait: Duration,
    drip: Option<(usize, Duration)>,
}

impl Reply {
    pub(crate) fn status(status: u16, body: &[u8]) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.to_vec(),
            breaks: None,
            wait: Duration::ZERO,
            drip: None,
        }
    }

    pub(crate) fn ok(body: &[u8]) -> Self {
        Self::status(200, body)
    }

    pub(crate) fn redirect(to: &str) -> Self {
        Self::status(302, b"").with("Location", to)
    }

    /// What a decent server answers about this file.
    pub(crate) fn file(head: &str, file: &[u8]) -> Self {
        match range(head) {
            None => Self::ok(file).with("Accept-Ranges", "bytes"),
            Some((first, last)) => {
                let last = last.min(file.len() - 1);
                let named = format!("bytes {first}-{last}/{}", file.len());
                Self::status(206, &file[first..=last]).with("Content-Range", &named)
            }
        }
        .with("ETag", "\"tag\"")
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn breaks(mut self, after: usize) -> Self {
        self.breaks = Some(after);
        self
    }

    pub(crate) fn after(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    pub(crate) fn drip(mut self, bytes: usize, every: Duration) -> Self {
        self.drip = Some((bytes, every));
        self
    }
}

/// The range that a request asks for.
pub(crate) fn range(head: &str) -> Option<(usize, usize)> {
    let line = head.lines().find_map(|l| l.strip_prefix("range: bytes="))?;
    let (first, last) = line.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?))
}

/// Answers every request as the closure says: number, head.
pub(crate) fn serve(answer: impl Fn(usize, &str) -> Reply + Send + Sync + 'static) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let heads = Arc::new(Mutex::new(Vec::new()));
    let (answer, seen) = (Arc::new(answer), heads.clone());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (answer, seen) = (answer.clone(), seen.clone());
            thread::spawn(move || {
                let _ = talk(stream, |head| {
                    let mut seen = seen.lock().unwrap();
                    seen.push(head.to_owned());
                    answer(seen.len() - 1, head)
                });
            });
        }
    });
    Server { url, heads }
}

fn talk(mut stream: TcpStream, answer: impl Fn(&str) -> Reply) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let reply = answer(&head);
    thread::sleep(reply.wait);
    let mut text = format!("HTTP/1.1 {} X\r\nConnection: close\r\n", reply.status);
    if !reply
        .headers
        .iter()
        .any(|(name, _)| name == "Content-Length")
    {
        text += &format!("Content-Length: {}\r\n", reply.body.len());
    }
    for (name, value) in &reply.headers {
        text += &format!("{name}: {value}\r\n");
    }
    stream.write_all((text + "\r\n").as_bytes())?;
    if head.starts_with("HEAD") {
        return Ok(());
    }
    let body = &reply.body[..reply.breaks.unwrap_or(reply.body.len())];
    let (step, pause) = reply.drip.unwrap_or((body.len().max(1), Duration::ZERO));
    for part in body.chunks(step) {
        stream.write_all(part)?;
        thread::sleep(pause);
    }
    Ok(())
}
