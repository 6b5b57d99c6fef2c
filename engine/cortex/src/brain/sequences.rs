//! Which sequence of the cache holds which tokens, and for whom.

use super::device::{Device, Sequence, Token};
use super::message::{GenerationId, SessionId};
use std::sync::Arc;

/// Who a sequence is kept for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    /// Nobody: its tokens serve whoever says the same, until the room is needed.
    Nobody,
    /// A session between two turns.
    Session(SessionId),
    /// A generation that waits, for its turn or for its reader.
    Waiting(GenerationId),
    /// A generation that runs.
    Running(GenerationId),
}

impl Holder {
    /// How readily the sequence is given up, the lowest first; `None` is never.
    fn rank(self) -> Option<u8> {
        match self {
            Self::Nobody => Some(0),
            Self::Session(_) => Some(1),
            Self::Waiting(_) => Some(2),
            Self::Running(_) => None,
        }
    }
}

/// One sequence.
#[derive(Debug, Clone)]
struct Held {
    /// What the cache holds of it, in order.
    tokens: Vec<Token>,
    holder: Holder,
    /// Whose words they are.
    guest: Arc<str>,
    /// When it was used last, in uses.
    used: u64,
}

/// All sequences of a cache.
#[derive(Debug)]
pub(super) struct Sequences {
    all: Vec<Held>,
    uses: u64,
    cuts: bool,
    /// Whether one guest's words serve another.
    shared: bool,
}

impl Sequences {
    pub(super) fn new(count: usize, cuts: bool, shared: bool) -> Self {
        let empty = Held {
            tokens: Vec::new(),
            holder: Holder::Nobody,
            guest: Arc::from(""),
            used: 0,
        };
        Self {
            all: vec![empty; count],
            uses: 0,
            cuts,
            shared,
        }
    }

    pub(super) fn tokens(&self, sequence: Sequence) -> &[Token] {
        &self.all[sequence].tokens
    }

