use rusty_genius_core::Role;
use rusty_genius_core::fixture::{Call, FIXTURE_LIMIT, Fixture};
use std::path::{Component, Path};
use std::time::Duration;

/// A fixture's file ([`Fixture::parse`]).
///
/// Errors name a line that is there; what is read is in the ranges that its documentation
/// names, and can be asked; an expected call says the same when it is printed and read again.
pub fn fixture(bytes: &[u8]) {
    let fixture = match Fixture::parse("org/repo/Q4/test", Path::new("test.md"), bytes) {
        Ok(fixture) => fixture,
        Err(error) => {
            let lines = bytes.split(|&byte| byte == b'\n').count();
            let line = error.line.unwrap_or(0);
            assert!((1..=lines).contains(&line), "of {lines} lines: {error}");
            assert!(!error.reason.is_empty() && error.column != Some(0));
            return;
        }
    };
    assert!(bytes.len() as u64 <= FIXTURE_LIMIT);
    assert_eq!(fixture.model.id(), "org/repo:Q4");
    // A system turn if there is one, and then a turn for each prompt.
    let system = fixture
        .turns
        .iter()
        .take_while(|turn| turn.role == Role::System);
    let prompts = &fixture.turns[system.count().min(1)..];
    assert!((1..=64).contains(&prompts.len()) && prompts.len() == fixture.answers());
    for prompt in prompts {
        assert!(prompt.role == Role::User && !prompt.content.trim().is_empty());
    }
    for turn in &fixture.turns {
        let legal = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
        assert!(turn.content.chars().all(legal), "{:?}", turn.content);
    }
    if let Err(error) = fixture.config.build() {
        panic!("a config that cannot be: {error}");
    }
    let limits = fixture.limits;
    assert!(limits.timeout > Duration::ZERO && limits.timeout <= Duration::from_secs(3600));
    assert!(((1 << 20)..=(4096 << 20)).contains(&limits.memory));
    assert!(fixture.max_tokens() > 0 && fixture.expect.max_tokens != Some(0));
    for call in fixture.expect.calls.iter().flatten() {
        let printed = call.to_string();
        assert_eq!(printed.parse::<Call>().as_ref(), Ok(call), "{printed}");
    }
    assert!(fixture.expect.earlier.len() < prompts.len());
    for path in fixture.expect.files.keys() {
        let out = Path::new(path)
            .components()
            .any(|part| part == Component::ParentDir);
        assert!(!out && Path::new(path).is_relative(), "{path}");
    }
    assert!(fixture.retries.is_none_or(|retries| retries <= 10));
    let case = fixture.test_case();
    assert_eq!((case.turns, case.config), (fixture.turns, fixture.config));
}
