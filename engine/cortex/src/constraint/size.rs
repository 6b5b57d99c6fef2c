//! How large an expression is, every repetition written out.

use super::limits::{MAX_CLASSES, MAX_COUNT, MAX_DEPTH, MAX_SIZE};

/// Measures an expression with groups and repetitions while it is read from left to right.
#[derive(Debug, Default)]
pub(super) struct Size {
    /// Of each open group, what it has so far.
    open: Vec<u64>,
    /// Of the innermost group, without `last`.
    sum: u64,
    /// What a repetition would repeat.
    last: u64,
    classes: u64,
}

impl Size {
    /// An atom of that size: 1 for a character or a class.
    pub(super) fn atom(&mut self, size: u64) -> Result<(), String> {
        self.sum = self.sum.saturating_add(self.last);
        self.last = size;
        self.check()
    }

    /// A class of characters, besides its atom.
    pub(super) fn class(&mut self) -> Result<(), String> {
        self.classes += 1;
        match self.classes > MAX_CLASSES {
            true => Err(format!("it has over {MAX_CLASSES} classes of characters")),
            false => Ok(()),
        }
    }

    pub(super) fn begin(&mut self) -> Result<(), String> {
        self.atom(0)?;
        self.open.push(self.sum);
        self.sum = 0;
        check_depth(self.open.len())
    }

    /// Without effect where nothing is open: the parser says so better.
    pub(super) fn end(&mut self) {
        if let Some(outside) = self.open.pop() {
            self.last = self.sum.saturating_add(self.last).max(1);
            self.sum = outside;
        }
    }

    /// What came last is repeated, at most (or, without end, at least) that often.
    pub(super) fn repeat(&mut self, count: u64) -> Result<(), String> {
        check_count("a repetition", count)?;
        self.last = self.last.saturating_mul(count.max(1));
        self.check()
    }

    fn check(&self) -> Result<(), String> {
        match self.sum.saturating_add(self.last) > MAX_SIZE {
            true => Err(format!(
                "it is longer than {MAX_SIZE} characters with its repetitions written out"
            )),
            false => Ok(()),
        }
    }
}

/// Refuses what is nested too deep.
pub(super) fn check_depth(depth: usize) -> Result<(), String> {
    match depth > MAX_DEPTH {
        true => Err(format!("it is nested deeper than {MAX_DEPTH} brackets")),
        false => Ok(()),
    }
}

/// Refuses a count that is too high.
pub(super) fn check_count(what: &str, count: u64) -> Result<(), String> {
    match count > MAX_COUNT {
        true => Err(format!(
            "{what} counts to {count}; the limit is {MAX_COUNT}"
        )),
        false => Ok(()),
    }
}

/// The number that the text begins with, and its length.
pub(super) fn number(text: &str) -> Option<(u64, usize)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    // More digits than fit are more than any limit.
    (digits > 0).then(|| (text[..digits].parse().unwrap_or(u64::MAX), digits))
}
