//! A running network.

use emberloop_image::{Image, MemoryPlan, Pooling};

use crate::cells::{hidden, is_supported, narrow_mut, step};
use crate::kernel::Vector;
use crate::{NewError, Output, RawSample, RestoreError, StepError, head, input};

/// A network that runs an image, one sample at a time, for as long as it likes.
///
/// Its memory is any buffer of at least `emberloop_image::ram_words(MODEL)` words: an array that the network then owns
/// (`[0; WORDS]`), a `&'static mut [i32]`, on the host a `Vec<i32>`.
#[derive(Clone, Debug)]
pub struct Network<'a, M> {
    image: &'a Image<'a>,
    memory: M,
    plan: MemoryPlan,
    counters: Counters,
}

/// What happened to the inputs since the network was made. A reset leaves it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Counters {
    /// Raw numbers beyond the scaler's range, clipped to it.
    pub clipped: u32,
    /// Missing numbers, filled in by the model's policy.
    pub missing: u32,
}

impl<'a, M: AsRef<[i32]> + AsMut<[i32]>> Network<'a, M> {
    /// A network at rest. What `memory` holds is overwritten.
    ///
    /// # Errors
    /// [`NewError::Memory`] if `memory` is too small, [`NewError::Cell`] if this build leaves out a cell of the model.
    pub fn new(image: &'a Image<'a>, memory: M) -> Result<Self, NewError> {
        let plan = plan(image, memory.as_ref().len())?;
        let mut network = Self { image, memory, plan, counters: Counters::default() };
        network.reset();
        Ok(network)
    }

    /// Forgets all samples, as at the start of a sequence.
    pub fn reset(&mut self) {
        reset(self.image, &self.plan, self.memory.as_mut());
    }

    /// Takes one raw sample (one number per feature, or one token) and returns the outputs.
    ///
    /// A raw number is `round(value · 2^f)`: the value in the unit of the training data, with
    /// [`f = image.raw_fraction(feature)`](Image::raw_fraction) fraction bits. A model trained on integers (ADC counts) has
    /// `f = 0` and takes the counts as they are; for a driver that delivers floats there is
    /// [`from_f32_bits`](crate::from_f32_bits). A missing number is [`MISSING`](crate::MISSING).
    ///
    /// # Errors
    /// [`StepError`]; the state is then that of the step before.
    pub fn step<S: RawSample>(&mut self, raw: &[S]) -> Result<Output<'_>, StepError> {
        input::check(&self.image.input(), raw)?;
        let memory = self.memory.as_mut();
        scale(self.image, &self.plan, memory, raw, &mut self.counters).ok_or(StepError::Memory)?;
        let values = advance(self.image, &self.plan, memory).ok_or(StepError::Memory)?;
        Ok(Output::new(values, self.image.header()))
    }

    /// The image it runs.
    pub fn image(&self) -> &'a Image<'a> {
        self.image
    }

    /// What happened to the inputs since the network was made.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Words that [`Network::save`] writes.
    pub fn state_words(&self) -> usize {
        self.plan.saved_words()
    }

    /// The state, to be kept over a power cycle or to run several streams through one network. Borrowed; copy it.
    pub fn save(&self) -> &[i32] {
        self.memory.as_ref().get(..self.plan.saved_words()).unwrap_or(&[])
    }

    /// Puts back what [`Network::save`] gave, of a network of the same image.
    ///
    /// # Errors
    /// [`RestoreError`]; the state is then unchanged.
    pub fn restore(&mut self, state: &[i32]) -> Result<(), RestoreError> {
        let length = RestoreError::Length { expected: self.plan.saved_words(), found: state.len() };
        if state.len() != self.plan.saved_words() {
            return Err(length);
        }
        if !crate::cells::reachable(self.image, self.plan, state) {
            return Err(RestoreError::Value);
        }
        let memory = self.memory.as_mut().get_mut(..state.len()).ok_or(length)?;
        // Not `copy_from_slice`, which checks two equal lengths and could panic.
        memory.iter_mut().zip(state).for_each(|(word, &saved)| *word = saved);
        Ok(())
    }

    /// The states of layer `layer` for reports: the hidden state in Q0.15 and, for an LSTM, the cell in its own format.
    pub fn layer_state(&self, layer: usize) -> Option<(&[i16], &[i32])> {
        let mut states = self.memory.as_ref().get(self.plan.input..)?;
        for (index, this) in self.image.layers().enumerate() {
            let (state, behind) = states.split_at_checked(this.shape.state_words())?;
            if index == layer {
                let units = usize::from(this.shape.hidden);
                let cell = if this.shape.cell.has_cell_state() { state.get(..units)? } else { &[] };
                return Some((hidden(&this, state)?.get(..units)?, cell));
            }
            states = behind;
        }
        None
    }
}

