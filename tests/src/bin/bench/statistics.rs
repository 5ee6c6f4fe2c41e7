//! What many runs come to.

use serde::Serialize;

/// Values of the same thing, in the order of the runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Summary {
    pub median: f64,
    pub minimum: f64,
    pub maximum: f64,
    pub mean: f64,
    pub values: Vec<f64>,
}

impl Summary {
    /// Sums up. Nothing of nothing is zero.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let values: Vec<f64> = values.into_iter().collect();
        let mut sorted = values.clone();
        sorted.sort_by(f64::total_cmp);
        let count = sorted.len();
        let middle = sorted.get((count.saturating_sub(1)) / 2).zip(sorted.get(count / 2));
        let median = middle.map_or(0.0, |(low, high)| f64::midpoint(*low, *high));
        #[expect(clippy::cast_precision_loss, reason = "a number of runs")]
        let mean = if count == 0 { 0.0 } else { sorted.iter().sum::<f64>() / count as f64 };
        Self {
            median,
            minimum: sorted.first().copied().unwrap_or_default(),
            maximum: sorted.last().copied().unwrap_or_default(),
            mean,
            values,
        }
    }

    /// How many times as much the other one is, pair by pair. Of nothing there is no multiple.
    pub fn times(&self, other: &Self) -> Self {
        let pairs = self.values.iter().zip(&other.values).filter(|(ours, _)| **ours != 0.0);
        Self::of(pairs.map(|(ours, theirs)| theirs / ours))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_the_middle_one_of_two_their_mean() {
        let odd = Summary::of([3.0, 1.0, 10.0]);
        assert_eq!((odd.median, odd.minimum, odd.maximum), (3.0, 1.0, 10.0));
        assert!((odd.mean - 14.0 / 3.0).abs() < 1e-9);
        assert_eq!(odd.values, [3.0, 1.0, 10.0]);
        assert_eq!(Summary::of([4.0, 2.0]).median, 3.0);
        assert_eq!(Summary::of([]), Summary::default());
    }

    #[test]
    fn ratios_are_taken_pair_by_pair() {
        // The machine was twice as slow during the second pair.
        let ratio = Summary::of([1.0, 2.0]).times(&Summary::of([10.0, 20.0]));
        assert_eq!((ratio.median, ratio.minimum, ratio.maximum), (10.0, 10.0, 10.0));
        assert_eq!(Summary::of([0.0]).times(&Summary::of([3.0])), Summary::default());
    }
}
