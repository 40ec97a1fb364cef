//! Random choices that a seed repeats.

/// A small generator (SplitMix64): the same seed gives the same test on every machine.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.bits() % end as u64).expect("below a usize")
    }

    /// One of `items`, which are not none.
    pub fn of<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    /// True in `percent` of a hundred cases.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// `length` bytes.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        std::iter::repeat_with(|| self.bits().to_le_bytes()).flatten().take(length).collect()
    }

    /// Changes a few bytes anywhere, with a liking for those that mean something in HTTP/1.1. `bytes` are not none.
    pub fn change(&mut self, bytes: &mut Vec<u8>) {
        let at = self.below(bytes.len());
        match self.below(6) {
            0 if bytes.len() > 1 => drop(bytes.remove(at)),
            1 => bytes.insert(at, *self.of(b"\r\n \t\0:,;0a\x7f\xff")),
            2 => bytes[at] = u8::try_from(self.below(256)).expect("a byte"),
            3 => bytes.truncate(at.max(1)),
            4 => {
                // A line ending of another kind.
                if let Some(place) = bytes[at..].windows(2).position(|window| window == b"\r\n") {
                    let endings: [&[u8]; 4] = [b"\n", b"\r", b"\r\r\n", b"\n\r"];
                    let other = *self.of(&endings);
                    bytes.splice(at + place..at + place + 2, other.iter().copied());
                }
            }
            _ => {
                let line = bytes[at..].iter().take(40).copied().collect::<Vec<_>>();
                bytes.splice(at..at, line);
            }
        }
    }
}
