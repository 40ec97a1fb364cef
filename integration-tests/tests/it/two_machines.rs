//! The first chapter of docs/tls.md, done as it says: an encrypted call between two machines, from nothing.

use std::path::{Path, PathBuf};
use std::process::Command;

use integration_tests::binary::waypost_binary;
use integration_tests::command::waypost_in;
use integration_tests::process::Process;
use integration_tests::*;

/// The page with ports of this test in place of its own.
struct Page(String);

impl Page {
    fn read(service: u16) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/tls.md");
        let mut text = std::fs::read_to_string(path).expect("the page is there");
        let own = free_ports(4);
        for (port, other) in [(4140, own), (4141, own + 1), (9990, own + 2), (9991, own + 3), (8080, service)] {
            text = text.replace(&port.to_string(), &other.to_string());
        }
        // Machine A keeps the default, which this test needs to itself.
        let admin = format!("# caller.toml, on machine A\n[admin]\nport = {}\n", own + 2);
        Self(text.replace("# caller.toml, on machine A\n", &admin))
    }

    fn file(&self, name: &str) -> &str {
        let begin = self.0.find(&format!("```toml\n# {name}")).expect("the page has the file");
        let text = &self.0[begin + "```toml\n".len()..];
        text.split("```").next().unwrap_or_default()
    }

    /// The commands of the chapter, each with the machine that it is for.
    fn commands(&self) -> Vec<(Vec<&str>, char)> {
        let block = self.0.split("```sh\n").nth(1).and_then(|block| block.split("```").next()).expect("commands");
        let line = |line: &'_ str| -> Option<(usize, char)> {
            Some((line.find('#')?, line.split("# ").nth(1)?.chars().next()?))
        };
        let lines = block.lines().filter_map(|text| line(text).map(|(end, machine)| (&text[..end], machine)));
        lines.map(|(text, machine)| (text.split_whitespace().skip(1).collect(), machine)).collect()
    }

    fn call(&self) -> &str {
        self.0.lines().find(|line| line.starts_with("curl -H")).expect("the page calls")
    }
}

fn run(dir: &Path, args: &[&str]) -> Process {
    let mut command = Command::new(waypost_binary());
    command.current_dir(dir).args(args);
    Process::spawn("waypost", command, dir)
}

#[tokio::test]
async fn four_commands_make_an_encrypted_call() {
    let service = Origin::http("users").await;
    let page = Page::read(service.addr().port());
    let home = tempfile::tempdir().expect("a temporary directory can be made");
    let machine = |name: char| -> PathBuf { home.path().join(name.to_string()) };
    for (name, file) in [('A', "caller.toml"), ('B', "callee.toml")] {
        std::fs::create_dir(machine(name)).expect("the test's directory can be written");
        std::fs::write(machine(name).join(file), page.file(file)).expect("the test's directory can be written");
    }
    let commands = page.commands();
    assert_eq!(commands.len(), 4, "{commands:?}");
    let mut running = Vec::new();
    for (args, name) in commands {
        if name == 'A' {
            std::fs::create_dir(machine('A').join("certs")).expect("the test's directory can be written");
            let ca = |name: char| machine(name).join("certs/ca.pem");
            std::fs::copy(ca('B'), ca('A')).expect("the CA's certificate is there");
        }
        match args.first() {
            Some(&"run") => running.push(run(&machine(name), &args)),
            _ => drop(waypost_in(&machine(name), &args).await.exits(0)),
        }
    }
    let answer = eventually("the call of the page is answered", async || {
        let call = command::program("sh", &["-c", &format!("{} -sf --max-time 20", page.call())]).await;
        if call.code == 0 {
            Ok(call.stdout)
        } else {
            Err(format!("{call:?} {}", running.iter().map(Process::output).collect::<String>()))
        }
    })
    .await;
    assert!(answer.contains("users"), "{answer}");

    let caller = machine('A');
    let explained = waypost_in(&caller, &["explain", "caller.toml", "http://users/", "--connect"]).await.exits(0);
    assert!(explained.stdout.contains("users.example.com"), "{}", explained.stdout);
    let address = page.file("caller.toml").split('"').find(|text| text.starts_with("127.0.0.2:")).expect("an address");
    let shown = waypost_in(&caller, &["certs", "show", address, "--config", "caller.toml"]).await.exits(0);
    assert!(shown.stdout.contains("accepted   for /#/mesh/users of router outgoing"), "{}", shown.stdout);
}
