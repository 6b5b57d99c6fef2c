//! Runs the attacks, a few at once, and says what became of them.

use crate::attack::{Attack, Seen, Verdict, ensure, told};
use crate::house::House;
use crate::support::content;
use futures::StreamExt;
use rusty_genius_core::{BudgetResource, GeniusError, Pattern};
use rusty_genius_sandbox::{Report, outcome};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How many attack at once.
const AT_ONCE: usize = 4;
/// How much later than its deadline a run may end on a busy machine.
const GRACE: Duration = Duration::from_secs(1);
/// How long a component may be looked at and compiled.
const LOADING: Duration = Duration::from_secs(20);

pub(crate) struct Row {
    name: String,
    guest: String,
    took: Duration,
    verdict: Verdict,
}

/// One attack of each family, so that what stays is there.
pub(crate) async fn warm_up(house: &House) {
    let mut seen = Vec::new();
    for (number, attack) in house.attacks.iter().enumerate() {
        if !seen.contains(&&attack.guest) {
            seen.push(&attack.guest);
            one(house, usize::MAX - number, attack).await;
        }
    }
}

pub(crate) async fn attack(house: &House) -> Vec<Row> {
    let attacks = house.attacks.iter().enumerate();
    let rows = attacks.map(|(number, attack)| one(house, number, attack));
    futures::stream::iter(rows)
        .buffered(AT_ONCE)
        .collect()
        .await
}

async fn one(house: &House, number: usize, attack: &Attack) -> Row {
    let began = Instant::now();
    let verdict = verdict(house, number, attack).await;
    Row {
        name: attack.name(),
        guest: attack.guest.clone(),
        took: began.elapsed(),
        verdict,
    }
}

async fn verdict(house: &House, number: usize, attack: &Attack) -> Verdict {
    let loaded = &house.loaded[&attack.guest];
    ensure!(loaded.took < LOADING, "it took {:?} to load", loaded.took);
    let guest = match &loaded.guest {
        Ok(guest) => guest,
        Err(error) => return refusal(attack, &GeniusError::from(error.clone())),
    };
    let dir = house.grants.join(number.to_string());
    let mut job = House::job();
    (attack.prepare)(house, attack, &dir, &mut job);
    let (sender, receiver) = async_channel::unbounded();
    job.reply = Some(sender);
    let budget = job.budget.clone();
    let began = Instant::now();
    let run = match house
        .sandbox
        .begin_workflow(guest, attack.words.clone(), job)
    {
        Ok(run) => run,
        Err(error) => return refusal(attack, &error.into()),
    };
    // On a task of its own, or one that never gives way would hold up the others here.
    let report = async_std::task::spawn(run).await;
    let took = began.elapsed();
    let mut reply = Vec::new();
    while let Ok(batch) = receiver.try_recv() {
        reply.extend(batch);
    }
    let told = told(&report.result, attack, &content(&reply));
    let shown: String = told.chars().take(300).collect();
    let expected = attack.end.words();
    ensure!(attack.end.fits(&told), "{shown:?} instead of {expected:?}");
    let limit = budget.wall_time + GRACE;
    ensure!(
        report.wall_time <= limit,
        "{:?} of {limit:?}",
        report.wall_time
    );
    ensure!(took <= limit + GRACE, "{took:?} with all around it");
    denied(attack, &report)?;
    let peak = report.memory_peak();
    ensure!(peak <= budget.memory, "{peak} bytes of memory");
    let record = recorded(house, &report)?;
    let seen = Seen {
        told,
        report,
        reply,
        record,
        dir,
    };
    (attack.look)(&seen)?;
    let scratch = seen.report.scratch.path().to_owned();
    drop(seen);
    ensure!(!scratch.exists(), "its directory is left");
    Ok(())
}

