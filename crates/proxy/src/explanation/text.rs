//! An explanation for a terminal: numbered steps, each with what it came to and where that was written.

use serde_json::{Map, Value};

use super::tree::{children, decides};
use super::{ExplainedLeaf, Explanation, Outcome};

/// Whether escape sequences may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    /// For terminals.
    On,
    /// For everything else.
    Off,
}

impl Explanation {
    /// The explanation as text; ends in a newline.
    #[must_use]
    pub fn to_text(&self, color: Color) -> String {
        let mut page = Page { out: String::new(), pen: Pen(color), step: 0 };
        let request = &self.request;
        let title = format!("{} {}", request.method, request.target);
        let about = format!("   Host {}   router {}", or_none(&request.authority), self.router);
        page.line(0, &format!("{}{about}", page.pen.bold(&title)));
        page.out.push('\n');
        self.naming(&mut page);
        self.policies(&mut page);
        for note in &self.notes {
            page.line(0, &format!("{}: {note}", page.pen.yellow("note")));
        }
        page.line(0, &self.verdict(page.pen));
        page.out
    }

    fn naming(&self, page: &mut Page) {
        if let Some(identified) = &self.identified {
            page.step("identify", &format!("{} -> {}", identified.by, page.pen.bold(&identified.path)));
            if let Some(target) = &identified.target {
                page.line(DEEPER, &format!("sent on as {target}"));
            }
        } else {
            page.step("identify", "no identifier names this request");
        }
        if !self.dtab.is_empty() {
            page.step("dtab", "of several rules that match, the last one is tried first");
            let rows = self.dtab.iter().map(|rule| (format!("{} => {}", rule.prefix, rule.tree), rule.from.clone()));
            page.table(&rows.collect::<Vec<_>>());
        }
        if !self.tree.is_null() {
            page.step("delegate", "the way that requests take is marked with *");
            page.tree(&self.tree);
        }
    }

    fn policies(&self, page: &mut Page) {
        if let Some(identified) = self.identified.as_ref().filter(|_| !self.service.is_empty()) {
            page.step("service", &format!("what holds for {}", identified.path));
            page.table(&settings(&self.service));
        }
        for leaf in &self.leaves {
            page.step(
                "client",
                &format!("{} gets {} of the requests", page.pen.bold(&leaf.bound), percent(leaf.share)),
            );
            page.table(&leaf_rows(leaf));
            page.line(DEEPER, &tls_line(&leaf.tls));
            if let Some(error) = &leaf.error {
                page.line(DEEPER, &page.pen.red(&format!("refused: {error}")));
            }
        }
        if self.empty_share > 0.0 && self.outcome == Outcome::Bound {
            let share = percent(self.empty_share);
            page.line(DEEPER, &page.pen.red(&format!("{share} of the requests draw `$` and are answered with 502")));
        }
    }

    fn verdict(&self, pen: Pen) -> String {
        let word = self.outcome.word();
        match &self.error {
            None => pen.green(word),
            Some(error) => format!("{}: {} ({})", pen.red(word), error.message, error.status),
        }
    }
}

/// A delegation tree with the places of its rules, as [`super::shown_tree`] makes it; ends in a newline.
#[must_use]
pub fn tree_text(tree: &Value, color: Color) -> String {
    let mut page = Page { out: String::new(), pen: Pen(color), step: 0 };
    page.tree(tree);
    page.out
}

/// Text as it grows.
struct Page {
    out: String,
    pen: Pen,
    step: usize,
}

impl Page {
    fn line(&mut self, indent: usize, text: &str) {
        self.out.push_str(&" ".repeat(indent));
        self.out.push_str(text.trim_end());
        self.out.push('\n');
    }

    fn step(&mut self, word: &str, text: &str) {
        self.step += 1;
        let head = format!("{}. {word:<9}", self.step);
        let head = self.pen.bold(&head);
        self.line(0, &format!("{head} {text}"));
    }

