//! `fuzz TARGET SECONDS [SEED]`: random texts for a time. `fuzz seeds TARGET DIR`: what libFuzzer begins with.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool for the command line")]

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant, UNIX_EPOCH};

use waypost_fuzz::{Target, Texts, all, named, smallest};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args.as_slice() {
        ["list"] => {
            all().iter().for_each(|target| println!("{}", target.name));
            Ok(())
        }
        ["seeds", target, dir] => known(target).and_then(|target| seeds(&target, dir.as_ref())),
        [target, seconds] => run(target, seconds, now()),
        [target, seconds, seed] => number(seed).and_then(|seed| run(target, seconds, seed)),
        _ => Err("usage: fuzz TARGET SECONDS [SEED] | fuzz seeds TARGET DIR | fuzz list".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fuzz: {error}");
            ExitCode::FAILURE
        }
    }
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|error| format!("`{text}`: {error}"))
}

fn known(name: &str) -> Result<Target, String> {
    named(name).ok_or_else(|| format!("there is no target {name}; see `fuzz list`"))
}

/// Another seed for each run.
fn now() -> u64 {
    UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs())
}

fn run(name: &str, seconds: &str, seed: u64) -> Result<(), String> {
    let target = known(name)?;
    let time = Duration::from_secs(number(seconds)?);
    panic::set_hook(Box::new(|_| {}));
    let (started, mut count, mut slowest) = (Instant::now(), 0_u64, (Duration::ZERO, 0));
    for text in Texts::new(&target, seed) {
        let before = Instant::now();
        if broken(&target, &text).is_some() {
            return Err(report(&target, &text));
        }
        slowest = slowest.max((before.elapsed(), text.len()));
        count += 1;
        if started.elapsed() >= time {
            break;
        }
    }
    let (longest, bytes) = slowest;
    println!("{name}: {count} texts, seed {seed}; the slowest, of {bytes} bytes, took {longest:?}");
    Ok(())
}

/// The message, where the text breaks a promise.
fn broken(target: &Target, text: &str) -> Option<String> {
    let panicked = panic::catch_unwind(|| (target.holds)(text)).err()?;
    let message = panicked.downcast_ref::<String>().cloned();
    Some(message.or_else(|| panicked.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default())
}

/// Keeps the smallest text that is as bad, and says what about it.
fn report(target: &Target, text: &str) -> String {
    let small = smallest(text, |text| broken(target, text).is_some());
    let mut hasher = DefaultHasher::new();
    small.hash(&mut hasher);
    let (dir, name) = (target.regressions(), format!("{:016x}.txt", hasher.finish()));
    let kept = fs::create_dir_all(&dir).and_then(|()| fs::write(dir.join(&name), &small));
    let kept = kept.map_or_else(|error| format!("not kept: {error}"), |()| format!("kept as {name}"));
    format!("{}: {} ({kept})\n{small:?}", target.name, broken(target, &small).unwrap_or_default())
}

/// `DIR/corpus/*`, and `DIR/words` in libFuzzer's form.
fn seeds(target: &Target, dir: &Path) -> Result<(), String> {
    let corpus = dir.join("corpus");
    let hex = |word: &String| word.bytes().map(|byte| format!("\\x{byte:02x}")).collect::<String>();
    let words: String = target.words.iter().map(|word| format!("\"{}\"\n", hex(word))).collect();
    let mut files: Vec<_> = (0..).map(|index| corpus.join(format!("seed-{index}"))).zip(&target.seeds).collect();
    let words_file = (dir.join("words"), &words);
    files.push(words_file);
    let write = |(file, text): &(PathBuf, &String)| fs::write(file, text);
    let written = fs::create_dir_all(&corpus).and_then(|()| files.iter().try_for_each(write));
    written.map_err(|error| format!("{}: {error}", dir.display()))
}
