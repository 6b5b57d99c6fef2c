//! Chat templates: a conversation as the text a model was trained to continue.
//!
//! A GGUF file brings its template, written in Jinja for Hugging Face's
//! `apply_chat_template`; [`ChatTemplate`] renders it with the same variables and functions.
//! The template is a stranger's program and the conversation a stranger's text:
//!
//! * A rendering ends after a number of instructions, and makes a bounded amount of text
//!   ([`guard`], [`runtime`]).
//! * No content can spell a special token ([`seal`]).

mod guard;
mod runtime;
mod seal;
#[cfg(test)]
mod tests;

use minijinja::{Value, context};
use runtime::Raised;
use rusty_genius_core::{Role, Turn};
use seal::{Seals, Specials};
use std::io::{self, Write};
use std::sync::{Arc, PoisonError};
use std::thread;

/// Longest template, bytes.
pub(crate) const SOURCE_BYTES_LIMIT: usize = 256 << 10;

/// ChatML, for models that bring no template.
const CHATML: &str = "{% for message in messages %}<|im_start|>{{ message['role'] }}\n\
    {{ message['content'] }}<|im_end|>\n{% endfor %}\
    {% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

/// Instructions for a rendering, and more for each turn.
const FUEL: u64 = 100_000;
const FUEL_PER_TURN: u64 = 1_000;
/// Bytes that a rendering may make or look through, and more for each byte of input.
const WORK_BYTES: u64 = 32 << 20;
const WORK_PER_BYTE: u64 = 64;
/// Bytes of a prompt beyond 8 times the input.
const OUTPUT_BYTES: usize = 1 << 20;
/// Address space for the parser and the renderer, which recurse; only what they use is taken.
const STACK_BYTES: usize = 32 << 20;

const THOUGHT: &str = "<think>";
const THOUGHT_END: &str = "</think>";

/// A chat template that parses.
pub(crate) struct ChatTemplate {
    /// After [`guard::guard`].
    source: String,
    bos: String,
    eos: String,
    specials: Specials,
}

/// A conversation as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prompt {
    /// The text, in order; none is empty, and no two neighbours are of one kind.
    pub(crate) parts: Vec<Part>,
    /// Whether the template itself opens a thought (`<think>`) that the answer closes.
    pub(crate) in_thought: bool,
    /// Whether the text begins with the text of the token that begins a document; the
    /// tokeniser must not add another then.
    pub(crate) has_bos: bool,
}

/// Text to tokenise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// The text.
    pub(crate) text: String,
    /// Whether texts of special tokens in it are these tokens.
    pub(crate) special: bool,
}

impl ChatTemplate {
    /// A model's template: `source` in Jinja, ChatML where there is none; `bos` and `eos`,
    /// the texts of those tokens, which may be empty; and `specials`, the texts of all
    /// control and user-defined tokens, which no content shall spell (see [`Specials::new`]
    /// for whitespace).
    ///
    /// Fails where the template is longer than [`SOURCE_BYTES_LIMIT`] or does not parse.
    pub(crate) fn new(
        source: Option<&str>,
        bos: &str,
        eos: &str,
        specials: &[String],
    ) -> Result<Self, String> {
        let source = source.unwrap_or(CHATML);
        if source.len() > SOURCE_BYTES_LIMIT {
            let length = source.len();
            return Err(format!(
                "the chat template has {length} bytes, the limit is {SOURCE_BYTES_LIMIT}"
            ));
        }
        let guarded = on_own_stack(|| {
            let guarded = guard::guard(source)?;
            runtime::environment(0, 0, Raised::default())
                .template_from_str(&guarded)
                .map_err(|e| e.to_string())?;
            Ok(guarded)
        });
        Ok(Self {
            source: guarded.map_err(|e| format!("the chat template does not parse: {e}"))?,
            bos: bos.to_owned(),
            eos: eos.to_owned(),
            specials: Specials::new(specials),
        })
    }

    /// The conversation as text, up to where the assistant's answer begins.
    ///
    /// Templates see `messages` (each with `role` and `content`), `bos_token`, `eos_token`,
    /// `add_generation_prompt` (true) and `tools` (none), and may call `raise_exception` and
    /// `strftime_now`, whose now is a fixed day. Where a template raises an exception, it is
    /// tried again, in this order, and the first prompt it makes is taken:
    ///
    /// * with turns of one role in a row made one (“roles must alternate”),
    /// * with the system's turns put before the first user turn's content (“system role not
    ///   supported”),
    /// * with both;
    ///
    /// joined texts have a blank line between them.
    ///
    /// A special text in a content becomes a [`Part`] that is not special. The exception are
    /// `<think>` and `</think>` in an assistant's turn, which templates look for to leave
    /// earlier thoughts out.
    ///
    /// Fails, with what the template said, where it raises an exception each time, uses what
    /// there is not, or passes a limit: 100 000 instructions and 1000 for each turn, 32 MiB
    /// of intermediate text and 64 times the input, a prompt of 1 MiB and 8 times the input.
    pub(crate) fn render(&self, turns: &[Turn]) -> Result<Prompt, String> {
        let failure = match self.try_render(turns) {
            Ok(prompt) => return Ok(prompt),
            Err(Failure {
                raised: false,
                said,
            }) => return Err(said),
            Err(failure) => failure,
        };
        let folded = fold_system(turns);
        for other in [merge(turns), folded.clone(), merge(&folded)] {
            if other != turns
                && let Ok(prompt) = self.try_render(&other)
            {
                return Ok(prompt);
            }
        }
        Err(failure.said)
    }

