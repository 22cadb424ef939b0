//! Means and covariances of activations, gathered while the float model runs.

/// Observations per variable at which a mean is half trusted.
const MEAN_CAUTION: f64 = 1.0;

/// Weighted first and second moments of a vector that comes in parts.
#[derive(Clone, Debug)]
pub(crate) struct Moments {
    size: usize,
    weight: f64,
    squared_weight: f64,
    sum: Vec<f64>,
    /// Lower triangle of the products, row-major `[size, size]`.
    products: Vec<f64>,
    joined: Vec<f64>,
}

/// A mean and a covariance.
#[derive(Clone, Debug)]
pub(crate) struct Statistics {
    /// Number of observations that they rest on; weighted ones count as so many equal ones would (Kish).
    pub(crate) observations: f64,
    pub(crate) mean: Vec<f64>,
    /// `[size, size]`, symmetric.
    pub(crate) covariance: Vec<f64>,
}

impl Moments {
    pub(crate) fn new(size: usize) -> Self {
        Self {
            size,
            weight: 0.0,
            squared_weight: 0.0,
            sum: vec![0.0; size],
            products: vec![0.0; size * size],
            joined: vec![0.0; size],
        }
    }

    /// Length of the vector.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Adds one observation: `first` and `second`, one after the other.
    pub(crate) fn add(&mut self, first: &[f64], second: &[f64], weight: f64) {
        let Self { joined, sum, products, .. } = self;
        let (front, back) = joined.split_at_mut(first.len());
        front.copy_from_slice(first);
        back.copy_from_slice(second);
        self.weight += weight;
        self.squared_weight += weight * weight;
        for (index, (&value, row)) in joined.iter().zip(products.chunks_exact_mut(self.size)).enumerate() {
            let weighted = weight * value;
            sum[index] += weighted;
            for (product, &other) in row.iter_mut().zip(&joined[..=index]) {
                *product += weighted * other;
            }
        }
    }

    pub(crate) fn statistics(&self) -> Statistics {
        let size = self.size;
        let total = if self.weight > 0.0 { self.weight } else { 1.0 };
        let mean: Vec<f64> = self.sum.iter().map(|sum| sum / total).collect();
        let mut covariance = vec![0.0; size * size];
        for row in 0..size {
            for column in 0..=row {
                let mut value = self.products[row * size + column] / total - mean[row] * mean[column];
                if row == column {
                    // Rounding can leave a variance just below 0.
                    value = value.max(0.0);
                }
                covariance[row * size + column] = value;
                covariance[column * size + row] = value;
            }
        }
        let observations = if self.weight > 0.0 { self.weight * self.weight / self.squared_weight } else { 0.0 };
        Statistics { observations, mean, covariance }
    }
}

impl Statistics {
    /// Number of variables.
    pub(crate) fn size(&self) -> usize {
        self.mean.len()
    }

    /// How far the mean is to be trusted, from 0 to 1: that of a few correlated steps says little about the next ones.
    pub(crate) fn trust(&self) -> f64 {
        self.observations / (self.observations + MEAN_CAUTION * self.size() as f64)
    }

    /// The same variables, each multiplied by its factor.
    pub(crate) fn scaled(&self, factors: &[f64]) -> Statistics {
        let size = self.size();
        let mean = self.mean.iter().zip(factors).map(|(mean, factor)| mean * factor).collect();
        let covariance = self.covariance.iter().enumerate();
        let covariance = covariance.map(|(at, value)| value * factors[at / size] * factors[at % size]).collect();
        Statistics { observations: self.observations, mean, covariance }
    }

    /// Variance of `weights · vector`.
    pub(crate) fn variance(&self, weights: &[f64]) -> f64 {
        let products = self.covariance.chunks_exact(self.size()).zip(weights);
        products.map(|(row, &weight)| weight * dot(row, weights)).sum::<f64>().max(0.0)
    }

    /// Mean of `weights · vector`.
    pub(crate) fn mean_of(&self, weights: &[f64]) -> f64 {
        dot(&self.mean, weights)
    }
}

pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Worked by hand: the points (1, 2), (3, 2), (5, 8) with weights 1, 1, 2.
    #[test]
    fn mean_covariance_and_the_variance_of_a_sum() {
        let mut moments = Moments::new(2);
        for (x, y, weight) in [(1.0, 2.0, 1.0), (3.0, 2.0, 1.0), (5.0, 8.0, 2.0)] {
            moments.add(&[x], &[y], weight);
        }
        let statistics = moments.statistics();
        assert_eq!(statistics.mean, [3.5, 5.0]);
        assert_eq!(statistics.covariance, [2.75, 4.5, 4.5, 9.0]);
        assert_eq!(statistics.variance(&[1.0, -1.0]), 2.75 + 9.0 - 2.0 * 4.5);
        assert_eq!(statistics.scaled(&[2.0, 1.0]).covariance, [11.0, 9.0, 9.0, 9.0]);
    }

    #[test]
    fn nothing_observed_is_all_zeros() {
        let statistics = Moments::new(2).statistics();
        assert_eq!((statistics.mean, statistics.covariance), (vec![0.0; 2], vec![0.0; 4]));
    }
}
