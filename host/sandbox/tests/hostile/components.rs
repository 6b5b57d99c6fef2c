//! Attacks in WebAssembly text: what is in a component, and how it begins and ends.

use crate::attack::{Attack, Role, budget, done, each, ended, refused, trap};
use crate::house::House;
use rusty_genius_core::BudgetResource::{Memory, WallTime};
use rusty_genius_sandbox::Job;
use std::path::Path;
use std::time::Duration;

/// Without a second to lose: most of them do nothing else than to wait for their end.
fn brief(_: &House, attack: &Attack, _: &Path, job: &mut Job) {
    job.budget.wall_time = Duration::from_millis(500);
    if attack.guest.ends_with("memory-copy") {
        job.budget.memory = 128 << 20;
    }
}

/// A guest an attack: its function, and how it ends.
macro_rules! attacks {
    ($($name:ident => $end:expr,)*) => {
        $(pub(crate) fn $name() -> Vec<Attack> {
            let guest = stringify!($name).replacen("hostile_", "", 1).replace('_', "-");
            let attacks = vec![Attack::new(&guest, &["word"], $end, "")];
            each(attacks, brief, |_| Ok(()))
        })*
    };
}

attacks! {
    // Time
    hostile_loop_in_start => budget(WallTime),
    hostile_loop_in_initialiser => budget(WallTime),
    hostile_loop_in_realloc => budget(WallTime),
    hostile_loop_in_post_return => budget(WallTime),
    hostile_memory_fill => budget(WallTime),
    hostile_memory_copy => budget(WallTime),
    hostile_recursion => trap("call stack exhausted"),
    hostile_recursion_mutual => trap("call stack exhausted"),
    // Memory
    hostile_memory_grow => budget(Memory),
    hostile_memory_4gib => budget(Memory),
    hostile_memories_together => budget(Memory),
    hostile_realloc_grows => budget(Memory),
    hostile_table_grow => trap("unreachable"),
    hostile_table_huge => refused("NotAComponent"),
    hostile_growth_halfway => done(""),
    hostile_memory_shared => refused("NotAComponent"),
    hostile_memory64 => refused("NotAComponent"),
    // What lies outside
    hostile_unreachable => trap("unreachable"),
    hostile_data_out_of_bounds => trap("out of bounds"),
    hostile_elements_out_of_bounds => trap("out of bounds"),
    hostile_result_out_of_bounds => trap(""),
    hostile_result_nonsense => trap(""),
    hostile_words_out_of_bounds => trap(""),
    hostile_words_no_utf8 => trap(""),
    hostile_words_lone_surrogate => trap(""),
    hostile_note_out_of_bounds => trap(""),
    hostile_note_no_level => trap(""),
    hostile_note_result_out_of_bounds => trap(""),
    hostile_realloc_out_of_bounds => trap(""),
    hostile_realloc_unaligned => trap(""),
    // No component that can run
    hostile_core_module => refused("NotAComponent"),
    hostile_nasty_exports => refused("NotAComponent"),
    hostile_nasty_core_exports => refused("NotAComponent"),
    hostile_nasty_imports => refused("NotAComponent"),
    hostile_import_unfit => refused("NotAComponent"),
    hostile_import_unknown => refused("UngrantedImport"),
    hostile_import_http => refused("UngrantedImport"),
    hostile_import_wasi_0_3 => refused("UngrantedImport"),
    hostile_import_bare => refused("UngrantedImport"),
    hostile_import_policy => refused("UngrantedImport"),
    hostile_contract_0_1 => refused("UngrantedImport"),
    hostile_contract_0_9 => refused("UngrantedImport"),
    hostile_contract_unversioned => refused("UngrantedImport"),
    hostile_run_of_another_type => ended("does not export `run`: it exports one of another type"),
    hostile_run_is_no_function => refused("MissingExport"),
    hostile_no_exports => refused("MissingExport"),
    // Too much of it
    hostile_deep_types => refused("NotAComponent"),
    hostile_doubling_types => refused("NotAComponent"),
    hostile_many_memories => refused("NotAComponent"),
    hostile_many_tables => refused("NotAComponent"),
    hostile_many_instances => refused("NotAComponent"),
    hostile_doubling_instances => refused("NotAComponent"),
    hostile_many_imports => refused("NotAComponent"),
    hostile_deep_components => refused("NotAComponent"),
    hostile_many_exports => refused("NotAComponent"),
    hostile_many_functions => refused("MissingExport"),
    hostile_huge_function => refused("MissingExport"),
    hostile_many_blocks => refused("MissingExport"),
}

fn tool(mut attacks: Vec<Attack>) -> Vec<Attack> {
    for attack in &mut attacks {
        attack.role = Role::Tool;
    }
    attacks
}

pub(crate) fn hostile_tool_with_tools() -> Vec<Attack> {
    tool(vec![Attack::new(
        "tool-with-tools",
        &[],
        refused("UngrantedImport"),
        "",
    )])
}

pub(crate) fn hostile_tool_of_another_type() -> Vec<Attack> {
    tool(vec![Attack::new(
        "tool-of-another-type",
        &[],
        refused("MissingExport"),
        "",
    )])
}