    fn try_render(&self, turns: &[Turn]) -> Result<Prompt, Failure> {
        let texts = [&*self.source, &self.bos, &self.eos];
        let contents = turns.iter().map(|turn| &*turn.content);
        let mut seals = Seals::apart_from(texts.into_iter().chain(contents));
        let messages = turns
            .iter()
            .map(|turn| {
                let exempt: &[&str] = match turn.role {
                    Role::Assistant => &[THOUGHT, THOUGHT_END],
                    _ => &[],
                };
                let content = seals.close(&turn.content, &self.specials, exempt)?;
                Ok(context! { role => role(turn.role), content => content })
            })
            .collect::<Result<Vec<Value>, String>>()?;
        let text = self.run(messages, turns)?;
        let parts = seals.open(&text);
        let first = parts.first().filter(|part| part.special);
        let last = parts.iter().rev().find(|part| !part.text.trim().is_empty());
        let is_content = |turn: &Turn| turn.content.trim_end().ends_with(THOUGHT);
        Ok(Prompt {
            in_thought: last
                .is_some_and(|part| part.special && part.text.trim_end().ends_with(THOUGHT))
                && !turns.last().is_some_and(is_content),
            has_bos: !self.bos.is_empty()
                && first.is_some_and(|part| part.text.starts_with(&self.bos)),
            parts,
        })
    }

    fn run(&self, messages: Vec<Value>, turns: &[Turn]) -> Result<String, Failure> {
        let input: usize = turns.iter().map(|turn| turn.content.len() + 64).sum();
        let work = WORK_BYTES.saturating_add(WORK_PER_BYTE.saturating_mul(input as u64));
        let fuel = FUEL.saturating_add(FUEL_PER_TURN.saturating_mul(turns.len() as u64));
        let raised = Raised::default();
        let result = on_own_stack(|| {
            let env = runtime::environment(work, fuel, Arc::clone(&raised));
            let mut out = Bounded {
                text: Vec::new(),
                most: input.saturating_mul(8).saturating_add(OUTPUT_BYTES),
            };
            let context = context! {
                messages => messages,
                bos_token => self.bos,
                eos_token => self.eos,
                add_generation_prompt => true,
                tools => (),
            };
            env.template_from_str(&self.source)
                .and_then(|template| template.render_captured_to(context, &mut out).map(|_| ()))
                .map_err(|e| e.to_string())?;
            String::from_utf8(out.text).map_err(|e| e.to_string())
        });
        result.map_err(|e| {
            let raised = raised.lock().unwrap_or_else(PoisonError::into_inner).take();
            Failure {
                said: match &raised {
                    Some(said) => format!("the chat template says: {said}"),
                    None => format!("the chat template fails: {e}"),
                },
                raised: raised.is_some(),
            }
        })
    }
}

/// Why there is no prompt, and whether the template meant to.
struct Failure {
    said: String,
    raised: bool,
}

impl From<String> for Failure {
    fn from(said: String) -> Self {
        let raised = false;
        Self { said, raised }
    }
}

/// Text up to a limit, bytes.
struct Bounded {
    text: Vec<u8>,
    most: usize,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.text.len().saturating_add(bytes.len()) <= self.most {
            true => {
                self.text.extend_from_slice(bytes);
                Ok(bytes.len())
            }
            false => Err(io::Error::other(format!(
                "the prompt is over {} bytes long",
                self.most
            ))),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs what recurses with the source, where the caller's stack may be a small one.
fn on_own_stack<T: Send>(work: impl FnOnce() -> Result<T, String> + Send) -> Result<T, String> {
    thread::scope(|scope| {
        thread::Builder::new()
            .name("chat-template".into())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, work)
            .map_err(|e| e.to_string())?
            .join()
            .unwrap_or_else(|_| Err("the renderer panicked".into()))
    })
}

fn role(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    }
}

/// Turns of one role in a row as one turn; results of tools stay apart.
fn merge(turns: &[Turn]) -> Vec<Turn> {
    let mut merged: Vec<Turn> = Vec::new();
    for turn in turns {
        match merged.last_mut() {
            Some(last) if last.role == turn.role && turn.role != Role::Tool => {
                last.content = format!("{}\n\n{}", last.content, turn.content);
            }
            _ => merged.push(turn.clone()),
        }
    }
    merged
}

/// The system's turns before the content of the first user turn, which is made if need be.
fn fold_system(turns: &[Turn]) -> Vec<Turn> {
    let (system, mut rest): (Vec<Turn>, Vec<Turn>) = turns
        .iter()
        .cloned()
        .partition(|turn| turn.role == Role::System);
    if system.is_empty() {
        return rest;
    }
    let system: Vec<String> = system.into_iter().map(|turn| turn.content).collect();
    let system = system.join("\n\n");
    match rest.iter_mut().find(|turn| turn.role == Role::User) {
        Some(user) => user.content = format!("{system}\n\n{}", user.content),
        None => rest.insert(0, Turn::user(system)),
    }
    rest
}
