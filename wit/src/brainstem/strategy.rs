//! What happens to a model that nobody uses.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::time::Duration;

/// What happens to a model once nobody uses it.
///
/// In TOML: `"immediate"`, `"keep-alive"`, or `{ hibernate-after = "5m" }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CortexStrategy {
    /// Unload at once.
    Immediate,
    /// Hibernate when it was idle for so long: unload it, its sessions saved where the engine
    /// can.
    HibernateAfter(Duration),
    /// Keep until the host ends.
    KeepAlive,
}

impl Default for CortexStrategy {
    /// Five minutes, as other local hosts do.
    fn default() -> Self {
        Self::HibernateAfter(Duration::from_secs(300))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum StrategyText {
    Immediate,
    HibernateAfter(String),
    KeepAlive,
}

impl Serialize for CortexStrategy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Immediate => StrategyText::Immediate,
            Self::HibernateAfter(ttl) => {
                StrategyText::HibernateAfter(humantime::format_duration(*ttl).to_string())
            }
            Self::KeepAlive => StrategyText::KeepAlive,
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for CortexStrategy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match StrategyText::deserialize(deserializer)? {
            StrategyText::Immediate => Self::Immediate,
            StrategyText::KeepAlive => Self::KeepAlive,
            StrategyText::HibernateAfter(text) => Self::HibernateAfter(
                humantime::parse_duration(&text)
                    .map_err(|e| D::Error::custom(format!("{text:?} is no duration: {e}")))?,
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Holder {
        strategy: CortexStrategy,
    }

    #[test]
    fn strategies_as_people_write_them() {
        for (text, strategy) in [
            ("strategy = 'immediate'", CortexStrategy::Immediate),
            ("strategy = 'keep-alive'", CortexStrategy::KeepAlive),
            (
                "strategy = { hibernate-after = '1m 30s' }",
                CortexStrategy::HibernateAfter(Duration::from_secs(90)),
            ),
        ] {
            let holder: Holder = toml::from_str(text).unwrap();
            assert_eq!(holder.strategy, strategy);
            let again: Holder = toml::from_str(&toml::to_string(&holder).unwrap()).unwrap();
            assert_eq!(again, holder);
        }
    }

    #[test]
    fn a_bad_duration_is_named() {
        let error =
            toml::from_str::<Holder>("strategy = { hibernate-after = 'soon' }").unwrap_err();
        assert!(error.message().contains("soon"), "{error}");
    }
}
