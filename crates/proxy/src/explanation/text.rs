//! An explanation for a terminal: numbered steps, each with what it came to and where that was written.

use serde_json::{Map, Value};

use super::tree::{children, decides};
use super::{ExplainedEndpoint, ExplainedLeaf, Explanation, Outcome, Rule};

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
        page.out.push('\n');
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
        } else if self.outcome == Outcome::Unidentified {
            page.step("identify", "no identifier names this request");
        }
        if !self.dtab.is_empty() {
            page.step("dtab", "of several rules that match, the last one is tried first");
            let row = |rule: &Rule| [format!("{} => {}", rule.prefix, rule.tree), String::new(), rule.from.clone()];
            page.table(&self.dtab.iter().map(row).collect::<Vec<_>>());
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
        let told = self.error.as_ref().map(|error| &error.message);
        for leaf in &self.leaves {
            let share = percent(leaf.share);
            page.step("client", &format!("{} gets {share} of the requests", page.pen.bold(&leaf.bound)));
            page.table(&leaf_rows(leaf));
            page.line(DEEPER, &tls_line(&leaf.tls, page.pen));
            if let Some(error) = leaf.error.as_ref().filter(|error| Some(*error) != told) {
                page.line(DEEPER, &page.pen.red(&format!("refused: {error}")));
            }
        }
    }

    fn verdict(&self, pen: Pen) -> String {
        let word = self.outcome.word();
        let Some(error) = &self.error else {
            let bound: Vec<&str> = self.leaves.iter().map(|leaf| leaf.bound.as_str()).collect();
            let empty = match self.empty_share > 0.0 {
                true => format!("; {} of the requests draw `$` and are answered with 502", percent(self.empty_share)),
                false => String::new(),
            };
            return format!("{}: sent to {}{empty}", pen.green(word), bound.join(" or "));
        };
        format!("{}: {} (the client gets {}, {})", pen.red(word), error.message, error.status, error.word)
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
        let head = self.pen.bold(&format!("{}. {word:<9}", self.step));
        self.line(0, &format!("{head} {text}"));
    }

    /// Three columns; the last one is where the others were written.
    fn table(&mut self, rows: &[[String; 3]]) {
        let (left, middle) = (widest(rows, 0), widest(rows, 1));
        for [key, value, from] in rows {
            let key = if value.is_empty() && from.is_empty() { key.clone() } else { format!("{key:<left$}  ") };
            let value = match middle {
                0 => String::new(),
                _ if from.is_empty() => value.clone(),
                _ => format!("{value:<middle$}  "),
            };
            let from = self.pen.dim(from);
            self.line(DEEPER, &format!("{key}{value}{from}"));
        }
    }

    fn tree(&mut self, tree: &Value) {
        let mut lines = Vec::new();
        let left_out = branch(tree, &At { weight: None, depth: 0, above: None }, &mut lines);
        let columns: Vec<[String; 3]> = lines.iter().map(|line| line.columns.clone()).collect();
        let (left, middle) = (widest(&columns, 0), widest(&columns, 1));
        for line in &lines {
            let [path, result, rule] = &line.columns;
            let path = if result.is_empty() && rule.is_empty() { path.clone() } else { format!("{path:<left$}") };
            let result = if rule.is_empty() { result.clone() } else { format!("{result:<middle$}") };
            let (mark, path, result) = match line.decides {
                true => ("*", self.pen.bold(&path), self.pen.green(&result)),
                false => (" ", path, self.pen.dim(&result)),
            };
            let rule = self.pen.dim(rule);
            self.line(TREE, &format!("{mark} {path}  {result}  {rule}"));
        }
        if left_out > 0 {
            self.line(TREE, &format!("  and {left_out} more, deeper or further down; --json shows them all"));
        }
    }
}

/// How wide a column has to be; what is wider than [`WIDEST`] sticks out rather than pushing all others away.
fn widest(rows: &[[String; 3]], column: usize) -> usize {
    let widths = rows.iter().filter_map(|row| Some(row.get(column)?.chars().count()));
    widths.filter(|width| *width <= WIDEST).max().unwrap_or_default()
}

/// One node of a tree.
struct Line {
    decides: bool,
    /// Path behind its indentation and weight, result, rule.
    columns: [String; 3],
}