// What follows is not generic, so that it is compiled once, with the engine and by the engine's own settings; and each part
// is a function of its own, so that their variables never lie on the stack at once.

/// The memory plan, if the network fits `found` words and this build.
fn plan(image: &Image<'_>, found: usize) -> Result<MemoryPlan, NewError> {
    if let Some(layer) = image.header().layers.iter().position(|layer| !is_supported(layer.cell)) {
        return Err(NewError::Cell { layer });
    }
    let plan = image.memory();
    if plan.words() > found {
        return Err(NewError::Memory { expected: plan.words(), found });
    }
    Ok(plan)
}

fn reset(image: &Image<'_>, plan: &MemoryPlan, memory: &mut [i32]) {
    let Some(memory) = memory.get_mut(..plan.words()) else { return };
    memory.fill(0);
    if let Some(scaled) = narrow_mut(memory, image.header().input_width()) {
        input::reset(&image.input(), scaled);
    }
}

/// From a checked sample to the first layer's input; `None` where the memory does not fit the image.
#[inline(never)]
fn scale<S: RawSample>(
    image: &Image<'_>,
    plan: &MemoryPlan,
    memory: &mut [i32],
    raw: &[S],
    counters: &mut Counters,
) -> Option<()> {
    // Its words hold one value more than the input's width where that is odd: 0, and even in number.
    let scaled = bytemuck::cast_slice_mut::<i32, i16>(memory.get_mut(..plan.input)?);
    input::scale(&image.input(), raw, scaled, counters);
    Some(())
}

/// From the first layer's input to the outputs; `None` where the memory does not fit the image.
#[inline(never)]
fn advance<'m>(image: &Image<'_>, plan: &MemoryPlan, memory: &'m mut [i32]) -> Option<&'m [i32]> {
    let (scaled, rest) = memory.split_at_mut_checked(plan.input)?;
    let (mut states, rest) = rest.split_at_mut_checked(plan.state)?;
    let (outputs, scratch) = rest.split_at_mut_checked(plan.outputs)?;
    let mut activations: &[i16] = bytemuck::cast_slice::<i32, i16>(scaled);
    for layer in image.layers() {
        let (state, behind) = states.split_at_mut_checked(layer.shape.state_words())?;
        step(&layer, Vector::first(activations, layer.input.columns)?, state, scratch)?;
        activations = hidden(&layer, state)?;
        states = behind;
    }
    output(image, states, activations, scratch, outputs)?;
    outputs.get(..usize::from(image.header().head.outputs))
}

/// From the last layer's hidden state to the outputs.
#[inline(never)]
fn output(
    image: &Image<'_>,
    states: &mut [i32],
    activations: &[i16],
    scratch: &mut [i32],
    outputs: &mut [i32],
) -> Option<()> {
    let head = image.head();
    let seen = match head.shape.pooling {
        Pooling::Last | Pooling::Every => activations,
        Pooling::Mean => {
            head::accumulate_mean(states, activations)?;
            head::mean(states, scratch)?
        }
    };
    head::dense(&head, seen, outputs);
    Some(())
}
