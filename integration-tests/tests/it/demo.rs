//! `waypost demo` shows all of it on one machine.

use std::process::Command;

use integration_tests::process::{Process, Signal};
use integration_tests::*;

#[tokio::test]
async fn demo_checks_itself() {
    let base = free_ports(10).to_string();
    let ran = waypost(&["demo", "--check", "--port-base", &base]).await.exits(0);
    assert!(!ran.stdout.is_empty());
}

#[tokio::test]
async fn demo_prints_commands_that_work() {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let mut command = Command::new(binary::waypost_binary());
    command.args(["demo", "--port-base", &free_ports(10).to_string()]);
    let mut demo = Process::spawn("demo", command, dir.path());
    let commands = eventually("the demo prints commands", async || {
        assert_eq!(demo.ended(), None, "{}", demo.output());
        let out = demo.stdout();
        let lines: Vec<String> = out
            .lines()
            .map(|line| line.trim().trim_start_matches("$ "))
            .filter(|line| line.starts_with("curl "))
            .map(str::to_owned)
            .collect();
        if lines.is_empty() { Err(out) } else { Ok(lines) }
    })
    .await;
    for line in commands {
        eventually("the printed command works", async || {
            let ran = command::program("sh", &["-c", &format!("{line} --max-time 20")]).await;
            if ran.code == 0 { Ok(()) } else { Err(format!("{line}: {ran:?}")) }
        })
        .await;
    }
    demo.signal(Signal::Term);
    let code = eventually("the demo ends", async || demo.ended().ok_or_else(|| "it still runs".to_owned())).await;
    assert_eq!(code, 0);
}
