//! `/a | 0.9 * /b & 0.1 * /c`.

use waypost_naming::{NameTree, Path};

use super::{NAMES, is_told};
use crate::target::Target;

pub(crate) fn target() -> Target {
    let seeds = ["/a", "/a | /b | !", "0.9 * /a & 0.1*(/b | ~)", "((/a)) & 3.5 * $", "/a | (/b | (/c & .5*/d # x\n))"];
    Target::new("tree", holds, &NAMES, &seeds)
}

fn holds(text: &str) {
    match NameTree::parse(text) {
        Ok(tree) => {
            is_shown_to_be_read(&tree);
            let simple = tree.clone().simplified();
            assert_eq!(simple.clone().simplified(), simple);
            assert_eq!(tree.clone().map(|leaf| leaf), tree);
        }
        Err(error) => is_told(text, &error),
    }
}

/// What is shown reads as the same tree, but for weights of more than two decimals; shown again it is the same text, but
/// for weights that were shown as `1.00`: 1 itself is not shown. Then it stays as it is.
pub(super) fn is_shown_to_be_read(tree: &NameTree<Path>) {
    let shown = tree.to_string();
    match NameTree::parse(&shown) {
        Ok(again) => {
            assert!(is_same(tree, &again), "{tree:?} is shown as {shown}");
            let shown_again = again.to_string();
            let whole = |shown: &str| shown.replace("(1.00*", "(").replace(" 1.00*", " ");
            assert_eq!(shown_again, whole(&format!(" {shown}")).trim_start());
            assert_eq!(whole(&format!(" {shown_again}")).trim_start(), shown_again);
        }
        Err(error) => assert_eq!(shown, "", "{error} in what is shown"),
    }
}

fn is_same(left: &NameTree<Path>, right: &NameTree<Path>) -> bool {
    match (left, right) {
        (NameTree::Alt(left), NameTree::Alt(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| is_same(left, right))
        }
        (NameTree::Union(left), NameTree::Union(right)) => {
            let mut pairs = left.iter().zip(right);
            // Half of the last decimal, and what a number of that size can't tell apart.
            let near =
                |left: f64, right: f64| (left - right).abs() <= 0.005_000_1 + left * f64::EPSILON || left >= 1e12;
            left.len() == right.len()
                && pairs.all(|(left, right)| near(left.weight, right.weight) && is_same(&left.tree, &right.tree))
        }
        (left, right) => left == right,
    }
}
