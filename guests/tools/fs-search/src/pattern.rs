//! Texts and simple globs.

/// What a name or a line is compared with.
#[derive(Debug, PartialEq, Eq)]
pub enum Pattern {
    /// Stands anywhere in it.
    Text(String),
    /// Matches it as a whole: `*` is any characters, `?` is one.
    Glob(Vec<char>),
}

impl Pattern {
    pub fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    /// A glob, or a text if nothing in it stands for something else.
    pub fn glob(text: &str) -> Self {
        if text.contains(['*', '?']) {
            return Self::Glob(text.chars().collect());
        }
        Self::text(text)
    }

    /// Where it begins in the name or line, in bytes.
    pub fn find(&self, text: &str) -> Option<usize> {
        match self {
            Self::Text(pattern) => text.find(pattern),
            Self::Glob(pattern) => matches(pattern, text).then_some(0),
        }
    }
}

/// Takes as long as both are, multiplied, and no longer: of several `*` only the last is
/// ever tried again.
fn matches(pattern: &[char], text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(c) = text.get(t) {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some('?') => (p, t) = (p + 1, t + 1),
            Some(same) if same == c => (p, t) = (p + 1, t + 1),
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    (p, t) = (at + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn a_text_is_found_anywhere_and_a_glob_as_a_whole() {
        assert_eq!(Pattern::glob("read").find("a readme"), Some(2));
        assert_eq!(Pattern::glob("read").find("a README"), None);
        for (glob, yes, no) in [
            ("*.md", "a.md", "a.mdx"),
            ("a*", "abc", "ba"),
            ("*", "", "\0"),
            ("a?c", "aéc", "ac"),
            ("*a*b*", "xxaxxbxx", "xxbxxaxx"),
            ("**x", "x", "y"),
            ("?", "é", "ab"),
        ] {
            assert!(Pattern::glob(glob).find(yes).is_some(), "{glob} {yes}");
            assert!(
                no == "\0" || Pattern::glob(glob).find(no).is_none(),
                "{glob} {no}"
            );
        }
    }

    #[test]
    fn in_contents_nothing_stands_for_something_else() {
        assert_eq!(Pattern::text("a*").find("ab"), None);
        assert_eq!(Pattern::text("a*").find("xa*"), Some(1));
    }

    #[test]
    fn many_stars_take_no_longer() {
        let glob = "*a".repeat(500) + "b";
        assert_eq!(Pattern::glob(&glob).find(&"a".repeat(4000)), None);
    }
}
