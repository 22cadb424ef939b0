//! A small keyed random generator: the same key gives the same numbers on every machine, device and version.
//!
//! burn's generator is one per process and device, so two trainings in one process would disturb each other, and a
//! resumed run could not find its place again. Here every draw is keyed by what it is for (seed, epoch, batch, layer).

/// What a stream of random numbers is for: the first part of its key.
#[derive(Clone, Copy, Debug)]
pub enum Purpose {
    /// Initial weights.
    Initialize = 1,
    /// The order of the sequences in an epoch.
    Shuffle = 2,
    /// The dropout masks of a batch.
    Dropout = 3,
}

/// SplitMix64 (Steele, Lea and Flood 2014): passes BigCrush, has 64 bits of state, and can be keyed by hashing.
#[derive(Clone, Debug)]
pub struct Rng {
    state: u64,
}

impl Rng {
    /// A generator for `key`. Keys that differ in any place give unrelated streams.
    pub fn keyed(key: &[u64]) -> Self {
        let state = key.iter().fold(0x243f_6a88_85a3_08d3, |state, part| mix(state ^ mix(part.wrapping_add(GOLDEN))));
        Self { state }
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state)
    }

    /// Uniform in `[0, 1)`, with the 53 bits that an `f64` holds.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Standard normal, by Box and Muller.
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// Uniform in `0..bound`. The bias of the multiplication is below `bound / 2^64`.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next_u64()) * bound as u128) >> 64) as usize
    }

    /// Shuffles in place (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// 2^64 divided by the golden ratio, the increment of SplitMix64.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finalizer of SplitMix64.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Fowler, Noll and Vo's hash: keys a stream by a name, tells two lists of weights apart.
pub fn fnv1a(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_key_same_stream_other_key_other_stream() {
        let draw = |key: &[u64]| Rng::keyed(key).next_u64();
        assert_eq!(draw(&[1, 2, 3]), draw(&[1, 2, 3]));
        assert_ne!(draw(&[1, 2, 3]), draw(&[1, 3, 2]));
        assert_ne!(draw(&[1, 2]), draw(&[1, 2, 0]));
    }

    #[test]
    fn moments_of_uniform_and_normal() {
        let mut rng = Rng::keyed(&[7]);
        let n = 20_000;
        let uniform: f64 = (0..n).map(|_| rng.uniform()).sum::<f64>() / n as f64;
        let square: f64 = (0..n).map(|_| rng.normal().powi(2)).sum::<f64>() / n as f64;
        assert!((uniform - 0.5).abs() < 0.01, "mean {uniform}");
        assert!((square - 1.0).abs() < 0.05, "variance {square}");
    }

    #[test]
    fn shuffle_permutes() {
        let mut items: Vec<usize> = (0..50).collect();
        Rng::keyed(&[3]).shuffle(&mut items);
        assert_ne!(items, (0..50).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..50).collect::<Vec<_>>());
    }
}
