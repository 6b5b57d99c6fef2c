//! Which of the fixtures are run.

use crate::scan::Found;
use std::str::FromStr;

/// Which fixtures are run: those that all of it admits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Texts of which a fixture's name must hold one. Empty: any name.
    pub filters: Vec<String>,
    /// Tags of which a fixture must have one; `!tag` is one that it must not have. Empty: any.
    pub tags: Vec<String>,
    /// One part of all that is left. Default: all of it.
    pub shard: Option<Shard>,
}

/// One of several parts of about the same size, as in `2/5`. Every fixture is in one of
/// them, the same each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// Which part, from 1.
    pub number: u32,
    /// How many parts there are.
    pub of: u32,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/');
        let shard = parts.and_then(|(number, of)| {
            Some(Self {
                number: number.parse().ok()?,
                of: of.parse().ok()?,
            })
        });
        match shard {
            Some(shard) if (1..=shard.of).contains(&shard.number) => Ok(shard),
            _ => Err("give a part and how many there are: 2/5".into()),
        }
    }
}

impl Selection {
    /// What is left of the fixtures. A broken one has no tags to be chosen by, so that it is
    /// left out only by its name.
    pub fn of(&self, mut found: Vec<Found>) -> Vec<Found> {
        found.retain(|found| self.named(&found.name) && self.tagged(found));
        if let Some(Shard { number, of }) = self.shard {
            let mut at = 0;
            found.retain(|_| {
                at += 1;
                at % of == number % of
            });
        }
        found
    }

    fn named(&self, name: &str) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|filter| name.contains(filter))
    }

    fn tagged(&self, found: &Found) -> bool {
        let Ok(fixture) = &found.fixture else {
            return true;
        };
        let has = |tag: &str| fixture.tags.iter().any(|own| own == tag);
        let (without, with): (Vec<_>, Vec<_>) =
            self.tags.iter().partition(|tag| tag.starts_with('!'));
        let excluded = without.iter().any(|tag| has(&tag[1..]));
        !excluded && (with.is_empty() || with.iter().any(|tag| has(tag)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rusty_genius_core::fixture::{Fixture, whole_file};
    use std::path::{Path, PathBuf};

    fn found(name: &str, tags: &str) -> Found {
        let name = format!("a/b/c/{name}");
        let text = format!("+++\ntags = [{tags}]\n+++\nHello\n");
        Found {
            path: PathBuf::from(format!("{name}.md")),
            fixture: Fixture::parse(&name, Path::new("f.md"), text.as_bytes()).map_err(Into::into),
            name,
        }
    }

    fn all() -> Vec<Found> {
        let mut all = vec![
            found("one", "'smoke'"),
            found("two", "'smoke', 'slow'"),
            found("three", ""),
        ];
        all.push(Found {
            name: "a/b/c/broken".into(),
            path: "broken.md".into(),
            fixture: Err(whole_file(Path::new("broken.md"), "it is").into()),
        });
        all
    }

    fn names(selection: Selection) -> Vec<String> {
        let selected = selection.of(all());
        selected
            .into_iter()
            .map(|found| found.name.trim_start_matches("a/b/c/").to_owned())
            .collect()
    }

    #[test]
    fn by_name() {
        let filters = vec!["tw".into(), "thr".into()];
        let selection = Selection {
            filters,
            ..Selection::default()
        };
        assert_eq!(names(selection), ["two", "three"]);
        assert_eq!(names(Selection::default()).len(), 4);
    }

    #[test]
    fn by_tag_and_a_broken_one_is_not_overlooked() {
        let tagged = |tags: &[&str]| {
            names(Selection {
                tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
                ..Selection::default()
            })
        };
        assert_eq!(tagged(&["smoke"]), ["one", "two", "broken"]);
        assert_eq!(tagged(&["smoke", "!slow"]), ["one", "broken"]);
        assert_eq!(tagged(&["!smoke"]), ["three", "broken"]);
    }

    #[test]
    fn a_shard_is_a_part_of_all_parts() {
        assert_eq!("2/5".parse(), Ok(Shard { number: 2, of: 5 }));
        for bad in ["", "2", "0/5", "6/5", "1/0", "a/b", "-1/2"] {
            assert!(bad.parse::<Shard>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_fixture_is_in_one_shard(of in 1u32..9, count in 0usize..30) {
            let mut seen = Vec::new();
            for number in 1..=of {
                let all = (0..count).map(|n| found(&format!("t{n}"), "")).collect();
                let selection = Selection { shard: Some(Shard { number, of }), ..Selection::default() };
                seen.extend(selection.of(all).into_iter().map(|found| found.name));
            }
            seen.sort();
            let mut expected: Vec<String> = (0..count).map(|n| format!("a/b/c/t{n}")).collect();
            expected.sort();
            prop_assert_eq!(seen, expected);
        }
    }
}
