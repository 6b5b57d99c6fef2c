//! The test binary itself, run again as another process that wants a model.

use super::place::{Place, bundled, spec, test};
use super::{Content, Hub, PATIENCE};
use facecrab::Facecrab;
use rusty_genius_core::AssetEvent;
use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

/// The test to run in the child; each binary that has children has it.
pub(crate) const CHILD: &str = "as_another_process";

/// Another process on its way to a model.
pub(crate) struct Other {
    pub(crate) child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Other {
    pub(crate) fn start(place: &Place, hub: &Hub, spec: &str) -> Self {
        Self::start_as(this_program(), place, hub, spec)
    }

    /// One whose place is a disk of its own, of so many MiB. The system must let an
    /// ordinary user mount one: see [`can_mount`].
    pub(crate) fn start_on_a_disk(mib: u64, place: &Place, hub: &Hub, spec: &str) -> Self {
        Self::start_as(this_program_on_a_disk(mib), place, hub, spec)
    }

    pub(crate) fn start_as(mut command: Command, place: &Place, hub: &Hub, spec: &str) -> Self {
        let mut child = command
            .args([CHILD, "--exact", "--ignored", "--nocapture"])
            .env("FACECRAB_CHILD_PLACE", place.dir())
            .env("FACECRAB_CHILD_ENDPOINT", hub.endpoint())
            .env("FACECRAB_CHILD_SPEC", spec)
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child");
        let stdout = child.stdout.take().expect("the child's stdout");
        Self {
            child,
            lines: BufReader::new(stdout).lines(),
        }
    }

    /// The next thing it says; `None` once it has ended.
    pub(crate) fn next(&mut self) -> Option<String> {
        for line in self.lines.by_ref() {
            let line = line.ok()?;
            // The test runner may have begun the line.
            if let Some((_, said)) = line.split_once("SAID ") {
                return Some(said.to_owned());
            }
        }
        None
    }

    /// Everything it still says.
    pub(crate) fn rest(mut self) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(said) = self.next() {
            all.push(said);
        }
        let _ = self.child.wait();
        all
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether [`Other::start_on_a_disk`] can work.
pub(crate) fn can_mount(place: &Place) -> bool {
    let mut command = mount(1);
    let works = command.arg("true").env("FACECRAB_CHILD_PLACE", place.dir());
    let works = works.output().is_ok_and(|out| out.status.success());
    if !works {
        eprintln!("SKIPPED: unshare and mount do not work here");
    }
    works
}

pub(crate) fn this_program() -> Command {
    Command::new(std::env::current_exe().expect("this program"))
}

/// See [`Other::start_on_a_disk`].
pub(crate) fn this_program_on_a_disk(mib: u64) -> Command {
    let mut command = mount(mib);
    command.arg(std::env::current_exe().expect("this program"));
    command
}

/// A child in which a model of so many bytes is bundled, under the repository of its spec.
pub(crate) fn bundling(mut command: Command, size: u64) -> Command {
    command.env("FACECRAB_CHILD_BUNDLED", size.to_string());
    command
}

fn mount(mib: u64) -> Command {
    let script = format!(
        "mount -t tmpfs -o size={mib}m none \"$FACECRAB_CHILD_PLACE\" && exec \"$0\" \"$@\""
    );
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c", &script]);
    command
}

/// What the child does: fetches, and says how far it is, one event a line.
pub(crate) fn run() {
    let var = |name| std::env::var(name).ok();
    let (Some(dir), Some(endpoint), Some(what)) = (
        var("FACECRAB_CHILD_PLACE"),
        var("FACECRAB_CHILD_ENDPOINT"),
        var("FACECRAB_CHILD_SPEC"),
    ) else {
        return;
    };
    let place = Place::at(dir);
    let mut settings = place.settings(&endpoint);
    settings.stall = PATIENCE;
    if let Some(size) = var("FACECRAB_CHILD_BUNDLED").and_then(|n| n.parse().ok()) {
        let repo = what.split(':').next().unwrap_or_default();
        let content = Content::gguf(size, 1);
        settings.bundled = vec![bundled(repo, "x-Q8_0.gguf", &content)];
    }
    settings.connections = var("FACECRAB_CHILD_CONNECTIONS")
        .and_then(|n| n.parse().ok())
        .unwrap_or(1);
    test(async {
        let mut ensure = Facecrab::new(settings).ensure_model(&spec(&what));
        while let Some(event) = futures::StreamExt::next(&mut ensure).await {
            say(match event {
                AssetEvent::Resolving { .. } => "resolving".to_owned(),
                AssetEvent::Queued { .. } => "queued".to_owned(),
                AssetEvent::Bytes { done, .. } => format!("bytes {done}"),
                AssetEvent::Verifying { .. } => "verifying".to_owned(),
                AssetEvent::Warning { text } => format!("warning {text}"),
                AssetEvent::Ready { size, .. } => format!("ready {size}"),
            });
        }
        match ensure.finish().await {
            Ok(asset) => say(format!("done {}", asset.files[0].display())),
            Err(error) => say(format!("failed {error}")),
        }
        let (blobs, files) = (place.blobs().len(), place.snapshot_files().len());
        say(format!("visible {blobs} {files}"));
    });
}

fn say(what: String) {
    use std::io::Write;
    // Past the runner's capture, and in one piece.
    let line = format!("SAID {what}\n");
    let _ = std::io::stdout().write_all(line.as_bytes());
    let _ = std::io::stdout().flush();
}
