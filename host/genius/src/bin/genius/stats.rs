//! What a run consumes of its budget, while it goes on and at its end.

use rusty_genius::core::BudgetResource;
use rusty_genius::sandbox::Consumption;
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// Every limit with what was used of it, a line each; unused ones are left out.
pub(crate) fn table(consumption: &Consumption) -> String {
    let mut text = format!("{:<18} {:>14} {:>14}\n", "", "used", "of");
    for resource in BudgetResource::ALL {
        let used = consumption.most(resource);
        if used > 0 {
            let (used, limit) = (
                show(resource, used),
                show(resource, consumption.limit(resource)),
            );
            let _ = writeln!(text, "{:<18} {used:>14} {limit:>14}", resource.key());
        }
    }
    let calls: Vec<String> = consumption
        .all_calls()
        .filter(|(_, calls)| *calls > 0)
        .map(|(name, calls)| format!("{name} {calls}"))
        .collect();
    if !calls.is_empty() {
        let _ = writeln!(text, "{:<18} {}", "calls", calls.join(", "));
    }
    text
}

/// The same on one line, of what matters while a run goes on.
pub(crate) fn line(consumption: &Consumption) -> String {
    use BudgetResource as R;
    [
        R::WallTime,
        R::CpuTime,
        R::Memory,
        R::CompletionTokens,
        R::Scratch,
        R::ToolCalls,
    ]
    .into_iter()
    .filter(|resource| consumption.used(*resource) > 0)
    .map(|resource| {
        let used = show(resource, consumption.used(resource));
        format!("{} {used}", resource.key())
    })
    .collect::<Vec<_>>()
    .join(" · ")
}

pub(crate) fn json(consumption: &Consumption) -> Value {
    let figures = |figure: &dyn Fn(BudgetResource) -> u64| -> Map<String, Value> {
        let entry = |r: BudgetResource| (r.key().to_owned(), figure(r).into());
        BudgetResource::ALL.into_iter().map(entry).collect()
    };
    let calls = consumption.all_calls();
    let calls: Map<String, Value> = calls.map(|(name, n)| (name.into(), n.into())).collect();
    json!({
        "used": figures(&|r| consumption.used(r)),
        "peak": figures(&|r| consumption.peak(r)),
        "limit": figures(&|r| consumption.limit(r)),
        "calls": calls,
    })
}

fn show(resource: BudgetResource, value: u64) -> String {
    use indicatif::HumanBytes;
    use rusty_genius::core::Unit;
    match resource.unit() {
        Unit::Bytes => HumanBytes(value).to_string(),
        Unit::Time | Unit::Count => resource.show(value),
    }
}
