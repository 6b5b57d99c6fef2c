use super::*;
use clap::Parser;
use proptest::prelude::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    brain: BrainArgs,
}

fn args(args: &[&str]) -> Result<BrainArgs, String> {
    let line = ["genius"].iter().chain(args);
    match Line::try_parse_from(line) {
        Ok(line) => Ok(line.brain),
        Err(e) => Err(e.to_string()),
    }
}

#[test]
fn a_size_is_bytes_or_a_number_with_a_unit() {
    for (text, bytes) in [
        ("1", 1),
        ("4000000000", 4_000_000_000),
        ("17B", 17),
        ("3KiB", 3 << 10),
        ("512MiB", 512 << 20),
        ("4GiB", 4 << 30),
        ("2TiB", 2 << 40),
        ("5kB", 5000),
        ("6MB", 6_000_000),
        ("4GB", 4_000_000_000),
        ("1TB", 1_000_000_000_000),
        ("4gib", 4 << 30),
        ("18446744073709551615", u64::MAX),
    ] {
        assert_eq!(size(text), Ok(bytes), "{text}");
    }
}

#[test]
fn what_is_no_size_says_what_one_is() {
    for (text, reason) in [
        ("", "4GiB"),
        ("GiB", "4GiB"),
        ("4G", "4GiB"),
        ("4 GiB", "4GiB"),
        ("4GiB ", "4GiB"),
        ("1.5GiB", "4GiB"),
        ("-1", "4GiB"),
        ("0x10", "4GiB"),
        ("٤GiB", "4GiB"),
        ("0", "more than 0"),
        ("0GiB", "more than 0"),
        ("18446744073709551616", "64 bits"),
        ("99999999TiB", "64 bits"),
    ] {
        let error = size(text).unwrap_err();
        assert!(error.contains(reason), "{text:?}: {error}");
    }
}

#[test]
fn a_number_out_of_range_is_refused() {
    for bad in [
        "--threads=0",
        "--threads=513",
        "--threads=many",
        "--context=0",
        "--context=4294967296",
        "--memory-limit=0",
    ] {
        assert!(args(&[bad]).is_err(), "{bad}");
    }
    let set = args(&["--threads=512", "--context=1", "--memory-limit=1GiB"]).unwrap();
    assert_eq!(
        (set.threads, set.context, set.memory_limit),
        (Some(512), Some(1), Some(1 << 30))
    );
}

#[test]
fn without_flags_the_engine_is_the_builds_own() {
    assert!(args(&[]).unwrap().engine().unwrap().is_none());
}

#[cfg(not(feature = "real-engine"))]
#[test]
fn where_nobody_heeds_a_flag_it_is_an_error() {
    for flag in ["--threads", "--context"] {
        let error = args(&[flag, "7"]).unwrap().engine().err().unwrap();
        assert!(error.starts_with(&format!("{flag} is for llama.cpp")));
    }
}

#[cfg(feature = "real-engine")]
#[test]
fn a_flag_sets_the_engine() {
    for flag in ["--threads", "--context"] {
        let engine = args(&[flag, "7"]).unwrap().engine().unwrap();
        assert_eq!(engine.unwrap().name(), "brain");
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>(), number in any::<u128>()) {
        let _ = size(&text);
        let _ = size(&format!("{number}TiB"));
    }
}
