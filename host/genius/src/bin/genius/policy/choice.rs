//! Which policy a word of the command line means.

use super::Failure;
use rusty_genius::Policies;
use rusty_genius::core::CortexStrategy;
use rusty_genius::sandbox::{PolicyGuest, PolicyOptions};
use rusty_genius::stem::{Policy, StrategyPolicy};
use std::time::Duration;

/// Processor time of a step. Much more than a host gives, so that a machine that is busy with
/// other things changes nothing.
const STEP: Duration = Duration::from_secs(2);
const NATIVE: &str = "native";
const NATIVE_HINT: &str =
    "there are native, native:immediate, native:keep-alive and native:hibernate-after=5m";

/// A policy, chosen.
pub(super) enum Choice {
    Native(StrategyPolicy),
    /// A component's file or built-in name, and settings for it.
    Guest(String, Vec<(String, String)>),
}

impl Choice {
    /// Understands a word.
    pub(super) fn parse(word: &str) -> Result<Self, Failure> {
        if let Some(rest) = word.strip_prefix(NATIVE) {
            if rest.is_empty() {
                return Ok(Self::Native(StrategyPolicy::default()));
            }
            if let Some(strategy) = rest.strip_prefix(':') {
                let strategy = native(strategy).ok_or_else(|| Failure::Usage {
                    wrong: format!("{word} is no native policy"),
                    hint: NATIVE_HINT,
                })?;
                return Ok(Self::Native(StrategyPolicy::always(strategy)));
            }
        }
        let colons = word.match_indices(':').map(|(at, _)| at);
        let mut ends = colons.filter(|at| key(&word[at + 1..]).is_some());
        Ok(match ends.next() {
            Some(at) => Self::Guest(word[..at].to_owned(), settings(&word[at + 1..])),
            None => Self::Guest(word.to_owned(), Vec::new()),
        })
    }

    /// The policy, new.
    pub(super) fn load(&self, policies: &Policies) -> Result<Box<dyn Policy>, Failure> {
        Ok(match self {
            Self::Native(policy) => Box::new(*policy),
            Self::Guest(name, settings) => Box::new(guest(name, settings, policies)?),
        })
    }
}

/// Loads a policy that is a guest. It may ask for prompts: there are none here.
fn guest(
    name: &str,
    settings: &[(String, String)],
    policies: &Policies,
) -> Result<PolicyGuest, Failure> {
    let options = PolicyOptions {
        deadline: STEP,
        settings: settings.to_vec(),
        prompts: true,
    };
    Ok(policies.load(name, options)?)
}

fn native(strategy: &str) -> Option<CortexStrategy> {
    match strategy {
        "immediate" => Some(CortexStrategy::Immediate),
        "keep-alive" => Some(CortexStrategy::KeepAlive),
        other => {
            let ttl = other.strip_prefix("hibernate-after=")?;
            let ttl = humantime::parse_duration(ttl).ok()?;
            Some(CortexStrategy::HibernateAfter(ttl))
        }
    }
}

/// The key that a text begins with, if `=` follows it.
fn key(text: &str) -> Option<&str> {
    let (key, _) = text.split_once('=')?;
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    (!key.is_empty() && key.chars().all(legal)).then_some(key)
}

/// Keys and values with commas between them. What begins with no key goes on with the value
/// before.
fn settings(text: &str) -> Vec<(String, String)> {
    let mut settings: Vec<(String, String)> = Vec::new();
    for part in text.split(',') {
        match (key(part), settings.last_mut()) {
            (None, Some((_, value))) => {
                value.push(',');
                value.push_str(part);
            }
            (key, _) => {
                let key = key.unwrap_or_default();
                let value = part.get(key.len() + 1..).unwrap_or_default();
                settings.push((key.to_owned(), value.to_owned()));
            }
        }
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guest(word: &str) -> (String, Vec<(String, String)>) {
        match Choice::parse(word) {
            Ok(Choice::Guest(name, settings)) => (name, settings),
            _ => panic!("{word} is a guest"),
        }
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let pairs = pairs.iter();
        pairs.map(|(k, v)| ((*k).into(), (*v).into())).collect()
    }

    #[test]
    fn settings_stand_after_the_name() {
        assert_eq!(guest("lru"), ("lru".into(), vec![]));
        assert_eq!(guest("C:\\mine.wasm"), ("C:\\mine.wasm".into(), vec![]));
        assert_eq!(guest("./a.wasm:b=c:d=e").1, pairs(&[("b", "c:d=e")]));
        let router = pairs(&[("small", "org/a:Q4_K_M on brain"), ("max-tokens", "")]);
        let word = "router:small=org/a:Q4_K_M on brain,max-tokens=";
        assert_eq!(guest(word), ("router".into(), router));
        let keep = pairs(&[("keep", "a, b on c,d"), ("x", "1")]);
        assert_eq!(guest("policy/lru:keep=a, b on c,d,x=1").1, keep);
    }

    #[test]
    fn the_native_policies_have_their_names() {
        for word in [
            "native",
            "native:immediate",
            "native:keep-alive",
            "native:hibernate-after=90s",
        ] {
            assert!(
                matches!(Choice::parse(word), Ok(Choice::Native(_))),
                "{word}"
            );
        }
        for word in ["native:", "native:lru", "native:hibernate-after=soon"] {
            let wrong = Choice::parse(word);
            assert!(matches!(wrong, Err(Failure::Usage { .. })), "{word}");
        }
        assert_eq!(guest("native.wasm").0, "native.wasm");
    }
}
