//! Which files of a repository are the model somebody asked for.
//!
//! Repositories keep one file per quant, named `{model}-{quant}.gguf` in any case and with
//! any punctuation, split into `-00001-of-0000N` where it is large, at times in a folder
//! named after the quant.

use rusty_genius_core::AssetError;
use std::collections::BTreeMap;
use std::ops::Range;

/// A model among a repository's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Model {
    /// Its quant, as the file names spell it.
    pub(crate) quant: Option<String>,
    /// Its files as indexes into the list that was given, in order; several where it is split.
    pub(crate) files: Vec<usize>,
    /// Bytes of all files.
    pub(crate) size: u64,
}

/// The complete language models among these files (name with `/` between folders, size),
/// by name.
pub(crate) fn models(files: &[(&str, u64)]) -> Vec<Model> {
    let groups = groups(files).into_iter();
    groups
        .filter(|group| !group.name.is_companion())
        .map(|group| group.model)
        .collect()
}

/// The model of this quant; without a quant, the only one there is. `None` where the files
/// hold no complete model at all. `spec` is only named in errors.
///
/// A quant fits a name that ends in it, case and punctuation aside: `q4-k-m` fits
/// `x.Q4_K_M.gguf`, and `Q4_K` does not. Where several names share a quant, more of the
/// name does: `x-q4-k-m`. Companions of a model, `mmproj-…`, are taken only by that name.
///
/// Errors: [`AssetError::Ambiguous`], with what can stand for the quant.
pub(crate) fn choose(
    spec: &str,
    files: &[(&str, u64)],
    quant: Option<&str>,
) -> Result<Option<Model>, AssetError> {
    let (companions, groups): (Vec<Group>, Vec<Group>) = groups(files)
        .into_iter()
        .partition(|group| group.name.is_companion());
    let mut fitting = match quant {
        None => groups.iter().collect(),
        Some(quant) => fitting(&groups, &companions, &plain(quant)),
    };
    if fitting.len() > 1 || (fitting.is_empty() && !groups.is_empty()) {
        let none = fitting.is_empty();
        let shown = if none {
            groups.iter().collect()
        } else {
            fitting
        };
        return Err(AssetError::Ambiguous {
            spec: spec.to_owned(),
            none,
            candidates: candidates(&shown),
        });
    }
    Ok(fitting.pop().map(|group| group.model.clone()))
}

/// A model, and the name its files share.
struct Group<'a> {
    name: Name<'a>,
    model: Model,
}

/// A file's name without `.gguf` and the number of its part.
#[derive(Clone, Copy)]
struct Name<'a> {
    /// With its folders.
    whole: &'a str,
    /// Without.
    stem: &'a str,
}

fn groups<'a>(files: &[(&'a str, u64)]) -> Vec<Group<'a>> {
    // By name and count of parts; a whole file counts none, and so comes before.
    let mut found: BTreeMap<(&str, u32), BTreeMap<u32, usize>> = BTreeMap::new();
    for (at, (name, _)) in files.iter().enumerate() {
        if let Some((whole, part, count)) = parse(name) {
            let parts = found.entry((whole, count)).or_default();
            parts.entry(part).or_insert(at);
        }
    }
    let mut groups: Vec<Group<'a>> = Vec::new();
    for ((whole, count), parts) in found {
        let complete = parts.len() == count.max(1) as usize;
        // Given whole and split, a model is taken whole.
        let known = groups.last().is_some_and(|group| group.name.whole == whole);
        if !complete || known {
            continue;
        }
        let files_of: Vec<usize> = parts.into_values().collect();
        let stem = whole.rsplit_once('/').map_or(whole, |(_, stem)| stem);
        let name = Name { whole, stem };
        let size = files_of
            .iter()
            .fold(0u64, |sum, at| sum.saturating_add(files[*at].1));
        let model = Model {
            quant: name.quant().map(str::to_owned),
            files: files_of,
            size,
        };
        groups.push(Group { name, model });
    }
    groups
}

/// `d/x-00002-of-00003.gguf` is part 2 of 3 of `d/x`; `d/x.gguf` is part 0 of 0. A part
/// that cannot be is no file of any model.
fn parse(name: &str) -> Option<(&str, u32, u32)> {
    const EXTENSION: &str = ".gguf";
    let at = name.len().checked_sub(EXTENSION.len())?;
    let whole = name.get(..at)?;
    if !name[at..].eq_ignore_ascii_case(EXTENSION) || whole.is_empty() || whole.ends_with('/') {
        return None;
    }
    let number = |text: &str| {
        let five = text.len() == 5 && text.bytes().all(|b| b.is_ascii_digit());
        five.then(|| text.parse::<u32>().ok()).flatten()
    };
    let split = whole.rsplit_once("-of-").and_then(|(rest, count)| {
        let (stem, part) = rest.rsplit_once('-')?;
        Some((stem, number(part)?, number(count)?))
    });
    match split {
        None => Some((whole, 0, 0)),
        Some((stem, part, count)) => (1..=count).contains(&part).then_some((stem, part, count)),
    }
}

