//! How long to wait before the next try.

use crate::Settings;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Longest pause between two tries.
const LONGEST: Duration = Duration::from_secs(30);
/// The most a server's `Retry-After` is obeyed.
const LONGEST_ASKED: Duration = Duration::from_secs(300);

/// Counts the tries in a row that brought nothing.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    tries: u32,
    failed: u32,
}

impl Backoff {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            first: settings.backoff,
            tries: settings.retries,
            failed: 0,
        }
    }

    /// Something came: the next failure is the first again.
    pub(crate) fn reset(&mut self) {
        self.failed = 0;
    }

    /// A try failed: how long to wait for the next, or `None` where there is none.
    /// The pause is a random part of a limit that doubles, so that many clients of a
    /// server that went down do not come back as one.
    pub(crate) fn failed(&mut self, asked: Option<Duration>) -> Option<Duration> {
        self.failed += 1;
        if self.failed >= self.tries.max(1) {
            return None;
        }
        let pause = limit(self.first, self.failed).mul_f64(fastrand::f64());
        Some(asked.map_or(pause, |asked| asked.min(LONGEST_ASKED) + pause))
    }
}

fn limit(first: Duration, failed: u32) -> Duration {
    let factor = 1_u32.checked_shl(failed - 1).unwrap_or(u32::MAX);
    first.saturating_mul(factor).min(LONGEST)
}

/// Whether a status may be another one a little later.
pub(crate) fn is_busy(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

/// What a `Retry-After` header asks for: seconds, or a date.
pub(crate) fn retry_after(header: Option<&str>) -> Option<Duration> {
    let text = header?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    Some(Duration::from_secs(http_date(text)?).saturating_sub(now))
}

/// Seconds since 1970 of a date as HTTP writes it: `Sun, 06 Nov 1994 08:49:37 GMT`.
fn http_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (_, text) = text.split_once(", ")?;
    let parts: Vec<&str> = text.split(' ').collect();
    let [day, month, year, time, "GMT"] = parts[..] else {
        return None;
    };
    let number = |s: &str, most: u64| s.parse().ok().filter(|n: &u64| *n <= most);
    let month = MONTHS.iter().position(|m| *m == month)? as u64;
    let (day, year) = (number(day, 31)?, number(year, 9999).filter(|y| *y >= 1970)?);
    let mut clock = time.split(':').map(|part| number(part, 60));
    let (h, m, s) = (clock.next()??, clock.next()??, clock.next()??);
    // Days before the month, counting years from March so that a leap day is the last.
    let (y, m0) = if month < 2 {
        (year - 1, month + 10)
    } else {
        (year, month - 2)
    };
    let days = y * 365 + y / 4 - y / 100 + y / 400 + (m0 * 153 + 2) / 5 + day.checked_sub(1)?;
    let since_1970 = days.checked_sub(719_468)?;
    Some(since_1970 * 86_400 + h * 3_600 + m * 60 + s)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backoff(retries: u32) -> Backoff {
        Backoff::new(&Settings {
            retries,
            ..Settings::new("c", "d")
        })
    }

    #[test]
    fn the_pause_doubles_up_to_its_limit() {
        let first = Duration::from_millis(500);
        assert_eq!(limit(first, 1), first);
        assert_eq!(limit(first, 3), 4 * first);
        assert_eq!(limit(first, 99), LONGEST);
        let mut backoff = backoff(9);
        for failed in 1..9 {
            assert!(backoff.failed(None).unwrap() <= limit(first, failed));
        }
    }

    #[test]
    fn tries_end_and_progress_renews_them() {
        let mut backoff = backoff(3);
        assert!(backoff.failed(None).is_some());
        assert!(backoff.failed(None).is_some());
        backoff.reset();
        assert!(backoff.failed(None).is_some());
        assert!(backoff.failed(None).is_some());
        assert!(backoff.failed(None).is_none());
    }

    #[test]
    fn a_server_may_ask_for_more_time_within_reason() {
        let asked = |seconds| {
            backoff(9)
                .failed(Some(Duration::from_secs(seconds)))
                .unwrap()
        };
        assert!(asked(7) >= Duration::from_secs(7));
        assert!(asked(1 << 40) <= LONGEST_ASKED + LONGEST);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(retry_after(Some(" 3 ")), Some(Duration::from_secs(3)));
        assert_eq!(
            retry_after(Some("Sun, 06 Nov 1994 08:49:37 GMT")),
            Some(Duration::ZERO)
        );
        let far = retry_after(Some("Fri, 31 Dec 9999 23:59:59 GMT")).unwrap();
        assert!(far > LONGEST_ASKED);
        for bad in ["", "soon", "-1", "Sun, 99 Nov 1994 08:49:37 GMT", "Sun, 0"] {
            assert_eq!(retry_after(Some(bad)), None, "{bad}");
        }
        assert_eq!(retry_after(None), None);
    }

    #[test]
    fn dates_are_what_the_calendar_says() {
        assert_eq!(http_date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(
            http_date("Sun, 06 Nov 1994 08:49:37 GMT"),
            Some(784_111_777)
        );
        assert_eq!(
            http_date("Thu, 29 Feb 2024 12:00:00 GMT"),
            Some(1_709_208_000)
        );
    }

    proptest::proptest! {
        #[test]
        fn no_header_panics(text in "\\PC{0,40}") {
            let _ = retry_after(Some(&text));
        }

        #[test]
        fn no_date_panics(text in "[A-Z][a-z]{2}, [0-9]{1,20} (Jan|Feb|Mar|Dec) [0-9]{1,20} [0-9]{1,3}:[0-9]{1,3}:[0-9]{1,3} GMT") {
            let _ = retry_after(Some(&text));
        }
    }
}
