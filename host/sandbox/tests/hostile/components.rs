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
    hostile_table_huge => refused("NotAComponent*more than a guest gets"),
    hostile_growth_halfway => done(""),
    hostile_memory_shared => refused("NotAComponent*threads must be enabled"),
    hostile_memory64 => refused("NotAComponent*more than a guest gets"),
    // What lies outside
    hostile_unreachable => trap("unreachable"),
    hostile_data_out_of_bounds => trap("out of bounds"),
    hostile_elements_out_of_bounds => trap("out of bounds"),
    hostile_result_out_of_bounds => trap("pointer out of bounds of memory"),
    hostile_result_nonsense => trap("invalid expected discriminant"),
    hostile_words_out_of_bounds => trap("pointer/length out of bounds"),
    hostile_words_no_utf8 => trap("invalid utf-8"),
    hostile_words_lone_surrogate => trap("unpaired surrogate"),
    hostile_note_out_of_bounds => trap("pointer/length out of bounds"),
    hostile_note_no_level => trap("unexpected discriminant"),
    hostile_note_result_out_of_bounds => trap("pointer out of bounds"),
    hostile_realloc_out_of_bounds => trap("beyond end of memory"),
    hostile_realloc_unaligned => trap("result not aligned"),
    // No component that can run
    hostile_core_module => refused("NotAComponent*core WebAssembly module"),
    hostile_nasty_exports => refused("NotAComponent*not a valid extern name"),
    hostile_nasty_core_exports => refused("NotAComponent*duplicate export name"),
    hostile_nasty_imports => refused("NotAComponent*not a valid extern name"),
    hostile_import_unfit => refused("NotAComponent*do not fit the host's"),
    hostile_import_unknown => refused("UngrantedImport*does not know it"),
    hostile_import_http => refused("UngrantedImport*no network"),
    hostile_import_wasi_0_3 => refused("UngrantedImport*WASI 0.2, not 0.3.0"),
    hostile_import_bare => refused("UngrantedImport*not bare functions"),
    hostile_import_policy => refused("UngrantedImport*only policies"),
    hostile_contract_0_1 => refused("UngrantedImport*version 0.1.0 of the contract"),
    hostile_contract_0_9 => refused("UngrantedImport*version 0.9.0 of the contract"),
    hostile_contract_unversioned => refused("UngrantedImport*does not say for which version"),
    hostile_run_of_another_type => ended("does not export `run`: it exports one of another type"),
    hostile_run_is_no_function => refused("MissingExport*no function"),
    hostile_no_exports => refused("MissingExport"),
    // Too much of it
    hostile_deep_types => refused("NotAComponent*nesting is too deep"),
    hostile_doubling_types => refused("NotAComponent*type size exceeds the limit"),
    hostile_many_memories => refused("NotAComponent*more than a guest gets"),
    hostile_many_tables => refused("NotAComponent*more than a guest gets"),
    hostile_many_instances => refused("NotAComponent*more than a guest gets"),
    hostile_doubling_instances => refused("NotAComponent*it makes 3145727 instances"),
    hostile_many_imports => refused("NotAComponent*over 4096 imports"),
    hostile_deep_components => refused("NotAComponent*nested over 64 deep"),
    hostile_many_exports => refused("NotAComponent*over 4096 exports"),
    hostile_many_functions => refused("MissingExport"),
    hostile_huge_function => refused("MissingExport"),
    hostile_many_blocks => refused("MissingExport"),
}

pub(crate) fn hostile_tool_with_tools() -> Vec<Attack> {
    let end = refused("UngrantedImport*its files and its journal alone");
    let mut attack = Attack::new("tool-with-tools", &[], end, "");
    attack.role = Role::Tool;
    vec![attack]
}

/// Found out when it is called, as what it was granted as.
pub(crate) fn hostile_tool_of_another_type() -> Vec<Attack> {
    let calls = [&["call", "badtool", "{}"][..], &["describe"]];
    let attacks = calls.map(|words| Attack::new("toolcaller", words, done("tool(broken)"), ""));
    each(
        attacks.into(),
        |house, attack, dir, job| {
            crate::toolcaller::granted(house, attack, dir, job);
            job.grant.tools.get_mut("badtool").unwrap().guest = house.odd.clone();
        },
        |_| Ok(()),
    )
}
