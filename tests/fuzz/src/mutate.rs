//! Mutates inputs by a seed, for the stable runner.

/// The longest generated input, in bytes.
const LEN_MAX: usize = 64 << 10;

/// Numbers that often expose bugs.
const EDGES: [u64; 14] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x100,
    0x7fff,
    0x8000,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    i64::MAX as u64,
    u64::MAX,
];

/// Texts that often expose bugs.
const WORDS: [&str; 24] = [
    "",
    "\0",
    "\u{202e}",
    "\u{2028}",
    "\u{feff}",
    "é",
    "NaN",
    "-Infinity",
    "null",
    "{}",
    "[]",
    "[[[[[[[[",
    "\"",
    "\\",
    "\\ud800",
    "1e999",
    "-0",
    "9223372036854775808",
    "true",
    "\n",
    "=",
    ":",
    "@",
    ",",
];

/// A stream of inputs. The same seed yields the same stream.
#[derive(Debug)]
pub struct Mutator {
    state: u64,
}

impl Mutator {
    /// Creates the stream of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Returns the next input: one of the corpus, changed in a few positions, sometimes crossed with another.
    pub fn next_input(&mut self, corpus: &[(String, Vec<u8>)]) -> Vec<u8> {
        let Some((_, chosen)) = corpus.get(self.below(corpus.len())) else { return Vec::new() };
        let mut input = chosen.clone();
        for _ in 0..=self.below(4) {
            self.change(&mut input, corpus);
        }
        input.truncate(LEN_MAX);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, corpus: &[(String, Vec<u8>)]) {
        let at = self.below(input.len() + 1);
        let len = (1 + self.below(16)).min(input.len() - at);
        match self.below(10) {
            0 if at < input.len() => input[at] ^= 1 << self.below(8),
            1 if at < input.len() => input[at] = self.next() as u8,
            2 => drop(input.drain(at..at + len)),
            3 => input.truncate(at),
            4 => {
                let piece = input[at..at + len].to_vec();
                let to = self.below(input.len() + 1);
                input.splice(to..to, piece);
            }
            5 => {
                let word = WORDS[self.below(WORDS.len())];
                input.splice(at..at, word.bytes());
            }
            6 | 7 => {
                let number = EDGES[self.below(EDGES.len())].to_le_bytes();
                let width = [1, 2, 4, 8][self.below(4)];
                let end = (at + width).min(input.len());
                input.splice(at..end, number[..width].iter().copied());
            }
            8 => {
                let Some((_, other)) = corpus.get(self.below(corpus.len())) else { return };
                let from = self.below(other.len() + 1);
                let len = self.below(other.len() - from + 1);
                input.splice(at.., other[from..from + len].iter().copied());
            }
            _ => {
                let byte = self.next() as u8;
                let count = 1 << self.below(10);
                input.splice(at..at, std::iter::repeat_n(byte, count));
            }
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
