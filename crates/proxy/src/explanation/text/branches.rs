//! A delegation tree, one line for each branch: its path, the place of the rule that led there, what became of it.

use serde_json::Value;

use super::super::share::percent;
use super::super::tree::{children, decides};
use super::page::{Ink, Page, Row};

/// Draws a tree that says why branches are lost.
pub(super) fn branches(tree: &Value, page: &mut Page) {
    let mut lines = Vec::new();
    let left_out = branch(tree, At { weight: None, depth: 0 }, &mut lines);
    page.table(LEFT, &lines);
    if left_out > 0 {
        page.line(LEFT, &format!("  and {left_out} more, deeper or further down; --json shows them all"));
    }
}

/// Where in a tree a node stands.
#[derive(Clone, Copy)]
struct At {
    weight: Option<f64>,
    depth: usize,
}

/// Gives the number of nodes that were left out.
fn branch(tree: &Value, at: At, lines: &mut Vec<Row<3>>) -> usize {
    if at.depth > DEEPEST || lines.len() >= MOST_LINES {
        let below = children(tree).map(|(_, child)| branch(child, at, lines));
        return 1 + below.sum::<usize>();
    }
    let weight = at.weight.map(|weight| format!("{weight} * ")).unwrap_or_default();
    let path = format!("{weight}{}", string(tree, "path").unwrap_or("..."));
    let (mark, ink) = if decides(tree) { ("*", Ink::Bold) } else { (" ", Ink::Plain) };
    let left = shortened(&format!("{mark} {}{path}", "  ".repeat(at.depth)));
    let place = tree.pointer("/dentry/from").and_then(Value::as_str).unwrap_or_default();
    lines.push([(left, ink), (place.to_owned(), Ink::Plain), (words(tree), color(tree))]);
    children(tree).map(|(weight, child)| branch(child, At { weight, depth: at.depth + 1 }, lines)).sum()
}

/// What requests come to stands out: green where somebody is there.
fn color(tree: &Value) -> Ink {
    if !decides(tree) {
        return Ink::Dim;
    }
    let refused = tree.pointer("/tls/kind").and_then(Value::as_str) == Some("refused");
    match string(tree, "type").unwrap_or_default() {
        "leaf" if tree.pointer("/bound/addr/addrs/0").is_some() && !refused => Ink::Green,
        "leaf" | "fail" | "empty" | "exception" => Ink::Red,
        "pending" => Ink::Yellow,
        _ => Ink::Plain,
    }
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= WIDEST {
        return text.to_owned();
    }
    text.chars().take(WIDEST - 3).chain("...".chars()).collect()
}

/// What became of a branch.
fn words(tree: &Value) -> String {
    let why = string(tree, "why").unwrap_or_default();
    match string(tree, "lost").unwrap_or_default() {
        "" => result(tree),
        "negative" if why.is_empty() => "leads nowhere".to_owned(),
        "negative" => format!("leads nowhere: {why}"),
        "left_out" => format!("left out of the union: {why}"),
        "no_weight" => "gets no requests: its weight is 0".to_owned(),
        _ => format!("not tried: {why}{}", otherwise(tree)),
    }
}

/// What would come of a branch that is not tried.
fn otherwise(tree: &Value) -> String {
    match string(tree, "type").unwrap_or_default() {
        "neg" => "; it would lead nowhere".to_owned(),
        "fail" => "; it would fail".to_owned(),
        "exception" => "; it would end in an error".to_owned(),
        "leaf" => format!("; it would be {}", leaf(tree)),
        _ => String::new(),
    }
}

/// What a branch is, taken by itself.
fn result(tree: &Value) -> String {
    match string(tree, "type").unwrap_or_default() {
        "neg" => match string(tree, "why") {
            Some(why) => format!("leads nowhere: {why}"),
            None => "leads nowhere".to_owned(),
        },
        "fail" => "fails: the rule says `!`".to_owned(),
        "empty" => format!("nobody: the rule says `$`{}", share(tree)),
        "pending" => "waits: discovery has not answered yet".to_owned(),
        "exception" if tree.get("cycle").is_some() => {
            format!("{}{}", string(tree, "message").unwrap_or_default(), share(tree))
        }
        "exception" => {
            let why = string(tree, "why").map(|why| format!("; {why}")).unwrap_or_default();
            format!("error: {}{why}", string(tree, "message").unwrap_or_default())
        }
        "leaf" => leaf(tree),
        "alt" => "the first of these that leads somewhere".to_owned(),
        "union" => union(tree),
        "transformation" => format!("transformed by {}", string(tree, "name").unwrap_or_default()),
        _ => String::new(),
    }
}

fn union(tree: &Value) -> String {
    let all = children(tree).count();
    let left_out = children(tree).filter(|(_, child)| string(child, "lost") == Some("left_out")).count();
    match left_out {
        0 => "each of these, by weight".to_owned(),
        _ if left_out == all => "none of these is left".to_owned(),
        _ if left_out + 1 == all => format!("renormalised: {left_out} of {all} left out, the other one gets all"),
        _ => format!("each of these, by weight, renormalised: {left_out} of {all} left out"),
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
        _ => "no endpoints, discovery knows no such host".to_owned(),
    };
    let refused = match tree.pointer("/tls/kind").and_then(Value::as_str) {
        Some("refused") => ", but refused: there is no TLS name for it",
        _ => "",
    };
    format!("{text}: {endpoints}{}{refused}", share(tree))
}

fn share(tree: &Value) -> String {
    let share = tree.get("share").and_then(Value::as_f64).filter(|share| *share < 1.0);
    share.map(|share| format!(", {} of the requests", percent(share))).unwrap_or_default()
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
    let ip = string(addr, "ip").unwrap_or_default();
    let port = addr.get("port").and_then(Value::as_u64).unwrap_or_default();
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

fn string<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

/// Columns left of the marks.
const LEFT: usize = 4;
/// The widest path, with all that stands before it.
const WIDEST: usize = 60;
/// Tree levels that are shown.
const DEEPEST: usize = 12;
const MOST_LINES: usize = 100;
const FEW: usize = 3;
