//! Random texts: words put together, and good texts spoilt.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::target::Target;

/// Texts for one target, without end. The same seed gives the same texts.
#[derive(Debug)]
pub struct Texts<'t> {
    target: &'t Target,
    rng: StdRng,
}

impl<'t> Texts<'t> {
    /// Texts by `seed`.
    #[must_use]
    pub fn new(target: &'t Target, seed: u64) -> Self {
        Self { target, rng: StdRng::seed_from_u64(seed) }
    }

    fn words(&mut self) -> String {
        let count = self.rng.random_range(0..24_usize);
        (0..count).map(|_| self.word()).collect()
    }

    fn word(&mut self) -> String {
        if self.rng.random_range(0..8) == 0 {
            self.character().to_string()
        } else {
            pick(&mut self.rng, &self.target.words)
        }
    }

    fn character(&mut self) -> char {
        match self.rng.random_range(0..8) {
            0 => self.rng.random(),
            1 => '\n',
            _ => char::from(self.rng.random_range(b' '..=b'~')),
        }
    }

    /// One word very often, with something before and behind.
    fn repeated(&mut self) -> String {
        let (before, word, behind) = (self.words(), self.word(), self.words());
        before + &word.repeat(self.rng.random_range(1..400)) + &behind
    }

    fn spoilt(&mut self) -> String {
        let mut text = pick(&mut self.rng, &self.target.seeds);
        for _ in 0..self.rng.random_range(1..5) {
            self.spoil(&mut text);
        }
        text
    }

    fn spoil(&mut self, text: &mut String) {
        let (start, end) = self.piece(text);
        let new = match self.rng.random_range(0..6) {
            0 => String::new(),
            1 => self.word(),
            2 => self.character().to_string(),
            3 => text.get(start..end).unwrap_or_default().repeat(2),
            4 => {
                let other = pick(&mut self.rng, &self.target.seeds);
                let (start, end) = self.piece(&other);
                other.get(start..end).unwrap_or_default().to_owned()
            }
            _ => {
                let (from, to) = self.piece(text);
                text.get(from..to).unwrap_or_default().to_owned()
            }
        };
        // A place where something is put is more often a point than a piece.
        let end = if self.rng.random() { end } else { start };
        text.replace_range(start..end, &new);
    }

    /// Most pieces are short.
    fn piece(&mut self, text: &str) -> (usize, usize) {
        let start = self.rng.random_range(0..=text.len());
        let longest = if self.rng.random_range(0..4) == 0 { text.len() } else { 8 };
        let end = (start + self.rng.random_range(0..=longest)).min(text.len());
        (text.floor_char_boundary(start), text.ceil_char_boundary(end))
    }
}

impl Iterator for Texts<'_> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        Some(match self.rng.random_range(0..16) {
            0 => self.repeated(),
            1..=6 => self.words(),
            _ => self.spoilt(),
        })
    }
}

fn pick(rng: &mut StdRng, texts: &[String]) -> String {
    let index = rng.random_range(0..texts.len().max(1));
    texts.get(index).cloned().unwrap_or_default()
}

/// A text that is as bad as `text`, from which nothing more can be left out.
pub fn smallest(text: &str, is_bad: impl Fn(&str) -> bool) -> String {
    let mut text = text.to_owned();
    let mut length = text.len();
    while length > 0 {
        let mut start = 0;
        while start < text.len() {
            let end = text.ceil_char_boundary((start + length).min(text.len()));
            let mut less = text.clone();
            less.replace_range(start..end, "");
            if is_bad(&less) {
                text = less;
            } else {
                start = end;
            }
        }
        length /= 2;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_text_is_what_matters() {
        let is_bad = |text: &str| text.contains("b\u{e9}") && text.contains('z');
        assert_eq!(smallest("aaab\u{e9}ccccz zzz", is_bad), "b\u{e9}z");
    }

    #[test]
    fn a_seed_gives_the_same_texts() {
        let target = crate::all().remove(0);
        let texts = || Texts::new(&target, 7).take(100).collect::<Vec<_>>();
        assert_eq!(texts(), texts());
    }
}