    /// Two columns; the right one is where the left one was written.
    fn table(&mut self, rows: &[(String, String)]) {
        let width = rows.iter().map(|(left, _)| left.chars().count()).max().unwrap_or_default().min(WIDEST);
        for (left, right) in rows {
            let right = self.pen.dim(right);
            self.line(DEEPER, &format!("{left:<width$}  {right}"));
        }
    }

    fn tree(&mut self, tree: &Value) {
        let mut lines = Vec::new();
        branch(tree, None, 0, &mut lines);
        let width = lines.iter().map(|line| line.left.chars().count()).max().unwrap_or_default().min(WIDEST);
        for line in &lines {
            let padded = format!("{:<width$}", line.left);
            let left = if line.decides { self.pen.bold(&padded) } else { padded };
            let result = if line.decides { self.pen.green(&line.result) } else { self.pen.dim(&line.result) };
            let (mark, rule) = (if line.decides { "*" } else { " " }, self.pen.dim(&line.rule));
            self.line(TREE, &format!("{mark} {left}  {}", [result, rule].join("  ").trim_start()));
        }
        if lines.len() >= MOST_LINES {
            self.line(TREE, "  ... and more; --json shows all of it");
        }
    }
}

/// One node of a tree.
struct Line {
    decides: bool,
    /// Indentation, weight and path.
    left: String,
    result: String,
    rule: String,
}

fn branch(tree: &Value, weight: Option<f64>, depth: usize, lines: &mut Vec<Line>) {
    if lines.len() >= MOST_LINES {
        return;
    }
    let weight = weight.map(|weight| format!("{weight} * ")).unwrap_or_default();
    let path = string(tree, "path").unwrap_or("(deeper than can be shown)");
    lines.push(Line {
        decides: decides(tree),
        left: format!("{}{weight}{path}", "  ".repeat(depth.min(DEEPEST))),
        result: result(tree),
        rule: tree.get("dentry").map(rule).unwrap_or_default(),
    });
    for (weight, child) in children(tree) {
        branch(child, weight, depth + 1, lines);
    }
}

fn rule(dentry: &Value) -> String {
    let part = |key| string(dentry, key).unwrap_or_default();
    let from = string(dentry, "from").map(|from| format!("  {from}")).unwrap_or_default();
    format!("by {} => {}{from}", part("prefix"), part("dst"))
}

fn result(tree: &Value) -> String {
    match string(tree, "type").unwrap_or_default() {
        "neg" => "no such name".to_owned(),
        "fail" => "fails".to_owned(),
        "empty" => "nobody".to_owned(),
        "pending" => "discovery has not answered yet".to_owned(),
        "exception" => format!("error: {}", string(tree, "message").unwrap_or_default()),
        "leaf" => leaf(tree),
        "alt" => "the first of".to_owned(),
        "union" => "each of, by weight".to_owned(),
        "transformation" => format!("transformed by {}", string(tree, "name").unwrap_or_default()),
        _ => String::new(),
    }
}

fn leaf(tree: &Value) -> String {
    let bound = tree.get("bound").unwrap_or(&Value::Null);
    let mut text = "bound".to_owned();
    if let Some(id) = string(bound, "id").filter(|id| Some(*id) != string(tree, "path")) {
        text = format!("{text} as {id}");
    }
    if let Some(residual) = string(bound, "path").filter(|residual| *residual != "/") {
        text = format!("{text}, {residual} is left");
    }
    let addr = bound.get("addr").unwrap_or(&Value::Null);
    let endpoints = match string(addr, "type").unwrap_or_default() {
        "bound" => endpoints(addr),
        "failed" => format!("discovery failed: {}", string(addr, "cause").unwrap_or_default()),
        "pending" => "discovery has not answered yet".to_owned(),
        _ => "no endpoints".to_owned(),
    };
    let share = tree.get("share").and_then(Value::as_f64).filter(|share| *share < 1.0);
    let share = share.map(|share| format!(", {} of the requests", percent(share))).unwrap_or_default();
    format!("{text}: {endpoints}{share}")
}

fn endpoints(addr: &Value) -> String {
    let all: Vec<String> = addr.get("addrs").and_then(Value::as_array).into_iter().flatten().map(endpoint).collect();
    match all.len() {
        0 => "no endpoints".to_owned(),
        1..=FEW => all.join(", "),
        many => format!("{} and {} more", all.get(..FEW).unwrap_or_default().join(", "), many - FEW),
    }
}