/// The groups that fit a quant best: by their quant, then by a longer end of the name.
fn fitting<'g, 'a>(
    groups: &'g [Group<'a>],
    companions: &'g [Group<'a>],
    wanted: &str,
) -> Vec<&'g Group<'a>> {
    let by_quant = |group: &&Group| group.name.quant().is_some_and(|q| plain(q) == wanted);
    // `UD-` marks a way of making a quant; without it, the plain one is meant where there is one.
    let by_kind = |group: &&Group| {
        let quant = group.name.quant().map(plain);
        quant.is_some_and(|q| q.strip_prefix("ud") == Some(wanted))
    };
    let by_name = |group: &&Group| group.name.ends_in(wanted);
    let mut fitting: Vec<_> = groups.iter().filter(by_quant).collect();
    if fitting.is_empty() {
        fitting = groups.iter().filter(by_kind).collect();
    }
    if fitting.is_empty() {
        fitting = groups.iter().filter(by_name).collect();
    }
    if fitting.is_empty() && MARKS.iter().any(|mark| wanted.contains(mark)) {
        fitting = companions.iter().filter(by_name).collect();
    }
    fitting
}

/// What can be asked for: the quant where only one has it, else the name.
fn candidates(groups: &[&Group]) -> Vec<String> {
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    for quant in groups.iter().filter_map(|group| group.name.quant()) {
        *count.entry(plain(quant)).or_default() += 1;
    }
    let candidate = |group: &&Group| {
        let quant = group.name.quant();
        let own = quant.filter(|quant| count.get(&plain(quant)) == Some(&1));
        own.unwrap_or(group.name.whole).to_owned()
    };
    groups.iter().map(candidate).collect()
}

/// Words that mark what belongs to a model and is none: the projector of its eyes and
/// ears, and the statistics its quants were made with.
const MARKS: [&str; 2] = ["mmproj", "imatrix"];

impl<'a> Name<'a> {
    /// `Q4_K_M` of `x-Q4_K_M` or `x-Q4_K_M-v2`, else that of the folder.
    fn quant(&self) -> Option<&'a str> {
        let (folder, _) = self.whole.rsplit_once('/').unwrap_or_default();
        let folder = folder.rsplit('/').next().filter(|name| is_quant(name));
        let own = self.quant_at().map(|range| &self.stem[range]);
        own.or(folder)
    }

    fn quant_at(&self) -> Option<Range<usize>> {
        // The longest is `UD-IQ2_XXS`; the bound keeps long names cheap.
        const LONGEST: usize = 16;
        let ends = separators(self.stem).rev();
        std::iter::once(self.stem.len())
            .chain(ends)
            .find_map(|end| {
                let near = starts(self.stem).filter(|at| *at < end && end - at <= LONGEST);
                let quant = |at: &usize| is_quant(&self.stem[*at..end]);
                Some(near.into_iter().find(quant)?..end)
            })
    }

    /// Whether the name, from the quant or some word before it, is this.
    fn ends_in(&self, wanted: &str) -> bool {
        // `M` is no name for `x-Q4_K_M`.
        let last = self.quant_at().map_or(usize::MAX, |quant| quant.start);
        let mut starts = starts(self.stem).filter(|at| *at <= last);
        starts.any(|at| plain(&self.stem[at..]) == wanted)
    }

    /// Whether it accompanies a model and is none itself.
    fn is_companion(&self) -> bool {
        let mut words = self.stem.split(SEPARATORS).map(str::to_ascii_lowercase);
        words.any(|word| {
            // `x-imatrix-Q4_K_M` is a model made with one.
            word == MARKS[0] || (word == MARKS[1] && self.quant_at().is_none())
        })
    }
}

const SEPARATORS: [char; 4] = ['-', '_', '.', ' '];

fn separators(text: &str) -> impl DoubleEndedIterator<Item = usize> {
    text.match_indices(SEPARATORS).map(|(at, _)| at)
}

/// Where a word of the name begins.
fn starts(text: &str) -> impl Iterator<Item = usize> {
    std::iter::once(0).chain(separators(text).map(|at| at + 1))
}

/// Case and punctuation aside.
fn plain(text: &str) -> String {
    let text = text.chars().filter(|c| !SEPARATORS.contains(c));
    text.map(|c| c.to_ascii_lowercase()).collect()
}

/// Whether all of this is the name of a quant.
fn is_quant(text: &str) -> bool {
    let text = text.to_ascii_uppercase();
    let mut words = text.split(SEPARATORS).peekable();
    words.next_if_eq(&"UD");
    let Some(first) = words.next() else {
        return false;
    };
    let sizes = ["K", "S", "M", "L", "XS", "XXS", "XL", "XXL", "NL"];
    let size = |word: &str| sizes.contains(&word) || matches!(word, "0" | "1" | "2" | "4" | "8");
    match first {
        "F16" | "F32" | "F64" | "BF16" | "FP16" | "FP32" => words.next().is_none(),
        "MXFP4" | "NVFP4" => words.all(|word| word == "MOE"),
        _ => {
            let bits = first.strip_prefix(['I', 'T']).unwrap_or(first);
            let Some(rest) = bits.strip_prefix('Q') else {
                return false;
            };
            let mut rest = rest.chars();
            rest.next().is_some_and(|bits| ('1'..='8').contains(&bits))
                && ["", "0", "1", "K", "KS", "KM", "KL"].contains(&rest.as_str())
                && words.all(size)
        }
    }
}

#[cfg(test)]
#[path = "select/tests.rs"]
mod tests;
