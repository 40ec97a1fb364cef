//! Name trees: fallback, weighted union, leaves; how they are shown and what may be left out of them.

use std::fmt;

use crate::parse::{self, ParseError};
use crate::path::Path;

/// What a rule sends a path to.
#[derive(Clone, PartialEq, Debug)]
pub enum NameTree<T> {
    /// `a | b`: the first that is not negative.
    Alt(Vec<Self>),
    /// `0.9 * a & 0.1 * b`: shares, by weight.
    Union(Vec<Weighted<T>>),
    /// One name.
    Leaf(T),
    /// `~`: nothing is here, a fallback may be.
    Neg,
    /// `!`: nothing is here, and no fallback is tried.
    Fail,
    /// `$`: here, with nothing in it.
    Empty,
}

/// A member of a union.
#[derive(Clone, PartialEq, Debug)]
pub struct Weighted<T> {
    /// Finite and not negative; 1 where none is written. Shares are weights by their sum.
    pub weight: f64,
    /// What gets the share.
    pub tree: NameTree<T>,
}

impl<T> NameTree<T> {
    /// The tree in which each leaf is replaced by what `leaf` makes of it.
    pub fn map<U>(self, mut leaf: impl FnMut(T) -> U) -> NameTree<U> {
        self.map_with(&mut leaf)
    }

    fn map_with<U>(self, leaf: &mut impl FnMut(T) -> U) -> NameTree<U> {
        match self {
            Self::Alt(trees) => NameTree::Alt(trees.into_iter().map(|tree| tree.map_with(leaf)).collect()),
            Self::Union(members) => NameTree::Union(
                members
                    .into_iter()
                    .map(|Weighted { weight, tree }| Weighted { weight, tree: tree.map_with(leaf) })
                    .collect(),
            ),
            Self::Leaf(value) => NameTree::Leaf(leaf(value)),
            Self::Neg => NameTree::Neg,
            Self::Fail => NameTree::Fail,
            Self::Empty => NameTree::Empty,
        }
    }

    /// The same meaning with less: an alt loses its `~` members and all behind its first `!`, a union its `~` and `!`
    /// members. What is left alone stands for the whole (its weight is forgotten); nothing left is `~`. Nested trees
    /// go first and are not flattened.
    ///
    /// "The same" is said of leaves that are bound: one that is yet to become `!` counts for less in a union.
    #[must_use]
    pub fn simplified(self) -> Self {
        match self {
            Self::Alt(trees) => Self::simple_alt(trees.into_iter().map(Self::simplified)),
            // linkerd's: a union of one is that one, even where it is `!`.
            Self::Union(mut members) if members.len() == 1 => {
                members.pop().map_or(Self::Neg, |member| member.tree.simplified())
            }
            Self::Union(members) => Self::simple_union(
                members.into_iter().map(|Weighted { weight, tree }| Weighted { weight, tree: tree.simplified() }),
            ),
            Self::Leaf(_) | Self::Neg | Self::Fail | Self::Empty => self,
        }
    }

    /// The simplified alt of trees that are simplified.
    fn simple_alt(trees: impl IntoIterator<Item = Self>) -> Self {
        let mut kept = Vec::new();
        for tree in trees {
            match tree {
                Self::Neg => {}
                Self::Fail => {
                    kept.push(Self::Fail);
                    break;
                }
                Self::Alt(_) | Self::Union(_) | Self::Leaf(_) | Self::Empty => kept.push(tree),
            }
        }
        if kept.len() > 1 { Self::Alt(kept) } else { kept.pop().unwrap_or(Self::Neg) }
    }

    /// The simplified union of members whose trees are simplified.
    pub(crate) fn simple_union(members: impl IntoIterator<Item = Weighted<T>>) -> Self {
        let mut kept: Vec<_> =
            members.into_iter().filter(|member| !matches!(member.tree, Self::Neg | Self::Fail)).collect();
        if kept.len() > 1 { Self::Union(kept) } else { kept.pop().map_or(Self::Neg, |member| member.tree) }
    }

    /// The leaves, left to right.
    pub fn leaves(&self) -> Vec<&T> {
        let mut leaves = Vec::new();
        self.collect_leaves(&mut leaves);
        leaves
    }

    fn collect_leaves<'t>(&'t self, leaves: &mut Vec<&'t T>) {
        match self {
            Self::Alt(trees) => trees.iter().for_each(|tree| tree.collect_leaves(leaves)),
            Self::Union(members) => members.iter().for_each(|member| member.tree.collect_leaves(leaves)),
            Self::Leaf(value) => leaves.push(value),
            Self::Neg | Self::Fail | Self::Empty => {}
        }
    }

    /// This tree, or what stands for it where it is a node of one member or of none.
    fn essence(&self) -> Option<&Self> {
        match self {
            Self::Alt(trees) if trees.len() < 2 => trees.first().and_then(Self::essence),
            Self::Union(members) if members.len() < 2 => members.first().and_then(|member| member.tree.essence()),
            Self::Alt(_) | Self::Union(_) | Self::Leaf(_) | Self::Neg | Self::Fail | Self::Empty => Some(self),
        }
    }
}

