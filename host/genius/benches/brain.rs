//! llama.cpp through guest, sandbox, brainstem and cortex, beside a bare loop over the same
//! model in the same run. Rounds alternate, and medians are shown: whoever else uses the
//! machine hits both.
//!
//! The model is base-120m with random weights, Q8_0: what it writes is noise, what it costs
//! is real. Several guests at once are measured on f32 weights too: to read those takes a step
//! longest, and it is read once for all.

use futures::StreamExt;
use futures::future::join_all;
use rusty_genius::bytelm::{Config, WeightType, Weights};
use rusty_genius::core::{PartialConfig, Turn, Usage, UserManifest};
use rusty_genius::cortex::{Brain, BrainConfig, Round, bare};
use rusty_genius::facecrab::{Facecrab, Settings};
use rusty_genius::sandbox::{Guest, Job};
use rusty_genius::stem::Session;
use rusty_genius::{Genius, bundled};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

const ROUNDS: usize = 7;
/// Tokens of an answer.
const TOKENS: u32 = 128;
/// Guests at once.
const GUESTS: usize = 8;
/// Sessions open at once, for memory.
const SESSIONS: usize = 50;
/// Tokens the cache holds, as the engine chooses for a context of 2,048.
const CELLS: u32 = 8192;
/// Tokens of the prompt that guests have in common.
const PREFIX: usize = 1000;

/// The argument that asks for memory alone.
const MEMORY: &str = "memory";

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    // `cargo bench` passes `--bench`; whoever asks for the list of tests wants none.
    if std::env::args().any(|a| a == "--list") {
        return Ok(());
    }
    let file = model(WeightType::Q8_0)?;
    let config = BrainConfig {
        context: 2048,
        ..BrainConfig::default()
    };
    if std::env::args().any(|a| a == MEMORY) {
        return memory(&file, config);
    }
    let house = House::new(&file, config.clone())?;
    async_std::task::block_on(house.ask("Hello", 1))?;
    println!("base-120m, {} threads", config.threads);
    one_guest(&house, &file, &config)?;
    many_guests(&house, "Q8_0")?;
    shared_prefix(&house)?;
    drop(house);
    let house = House::new(&model(WeightType::F32)?, config)?;
    async_std::task::block_on(house.ask("Hello", 1))?;
    many_guests(&house, "f32")?;
    // In a process that has done nothing else.
    let status = std::process::Command::new(std::env::current_exe()?)
        .arg(MEMORY)
        .status()?;
    status.success().then_some(()).ok_or("no memory measured")?;
    Ok(())
}

/// A model with random weights, made once.
fn model(ty: WeightType) -> Outcome<PathBuf> {
    let name = format!("base-120m-random-{ty:?}.gguf");
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if !file.exists() {
        let config = Config::named("base-120m").ok_or("no config base-120m")?;
        let aside = file.with_extension("part");
        let out = std::io::BufWriter::new(std::fs::File::create(&aside)?);
        Weights::random(config, 1)?.write_gguf(ty, out)?;
        std::fs::rename(&aside, &file)?;
    }
    Ok(file)
}

struct House {
    genius: Genius,
    guest: Guest,
    model: String,
}

impl House {
    fn new(file: &Path, config: BrainConfig) -> Outcome<Self> {
        let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let settings = Settings {
            config: tmp.join("bench-brain-config"),
            hub_cache: tmp.join("bench-brain-models"),
            ..bundled::settings()
        };
        let genius = Genius::builder()
            .manifest(UserManifest::default())
            .facecrab(Facecrab::new(settings))
            .backend(Arc::new(Brain::new(config)))
            .engine("brain")
            .scratch_root(tmp.join("bench-brain-runs"))
            .cache_dir(Some(tmp.join("bench-brain-guests")))
            .build()?;
        let guest = async_std::task::block_on(genius.guest("ask"))?;
        Ok(Self {
            genius,
            guest,
            model: file.display().to_string(),
        })
    }

    fn job(&self, tokens: u32) -> Outcome<Job> {
        let mut job = self.genius.job(&self.model)?;
        job.grant.model.config = config(tokens);
        Ok(job)
    }

    /// Runs the guest `ask`; gives tokens written, and microseconds to the first token and
    /// from there to the last.
    async fn ask(&self, prompt: &str, tokens: u32) -> Outcome<(f64, f64, f64)> {
        let run = self.genius.run(&self.guest, [prompt], self.job(tokens)?)?;
        let report = run.finish().await.report;
        report.result?;
        let usage = report.usage;
        assert_eq!(usage.completion_tokens, tokens, "the model ended early");
        Ok((
            tokens.into(),
            usage.prefill_us as f64,
            usage.decode_us as f64,
        ))
    }
}

