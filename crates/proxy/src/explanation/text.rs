//! An explanation for a terminal: numbered steps, each with what it came to and where that was written.
//!
//! It is drawn from the JSON of an explanation alone, so that one from a running waypost reads as one from a file does.

mod branches;
mod page;
mod policies;

use serde_json::Value;

use self::branches::branches;
pub use self::page::Color;
use self::page::{Ink, Page, Row, plain};
use self::policies::{leaf_rows, policy_rows, tls_rows, tls_words};
use super::annotate::Annotated;
use super::share::percent;
use super::tree::has_alternatives;
use super::{ExplainedLeaf, Explanation, Outcome, Rule, RuleState};

impl Explanation {
    /// The explanation as text; ends in a newline.
    #[must_use]
    pub fn to_text(&self, color: Color) -> String {
        let mut page = Page::new(color);
        let request = &self.request;
        let title = page.paint(Ink::Bold, &format!("{} {}", request.method, request.target));
        let host = if request.authority.is_empty() { "(none)" } else { &request.authority };
        let generation = self.generation.map(|generation| format!("   generation {generation}")).unwrap_or_default();
        page.line(0, &format!("{title}   Host {host}   router {}{generation}", self.router));
        page.empty_line();
        self.naming(&mut page);
        self.delegation(&mut page);
        self.policies(&mut page);
        page.empty_line();
        page.notes(&self.notes);
        page.line(0, &self.verdict(&page));
        page.finish()
    }

    /// How the request got its name, or why it was refused before it had one.
    fn naming(&self, page: &mut Page) {
        match &self.identified {
            Some(identified) => {
                let path = page.paint(Ink::Bold, &identified.path);
                page.step("identify", &format!("{} ({}) -> {path}", identified.by, self.identified_from));
                if let Some(target) = &identified.target {
                    page.line(DEEPER, &format!("sent on as {target}"));
                }
            }
            None if self.outcome == Outcome::Unidentified => page.step("identify", "no identifier names this request"),
            None => page.step("check", "the request is refused before it gets a name"),
        }
        for passed in &self.passed_over {
            page.line(DEEPER, &format!("not {} ({}): {}", passed.by, passed.from, passed.why));
        }
    }

    fn delegation(&self, page: &mut Page) {
        if let Some(excerpt) = self.error.as_ref().and_then(|error| error.at.as_ref()) {
            page.step("override", &format!("{} can't be read, so no rule is followed", excerpt.source));
            let drawn = excerpt.finding().render(page.is_colored());
            drawn.lines().for_each(|line| page.line(DEEPER, line));
        }
        rules_and_tree(&self.dtab, &self.tree, page);
        let value = |key: &str| self.fallback.get(key).and_then(Value::as_str);
        if let (Some(fallback), Some(from)) = (value("value"), value("from"))
            && (fallback != "name" || has_alternatives(&self.tree))
        {
            let tried = if fallback == "endpoints" { "does not exist or has nobody to ask" } else { "does not exist" };
            let line = format!("fallback is `{fallback}` ({from}): an alternative is tried where a name {tried}");
            page.line(DEEPER, &page.paint(Ink::Dim, &line));
        }
    }

    fn policies(&self, page: &mut Page) {
        if let Some(identified) = self.identified.as_ref().filter(|_| !self.service.is_empty()) {
            page.step("service", &format!("what holds for {}", identified.path));
            page.table(DEEPER, &policy_rows(&self.service));
        }
        for (index, leaf) in self.leaves.iter().enumerate() {
            let twin = self.leaves.iter().take(index).find(|before| before.client == leaf.client);
            self.client(leaf, twin, page);
        }
    }

    /// A leaf, with its policy unless that is the same as the one of `twin`, which was shown before.
    fn client(&self, leaf: &ExplainedLeaf, twin: Option<&ExplainedLeaf>, page: &mut Page) {
        let bound = page.paint(Ink::Bold, &leaf.bound);
        page.step("client", &format!("{bound} gets {} of the requests", percent(leaf.share)));
        let mut rows = leaf_rows(leaf);
        if twin.is_none() {
            rows.extend(policy_rows(&leaf.client));
        }
        rows.extend(tls_rows(leaf));
        page.table(DEEPER, &rows);
        if let Some(twin) = twin {
            page.line(DEEPER, &format!("all else as for {}", twin.bound));
        }
        let (ink, words) = tls_words(&leaf.tls);
        page.line(DEEPER, &page.paint(ink, &words));
        let told = self.error.as_ref().map(|error| &error.message);
        if let Some(error) = leaf.error.as_ref().filter(|error| Some(*error) != told) {
            page.line(DEEPER, &page.paint(Ink::Red, &format!("refused: {error}")));
        }
    }

