//! Cassettes: what a fixture's run asked of its model and what came back, in a file.
//!
//! One JSON object a line. The first tells what was recorded (`cassette`); then come the
//! requests (`request`), each followed by its answer: `event` for each event of a generation
//! with its time in microseconds since the request, `tokens`, `embedding`, or `failed`.

use crate::aside;
use rusty_genius_core::EngineError;
use rusty_genius_sandbox::{Answer, Exchange, Request, Timed};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The format this writes, and the only one it reads.
const VERSION: u32 = 1;
/// Largest cassette, bytes: 64 MiB.
const SIZE_LIMIT: u64 = 64 << 20;

/// A recorded run.
#[derive(Debug, Clone, PartialEq)]
pub struct Cassette {
    /// What was recorded.
    pub header: Header,
    /// Its requests and their answers, in the order of the requests.
    pub exchanges: Vec<Exchange>,
}

/// What was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Header {
    /// The format: 1.
    pub version: u32,
    /// The fixture.
    pub fixture: String,
    /// The model, by its canonical name.
    pub model: String,
    /// The engine that answered.
    pub engine: String,
    /// The sha256 of the model's files; none where the engine takes none.
    pub digests: Vec<String>,
    /// When, as RFC 3339 has it.
    pub recorded: String,
}

impl Header {
    /// A header of this format.
    pub(crate) fn new(fixture: &str, model: String, engine: &str, digests: Vec<String>) -> Self {
        let now = humantime::format_rfc3339_seconds(std::time::SystemTime::now());
        Self {
            version: VERSION,
            fixture: fixture.to_owned(),
            model,
            engine: engine.to_owned(),
            digests,
            recorded: now.to_string(),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    Cassette(Header),
    Request(Request),
    Event(Timed),
    Tokens(u32),
    Embedding(Vec<f32>),
    Failed(EngineError),
}

/// Where the cassette of a fixture is.
pub fn path(dir: &Path, fixture: &str) -> PathBuf {
    dir.join(format!("{fixture}.jsonl"))
}

impl Cassette {
    /// Reads a cassette. The error says what is wrong, and on which line.
    pub fn read(file: &Path) -> Result<Self, String> {
        let open = || -> io::Result<(u64, File)> {
            // A pipe would wait for ever.
            let metadata = std::fs::metadata(file)?;
            if !metadata.is_file() {
                return Err(io::Error::other("it is not a regular file"));
            }
            Ok((metadata.len(), File::open(file)?))
        };
        let (size, opened) = open().map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => "there is no cassette; record one with --record".into(),
            _ => e.to_string(),
        })?;
        if size > SIZE_LIMIT {
            return Err(format!(
                "it has {size} bytes, and a cassette at most {SIZE_LIMIT}"
            ));
        }
        let mut text = String::new();
        opened
            .take(SIZE_LIMIT)
            .read_to_string(&mut text)
            .map_err(|e| e.to_string())?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut lines = text.lines().zip(1..).map(|(line, number)| {
            let read: Result<Line, _> = serde_json::from_str(line);
            read.map(|line| (line, number))
                .map_err(|e| format!("line {number} is none of a cassette: {e}"))
        });
        let header = match lines.next().transpose()? {
            Some((Line::Cassette(header), _)) => header,
            _ => return Err("the first line does not say what was recorded".into()),
        };
        if header.version != VERSION {
            let version = header.version;
            return Err(format!(
                "it is of version {version}, and this reads {VERSION}; record it anew"
            ));
        }
        let mut exchanges: Vec<Exchange> = Vec::new();
        for line in lines {
            let (line, number) = line?;
            let line = match line {
                Line::Cassette(_) => {
                    return Err(format!("line {number} begins another cassette"));
                }
                Line::Request(request) => {
                    let answer = Answer::Events(Vec::new());
                    exchanges.push(Exchange { request, answer });
                    continue;
                }
                line => line,
            };
            let Some(exchange) = exchanges.last_mut() else {
                return Err(format!("line {number} answers no request"));
            };
            match (line, &mut exchange.answer) {
                (Line::Event(event), Answer::Events(events)) => events.push(event),
                (Line::Tokens(tokens), answer) => *answer = Answer::Tokens(tokens),
                (Line::Embedding(vector), answer) => *answer = Answer::Embedding(vector),
                (Line::Failed(error), answer) => *answer = Answer::Failed(error),
                _ => return Err(format!("line {number} answers no generation")),
            }
        }
        Ok(Self { header, exchanges })
    }

    /// Writes the cassette, whole or not at all.
    pub fn write(&self, file: &Path) -> io::Result<()> {
        aside::write(file, self.text()?.as_bytes())
    }

