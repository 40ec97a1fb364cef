//! The client that everybody has.

use std::process::Command;

use crate::answer::Answer;
use crate::command::run;
use crate::wire::Fields;

/// What curl gave.
#[derive(Clone, Debug)]
pub struct Curled {
    /// curl's exit code.
    pub code: i32,
    /// What it said.
    pub stderr: String,
    /// The last response, if there was one.
    pub answer: Answer,
}

impl Curled {
    /// The answer, after asserting that curl is content.
    #[track_caller]
    pub fn ok(self) -> Answer {
        assert_eq!(self.code, 0, "curl: {}\n{:?}", self.stderr, self.answer);
        self.answer
    }
}

/// Runs curl with `args`; it ignores proxies and its configuration file, and ends by itself.
pub async fn curl(args: &[&str]) -> Curled {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let (head, body) = (dir.path().join("head"), dir.path().join("body"));
    let mut command = Command::new("curl");
    command.args(["-q", "-sS", "--noproxy", "*", "--max-time", "30", "-w", "%{http_version}"]);
    command.arg("-D").arg(&head).arg("-o").arg(&body).args(args);
    let ran = run("curl", command).await;
    let head = std::fs::read(&head).unwrap_or_default();
    let mut answer = last_head(&String::from_utf8_lossy(&head));
    answer.body = std::fs::read(&body).unwrap_or_default();
    answer.version = format!("HTTP/{}", ran.stdout.trim());
    Curled { code: ran.code, stderr: ran.stderr, answer }
}

fn last_head(text: &str) -> Answer {
    let mut answer = Answer::default();
    for block in text.split("\r\n\r\n").filter(|block| !block.trim().is_empty()) {
        let mut lines = block.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
        let fields = lines.filter_map(|line| line.split_once(':'));
        let fields: Fields = fields.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect();
        match status {
            Some(code) => {
                if answer.code != 0 {
                    answer.interim.push(answer.code);
                }
                answer.code = code;
                answer.fields = fields;
            }
            None => answer.trailers = fields,
        }
    }
    answer
}
