//! The rules that held for a request, each with what became of it.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use waypost_naming::{Dentry, Dtab, NameTree, Path, Weighted};

/// A rule and where it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Left of the arrow.
    pub prefix: String,
    /// Right of it.
    pub tree: String,
    /// `file:line:col`, or the header.
    pub from: String,
    /// What became of it; `None` where it did not come to that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<RuleState>,
    /// `tree` with all decimals of its weights, where two are not all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact: Option<String>,
}

/// What became of a rule. What is greater counts where a rule spoke more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleState {
    /// No path on the way begins with its prefix.
    NoMatch,
    /// Something that is tried before it was an answer.
    NotReached,
    /// It was left out of a union.
    LeftOut,
    /// It was tried and led nowhere.
    Negative,
    /// Requests follow it.
    Decides,
}

impl RuleState {
    /// For people.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::NoMatch => "no match",
            Self::NotReached => "not reached",
            Self::LeftOut => "left out",
            Self::Negative => "leads nowhere",
            Self::Decides => "decides",
        }
    }
}

/// All rules of `dtab`, without what became of them.
pub(super) fn rules(dtab: &Dtab) -> Vec<Rule> {
    dtab.dentries().iter().map(|dentry| rule(dentry, None)).collect()
}

/// All rules of `dtab`; those that are not in `states` matched nothing.
pub(super) fn rules_with(dtab: &Dtab, states: &HashMap<*const Dentry, RuleState>) -> Vec<Rule> {
    let state = |dentry| states.get(&Arc::as_ptr(dentry)).copied().unwrap_or(RuleState::NoMatch);
    dtab.dentries().iter().map(|dentry| rule(dentry, Some(state(dentry)))).collect()
}

fn rule(dentry: &Arc<Dentry>, state: Option<RuleState>) -> Rule {
    let tree = dentry.tree.to_string();
    let is_exact = NameTree::parse(&tree).is_ok_and(|parsed| parsed == dentry.tree);
    let exact = (!is_exact).then(|| exact(&dentry.tree));
    Rule { prefix: dentry.prefix.to_string(), tree, from: dentry.place.to_string(), state, exact }
}

impl Rule {
    /// As one writes it, with all of its weights.
    pub(super) fn written(&self) -> String {
        let parsed = NameTree::parse(self.exact.as_deref().unwrap_or(&self.tree));
        format!("{} => {}", self.prefix, parsed.map_or_else(|_| self.tree.clone(), |tree| exact(&tree)))
    }
}

/// A tree as people write one: linkerd's form, which is what `Display` gives, has weights of two decimals only.
fn exact(tree: &NameTree<Path>) -> String {
    let joined = |trees: Vec<String>, separator: &str| trees.join(separator);
    match tree {
        NameTree::Leaf(path) => path.to_string(),
        NameTree::Neg => "~".to_owned(),
        NameTree::Fail => "!".to_owned(),
        NameTree::Empty => "$".to_owned(),
        NameTree::Alt(trees) => joined(trees.iter().map(|tree| grouped(tree, Within::Alt)).collect(), " | "),
        NameTree::Union(members) => {
            let member = |Weighted { weight, tree }: &Weighted<Path>| {
                let tree = grouped(tree, Within::Union);
                if weight.to_bits() == 1.0_f64.to_bits() { tree } else { format!("{weight} * {tree}") }
            };
            joined(members.iter().map(member).collect(), " & ")
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Alt,
    Union,
}

fn grouped(tree: &NameTree<Path>, within: Within) -> String {
    match tree {
        NameTree::Alt(_) => format!("({})", exact(tree)),
        NameTree::Union(_) if within == Within::Union => format!("({})", exact(tree)),
        NameTree::Union(_) | NameTree::Leaf(_) | NameTree::Neg | NameTree::Fail | NameTree::Empty => exact(tree),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_shown_with_all_that_it_means() {
        for text in [
            "/a",
            "~",
            "/a | /b & 0.001 * /c | !",
            "0.999 * /a & /b & 3 * (/c | $)",
            "/a | (/b | /c)",
            "2 * (/a & /b) & /c",
        ] {
            let tree = NameTree::parse(text).unwrap();
            assert_eq!(exact(&tree), text);
            assert_eq!(NameTree::parse(&exact(&tree)).unwrap(), tree);
        }
    }

    #[test]
    fn weights_that_linkerds_form_loses_are_kept_beside_it() {
        for (dtab, tree, exact, written) in [
            ("/a => 0.999 * /b & 0.001 * /c", "1.00*/b & 0.00*/c", true, "/a => 0.999 * /b & 0.001 * /c"),
            ("/a => 9 * /b & /c", "9.00*/b & /c", false, "/a => 9 * /b & /c"),
        ] {
            let rule = rules(&dtab.parse().unwrap()).remove(0);
            assert_eq!((rule.tree.as_str(), rule.exact.is_some()), (tree, exact), "{dtab}");
            assert_eq!(rule.written(), written);
        }
    }
}
