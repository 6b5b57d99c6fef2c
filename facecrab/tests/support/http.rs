//! The least of HTTP/1.1 that the emulator needs, with every chance to get it wrong.

use std::io::{self, Read};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const HEAD_BYTES_LIMIT: usize = 64 * 1024;
const IDLE_LIMIT: Duration = Duration::from_secs(60);

/// A request's head. Bodies are never sent here.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Without the query.
    pub(crate) path: String,
    pub(crate) query: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// Bytes of the head, all still unread.
    bytes: usize,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The head, looked at but not taken from the stream; `None` at its end.
    pub(crate) fn peek(stream: &TcpStream) -> io::Result<Option<Self>> {
        stream.set_read_timeout(Some(IDLE_LIMIT))?;
        let began = Instant::now();
        let mut buffer = vec![0; HEAD_BYTES_LIMIT];
        loop {
            let n = stream.peek(&mut buffer)?;
            let head = &buffer[..n];
            if n == 0 {
                return Ok(None);
            }
            if let Some(end) = head.windows(4).position(|w| w == b"\r\n\r\n") {
                return Ok(Self::parse(&head[..end]));
            }
            if n == HEAD_BYTES_LIMIT || began.elapsed() > IDLE_LIMIT {
                return Err(io::ErrorKind::InvalidData.into());
            }
            std::thread::yield_now();
        }
    }

    fn parse(head: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(head);
        let mut lines = text.split("\r\n");
        let mut first = lines.next()?.split(' ');
        let (method, target) = (first.next()?.to_owned(), first.next()?);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers = lines.filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        });
        Some(Self {
            method,
            path: unescape(path),
            query: query.to_owned(),
            headers: headers.collect(),
            bytes: head.len() + 4,
        })
    }

    /// Takes the head from the stream, except for the last `leave` bytes. A socket that is
    /// closed with unread bytes resets the connection instead of ending it.
    pub(crate) fn take(&self, stream: &mut TcpStream, leave: usize) -> io::Result<()> {
        stream.read_exact(&mut vec![0; self.bytes - leave])
    }

    /// The one range that is asked for, as a half-open interval, if it is there.
    pub(crate) fn range(&self, size: u64) -> Option<Result<(u64, u64), ()>> {
        let (from, to) = self
            .header("range")?
            .strip_prefix("bytes=")?
            .split_once('-')?;
        let range = match (from.parse::<u64>(), to.parse::<u64>()) {
            (Ok(from), Ok(to)) => (from, to.checked_add(1)?.min(size)),
            (Ok(from), Err(_)) if to.is_empty() => (from, size),
            (Err(_), Ok(last)) if from.is_empty() => (size.saturating_sub(last), size),
            _ => return None,
        };
        Some(if range.0 < range.1 {
            Ok(range)
        } else {
            Err(())
        })
    }
}

fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digits = bytes.get(at + 1..at + 3).filter(|_| byte == b'%');
        let value = digits.and_then(|d| u8::from_str_radix(std::str::from_utf8(d).ok()?, 16).ok());
        out.push(value.unwrap_or(byte));
        at += if value.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Whether the other side is gone. Waits up to `wait` for that.
pub(crate) fn is_gone(stream: &TcpStream, wait: Duration) -> bool {
    let _ = stream.set_read_timeout(Some(wait));
    match stream.peek(&mut [0]) {
        Ok(0) => true,
        Ok(_) => {
            // Something is waiting to be read: peek returns at once, so pause here.
            std::thread::sleep(wait);
            false
        }
        Err(e) => !matches!(
            e.kind(),
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
        ),
    }
}