    fn verdict(&self, page: &Page) -> String {
        let word = self.outcome.word();
        let Some(error) = &self.error else {
            let taking = self.leaves.iter().filter(|leaf| leaf.share > 0.0);
            let bound: Vec<&str> = taking.map(|leaf| leaf.bound.as_str()).collect();
            let empty = match self.empty_share > 0.0 {
                true => format!("; {} of the requests draw `$` and are answered with 502", percent(self.empty_share)),
                false => String::new(),
            };
            return format!("{}: sent to {}{empty}", page.paint(Ink::Green, word), bound.join(" or "));
        };
        let word = page.paint(Ink::Red, word);
        format!("{word}: {} (the client gets {}, {})", shortened(&error.message), error.status, error.word)
    }
}

/// A delegation alone, as steps of an explanation show it; ends in a newline.
pub(crate) fn delegation_text(dtab: &[Rule], annotated: &Annotated, color: Color) -> String {
    let mut page = Page::new(color);
    rules_and_tree(dtab, &annotated.tree, &mut page);
    page.empty_line();
    page.notes(&annotated.notes);
    page.finish()
}

fn rules_and_tree(dtab: &[Rule], tree: &Value, page: &mut Page) {
    if !dtab.is_empty() {
        page.step("dtab", "a later rule is tried before an earlier one");
        rules(dtab, page);
    }
    if !tree.is_null() {
        page.step("delegate", "* marks the way that requests take; the place is that of the rule that leads there");
        branches(tree, page);
    }
}

/// Rules that never end make names that nobody reads to their end.
fn shortened(message: &str) -> String {
    if message.chars().count() <= LONGEST {
        return message.to_owned();
    }
    let half = |chars: &mut dyn Iterator<Item = char>| chars.take(LONGEST / 2).collect::<Vec<char>>();
    let (start, end) = (half(&mut message.chars()), half(&mut message.chars().rev()));
    start.into_iter().chain(" ... ".chars()).chain(end.into_iter().rev()).collect()
}

/// All rules of a short table; of a long one those that spoke for a path on the way.
fn rules(dtab: &[Rule], page: &mut Page) {
    let spoke = |rule: &&Rule| rule.state.is_none_or(|state| state != RuleState::NoMatch);
    let shown: Vec<&Rule> = match dtab.len() > SHORT_DTAB {
        true => dtab.iter().filter(spoke).take(MOST_RULES).collect(),
        false => dtab.iter().collect(),
    };
    let rows: Vec<Row<3>> = shown.iter().map(|rule| rule_row(rule)).collect();
    page.table(DEEPER, &rows);
    if let Some(more) = dtab.len().checked_sub(rows.len()).filter(|more| *more > 0) {
        let silent = dtab.iter().filter(|rule| !spoke(rule)).count();
        let what = if silent == more { "that match no path on the way" } else { "; --json shows them" };
        page.line(DEEPER, &page.paint(Ink::Dim, &format!("and {more} more rules {what}")));
    }
}

fn rule_row(rule: &Rule) -> Row<3> {
    let state = rule.state.map_or("", RuleState::words);
    let ink = match rule.state {
        Some(RuleState::Decides) => Ink::Bold,
        Some(RuleState::NoMatch) => Ink::Dim,
        Some(RuleState::NotReached | RuleState::LeftOut | RuleState::Negative) | None => Ink::Plain,
    };
    plain([rule.from.clone(), state.to_owned(), rule.written()]).map(|(text, _)| (text, ink))
}

/// Columns of text below a step.
const DEEPER: usize = 6;
/// Rules of a table that is shown as a whole.
const SHORT_DTAB: usize = 12;
const MOST_RULES: usize = 100;
/// Characters of a message.
const LONGEST: usize = 400;
