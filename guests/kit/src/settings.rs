use std::str::FromStr;

/// The operator's settings of a policy.
pub struct Settings(Vec<(String, String)>);

impl Settings {
    /// Refuses keys that are not among the `known` ones, and keys that come twice.
    pub fn read(settings: Vec<(String, String)>, known: &[&str]) -> Result<Self, String> {
        for (at, (key, _)) in settings.iter().enumerate() {
            if !known.contains(&&**key) {
                return Err(match known {
                    [] => format!("there is no setting {key:?}: this policy has none"),
                    _ => format!("there is no setting {key:?}, only {}", known.join(", ")),
                });
            }
            if settings.iter().take(at).any(|(earlier, _)| earlier == key) {
                return Err(format!("the setting `{key}` is given twice"));
            }
        }
        Ok(Self(settings))
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(known, _)| known == key)?;
        Some(value)
    }

    /// A whole number, `least` or more; `default` if the operator says nothing.
    pub fn number<N>(&self, key: &str, default: N, least: N) -> Result<N, String>
    where
        N: FromStr + PartialOrd + std::fmt::Display,
    {
        let Some(value) = self.get(key) else {
            return Ok(default);
        };
        match value.parse() {
            Ok(number) if number >= least => Ok(number),
            _ => Err(bad(key, value, &format!("a whole number, {least} or more"))),
        }
    }
}

/// What is wrong with a value, for the operator.
pub fn bad(key: &str, value: &str, expected: &str) -> String {
    format!("the setting `{key}` is {value:?}; expected: {expected}")
}