impl NameTree<Path> {
    /// Reads `/a | 0.9 * /b & 0.1 * /c`.
    ///
    /// # Errors
    /// Where `text` is no tree, with the place.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        parse::tree(text)
    }
}

impl<T: fmt::Display> fmt::Display for NameTree<T> {
    /// As linkerd 1.x shows trees: weights have two decimals, so what is shown may have lost some of theirs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.essence() {
            Some(Self::Alt(trees)) => separated(f, " | ", trees, |tree, f| match tree.essence() {
                Some(Self::Alt(_)) => write!(f, "({tree})"),
                Some(Self::Union(_) | Self::Leaf(_) | Self::Neg | Self::Fail | Self::Empty) | None => tree.fmt(f),
            }),
            Some(Self::Union(members)) => separated(f, " & ", members, |member, f| member.fmt(f)),
            Some(Self::Leaf(value)) => value.fmt(f),
            Some(Self::Fail) => f.write_str("!"),
            Some(Self::Empty) => f.write_str("$"),
            Some(Self::Neg) | None => f.write_str("~"),
        }
    }
}

impl<T: fmt::Display> fmt::Display for Weighted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.weight.total_cmp(&1.0).is_ne() {
            write!(f, "{}*", two_decimals(self.weight))?;
        }
        match self.tree.essence() {
            Some(NameTree::Alt(_) | NameTree::Union(_)) => write!(f, "({})", self.tree),
            Some(NameTree::Leaf(_) | NameTree::Neg | NameTree::Fail | NameTree::Empty) | None => self.tree.fmt(f),
        }
    }
}

fn separated<M>(
    f: &mut fmt::Formatter<'_>,
    separator: &str,
    members: &[M],
    show: impl Fn(&M, &mut fmt::Formatter<'_>) -> fmt::Result,
) -> fmt::Result {
    members.iter().enumerate().try_for_each(|(index, member)| {
        if index > 0 {
            f.write_str(separator)?;
        }
        show(member, f)
    })
}

/// Java's `%.2f`: rounds the shortest decimal form half up (0.125 is 0.13), where Rust rounds the exact binary value.
fn two_decimals(weight: f64) -> String {
    let shortest = format!("{weight}");
    let Some((whole, fraction)) = shortest.split_once('.') else { return format!("{shortest}.00") };
    let Some((kept, rest)) = fraction.split_at_checked(2) else { return format!("{whole}.{fraction:0<2}") };
    if !rest.starts_with(['5', '6', '7', '8', '9']) {
        return format!("{whole}.{kept}");
    }
    let mut digits: Vec<u8> = whole.bytes().chain(kept.bytes()).collect();
    let nines = digits.iter().rev().take_while(|digit| **digit == b'9').count();
    let kept_digits = digits.len() - nines;
    digits.iter_mut().skip(kept_digits).for_each(|digit| *digit = b'0');
    match kept_digits.checked_sub(1).and_then(|last| digits.get_mut(last)) {
        Some(last) => *last += 1,
        None => digits.insert(0, b'1'),
    }
    digits.insert(digits.len() - 2, b'.');
    digits.into_iter().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_decimals_round_half_up() {
        for (weight, shown) in [
            (0.0, "0.00"),
            (0.125, "0.13"),
            (1.005, "1.01"),
            (0.994, "0.99"),
            (0.999, "1.00"),
            (9.996, "10.00"),
            (99.999, "100.00"),
            (2.5, "2.50"),
            (12.0, "12.00"),
            (1e21, "1000000000000000000000.00"),
            (0.001, "0.00"),
        ] {
            assert_eq!(two_decimals(weight), shown, "{weight}");
        }
    }

    #[test]
    fn nodes_of_one_member_show_as_that_member() {
        let leaf = || NameTree::Leaf("/a");
        let alone = NameTree::Alt(vec![NameTree::Union(vec![Weighted { weight: 2.0, tree: leaf() }])]);
        let among = NameTree::Union(vec![
            Weighted { weight: 1.0, tree: alone.clone() },
            Weighted { weight: 2.0, tree: leaf() },
        ]);

        assert_eq!(alone.to_string(), "/a");
        assert_eq!(among.to_string(), "/a & 2.00*/a");
        assert_eq!(NameTree::<Path>::Alt(vec![]).to_string(), "~");
    }

    #[test]
    fn simplifying_goes_from_the_inside_out() {
        for (tree, simple) in [
            ("/a | (~ | !) | /b", "/a | !"),
            ("(/a & !) | /b", "/a | /b"),
            ("~ & ~ | /a", "/a"),
            ("~ | ~", "~"),
            ("~ | !", "!"),
            ("/a | (/b | /c)", "/a | (/b | /c)"),
            ("0.5*(~ | /a) & 0.5*$", "0.50*/a & 0.50*$"),
        ] {
            assert_eq!(NameTree::parse(tree).unwrap().simplified().to_string(), simple, "{tree}");
        }
    }

    #[test]
    fn map_keeps_the_shape() {
        let tree = NameTree::parse("/a | 0.5*/b & ~ | ! | $").unwrap();

        assert_eq!(tree.map(|path| path.len()).to_string(), "1 | 0.50*1 & ~ | ! | $");
    }
}
