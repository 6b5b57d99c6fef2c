//! A prompt workflow runs in the sandbox and streams an answer.

mod support;

use async_std::task::block_on;
use support::{content, pinky, run, sandbox, thoughts};

#[test]
fn ask_streams_thoughts_and_an_answer_and_leaves_it_in_its_scratch_directory() {
    block_on(async {
        let sandbox = sandbox(pinky(|_| {}));
        let (report, reply) = run(&sandbox, "ask", &["What", "now?"], |_| {}).await;
        report.result.as_ref().unwrap();
        assert!(content(&reply).starts_with("Narf!"), "{reply:?}");
        assert!(!thoughts(&reply).is_empty());
        assert_eq!(report.scratch.files().unwrap(), ["answer.md"]);
        let answer = report.scratch.dir().read_to_string("answer.md").unwrap();
        assert_eq!(answer, content(&reply));
        assert!(report.usage.completion_tokens > 0);
        assert!(report.usage.prompt_tokens > 0);
        assert_eq!(report.notes.len(), 1);
    });
}
