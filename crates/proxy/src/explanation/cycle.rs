//! Rules that lead back to themselves, shown as the way round.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use waypost_naming::{Answer, Dentry, Dtab, MAX_DEPTH, NameTree, Path, Target};

use super::unknown::Namers;

/// A way of rules without end.
#[derive(Clone, Debug)]
pub(super) struct Cycle {
    /// From where it begins to where it is again; in one that grows, two rounds.
    pub(super) steps: Vec<Step>,
    /// The path gets longer each time, instead of being the same again.
    pub(super) grows: bool,
}

/// A path on the way.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) path: Path,
    /// The rule that made it; none where a namer did, and for the first.
    pub(super) dentry: Option<Arc<Dentry>>,
}

/// The first way without end that begins at `start`.
pub(super) fn cycle(dtab: &Dtab, namers: &dyn Namers, start: &Path) -> Option<Cycle> {
    let mut search = Search { dtab, namers, left: MOST_STEPS, way: Vec::new(), ended: HashSet::new() };
    search.follow(Step { path: start.clone(), dentry: None })
}

struct Search<'a> {
    dtab: &'a Dtab,
    namers: &'a dyn Namers,
    left: usize,
    way: Vec<Step>,
    /// Paths from which every way ends.
    ended: HashSet<Path>,
}

impl Search<'_> {
    fn follow(&mut self, step: Step) -> Option<Cycle> {
        if let Some(first) = self.way.iter().position(|before| before.path == step.path) {
            let steps = self.way.iter().skip(first).cloned().chain([step]);
            return Some(Cycle { steps: steps.collect(), grows: false });
        }
        self.left = self.left.checked_sub(1)?;
        if self.ended.contains(&step.path) {
            return None;
        }
        let path = step.path.clone();
        self.way.push(step);
        let found = if self.way.len() > MAX_DEPTH { rounds(&self.way) } else { self.next(&path) };
        self.way.pop();
        if found.is_none() {
            self.ended.insert(path);
        }
        found
    }

    fn next(&mut self, path: &Path) -> Option<Cycle> {
        let rules: Vec<Arc<Dentry>> = self.dtab.matches(path).map(Arc::clone).collect();
        if rules.iter().any(|dentry| dentry.tree != NameTree::Neg) || rules.len() > 1 {
            return rules.into_iter().find_map(|dentry| {
                let leaves = dentry.apply(path);
                leaves
                    .leaves()
                    .into_iter()
                    .find_map(|leaf| self.follow(Step { path: leaf.clone(), dentry: Some(Arc::clone(&dentry)) }))
            });
        }
        let Answer::Tree(tree) = self.namers.lookup(path) else { return None };
        tree.leaves().into_iter().find_map(|leaf| match leaf {
            Target::Path(next) => self.follow(Step { path: next.clone(), dentry: None }),
            Target::Bound(_) | Target::Vacant(_) => None,
        })
    }
}

/// A way as long as delegation goes, cut down to the first two rounds of the rules that repeat to its end.
fn rounds(way: &[Step]) -> Option<Cycle> {
    let same = |a: &Step, b: &Step| match (&a.dentry, &b.dentry) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        (a, b) => a.is_none() && b.is_none(),
    };
    let repeats = |period: usize, from: usize| {
        let rest = way.get(from..).unwrap_or_default();
        rest.len() > 2 * period && rest.iter().zip(rest.iter().skip(period)).all(|(a, b)| same(a, b))
    };
    // The first step has no rule, so that the repetition begins behind it.
    let (period, from) = (1..=way.len() / 4)
        .find_map(|period| Some((period, (1..=way.len() / 2).find(|from| repeats(period, *from))?)))?;
    let steps = way.iter().skip(from - 1).take(2 * period + 1).cloned().collect();
    Some(Cycle { steps, grows: true })
}

impl fmt::Display for Cycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.grows { "never ends: " } else { "goes round: " })?;
        for (index, Step { path, dentry }) in self.steps.iter().enumerate() {
            match (index, dentry) {
                (0, _) => write!(f, "{path}")?,
                (_, Some(dentry)) => write!(f, " -> {path} ({})", dentry.place)?,
                (_, None) => write!(f, " -> {path} (a namer)")?,
            }
        }
        f.write_str(if self.grows { " -> ..." } else { "" })
    }
}

/// Look-ups of one search.
const MOST_STEPS: usize = 2_000;

#[cfg(test)]
mod tests {
    use waypost_naming::{Place, Span, line_col};
    use waypost_routing::NamerSet;

    use super::super::unknown::Configured;
    use super::*;

    fn way_round(text: &str, start: &str) -> Option<String> {
        let place = |span: Span| {
            let (line, col) = line_col(text, span.start);
            Place::File { file: "d".into(), line, col }
        };
        let dtab = Dtab::parse_at(text, place).unwrap();
        let (none, _) = NamerSet::read(&[]);
        cycle(&dtab, &Configured::new(&none, &[]), &start.parse().unwrap()).map(|cycle| cycle.to_string())
    }

    #[test]
    fn the_way_round_begins_where_it_comes_back_to() {
        for (dtab, start, shown) in [
            ("/a => /a", "/a", "goes round: /a -> /a (d:1:1)"),
            ("/a => /b ;\n/b => /a", "/a/x", "goes round: /a/x -> /b/x (d:1:1) -> /a/x (d:2:1)"),
            ("/s => /a ;\n/a => /x | /b ;\n/b => /a", "/s", "goes round: /a -> /b (d:2:1) -> /a (d:3:1)"),
            ("/a => /a & /a", "/a", "goes round: /a -> /a (d:1:1)"),
            ("/a => /a/b", "/a", "never ends: /a -> /a/b (d:1:1) -> /a/b/b (d:1:1) -> ..."),
            (
                "/s => /a ;\n/a => /b ;\n/b => /a/x",
                "/s",
                "never ends: /a -> /b (d:2:1) -> /a/x (d:3:1) -> /b/x (d:2:1) -> /a/x/x (d:3:1) -> ...",
            ),
            (
                "/h => /$/io.buoyant.http.anyHost/x/h ;\n",
                "/h",
                "goes round: /h -> /$/io.buoyant.http.anyHost/x/h (d:1:1) -> /h (a namer)",
            ),
        ] {
            assert_eq!(way_round(dtab, start).as_deref(), Some(shown), "{dtab}");
        }
    }

    #[test]
    fn ways_that_end_are_no_cycle_however_many_there_are() {
        for (dtab, start) in [("/a => /b ; /b => /c", "/a"), ("", "/a"), ("/a => ~", "/a"), ("/a => /b & /b", "/a/x")] {
            assert_eq!(way_round(dtab, start), None, "{dtab}");
        }
        let bushy: Vec<String> = (0..40).map(|n| format!("/n{n} => /n{m} & /n{m}", m = n + 1)).collect();
        assert_eq!(way_round(&bushy.join(";"), "/n0"), None);
    }
}
