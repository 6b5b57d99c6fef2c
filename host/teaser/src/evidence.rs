//! What a run left behind, gathered for judgement.

use crate::runner::Scenario;
use rusty_genius_core::{GeniusError, Note, Observation, Usage};
use rusty_genius_sandbox::{Report, Scratch};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::time::Duration;

/// Largest file that is read, bytes: 64 MiB, as much as a guest may reply.
const ANSWER_LIMIT: u64 = 64 << 20;
/// Most names of files that are looked at; a guest can leave any number.
const NAMES_LIMIT: usize = 32;

/// All there is to judge a run by. The observation is the guest's word; everything else
/// the host saw itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// What the scenario reports, or why it reports nothing.
    pub observation: Result<Observation, GeniusError>,
    /// What its generations consumed together.
    pub usage: Usage,
    /// What it was denied.
    pub refusals: Vec<String>,
    /// Its journal.
    pub notes: Vec<Note>,
    /// Most bytes of memory it held at once.
    pub memory_peak: u64,
    /// From instantiation to the end.
    pub wall_time: Duration,
    /// Names in its scratch directory, sorted; no more than the first 32 that turn up.
    pub files: Vec<String>,
    /// The answer's file as it lies in the scratch directory, or why it cannot be read;
    /// `None` where the scenario leaves none.
    pub answer_file: Option<Result<Vec<u8>, String>>,
    /// The files that the fixture expects, by their paths below `/scratch`, or why they
    /// cannot be read.
    pub expected: BTreeMap<String, Result<Vec<u8>, String>>,
}

impl Evidence {
    /// Takes the report apart, reading what is needed of the scratch directory, which is
    /// then removed: the answer and the files that are `expected`. It blocks on the disk.
    pub fn gather(
        report: Report<Observation>,
        scenario: &Scenario,
        expected: impl IntoIterator<Item = String>,
    ) -> Self {
        let answer_file = scenario.answer_file.map(|name| read(&report.scratch, name));
        let expected = expected
            .into_iter()
            .map(|path| {
                let content = read(&report.scratch, &path);
                (path, content)
            })
            .collect();
        let (files, answer_file) = match files(&report.scratch) {
            Ok(files) => (files, answer_file),
            Err(e) => (Vec::new(), answer_file.and(Some(Err(e.to_string())))),
        };
        Self {
            memory_peak: report.memory_peak(),
            observation: report.result,
            usage: report.usage,
            refusals: report
                .denials
                .iter()
                .filter(|denial| !scenario.tries.contains(&denial.what.as_str()))
                .map(ToString::to_string)
                .collect(),
            notes: report.notes,
            wall_time: report.wall_time,
            files,
            answer_file,
            expected,
        }
    }

    /// How long the answers took, from the requests to their ends; loading the model is not
    /// in it.
    pub fn latency(&self) -> Duration {
        let Usage {
            prefill_us,
            decode_us,
            ..
        } = self.usage;
        Duration::from_micros(prefill_us.saturating_add(decode_us))
    }

    /// Where the run could not even begin.
    pub(crate) fn none(error: GeniusError) -> Self {
        Self {
            observation: Err(error),
            usage: Usage::default(),
            refusals: Vec::new(),
            notes: Vec::new(),
            memory_peak: 0,
            wall_time: Duration::ZERO,
            files: Vec::new(),
            answer_file: None,
            expected: BTreeMap::new(),
        }
    }
}

fn files(scratch: &Scratch) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in scratch.dir().entries()?.take(NAMES_LIMIT) {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

fn read(scratch: &Scratch, name: &str) -> Result<Vec<u8>, String> {
    let content = || -> io::Result<Result<Vec<u8>, String>> {
        // Of the file itself: a guest may have left a link, or a folder.
        let metadata = scratch.dir().symlink_metadata(name)?;
        if !metadata.is_file() {
            return Ok(Err("it is not a regular file".into()));
        }
        if metadata.len() > ANSWER_LIMIT {
            return Ok(Err(format!("it has {} bytes", metadata.len())));
        }
        let mut bytes = Vec::new();
        let file = scratch.dir().open(name)?;
        file.take(ANSWER_LIMIT).read_to_end(&mut bytes)?;
        Ok(Ok(bytes))
    };
    content().unwrap_or_else(|e| Err(e.to_string()))
}