fn endpoint(addr: &Value) -> String {
    let (ip, port) =
        (string(addr, "ip").unwrap_or_default(), addr.get("port").and_then(Value::as_u64).unwrap_or_default());
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

fn leaf_rows(leaf: &ExplainedLeaf) -> Vec<(String, String)> {
    let endpoint = |endpoint: &super::ExplainedEndpoint| {
        (format!("endpoint {}, weight {}", endpoint.addr, endpoint.weight), endpoint.state.clone())
    };
    let mut rows: Vec<_> = leaf.endpoints.iter().take(MOST_ENDPOINTS).map(endpoint).collect();
    if let Some(more) = leaf.endpoints.len().checked_sub(MOST_ENDPOINTS).filter(|more| *more > 0) {
        rows.push((format!("and {more} more endpoints"), String::new()));
    }
    if leaf.residual != "/" {
        rows.push((format!("residual {}", leaf.residual), String::new()));
    }
    rows.extend(settings(&leaf.client));
    rows
}

fn settings(keys: &Map<String, Value>) -> Vec<(String, String)> {
    let row = |(key, setting): (&String, &Value)| {
        let value = setting.get("value").unwrap_or(&Value::Null);
        (format!("{key} {}", shown(value)), string(setting, "from").unwrap_or_default().to_owned())
    };
    keys.iter().map(row).collect()
}

/// As one writes it in the configuration, but for the quotes around a text that stands alone.
fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| toml(value), str::to_owned)
}

fn toml(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::Object(keys) => {
            let keys: Vec<String> = keys.iter().map(|(key, value)| format!("{key} = {}", toml(value))).collect();
            format!("{{ {} }}", keys.join(", "))
        }
        other @ (Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => other.to_string(),
    }
}

fn tls_line(tls: &Value) -> String {
    let kind = string(tls, "kind").unwrap_or_default();
    let from = string(tls, "from").unwrap_or_default();
    let sni = string(tls, "sni").map(|sni| format!(", SNI {sni}")).unwrap_or_default();
    match kind {
        "" => "tls: none, in clear text".to_owned(),
        "refused" => format!("tls: no name to verify  {from}"),
        "no_validation" => format!("tls: encrypted, but nobody's certificate is verified{sni}  {from}"),
        kind => {
            let trust: Vec<&str> =
                tls.get("trust").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
            let trust = if trust.is_empty() { "the system's roots".to_owned() } else { trust.join(", ") };
            let name = string(tls, "name").unwrap_or_default();
            format!("tls: the endpoint must show a certificate for {name}, issued under {trust}{sni} ({kind})  {from}")
        }
    }
}

fn percent(share: f64) -> String {
    let percent = (share * 1000.0).round() / 10.0;
    if percent == 0.0 && share > 0.0 { "less than 0.1 %".to_owned() } else { format!("{percent} %") }
}

fn string<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "(none)" } else { text }
}

/// Paints, or does not.
#[derive(Clone, Copy)]
struct Pen(Color);

impl Pen {
    fn paint(self, code: &str, text: &str) -> String {
        match self.0 {
            Color::On if !text.is_empty() => format!("\x1b[{code}m{text}\x1b[0m"),
            Color::On | Color::Off => text.to_owned(),
        }
    }
    fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }
    fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }
    fn green(self, text: &str) -> String {
        self.paint("32", text)
    }
    fn yellow(self, text: &str) -> String {
        self.paint("33", text)
    }
    fn red(self, text: &str) -> String {
        self.paint("31", text)
    }
}

/// Columns of text below a step.
const DEEPER: usize = 6;
/// Columns left of the marks of a tree.
const TREE: usize = 4;
/// Left columns wider than this don't push the right one further out.
const WIDEST: usize = 72;
/// Tree levels that are indented.
const DEEPEST: usize = 20;
const MOST_LINES: usize = 200;
const MOST_ENDPOINTS: usize = 20;
const FEW: usize = 3;
