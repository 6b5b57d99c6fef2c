//! What it asks for.

use crowbar::cortex::{Inference, Session, count_tokens, embed};
use crowbar::journal::{Level, append};
use crowbar::model::read;
use crowbar::reply::{Fragment, emit};
use crowbar::types::{Constraint, Error, Role, Setting, ThoughtEvent, Turn};
use crowbar::{error, of};
use std::time::{Duration, Instant};
use wasip2::clocks::monotonic_clock::subscribe_duration;

/// A time that passes while a test runs, and one that does not.
const SOON: Duration = Duration::from_millis(20);
const YEAR_NS: u64 = 365 * 24 * 60 * 60 * 1_000_000_000;
/// Most of anything it tries before it gives up.
const MANY: usize = 100_000;
/// Over every limit of one request.
const HUGE: usize = 2 << 20;

/// Makes the attempt and says what came of it; `None` if there is none of that name.
pub async fn make(name: &str) -> Option<String> {
    Some(match name {
        "sessions" => sessions().await,
        "forks" => forks().await,
        "inferences" => inferences().await,
        "unread" => unread().await,
        "journal" => until_refused(|| append(Level::Debug, &"j".repeat(1000))),
        "empty-notes" => until_refused(|| append(Level::Debug, "")),
        "reply" => until_refused(|| emit(&[Fragment::Content("~".repeat(40_000))])),
        "empty-thoughts" => until_refused(|| {
            let nothing = Fragment::Thought(ThoughtEvent::Delta(String::new()));
            emit(&vec![nothing; 40_000])
        }),
        "huge-note" => of(append(Level::Debug, &"j".repeat(HUGE))),
        "huge-prompt" => infer(vec![user("p".repeat(HUGE))], vec![]).await,
        "many-turns" => infer(vec![user(String::new()); MANY], vec![]).await,
        "count" => of(count_tokens(String::new(), "x".into()).await),
        "embed" => of(embed(String::new(), "x".into()).await),
        "huge-count" => of(count_tokens(String::new(), "p".repeat(HUGE)).await),
        "huge-embed" => of(embed(String::new(), "p".repeat(HUGE)).await),
        "history" => history().await,
        "busy" => busy().await,
        "fork-busy" => fork_busy().await,
        "no-turns" => infer(vec![], vec![]).await,
        "ask" => infer(vec![user("Hello".into())], vec![]).await,
        "other-model" => open("other/model").await,
        "model-file" => open("/etc/passwd.gguf").await,
        "bad-spec" => open("no spec at all").await,
        "ansi-spec" => open("\u{1b}[31m/x\n\u{202e}").await,
        "huge-spec" => open(&"s".repeat(HUGE)).await,
        "sleep" => sleep(),
        "timers" => timers(),
        "other-count" => of(count_tokens("other/model".into(), "x".into()).await),
        _ => infer(vec![user("Hello".into())], odd(name)?).await,
    })
}

/// A config that is odd in one setting; most are out of range.
fn odd(name: &str) -> Option<Vec<Setting>> {
    let nan = f32::NAN;
    Some(vec![match name {
        "temperature-nan" => Setting::Temperature(nan),
        "temperature-infinite" => Setting::Temperature(f32::INFINITY),
        "temperature-negative" => Setting::Temperature(-0.1),
        "top-k-huge" => Setting::TopK(u32::MAX),
        "top-p-zero" => Setting::TopP(0.0),
        "min-p-nan" => Setting::MinP(nan),
        "repeat-penalty-zero" => Setting::RepeatPenalty(0.0),
        "typical-p-nan" => Setting::TypicalP(nan),
        "frequency-penalty-huge" => Setting::FrequencyPenalty(f32::MAX),
        "presence-penalty-nan" => Setting::PresencePenalty(nan),
        "dry-multiplier-nan" => Setting::DryMultiplier(nan),
        "dry-base-zero" => Setting::DryBase(0.0),
        "dry-allowed-length-huge" => Setting::DryAllowedLength(u32::MAX),
        "mirostat-tau-zero" => Setting::MirostatTau(0.0),
        "mirostat-eta-nan" => Setting::MirostatEta(nan),
        "logit-bias-nan" => Setting::LogitBias(vec![(0, 1.0), (1, nan)]),
        "logit-bias-many" => Setting::LogitBias(vec![(0, 1.0); MANY]),
        "logit-bias-stranger" => Setting::LogitBias(vec![(u32::MAX, 1.0)]),
        "max-tokens-zero" => Setting::MaxTokens(0),
        "max-tokens-huge" => Setting::MaxTokens(u32::MAX),
        "stop-17" => Setting::Stop(vec!["s".into(); 17]),
        "stop-many" => Setting::Stop(vec!["s".into(); MANY]),
        "stop-empty" => Setting::Stop(vec![String::new()]),
        "stop-long" => Setting::Stop(vec!["s".repeat(257)]),
        "logprobs-21" => Setting::Logprobs(21),
        "constraint-empty" => Setting::Constraint(Constraint::JsonSchema(String::new())),
        "constraint-long" => Setting::Constraint(Constraint::Regex("r".repeat(65_537))),
        "constraint-huge" => Setting::Constraint(Constraint::Grammar("g".repeat(HUGE))),
        "seed-max" => Setting::Seed(u64::MAX),
        "settings-64" => return Some(vec![Setting::Seed(1); 64]),
        "settings-65" => return Some(vec![Setting::Seed(1); 65]),
        "settings-many" => return Some(vec![Setting::Seed(1); MANY]),
        "last-counts" => return Some(vec![Setting::Temperature(nan), Setting::Temperature(1.0)]),
        _ => return None,
    }])
}