    fn text(&self) -> io::Result<String> {
        let mut text = String::new();
        let mut line = |line: &Line| -> io::Result<()> {
            text.push_str(&serde_json::to_string(&without_nulls(line)?)?);
            text.push('\n');
            Ok(())
        };
        line(&Line::Cassette(self.header.clone()))?;
        for Exchange { request, answer } in &self.exchanges {
            line(&Line::Request(request.clone()))?;
            match answer {
                Answer::Events(events) => {
                    for event in events {
                        line(&Line::Event(event.clone()))?;
                    }
                }
                Answer::Tokens(tokens) => line(&Line::Tokens(*tokens))?,
                Answer::Embedding(vector) => line(&Line::Embedding(vector.clone()))?,
                Answer::Failed(error) => line(&Line::Failed(error.clone()))?,
            }
        }
        Ok(text)
    }
}

/// As JSON, without what is not set.
fn without_nulls(value: &impl Serialize) -> serde_json::Result<Value> {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(map) => {
                map.retain(|_, value| !value.is_null());
                map.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut value = serde_json::to_value(value)?;
    strip(&mut value);
    Ok(value)
}

/// A request as people compare it: JSON, a value a line, texts broken where they break.
pub(crate) fn pretty(request: &Request) -> String {
    let value = without_nulls(request).unwrap_or_default();
    let text = serde_json::to_string_pretty(&value).unwrap_or_default();
    // A prompt of many lines is compared line by line.
    text.replace("\\n", "\\n\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rusty_genius_core::{
        Completion, FinishReason, InferenceEvent, Logprobs, PartialConfig, ThoughtEvent,
        TokenLogprob, Turn, Usage,
    };

    fn cassette() -> Cassette {
        let mut config = PartialConfig::default();
        config.behavior.max_tokens = Some(8);
        config.sampling.temperature = Some(0.1);
        config.sampling.seed = Some(u64::MAX);
        let events = [
            InferenceEvent::ProcessStart,
            InferenceEvent::Thought(ThoughtEvent::Start),
            InferenceEvent::thought("hm\n\u{202e}\0"),
            InferenceEvent::Thought(ThoughtEvent::Stop),
            InferenceEvent::Logprobs(Logprobs {
                chosen: TokenLogprob {
                    token: 7,
                    bytes: vec![0xc3],
                    logprob: -0.1,
                },
                top: vec![],
            }),
            InferenceEvent::content("Narf!"),
            InferenceEvent::Complete(Completion {
                usage: Usage {
                    completion_tokens: 3,
                    ..Usage::default()
                },
                finish: FinishReason::Stop,
            }),
        ];
        let events = events
            .into_iter()
            .zip(0..)
            .map(|(event, at)| Timed { at, event });
        Cassette {
            header: Header::new("a/b/c/d", "a/b:c".into(), "pinky", vec!["00".into()]),
            exchanges: vec![
                Exchange {
                    request: Request::Infer {
                        session: 0,
                        model: "a/b:c".into(),
                        turns: vec![Turn::user("Hello\nyou")],
                        config: Box::new(config),
                    },
                    answer: Answer::Events(events.collect()),
                },
                Exchange {
                    request: Request::CountTokens {
                        model: String::new(),
                        text: "x".into(),
                    },
                    answer: Answer::Tokens(1),
                },
                Exchange {
                    request: Request::Embed {
                        model: String::new(),
                        text: "x".into(),
                    },
                    answer: Answer::Embedding(vec![0.25, -1.5e-7]),
                },
                Exchange {
                    request: Request::Embed {
                        model: String::new(),
                        text: "y".into(),
                    },
                    answer: Answer::Failed(EngineError::ContextOverflow {
                        needed: 9,
                        limit: 8,
                    }),
                },
            ],
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let text = cassette().text().unwrap();
        assert_eq!(Cassette::parse(&text), Ok(cassette()));
        assert!(!text.contains("null"), "{text}");
        assert_eq!(text.lines().count(), 1 + 4 + 7 + 3);
    }

    #[test]
    fn a_line_that_is_none_is_told_by_its_number() {
        let text = cassette().text().unwrap();
        let wrong = |text: &str| Cassette::parse(text).unwrap_err();
        assert!(wrong("").contains("first line"));
        assert!(wrong("{}").contains("line 1"));
        assert!(wrong(&text.replace("\"version\":1", "\"version\":2")).contains("record it anew"));
        assert!(wrong(&format!("{text}{{\"evnt\":1}}")).contains("line 16"));
        let header = text.lines().next().unwrap();
        assert!(wrong(&format!("{header}\n{{\"tokens\":1}}")).contains("line 2 answers no"));
        assert!(wrong(&format!("{text}{header}")).contains("another cassette"));
    }

    #[test]
    fn a_long_prompt_is_compared_line_by_line() {
        let shown = pretty(&cassette().exchanges[0].request);
        assert!(shown.contains("\"content\": \"Hello\\n\nyou\""), "{shown}");
    }

    proptest! {
        #[test]
        fn a_cassette_cut_anywhere_is_read_or_refused(at in any::<prop::sample::Index>()) {
            let text = cassette().text().unwrap();
            let cut = text.floor_char_boundary(at.index(text.len()));
            let _ = Cassette::parse(&text[..cut]);
        }
    }
}
