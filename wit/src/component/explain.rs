use super::{CONTRACT, Path};

/// What an import means for whoever runs the component, in plain words: what the component
/// does with it, and whether it is ever granted. `name` is the import's, with or without a
/// version: `wasi:filesystem/types@0.2.6`.
///
/// It says what an interface is for. What a run is granted, the run's manifest says.
pub fn explain(name: &str) -> &'static str {
    let Some(Path {
        package, interface, ..
    }) = Path::of(name)
    else {
        return "calls a bare function: no host gives it";
    };
    match package {
        CONTRACT => contract(interface),
        "wasi:cli" => cli(interface),
        "wasi:clocks" => match interface {
            "wall-clock" | "system-clock" => "reads the time of day",
            "monotonic-clock" => "measures time, and waits",
            "timezone" => "asks for the time zone",
            _ => "uses a clock",
        },
        "wasi:filesystem" => match interface {
            "preopens" => "asks which directories it is granted",
            _ => "reads and writes files in the directories it is granted",
        },
        "wasi:io" => match interface {
            "error" => "learns why reading or writing failed",
            "poll" => "waits for several things at once",
            _ => "reads and writes the streams it was given",
        },
        "wasi:random" => match interface {
            "random" => "draws random numbers",
            _ => "draws random numbers that need not be secret",
        },
        "wasi:sockets" => "opens sockets: never granted",
        "wasi:http" => "speaks HTTP: never granted",
        _ if package.starts_with("wasi:") => "uses a part of WASI that no host of this kind gives",
        _ => "uses an interface that this host does not know",
    }
}

fn contract(interface: &str) -> &'static str {
    match interface {
        "types" => "shares the words of the contract: gives nothing by itself",
        "cortex" => "asks models",
        "cortex-blocking" => "asks models, and waits for each answer",
        "facecrab" => "has model files fetched, and asks which are installed",
        "reply" => "says its answer to whoever runs it",
        "journal" => "keeps notes in the record of the run",
        "tools" => "calls the tools it is granted",
        "tools-blocking" => "calls the tools it is granted, and waits for each answer",
        "scenarios" => "shares the words of test scenarios: gives nothing by itself",
        "brainstem" => "sees the queue and the models, and says which run: only policies get it",
        _ => "uses an interface that the contract does not have",
    }
}

fn cli(interface: &str) -> &'static str {
    match interface {
        "environment" => "reads its arguments, and the environment variables it is granted",
        "exit" => "ends itself",
        "run" => "runs as a command",
        "stdin" => "reads standard input, if that is granted",
        "stdout" => "writes to standard output, if that is granted",
        "stderr" => "writes to standard error, if that is granted",
        _ if interface.starts_with("terminal-") => "asks whether a person sits at a terminal",
        _ => "uses the command line",
    }
}
