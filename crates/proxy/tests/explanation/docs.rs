//! docs/explain.md shows what the commands print.

use std::env;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// Runs the page from top to bottom in an empty directory. `UPDATE_DOCS=1` writes what comes out into the page instead
/// of comparing it.
#[test]
fn every_output_in_the_documentation_is_what_is_printed() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/explain.md");
    let page = fs::read_to_string(&file).unwrap();
    let dir = TempDir::new().unwrap();
    let mut printed = String::new();
    let mut commands = 0;
    let mut blocks = page.split("```");
    printed.push_str(blocks.next().unwrap());
    while let Some(block) = blocks.next() {
        let (language, text) = block.split_once('\n').unwrap();
        let text = match language {
            "toml" => {
                fs::write(dir.path().join("waypost.toml"), text).unwrap();
                text.to_owned()
            }
            "sh" => {
                let (code, output) = run(dir.path(), text);
                assert_eq!(code, 0, "{text}\n{output}");
                text.to_owned()
            }
            "console" => {
                commands += 1;
                console(dir.path(), text)
            }
            _ => text.to_owned(),
        };
        write!(printed, "```{language}\n{text}```{}", blocks.next().unwrap()).unwrap();
    }
    assert!(commands > 6, "{commands} commands were run");
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(file, &printed).unwrap();
    } else {
        assert!(printed == page, "UPDATE_DOCS=1 makes of docs/explain.md:\n{printed}");
    }
}

/// A command behind `$ `, which goes on where a line ends in a backslash, and what it prints.
fn console(dir: &Path, text: &str) -> String {
    let lines = text.split_inclusive('\n');
    let mut goes_on = true;
    let command: String = lines.take_while(|line| std::mem::replace(&mut goes_on, line.ends_with("\\\n"))).collect();
    let (_, output) = run(dir, command.strip_prefix("$ ").unwrap());
    format!("{command}{output}")
}

/// Exit code, and all that is printed.
fn run(dir: &Path, script: &str) -> (i32, String) {
    let bin = Path::new(env!("CARGO_BIN_EXE_waypost")).parent().unwrap();
    let path = env::join_paths([bin.to_path_buf()].into_iter().chain(env::split_paths(&env::var_os("PATH").unwrap())));
    let output = Command::new("sh")
        .args(["-e", "-c", &format!("exec 2>&1\n{script}")])
        .current_dir(dir)
        .env("PATH", path.unwrap())
        .output()
        .unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}