    /// Who the sequences are kept for, those with nothing in them left out.
    pub(super) fn holders(&self) -> impl Iterator<Item = Holder> + '_ {
        self.all
            .iter()
            .filter(|held| !held.tokens.is_empty() || held.holder != Holder::Nobody)
            .map(|held| held.holder)
    }

    /// The device has read these tokens into the sequence.
    pub(super) fn extend(&mut self, sequence: Sequence, tokens: impl Iterator<Item = Token>) {
        self.all[sequence].tokens.extend(tokens);
        self.touch(sequence);
    }

    /// The sequence is kept for somebody else now.
    pub(super) fn hand(&mut self, sequence: Sequence, holder: Holder) {
        self.all[sequence].holder = holder;
        self.touch(sequence);
    }

    fn touch(&mut self, sequence: Sequence) {
        self.uses += 1;
        self.all[sequence].used = self.uses;
    }

    /// Makes room: empties the sequence that is missed least. Says who had it, or `None` if
    /// every sequence is empty or running.
    pub(super) fn give_up(&mut self, device: &mut dyn Device) -> Option<Holder> {
        let victim = self.victim(None, |held| !held.tokens.is_empty())?;
        let holder = self.all[victim].holder;
        self.empty(device, victim);
        Some(holder)
    }

    /// Of what nobody needs any more, forgets the oldest until at most so many tokens, or one
    /// sequence, are left: each step looks at all that is in the cache.
    pub(super) fn forget(&mut self, device: &mut dyn Device, tokens: usize) {
        let past = |held: &&Held| held.holder == Holder::Nobody && !held.tokens.is_empty();
        loop {
            let lengths = self.all.iter().filter(past).map(|held| held.tokens.len());
            let (count, sum) = lengths.fold((0, 0), |(n, sum), length| (n + 1, sum + length));
            if count <= 1 || sum <= tokens {
                return;
            }
            let oldest = (0..self.all.len())
                .filter(|&s| past(&&self.all[s]))
                .min_by_key(|&s| self.all[s].used);
            match oldest {
                Some(oldest) => self.empty(device, oldest),
                None => return,
            }
        }
    }

    /// Forgets what is in a sequence; nobody holds it then.
    pub(super) fn empty(&mut self, device: &mut dyn Device, sequence: Sequence) {
        device.cut(sequence, 0);
        let held = &mut self.all[sequence];
        held.tokens.clear();
        held.holder = Holder::Nobody;
    }

    /// A sequence for a generation that is to read `prompt`, with as much of it in the cache
    /// as can be had: from `own`, or shared with whoever said the same. At least one token is
    /// left to read. `None` if every sequence runs.
    ///
    /// Also says who lost a sequence by it.
    pub(super) fn claim(
        &mut self,
        device: &mut dyn Device,
        own: Option<Sequence>,
        guest: &Arc<str>,
        prompt: &[Token],
    ) -> Option<(Sequence, Option<Holder>)> {
        let most = prompt.len().saturating_sub(1);
        let donor = (0..self.all.len())
            .filter(|&s| self.shared || self.all[s].guest == *guest)
            .map(|s| (self.common(s, &prompt[..most]), s))
            // Of equals the own one, which need not be shared, then the first.
            .max_by_key(|&(length, s)| (length, Some(s) == own, std::cmp::Reverse(s)))
            .filter(|&(length, _)| length > 0);
        let mine = own.filter(|own| donor.is_none_or(|(_, donor)| donor == *own));
        if let Some(mine) = mine {
            let length = donor.map_or(0, |(length, _)| length);
            self.cut(device, mine, length);
            self.assign(mine, guest);
            return Some((mine, None));
        }
        // Another has more of it, or there is no own one.
        let target = own.or_else(|| self.victim(donor.map(|(_, s)| s), |_| true));
        let (target, lost) = match (target, donor) {
            (Some(target), _) => (target, Some(self.all[target].holder)),
            // Only the donor itself is left.
            (None, Some((length, donor))) => {
                let lost = self.all[donor].holder;
                lost.rank()?;
                self.cut(device, donor, length);
                self.assign(donor, guest);
                return Some((donor, Some(lost)));
            }
            (None, None) => return None,
        };
        self.empty(device, target);
        if let Some((length, donor)) = donor {
            device.share(donor, target, length);
            let shared = self.all[donor].tokens[..length].to_vec();
            self.all[target].tokens = shared;
            self.touch(donor);
        }
        self.assign(target, guest);
        Some((target, lost.filter(|_| own.is_none())))
    }

    /// Reads a saved sequence into one that can be had.
    pub(super) fn restore(
        &mut self,
        device: &mut dyn Device,
        guest: &Arc<str>,
        file: &std::path::Path,
    ) -> Result<(Sequence, Option<Holder>), String> {
        let target = self
            .victim(None, |_| true)
            .ok_or("every sequence of the cache is in use")?;
        let lost = self.all[target].holder;
        self.empty(device, target);
        match device.restore(target, file) {
            Ok(tokens) => {
                self.all[target].tokens = tokens;
                self.assign(target, guest);
                Ok((target, Some(lost)))
            }
            Err(reason) => {
                self.empty(device, target);
                Err(reason)
            }
        }
    }

    fn assign(&mut self, sequence: Sequence, guest: &Arc<str>) {
        self.all[sequence].guest = guest.clone();
        self.touch(sequence);
    }

    fn cut(&mut self, device: &mut dyn Device, sequence: Sequence, length: usize) {
        let kept = self.all[sequence].tokens.len() == length || device.cut(sequence, length);
        self.all[sequence]
            .tokens
            .truncate(if kept { length } else { 0 });
    }

    /// How many tokens the sequence has in common with the prompt, as far as they can be used.
    fn common(&self, sequence: Sequence, prompt: &[Token]) -> usize {
        let tokens = &self.all[sequence].tokens;
        let same = tokens.iter().zip(prompt).take_while(|(a, b)| a == b);
        match same.count() {
            // What cannot be cut is of use only as a whole.
            length if !self.cuts && length < tokens.len() => 0,
            length => length,
        }
    }

    /// The sequence that is missed least.
    fn victim(&self, but: Option<Sequence>, fits: impl Fn(&Held) -> bool) -> Option<Sequence> {
        let missed = |s: Sequence| {
            let held = &self.all[s];
            let rank = held.holder.rank()?;
            (Some(s) != but && fits(held)).then_some((
                !(held.tokens.is_empty() && rank == 0),
                rank,
                held.used,
                s,
            ))
        };
        (0..self.all.len())
            .filter_map(missed)
            .min()
            .map(|(.., s)| s)
    }
}