impl House {
    /// One turn of a session of the brainstem's own, without a guest.
    async fn speak(&self, n: usize, tokens: u32) -> Outcome<(Session, Usage)> {
        let model = self.genius.model(&self.model)?;
        let session = self.genius.stem().session(model, format!("guest {n}"));
        let turns = vec![Turn::user(format!("Hello {n}"))];
        let mut events = session.infer(turns, config(tokens)).await?;
        while events.next().await.is_some() {}
        let usage = events.usage();
        Ok((session, usage))
    }
}

/// Greedy, and never at an end: the markers, which are 256 and above, are out.
fn config(tokens: u32) -> PartialConfig {
    let mut config = PartialConfig::default();
    config.behavior.max_tokens = Some(tokens);
    config.sampling.temperature = Some(0.0);
    config.sampling.logit_bias = Some((256..272).map(|marker| (marker, -100.0)).collect());
    config
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn one_guest(house: &House, file: &Path, settings: &BrainConfig) -> Outcome<()> {
    let (mut ours, mut theirs, mut native) = (Vec::new(), Vec::new(), Vec::new());
    let mut rounds = |round: &mut Round<'_>| {
        // As long as the prompt that `Hello` becomes.
        let prompt: Vec<u32> = (0..40).map(|n| 97 + n % 26).collect();
        for _ in 0..ROUNDS {
            let (_, decode) = round(&prompt, TOKENS as usize)?;
            theirs.push(f64::from(TOKENS) / decode.as_secs_f64());
            let asked = async_std::task::block_on(house.ask("Hello", TOKENS));
            let (tokens, _, decode) = asked.map_err(|e| e.to_string())?;
            // The first token comes with the prompt.
            ours.push((tokens - 1.0) / decode * 1e6);
            let asked = async_std::task::block_on(house.speak(0, TOKENS));
            let (_, usage) = asked.map_err(|e| e.to_string())?;
            native.push((tokens - 1.0) / usage.decode_us as f64 * 1e6);
        }
        Ok(())
    };
    bare(file, settings, &mut rounds)?;
    let (ours, theirs, native) = (median(ours), median(theirs), median(native));
    println!(
        "one guest:       {ours:7.1} tokens/s; bare loop {theirs:7.1}; ratio {:.3} \
         (without guest and sandbox {:.3})",
        ours / theirs,
        native / theirs
    );
    Ok(())
}

fn many_guests(house: &House, weights: &str) -> Outcome<()> {
    let (mut one, mut many) = (Vec::new(), Vec::new());
    let timed = |guests: usize| -> Outcome<f64> {
        let began = Instant::now();
        let prompts: Vec<_> = (0..guests).map(|n| format!("Hello {n}")).collect();
        let asked = prompts.iter().map(|prompt| house.ask(prompt, TOKENS));
        for asked in async_std::task::block_on(join_all(asked)) {
            asked?;
        }
        Ok(guests as f64 * f64::from(TOKENS) / began.elapsed().as_secs_f64())
    };
    for _ in 0..ROUNDS {
        one.push(timed(1)?);
        many.push(timed(GUESTS)?);
    }
    let (one, many) = (median(one), median(many));
    println!(
        "{GUESTS} guests, {weights:<5} {many:7.1} tokens/s together; one {one:7.1}; ratio {:.2}",
        many / one
    );
    Ok(())
}

fn shared_prefix(house: &House) -> Outcome<()> {
    let (mut cold, mut warm) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        // A beginning nobody has said before, and then what follows differs at its end.
        let common = format!("{round:03}{}", "abcdefghij".repeat(PREFIX / 10));
        for (last, times) in [("first", &mut cold), ("second", &mut warm)] {
            let prompt = format!("{common} {last}");
            let (_, first, _) = async_std::task::block_on(house.ask(&prompt, 4))?;
            times.push(first / 1e3);
        }
    }
    let (cold, warm) = (median(cold), median(warm));
    println!(
        "first token:     {warm:7.1} ms with {PREFIX} tokens shared; cold {cold:7.1} ms; ratio {:.1}",
        cold / warm
    );
    Ok(())
}

/// Bytes this process has in memory, where the system says so.
fn resident() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib / 1024.0)
}

fn memory(file: &Path, settings: BrainConfig) -> Outcome<()> {
    let Some(empty) = resident() else {
        return Ok(());
    };
    let house = House::new(file, settings)?;
    let speak = |n| house.speak(n, 16);
    let first = async_std::task::block_on(speak(0))?;
    let one = resident().unwrap_or_default();
    let others = async_std::task::block_on(join_all((1..SESSIONS).map(speak)));
    let all = resident().unwrap_or_default();
    let weights = std::fs::metadata(file)?.len() as f64;
    // Keys and values of 768 16-bit numbers each, in 17 layers.
    let cache = f64::from(CELLS) * (2 * 768 * 2 * 17) as f64;
    let own = (weights + cache) / f64::from(1 << 20);
    println!(
        "memory:          {:7.1} MiB with {SESSIONS} sessions ({:.1} of them for all but the \
         first), {empty:.1} before; weights and cache {own:.1}; {:.1} above",
        all,
        all - one,
        all - own
    );
    drop((first, others));
    Ok(())
}