async fn open(model: &str) -> String {
    of(Session::open(model.to_owned()).await)
}

async fn start(
    session: &Session,
    turns: Vec<Turn>,
    config: Vec<Setting>,
) -> Result<Inference, Error> {
    session.infer(turns, config).await
}

/// One generation in a session of its own, read to its end.
async fn infer(turns: Vec<Turn>, config: Vec<Setting>) -> String {
    let generated = async {
        let session = Session::open(String::new()).await?;
        read(&start(&session, turns, config).await?).await;
        Ok(())
    };
    of(generated.await)
}

async fn sessions() -> String {
    let mut open = Vec::new();
    let refusal = loop {
        match Session::open(String::new()).await {
            Ok(session) if open.len() < MANY => open.push(session),
            Ok(_) => return "no limit".into(),
            Err(e) => break error(&e),
        }
    };
    let count = open.len();
    drop(open);
    let again = of(Session::open(String::new()).await);
    format!("{count}, then {refusal}, then {again}")
}

async fn forks() -> String {
    let first = match Session::open(String::new()).await {
        Ok(session) => session,
        Err(e) => return error(&e),
    };
    let mut open = vec![];
    loop {
        match first.fork() {
            Ok(fork) if open.len() < MANY => open.push(fork),
            Ok(_) => return "no limit".into(),
            Err(e) => return format!("{}, then {}", open.len(), error(&e)),
        }
    }
}

async fn inferences() -> String {
    let mut running = Vec::new();
    let refusal = loop {
        let begun = async {
            let session = Session::open(String::new()).await?;
            let inference = start(&session, vec![user("Hello".into())], vec![]).await?;
            Ok((session, inference))
        };
        match begun.await {
            Ok(both) if running.len() < MANY => running.push(both),
            Ok(_) => return "no limit".into(),
            Err(e) => break error(&e),
        }
    };
    let count = running.len();
    drop(running);
    let again = infer(vec![user("Hello".into())], vec![]).await;
    format!("{count}, then {refusal}, then {again}")
}

/// Begins generations and drops them unread, many more than may run at once.
async fn unread() -> String {
    let session = match Session::open(String::new()).await {
        Ok(session) => session,
        Err(e) => return error(&e),
    };
    for begun in 0..200 {
        match start(&session, vec![user("Hello".into())], vec![]).await {
            // Every other one with its stream taken.
            Ok(inference) if begun % 2 == 0 => drop(inference.events()),
            Ok(_) => {}
            Err(e) => return format!("{begun}, then {}", error(&e)),
        }
    }
    "ok".into()
}

async fn history() -> String {
    let session = match Session::open(String::new()).await {
        Ok(session) => session,
        Err(e) => return error(&e),
    };
    for kept in 0..MANY {
        let turn = user("h".repeat(1_000_000));
        match start(&session, vec![turn], vec![]).await {
            Ok(inference) => read(&inference).await,
            Err(e) => return format!("{kept}, then {}", error(&e)),
        }
    }
    "no limit".into()
}

async fn busy() -> String {
    let twice = async {
        let session = Session::open(String::new()).await?;
        let _first = start(&session, vec![user("Hello".into())], vec![]).await?;
        start(&session, vec![user("Hello".into())], vec![]).await
    };
    of(twice.await)
}

async fn fork_busy() -> String {
    let forked = async {
        let session = Session::open(String::new()).await?;
        let _first = start(&session, vec![user("Hello".into())], vec![]).await?;
        session.fork()
    };
    of(forked.await)
}

fn sleep() -> String {
    let began = Instant::now();
    std::thread::sleep(SOON);
    if began.elapsed() < SOON {
        return "woken too soon".into();
    }
    "ok".into()
}

/// Holds timers until the host traps it: handles of WASI have no error for it.
fn timers() -> String {
    let timers: Vec<_> = (0..MANY).map(|_| subscribe_duration(YEAR_NS)).collect();
    format!("{} timers", timers.len())
}

fn until_refused(mut take: impl FnMut() -> Result<(), Error>) -> String {
    for taken in 0..MANY {
        if let Err(e) = take() {
            return format!("{taken}, then {}", error(&e));
        }
    }
    "no limit".into()
}

fn user(content: String) -> Turn {
    Turn {
        role: Role::User,
        content,
    }
}
