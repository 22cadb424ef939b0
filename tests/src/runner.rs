//! Runs the host engine beside the reference and names the first stage where they differ.

use emberloop_engine::{Network, StepError};
use emberloop_image::Image;

use crate::aligned::Aligned;
use crate::reference::Reference;
use crate::reference::input::Refusal;
use crate::reference::trace::Trace;

/// The engine and the reference, stepped together.
pub struct Pair<'a> {
    /// The host engine.
    pub network: Network<'a, Vec<i32>>,
    /// The reference.
    pub reference: Reference,
}

/// Both networks of an image at rest; `then` gets them, since the engine borrows the image.
///
/// # Panics
/// If either refuses the image.
pub fn with_pair<R>(image: &[u8], then: impl FnOnce(Pair<'_>) -> R) -> R {
    let bytes = Aligned::new(image);
    let parsed = Image::parse(&bytes).unwrap_or_else(|error| panic!("the engine refuses the image: {error}"));
    let reference = Reference::read(image).unwrap_or_else(|error| panic!("the reference refuses the image: {error}"));
    let memory = vec![-1; emberloop_image::ram_words(&bytes)];
    then(Pair { network: Network::new(&parsed, memory).expect("the memory that ram_words asks for"), reference })
}

impl Pair<'_> {
    /// Forgets all samples on both sides.
    pub fn reset(&mut self) {
        self.network.reset();
        self.reference.reset();
    }

    /// One step of both: outputs, states, counters and refusals must be the same to the last bit. Returns the
    /// outputs, or `None` where both refused.
    ///
    /// # Errors
    /// The first stage that differs, with the reference's intermediates.
    pub fn step(&mut self, raw: &[i32]) -> Result<Option<Vec<i32>>, String> {
        Ok(self.traced_step(raw)?.map(|(outputs, _)| outputs))
    }

    /// As [`Pair::step`], with the reference's intermediates.
    ///
    /// # Errors
    /// As [`Pair::step`].
    pub fn traced_step(&mut self, raw: &[i32]) -> Result<Option<(Vec<i32>, Trace)>, String> {
        let found = self.network.step(raw).map(|output| output.values().to_vec());
        let trace = self.reference.step(raw);
        self.same_counters()?;
        match (found, trace) {
            (Ok(outputs), Ok(trace)) => {
                self.same_states(&trace)?;
                same("output", &outputs, &trace.outputs)?;
                Ok(Some((outputs, trace)))
            }
            (Err(found), Err(expected)) if same_refusal(found, expected) => Ok(None),
            (found, expected) => Err(format!("engine {found:?}, reference {:?}", expected.map(|trace| trace.outputs))),
        }
    }

    /// Puts a hidden state into a layer of both (see [`Reference::set_hidden`]).
    ///
    /// # Errors
    /// What the engine has against it.
    pub fn set_hidden(&mut self, layer: usize, hidden: &[i64]) -> Result<(), String> {
        self.reference.set_hidden(layer, hidden);
        self.network.restore(&self.reference.save()).map_err(|error| error.to_string())
    }

    /// Steps through a whole sequence from a reset.
    ///
    /// # Errors
    /// As [`Pair::step`], with the number of the step.
    pub fn run(&mut self, samples: &[Vec<i32>]) -> Result<Vec<Option<Vec<i32>>>, String> {
        self.reset();
        let step =
            |(step, sample): (usize, &Vec<i32>)| self.step(sample).map_err(|error| format!("step {step}: {error}"));
        samples.iter().enumerate().map(step).collect()
    }

    fn same_counters(&self) -> Result<(), String> {
        let (found, expected) = (self.network.counters(), self.reference.counts());
        if (found.clipped, found.missing) == (expected.clipped, expected.missing) {
            Ok(())
        } else {
            Err(format!("counters: engine {found:?}, reference {expected:?}"))
        }
    }

    /// In the order of the data's flow and of a saved state (FORMAT §5): the input, then each layer, then the pooling.
    fn same_states(&self, trace: &Trace) -> Result<(), String> {
        let (saved, expected) = (self.network.save(), self.reference.save());
        if saved.len() != expected.len() {
            return Err(format!("saved state: {} words, expected {}", saved.len(), expected.len()));
        }
        let (input, mut rest) = saved.split_at(trace.input.len().div_ceil(2));
        same("input", &unpack(input, trace.input.len()), &trace.input)?;
        for (index, layer) in trace.layers.iter().enumerate() {
            let (memory, hidden);
            let padded = layer.units.len().next_multiple_of(4);
            (memory, rest) =
                rest.split_at(if layer.units.iter().any(|unit| unit.memory.is_some()) { padded } else { 0 });
            (hidden, rest) = rest.split_at(padded / 2);
            let hidden = unpack(hidden, layer.units.len());
            for (number, unit) in layer.units.iter().enumerate() {
                let found = (i64::from(hidden[number]), memory.get(number).map(|&value| i64::from(value)));
                if found != (unit.hidden, unit.memory) {
                    let (h, memory) = found;
                    return Err(format!("layer {index}, unit {number}: h={h}, memory={memory:?}; reference {unit}"));
                }
            }
        }
        if saved == expected { Ok(()) } else { Err(format!("saved state: found {saved:?}, expected {expected:?}")) }
    }
}

/// The first `count` int16 of words that hold two each, the first in the low half.
fn unpack(words: &[i32], count: usize) -> Vec<i32> {
    words.iter().flat_map(|&word| [i32::from(word as i16), word >> 16]).take(count).collect()
}

/// Compares what a stage gave.
///
/// # Errors
/// The first place that differs.
pub fn same(what: &str, found: &[i32], expected: &[i64]) -> Result<(), String> {
    if found.len() != expected.len() {
        return Err(format!("{what}: {} numbers, expected {}", found.len(), expected.len()));
    }
    match found.iter().zip(expected).position(|(&found, &expected)| i64::from(found) != expected) {
        Some(at) => Err(format!("{what} {at}: found {}, expected {}", found[at], expected[at])),
        None => Ok(()),
    }
}

fn same_refusal(found: StepError, expected: Refusal) -> bool {
    match expected {
        Refusal::Length => matches!(found, StepError::Length { .. }),
        Refusal::Missing(feature) => found == StepError::Missing { feature },
        Refusal::Token(token) => matches!(found, StepError::Token { found, .. } if found == token),
    }
}
