//! What a step returns.

use emberloop_image::{Header, Task};

use crate::softmax;

/// The outputs of one step; borrows the network.
#[derive(Clone, Copy, Debug)]
pub struct Output<'n> {
    values: &'n [i32],
    header: &'n Header<'n>,
}

impl<'n> Output<'n> {
    pub(crate) fn new(values: &'n [i32], header: &'n Header<'n>) -> Self {
        Self { values, header }
    }

    /// Classification: the logits, in Q15.16. Regression: the values in the target's own unit, with
    /// [`Output::fraction`] fraction bits.
    pub fn values(&self) -> &'n [i32] {
        self.values
    }

    /// Fraction bits of [`Output::values`].
    pub fn fraction(&self) -> u32 {
        u32::from(self.header.head.fraction)
    }

    /// The class of the largest logit, the first where several are equal; `None` for regression.
    pub fn class(&self) -> Option<usize> {
        match self.header.head.task {
            Task::Classification => {
                let mut best = 0;
                let mut best_value = i32::MIN;
                for (class, &value) in self.values.iter().enumerate() {
                    if value > best_value {
                        (best, best_value) = (class, value);
                    }
                }
                Some(best)
            }
            Task::Regression => None,
        }
    }

    /// The label of [`Output::class`]; `None` for regression.
    pub fn label(&self) -> Option<&'n str> {
        self.header.label(self.class()?)
    }

    /// Writes the classes' probabilities as Q0.15 (32768 is one) and returns how many; 0 for regression. `out` should
    /// have room for every class.
    pub fn probabilities(&self, out: &mut [u16]) -> usize {
        match self.header.head.task {
            Task::Classification => softmax(self.values, out),
            Task::Regression => 0,
        }
    }
}
