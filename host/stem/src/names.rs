//! Numbers for what has names: policies and the ledger go by numbers.

use rusty_genius_core::brainstem::{GuestId, ModelId};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Names kept of what is not here any more, before they are forgotten.
const KEPT: usize = 4096;

/// The names of models, or of guests. A name that is not held may be forgotten once there are
/// thousands of them, and then gets another number.
pub(crate) struct Names<Id> {
    by_name: HashMap<Arc<str>, Id>,
    by_id: BTreeMap<Id, Entry>,
    next: u32,
}

struct Entry {
    name: Arc<str>,
    holders: u32,
}

/// A number that stands for a name.
pub(crate) trait Number: Copy + Ord {
    fn new(number: u32) -> Self;
}

impl Number for ModelId {
    fn new(number: u32) -> Self {
        Self(number)
    }
}

impl Number for GuestId {
    fn new(number: u32) -> Self {
        Self(number)
    }
}

impl<Id: Number> Names<Id> {
    pub(crate) fn new() -> Self {
        Self {
            by_name: HashMap::new(),
            by_id: BTreeMap::new(),
            next: 1,
        }
    }

    /// The name's number, and one more that holds it. Tells `forgotten` of each number that
    /// means nothing any more.
    pub(crate) fn hold(&mut self, name: &Arc<str>, forgotten: impl FnMut(Id)) -> Id {
        let id = match self.by_name.get(name) {
            Some(id) => *id,
            None => self.add(name, forgotten),
        };
        if let Some(entry) = self.by_id.get_mut(&id) {
            entry.holders += 1;
        }
        id
    }

    fn add(&mut self, name: &Arc<str>, mut forgotten: impl FnMut(Id)) -> Id {
        if self.by_id.len() >= 2 * KEPT {
            let by_name = &mut self.by_name;
            self.by_id.retain(|id, entry| {
                if entry.holders == 0 {
                    by_name.remove(&entry.name);
                    forgotten(*id);
                }
                entry.holders > 0
            });
        }
        let id = Id::new(self.next);
        self.next += 1;
        let name = name.clone();
        self.by_name.insert(name.clone(), id);
        self.by_id.insert(id, Entry { name, holders: 0 });
        id
    }

    /// One holds it less.
    pub(crate) fn release(&mut self, id: Id) {
        if let Some(entry) = self.by_id.get_mut(&id) {
            entry.holders = entry.holders.saturating_sub(1);
        }
    }

    pub(crate) fn name(&self, id: Id) -> Option<&Arc<str>> {
        self.by_id.get(&id).map(|entry| &entry.name)
    }

    /// Whether the number was ever given.
    pub(crate) fn was_given(&self, id: Id) -> bool {
        id >= Id::new(1) && id < Id::new(self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_number_while_somebody_holds_it() {
        let mut names = Names::<GuestId>::new();
        let name = |n: usize| Arc::from(format!("guest {n}"));
        let held = names.hold(&name(0), |_| {});
        let mut forgotten = Vec::new();
        for n in 1..4 * KEPT {
            let id = names.hold(&name(n), |id| forgotten.push(id));
            names.release(id);
        }
        assert_eq!(names.hold(&name(0), |_| {}), held);
        assert!(!forgotten.contains(&held) && forgotten.len() > KEPT);
        assert!(names.by_id.len() <= 2 * KEPT);
        assert_eq!(names.by_id.len(), names.by_name.len());
        let again = names.hold(&name(1), |_| {});
        assert!(!forgotten.contains(&again), "a number is given once");
        assert!(names.was_given(forgotten[0]) && !names.was_given(GuestId(0)));
        assert!(!names.was_given(GuestId(u32::MAX)));
    }
}
