//! A device that computes nothing, and notices everything.

use crate::brain::device::{DecodeError, Device, Entry, Limits, Prompt, Sequence, Token};
use crate::brain::engine::Info;
use crate::brain::scribe::Scribe;
use crate::constraint::{TokenText, Vocabulary};
use rusty_genius_core::Turn;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// The token that ends a turn; those below are bytes.
pub(super) const END: Token = 256;
const VOCABULARY: usize = 257;

/// A device whose logits are a function of all tokens of the sequence, in order: whoever
/// mixes up two sequences, loses a token or reads one twice gets another answer.
pub(super) struct Pretend {
    limits: Limits,
    /// Tokens the cache has room for. Shared ones count once.
    cells: usize,
    /// Each token has an id of its own, so that shared ones can be told.
    sequences: Vec<Vec<(u64, Token)>>,
    ids: u64,
    rows: Vec<Vec<f32>>,
    /// All steps so far.
    pub(super) steps: Vec<Vec<Entry>>,
    /// The next step fails with this.
    pub(super) fault: Option<String>,
    /// The next step is its last.
    pub(super) panics: bool,
}

/// What a device is asked to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) context: usize,
    pub(super) sequences: usize,
    pub(super) batch: usize,
    pub(super) cells: usize,
    pub(super) cuts: bool,
}

/// Room for everything a test does.
pub(super) const ROOMY: Shape = Shape {
    context: 512,
    sequences: 32,
    batch: 64,
    cells: 8192,
    cuts: true,
};

impl Pretend {
    pub(super) fn new(shape: Shape) -> Self {
        Self {
            limits: Limits {
                context: shape.context,
                sequences: shape.sequences,
                batch: shape.batch,
                cuts: shape.cuts,
                writes: true,
            },
            cells: shape.cells,
            sequences: vec![Vec::new(); shape.sequences],
            ids: 0,
            rows: Vec::new(),
            steps: Vec::new(),
            fault: None,
            panics: false,
        }
    }

    /// How much of the cache is taken.
    pub(super) fn used(&self) -> usize {
        let ids: BTreeSet<_> = self.sequences.iter().flatten().map(|(id, _)| id).collect();
        ids.len()
    }

    pub(super) fn info() -> Info {
        Info {
            memory: 1000,
            context: 512,
        }
    }
}

/// The tokens of a conversation.
pub(super) fn prompt(conversation: &[Turn]) -> Vec<Token> {
    let line = |turn: &Turn| format!("{:?}: {}\n", turn.role, turn.content);
    let text: String = conversation.iter().map(line).collect();
    text.bytes().map(Token::from).chain([b'>'.into()]).collect()
}

/// What the device writes after these tokens, greedily: a letter, or rarely the end.
pub(super) fn next(tokens: &[Token]) -> Token {
    let hash = tokens
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, token| {
            (hash ^ u64::from(*token)).wrapping_mul(0x0100_0000_01b3)
        });
    match (hash >> 20) % 100 {
        0 => END,
        n => Token::from(b'a') + (n % 26) as Token,
    }
}

/// The whole answer, and whether the device ended it.
pub(super) fn answer(conversation: &[Turn], max_tokens: usize) -> (String, bool) {
    let mut tokens = prompt(conversation);
    let mut answer = String::new();
    while answer.len() < max_tokens {
        match next(&tokens) {
            END => return (answer, true),
            token => {
                tokens.push(token);
                answer.push(char::from(token as u8));
            }
        }
    }
    (answer, false)
}

/// What makes tokens of texts for the device: a byte is a token.
#[derive(Default)]
struct Letters {
    vocabulary: OnceLock<Vocabulary>,
}

impl Scribe for Letters {
    fn prompt(&self, conversation: &[Turn]) -> Result<Prompt, String> {
        match conversation.iter().any(|t| t.content == "no template") {
            true => Err("the template raised an exception".into()),
            false => Ok(Prompt {
                tokens: prompt(conversation),
                in_thought: false,
            }),
        }
    }

    fn tokenize(&self, text: &str) -> Vec<Token> {
        assert_ne!(text, "panic", "it was asked for");
        text.bytes().map(Token::from).collect()
    }

    fn embed(&self, tokens: &[Token]) -> Result<Vec<f32>, String> {
        Ok(vec![tokens.len() as f32])
    }

    fn vocabulary(&self) -> &Vocabulary {
        self.vocabulary.get_or_init(|| {
            let bytes = (0..=255_u8).map(|byte| TokenText::text([byte]));
            Vocabulary::new(bytes.chain([TokenText::control()]), &[END])
        })
    }

    fn breakers(&self) -> Arc<[bool]> {
        Arc::from([])
    }
}

impl Device for Pretend {
    fn limits(&self) -> Limits {
        self.limits
    }

    fn scribe(&self) -> Arc<dyn Scribe> {
        Arc::new(Letters::default())
    }

    fn bytes(&self, token: Token) -> Vec<u8> {
        u8::try_from(token).map_or(Vec::new(), |byte| vec![byte])
    }

    fn is_end(&self, token: Token) -> bool {
        token == END
    }

    fn decode(&mut self, entries: &[Entry]) -> Result<(), DecodeError> {
        assert!(!entries.is_empty() && entries.len() <= self.limits.batch);
        assert!(!self.panics, "index out of range");
        if let Some(fault) = self.fault.take() {
            return Err(DecodeError::Failed(fault));
        }
        if self.used() + entries.len() > self.cells {
            return Err(DecodeError::CacheFull);
        }
        self.rows.clear();
        for entry in entries {
            let sequence = &mut self.sequences[entry.sequence];
            assert_eq!(entry.position, sequence.len(), "a token out of order");
            assert!(entry.position < self.limits.context, "beyond the context");
            self.ids += 1;
            sequence.push((self.ids, entry.token));
            let mut row = vec![f32::NAN; VOCABULARY];
            if entry.logits {
                let tokens: Vec<_> = sequence.iter().map(|(_, token)| *token).collect();
                row.fill(0.0);
                row[next(&tokens) as usize] = 10.0;
            }
            self.rows.push(row);
        }
        self.steps.push(entries.to_vec());
        Ok(())
    }

    fn logits(&self, entry: usize) -> &[f32] {
        &self.rows[entry]
    }

    fn cut(&mut self, sequence: Sequence, length: usize) -> bool {
        let possible = self.limits.cuts || length == 0;
        self.sequences[sequence].truncate(if possible { length } else { 0 });
        possible
    }

    fn share(&mut self, from: Sequence, to: Sequence, length: usize) {
        assert!(self.sequences[to].is_empty(), "{to} is in use");
        assert!(self.limits.cuts || self.sequences[from].len() == length);
        self.sequences[to] = self.sequences[from][..length].to_vec();
    }

    fn save(&mut self, sequence: Sequence, tokens: &[Token], file: &Path) -> Result<(), String> {
        let held: Vec<_> = self.sequences[sequence].iter().map(|(_, t)| *t).collect();
        assert_eq!(held, tokens);
        let text: String = tokens.iter().map(|t| char::from(*t as u8)).collect();
        std::fs::write(file, text).map_err(|e| e.to_string())
    }

    fn restore(&mut self, sequence: Sequence, file: &Path) -> Result<Vec<Token>, String> {
        assert!(self.sequences[sequence].is_empty(), "{sequence} is in use");
        let text = std::fs::read_to_string(file).map_err(|e| e.to_string())?;
        let tokens: Vec<_> = text.chars().map(|c| c as Token).collect();
        for token in &tokens {
            self.ids += 1;
            self.sequences[sequence].push((self.ids, *token));
        }
        Ok(tokens)
    }
}
