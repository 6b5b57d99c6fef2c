//! What the process holds.

use crate::house::House;
use std::path::Path;

/// Threads and descriptors that may come between two counts: the pools under the
/// runtimes start threads when they are busy, and stop them when they see fit.
const SLACK: usize = 8;
const MEMORY_SLACK_KIB: usize = 20 << 10;

#[cfg(target_env = "gnu")]
unsafe extern "C" {
    fn mallopt(parameter: i32, value: i32) -> i32;
    fn malloc_trim(keep: usize) -> i32;
}

/// Has the allocator keep little for later, or what it keeps would be counted. It does not
/// adapt its thresholds once they are set, here to what they are at first.
pub(crate) fn be_thrifty() {
    #[cfg(target_env = "gnu")]
    {
        const TRIM_THRESHOLD: i32 = -1;
        const MMAP_THRESHOLD: i32 = -3;
        const ARENAS: i32 = -8;
        for (parameter, value) in [
            (TRIM_THRESHOLD, 1 << 17),
            (MMAP_THRESHOLD, 1 << 17),
            (ARENAS, 2),
        ] {
            // SAFETY: it may be called at any time, by any thread, with any values.
            unsafe { mallopt(parameter, value) };
        }
    }
}

fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it may be called at any time, by any thread.
    unsafe {
        malloc_trim(0);
    }
}

#[derive(Debug)]
pub(crate) struct Remains {
    threads: usize,
    descriptors: usize,
    memory_kib: usize,
}

fn entries(path: &str) -> usize {
    Path::new(path).read_dir().unwrap().count()
}

/// What of the process is in memory.
pub(crate) fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap()
}

impl Remains {
    pub(crate) fn count() -> Self {
        give_back();
        Self {
            threads: entries("/proc/self/task"),
            descriptors: entries("/proc/self/fd"),
            memory_kib: resident_kib(),
        }
    }

    /// What is there now and was not before.
    pub(crate) async fn left(&self, house: &House) -> Vec<String> {
        // Idle threads of a pool leave by and by, after ten seconds at most.
        let mut now = Self::count();
        for _ in 0..120 {
            if now.threads <= self.threads + SLACK {
                break;
            }
            async_std::task::sleep(std::time::Duration::from_millis(100)).await;
            now = Self::count();
        }
        eprintln!("before {self:?}\nafter  {now:?}");
        let mut faults = Vec::new();
        let mut at_most = |what: &str, before: usize, now: usize, slack: usize| {
            if now > before + slack {
                faults.push(format!("{what}: {before} before, {now} after"));
            }
        };
        at_most("threads", self.threads, now.threads, SLACK);
        at_most("descriptors", self.descriptors, now.descriptors, SLACK);
        at_most(
            "memory in KiB",
            self.memory_kib,
            now.memory_kib,
            MEMORY_SLACK_KIB,
        );
        let scratch = house.scratch_root.read_dir().unwrap().count();
        if scratch > 0 {
            faults.push(format!("{scratch} scratch directories are left"));
        }
        faults
    }
}
