//! A real number and how far the integer that stands for it may be away: a running error analysis.
//!
//! The rules are those of any such analysis; the constants are the roundings that NUMERICS states.

/// One unit of Q0.15.
pub const UNIT: f64 = 1.0 / 32768.0;
/// NUMERICS §6.1: the largest error of tanh and of sigmoid, their final rounding included.
const TANH_ERROR: f64 = 1.34 * UNIT;
const SIGMOID_ERROR: f64 = 1.01 * UNIT;
/// NUMERICS §6.1, its table: from here on sigmoid is exactly one, and exactly zero.
const SIGMOID_ONE: f64 = 11.0;
const SIGMOID_ZERO: f64 = -16.0;

/// The value of the float64 run, and a bound of the integer's distance from it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bounded {
    pub value: f64,
    pub error: f64,
}

impl Bounded {
    pub fn plus(self, other: Bounded) -> Self {
        Self { value: self.value + other.value, error: self.error + other.error }
    }

    pub fn times(self, factor: Bounded) -> Self {
        let error = self.error * factor.value.abs() + (self.value.abs() + self.error) * factor.error;
        Self { value: self.value * factor.value, error }
    }

    /// Of a value that is exact on both sides.
    pub fn scaled(self, factor: f64) -> Self {
        Self { value: self.value * factor, error: self.error * factor.abs() }
    }

    /// After one more rounding.
    pub fn rounded(self, error: f64) -> Self {
        Self { error: self.error + error, ..self }
    }

    pub fn tanh(self) -> Self {
        self.tanh_between(self)
    }

    /// Where the two runs' arguments are as far apart as those of `whole`, of which this is a part of the error.
    pub fn tanh_between(self, whole: Bounded) -> Self {
        let error = self.error * whole.steepest(tanh_slope) + TANH_ERROR;
        Self { value: self.value.tanh(), error }
    }

    /// A gate that is saturated is exactly zero or one; what is wrong with it is what the real one lacks.
    pub fn sigmoid(self) -> Self {
        let value = sigmoid(self.value);
        let error = if self.value - self.error >= SIGMOID_ONE {
            sigmoid(-self.value)
        } else if self.value + self.error <= SIGMOID_ZERO {
            value
        } else {
            self.error * self.steepest(|p| sigmoid(p) * sigmoid(-p)) + SIGMOID_ERROR
        };
        Self { value, error }
    }

    /// The slope nearest to zero, where all of these are steepest, between the two runs.
    pub fn steepest(self, slope: impl Fn(f64) -> f64) -> f64 {
        slope((self.value.abs() - self.error).max(0.0))
    }

    /// The slope furthest from zero.
    pub fn flattest(self, slope: impl Fn(f64) -> f64) -> f64 {
        slope(self.value.abs() + self.error)
    }

    /// Of a gate: the least and the most that the integer may be.
    pub fn gate_ends(self) -> [f64; 2] {
        [self.value - self.error, self.value + self.error].map(|end| end.clamp(0.0, 1.0))
    }
}

/// The derivative of tanh.
pub fn tanh_slope(p: f64) -> f64 {
    1.0 - p.tanh() * p.tanh()
}

fn sigmoid(p: f64) -> f64 {
    1.0 / (1.0 + (-p).exp())
}
