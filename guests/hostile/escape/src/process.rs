//! What a process inherits: words, variables, streams, other programs.

use crate::report::Report;
use std::env;
use std::io::{self, Read, Write};
use std::process::Command;

pub fn try_all(report: &mut Report) {
    let variables: Vec<String> = env::vars_os()
        .map(|(name, _)| name.to_string_lossy().into_owned())
        .collect();
    report.empty("environment variables", &variables);

    let words: Vec<String> = env::args_os()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    report.empty("the process's arguments", &words);

    let mut input = Vec::new();
    // An error and an empty stream are as good.
    let _ = io::stdin().take(64).read_to_end(&mut input);
    let input: Vec<String> = (!input.is_empty())
        .then(|| format!("{} bytes", input.len()))
        .into_iter()
        .collect();
    report.empty("read stdin", &input);

    // Whether this shows on the terminal only the host can tell; it must not trap.
    let printed = writeln!(io::stdout(), "escape: printed to stdout")
        .and_then(|()| writeln!(io::stderr(), "escape: printed to stderr"));
    match printed {
        Ok(()) => report.empty("print", &[]),
        Err(e) => report.refused("print", Err::<(), _>(e), |()| String::new()),
    }

    report.refused("start a program", Command::new("/bin/sh").spawn(), |_| {
        "a process".into()
    });
}