/// Where in a tree a node stands.
struct At<'a> {
    weight: Option<f64>,
    depth: usize,
    /// The rule that produced the node above.
    above: Option<&'a Value>,
}

/// Gives the number of nodes that were left out.
fn branch(tree: &Value, at: &At<'_>, lines: &mut Vec<Line>) -> usize {
    let below = || children(tree);
    if at.depth > DEEPEST || lines.len() >= MOST_LINES {
        return 1 + below().map(|(_, child)| branch(child, &At { weight: None, ..*at }, lines)).sum::<usize>();
    }
    let weight = at.weight.map(|weight| format!("{weight} * ")).unwrap_or_default();
    let path = string(tree, "path").unwrap_or("...");
    let dentry = tree.get("dentry");
    // Members of a rule's union come from that rule: once is enough.
    let repeated = at.weight.is_some() && dentry == at.above;
    let rule = dentry.filter(|_| !repeated).map(rule).unwrap_or_default();
    let left = shortened(&format!("{}{weight}{path}", "  ".repeat(at.depth)));
    lines.push(Line { decides: decides(tree), columns: [left, result(tree), rule] });
    let below = below().map(|(weight, child)| branch(child, &At { weight, depth: at.depth + 1, above: dentry }, lines));
    below.sum()
}

fn rule(dentry: &Value) -> String {
    let part = |key| string(dentry, key).unwrap_or_default();
    let rule = shortened(&format!("by {} => {}", part("prefix"), part("dst")));
    string(dentry, "from").map_or_else(|| rule.clone(), |from| format!("{rule}  {from}"))
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= WIDEST {
        return text.to_owned();
    }
    text.chars().take(WIDEST - 3).chain("...".chars()).collect()
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

fn leaf_rows(leaf: &ExplainedLeaf) -> Vec<[String; 3]> {
    let endpoint = |endpoint: &ExplainedEndpoint| {
        [
            "endpoint".to_owned(),
            format!("{}, weight {}, {}", endpoint.addr, endpoint.weight, endpoint.state),
            String::new(),
        ]
    };
    let mut rows: Vec<_> = leaf.endpoints.iter().take(MOST_ENDPOINTS).map(endpoint).collect();
    if let Some(more) = leaf.endpoints.len().checked_sub(MOST_ENDPOINTS).filter(|more| *more > 0) {
        rows.push([String::new(), format!("and {more} more"), String::new()]);
    }
    if leaf.residual != "/" {
        rows.push(["residual".to_owned(), leaf.residual.clone(), String::new()]);
    }
    rows.extend(settings(&leaf.client));
    rows
}

fn settings(keys: &Map<String, Value>) -> Vec<[String; 3]> {
    let row = |(key, setting): (&String, &Value)| {
        let value = setting.get("value").unwrap_or(&Value::Null);
        [key.clone(), shown(value), string(setting, "from").unwrap_or_default().to_owned()]
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

fn tls_line(tls: &Value, pen: Pen) -> String {
    let kind = string(tls, "kind").unwrap_or_default();
    let from = pen.dim(string(tls, "from").unwrap_or_default());
    let sni = string(tls, "sni").map(|sni| format!(", SNI {sni}")).unwrap_or_default();
    match kind {
        "" => format!("tls: {}", pen.yellow("clear text")),
        "refused" => format!("tls: there is no name to verify  {from}"),
        "no_validation" => format!("tls: {}{sni}  {from}", pen.yellow("encrypted, whoever the endpoint is")),
        kind => {
            let trust = tls.get("trust").and_then(Value::as_array).into_iter().flatten();
            let trust: Vec<&str> = trust.filter_map(Value::as_str).collect();
            let trust = if trust.is_empty() { "one of the system's roots".to_owned() } else { trust.join(" or ") };
            let name = pen.bold(string(tls, "name").unwrap_or_default());
            format!("tls: {kind}: the endpoint must show a certificate for {name}, from {trust}{sni}  {from}")
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
/// The widest column.
const WIDEST: usize = 60;
/// Tree levels that are shown.
const DEEPEST: usize = 12;
const MOST_LINES: usize = 100;
const MOST_ENDPOINTS: usize = 20;
const FEW: usize = 3;