/// What a terminal takes for more than letters.
fn harms(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn refusal(attack: &Attack, error: &GeniusError) -> Verdict {
    let kind = match error {
        GeniusError::Sandbox(e) => format!("{e:?}"),
        e => format!("GeniusError::{e:?}"),
    };
    let kind = kind.split([' ', '(']).next().unwrap_or_default().to_owned();
    let told = format!("refused: {kind}, {error}");
    let expected = attack.end.words();
    ensure!(attack.end.fits(&told), "{told:?} instead of {expected:?}");
    let words = format!("{error}{}", error.hint().unwrap_or_default());
    ensure!(
        !words.contains(harms),
        "an error text as it came: {words:?}"
    );
    ensure!(words.len() < 4000, "an error text of {} bytes", words.len());
    Ok(())
}

fn denied(attack: &Attack, report: &Report<()>) -> Verdict {
    let denials = report.denials.iter();
    let mut keys: Vec<&str> = denials
        .map(|d| d.key.as_deref().unwrap_or(&d.what))
        .collect();
    keys.sort_unstable();
    keys.dedup();
    let keys = keys.join(", ");
    let fits = Pattern::new(attack.denials).matches(&keys);
    ensure!(
        fits,
        "denied were {keys:.300?} instead of {:?}",
        attack.denials
    );
    Ok(())
}

/// What a record says is what happened, and nothing else is in it.
fn recorded(house: &House, report: &Report<()>) -> Result<Vec<Value>, String> {
    let id = report.scratch.id();
    ensure!(report.recorded == Some(true), "not all was recorded");
    let text = std::fs::read_to_string(house.records.dir().join(format!("{id}.jsonl")))
        .map_err(|e| format!("its record: {e}"))?;
    let plain = text.bytes().all(|b| matches!(b, b' '..=b'~' | b'\n'));
    ensure!(plain, "its record has more than plain ASCII");
    let lines = house
        .records
        .read(id)
        .map_err(|e| format!("its record: {e}"))?;
    let of =
        |kind: &str| -> Vec<&Value> { lines.iter().filter(|line| line["type"] == kind).collect() };
    let (first, last) = (of("start"), of("end"));
    ensure!(
        first.len() == 1 && lines.first() == Some(first[0]),
        "starts are {first:?}"
    );
    ensure!(
        last.len() == 1 && lines.last() == Some(last[0]),
        "ends are {last:?}"
    );
    let ended = outcome(report.result.as_ref().err());
    ensure!(
        last[0]["outcome"] == ended,
        "recorded {} for {ended}",
        last[0]
    );
    let texts = |kind: &str, field: &str| -> Vec<String> {
        let lines = of(kind).into_iter();
        lines
            .map(|line| line[field].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    let notes: Vec<String> = report.notes.iter().map(|n| n.text.clone()).collect();
    ensure!(texts("note", "text") == notes, "other notes are recorded");
    let denials: Vec<String> = report.denials.iter().map(|d| d.what.clone()).collect();
    ensure!(
        texts("denial", "what") == denials,
        "other denials are recorded"
    );
    let count = report.consumption.denials;
    ensure!(
        last[0]["denials"] == count,
        "recorded {} for {count} denials",
        last[0]
    );
    for resource in BudgetResource::ALL {
        let consumed = &last[0]["consumed"][resource.key()];
        ensure!(consumed.is_u64(), "{} is not recorded", resource.key());
    }
    let files = report
        .scratch
        .files()
        .map_err(|e| format!("its files: {e}"))?;
    ensure!(
        last[0]["files"] == Value::from(files),
        "other files are recorded"
    );
    Ok(lines)
}

pub(crate) fn faults(rows: &[Row]) -> Vec<String> {
    let found = rows.iter().filter_map(|row| {
        let fault = row.verdict.as_ref().err()?;
        Some(format!("{}: {fault}", row.name))
    });
    found.collect()
}

/// How long each family took, and who was slowest in it.
pub(crate) fn tell(rows: &[Row], house: &House) {
    let mut families: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        families.entry(&row.guest).or_default().push(row);
    }
    for (guest, rows) in families {
        let all: Duration = rows.iter().map(|row| row.took).sum();
        let slowest = rows.iter().max_by_key(|row| row.took).unwrap();
        eprintln!(
            "{guest}: loaded in {:.1?}, {} attacks in {all:.1?}, slowest {} {:.1?}",
            house.loaded[guest].took,
            rows.len(),
            slowest.name,
            slowest.took,
        );
    }
}
