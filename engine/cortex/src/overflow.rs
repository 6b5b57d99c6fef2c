//! Making a conversation fit its context by forgetting the oldest.

use rusty_genius_core::{EngineError, Role, Turn};

/// What is left of a conversation where [`Overflow::Shift`](rusty_genius_core::Overflow)
/// holds: the system turns at its beginning, the last turn, and of those between as many of
/// the latest as fit `limit` tokens with `max_tokens` more. Those kept begin with a user's
/// turn, so that no answer stands without its question. If even without them there is no room
/// for `max_tokens`, the answer will be shorter.
///
/// `length_of` is the length of a conversation's prompt, tokens; it is asked once for each
/// halving of the number of turns.
///
/// Fails with [`EngineError::ContextOverflow`] if there is no room for a single token of
/// answer, and where `length_of` does.
///
/// ```
/// use rusty_genius_core::Turn;
///
/// let turns = ["one", "two", "three"].map(Turn::user);
/// let letters = |turns: &[Turn]| Ok(turns.iter().map(|t| t.content.len()).sum());
/// let kept = rusty_genius_cortex::fit(&turns, 2, 10, letters)?;
/// assert_eq!(kept, turns[1..]);
/// # Ok::<(), rusty_genius_core::EngineError>(())
/// ```
pub fn fit(
    turns: &[Turn],
    max_tokens: u32,
    limit: usize,
    mut length_of: impl FnMut(&[Turn]) -> Result<usize, EngineError>,
) -> Result<Vec<Turn>, EngineError> {
    let systems = turns.iter().take_while(|t| t.role == Role::System).count();
    let last = turns.len().saturating_sub(1).max(systems);
    // The places at which what is kept may begin; the last turn itself is the last of them.
    let starts: Vec<usize> = (systems..last)
        .filter(|&at| at == systems || turns[at].role == Role::User)
        .chain([last])
        .collect();
    let kept_from = |at: usize| [&turns[..systems], &turns[at..]].concat();
    let room = limit.saturating_sub(max_tokens as usize);
    // The first place whose conversation fits: a shorter one is never a longer prompt.
    let (mut low, mut high) = (0, starts.len() - 1);
    while low < high {
        let middle = usize::midpoint(low, high);
        if length_of(&kept_from(starts[middle]))? <= room {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    let kept = kept_from(starts[low]);
    let length = length_of(&kept)?;
    if length >= limit {
        return Err(EngineError::ContextOverflow {
            needed: length as u64 + 1,
            limit: limit as u64,
        });
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn turn(role: Role, letters: usize) -> Turn {
        Turn::new(role, "x".repeat(letters))
    }

    fn letters(turns: &[Turn]) -> Result<usize, EngineError> {
        Ok(turns.iter().map(|t| t.content.len()).sum())
    }

    #[test]
    fn what_fits_is_kept_whole() {
        let turns = [turn(Role::System, 5), turn(Role::User, 5)];
        assert_eq!(fit(&turns, 10, 20, letters).unwrap(), turns);
    }

    #[test]
    fn the_oldest_questions_go_first_with_their_answers() {
        let turns = [
            turn(Role::System, 5),
            turn(Role::User, 10),
            turn(Role::Assistant, 10),
            turn(Role::User, 11),
            turn(Role::Assistant, 11),
            turn(Role::User, 3),
        ];
        let kept = |limit| fit(&turns, 10, limit, letters).unwrap();
        assert_eq!(kept(60), turns);
        let without_first = [&turns[..1], &turns[3..]].concat();
        assert_eq!(kept(59), without_first);
        assert_eq!(kept(40), without_first);
        assert_eq!(kept(39), [&turns[..1], &turns[5..]].concat());
    }

    #[test]
    fn where_that_is_not_enough_the_answer_is_shorter() {
        let turns = [turn(Role::User, 90), turn(Role::User, 9)];
        assert_eq!(fit(&turns, 50, 10, letters).unwrap(), turns[1..]);
    }

    #[test]
    fn a_prompt_with_no_room_for_an_answer_is_an_error() {
        let turns = [turn(Role::System, 5), turn(Role::User, 5)];
        let overflow = EngineError::ContextOverflow {
            needed: 11,
            limit: 10,
        };
        assert_eq!(fit(&turns, 1, 10, letters), Err(overflow));
    }

    #[test]
    fn conversations_of_nothing_or_of_systems_alone() {
        assert_eq!(fit(&[], 1, 10, letters).unwrap(), []);
        let turns = [turn(Role::System, 5), turn(Role::System, 4)];
        assert_eq!(fit(&turns, 9, 10, letters).unwrap(), turns);
        assert!(fit(&turns, 1, 9, letters).is_err());
    }

    proptest! {
        #[test]
        fn what_is_kept_is_the_beginning_and_the_end(
            lengths in prop::collection::vec((0..4_u8, 0..30_usize), 0..20),
            max_tokens in 1..100_u32,
            limit in 1..300_usize,
        ) {
            let roles = [Role::System, Role::User, Role::Assistant, Role::Tool];
            let turns: Vec<_> = lengths
                .iter()
                .map(|&(role, letters)| turn(roles[usize::from(role)], letters))
                .collect();
            let systems = turns.iter().take_while(|t| t.role == Role::System).count();
            if let Ok(kept) = fit(&turns, max_tokens, limit, letters) {
                prop_assert!(letters(&kept).unwrap() < limit);
                prop_assert_eq!(&kept[..systems], &turns[..systems]);
                prop_assert!(turns[systems..].ends_with(&kept[systems..]));
                prop_assert_eq!(kept.last(), turns.last());
            }
        }
    }
}
