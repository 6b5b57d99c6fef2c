use super::*;
use rusty_genius_core::Level;

fn meter(change: impl FnOnce(&mut Budget)) -> Meter {
    let mut budget = Budget::default();
    change(&mut budget);
    Meter::new(budget, None)
}

#[test]
fn memory_is_counted_over_all_memories_and_tables() {
    let meter = meter(|b| b.memory = 1000);
    let mut limiter = MemoryMeter::new(meter.clone());
    assert!(limiter.memory_growing(0, 600, None).unwrap());
    assert!(limiter.table_growing(0, 50, None).unwrap());
    assert!(!limiter.memory_growing(0, 1, None).unwrap());
    assert!(meter.starved());
    assert_eq!(meter.read().peak(BudgetResource::Memory), 1000);
    drop(limiter);
    assert_eq!(meter.read().used(BudgetResource::Memory), 0);
}

#[test]
fn growth_that_fails_halfway_is_given_back() {
    let meter = meter(|b| b.memory = 1000);
    let mut limiter = MemoryMeter::new(meter);
    assert!(limiter.memory_growing(0, 900, None).unwrap());
    limiter
        .memory_grow_failed(wasmtime::Error::msg("no memory"))
        .unwrap();
    assert!(limiter.memory_growing(0, 1000, None).unwrap());
}

#[test]
fn growth_past_the_memorys_own_maximum_is_not_charged() {
    let meter = meter(|b| b.memory = 1000);
    let mut limiter = MemoryMeter::new(meter.clone());
    assert!(!limiter.memory_growing(0, 900, Some(800)).unwrap());
    assert!(!meter.starved());
    assert!(limiter.memory_growing(0, 1000, None).unwrap());
}

#[test]
fn a_permit_given_back_can_be_taken_again() {
    let meter = meter(|b| b.sessions = 1);
    let permit = meter.permit(BudgetResource::Sessions).unwrap();
    let error = meter.permit(BudgetResource::Sessions).err().unwrap();
    assert_eq!(error.limit, 1);
    drop(permit);
    assert!(meter.permit(BudgetResource::Sessions).is_ok());
}

#[test]
fn a_journal_of_empty_notes_ends_too() {
    let meter = meter(|b| b.journal = 100);
    let note = || Note {
        level: Level::Info,
        text: String::new(),
    };
    let kept = (0..100).filter(|_| meter.note(note()).is_ok()).count();
    assert_eq!(kept, 6);
    assert_eq!(meter.take_record().notes.len(), 6);
}

#[test]
fn what_is_refused_for_its_size_is_not_charged() {
    let meter = meter(|b| b.reply = 10);
    let content = |text: &str| [Fragment::Content { text: text.into() }];
    assert!(meter.say(&content("0123456789")).is_err());
    assert!(meter.say(&content("012345678")).is_ok());
    assert!(meter.say(&content("")).is_err());
}

#[test]
fn a_tools_memory_is_its_callers_too() {
    let caller = meter(|b| b.memory = 1000);
    let tool = caller.of_tool(
        "t",
        Budget {
            memory: 800,
            ..Budget::default()
        },
    );
    let mut limiter = MemoryMeter::new(tool.clone());
    let mut own = MemoryMeter::new(caller.clone());
    assert!(own.memory_growing(0, 500, None).unwrap());
    assert!(!limiter.memory_growing(0, 600, None).unwrap());
    assert!(limiter.memory_growing(0, 500, None).unwrap());
    assert_eq!(caller.read().used(BudgetResource::Memory), 1000);
    drop(limiter);
    assert_eq!(caller.read().used(BudgetResource::Memory), 500);
    assert!(tool.starved() && !caller.starved());
}

#[test]
fn what_is_denied_over_and_over_is_told_once_and_counted() {
    let meter = meter(|_| {});
    for n in 0..1000 {
        meter.deny("the same", None);
        meter.deny(format!("another {n}"), None);
    }
    meter.deny("x".repeat(10_000), Some("grants.env".into()));
    assert_eq!(meter.read().denials, 2001);
    let denials = meter.take_record().denials;
    assert_eq!(denials.len(), DENIALS_LIMIT);
    assert!(denials.iter().all(|d| d.what.len() <= DENIAL_BYTES + 3));
}

#[test]
fn what_a_tool_notes_and_is_denied_is_told_of_its_caller() {
    let caller = meter(|_| {});
    let tool = caller.of_tool("calc", Budget::for_tool());
    tool.deny("environment", Some("grants.env".into()));
    tool.note(Note {
        level: Level::Info,
        text: "hm".into(),
    })
    .unwrap();
    let record = caller.take_record();
    assert_eq!(record.notes[0].text, "calc: hm");
    assert_eq!(record.denials[0].what, "tool calc: environment");
    assert_eq!(
        record.denials[0].key.as_deref(),
        Some("grants.tools.calc.env")
    );
}

#[test]
fn processor_time_is_counted_to_the_nanosecond_and_ends() {
    let meter = meter(|b| b.cpu_time = Duration::from_millis(1));
    for _ in 0..1000 {
        assert_eq!(meter.worked(Duration::from_nanos(1000)), Ok(()));
    }
    let spent = meter.worked(Duration::from_nanos(1)).unwrap_err();
    assert_eq!((spent.resource, spent.limit), (BudgetResource::CpuTime, 1));
    assert_eq!(meter.read().used(BudgetResource::CpuTime), 1);
}
