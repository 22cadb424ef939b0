//! The engine on recorded data.

use emberloop_data::{Dataset, Inputs, Sequence, Targets};
use emberloop_engine::{Counters, Network, StepError};
use emberloop_image::{Image, Input, InputShape, Task};

use crate::QuantizeError;
use crate::float_network::exp2;
use crate::raw::RawConverter;

/// One network of an image, run over sequences.
#[derive(Clone, Debug)]
pub(crate) struct FixedRunner<'a, 'd> {
    pub(crate) network: Network<'a, Vec<i32>>,
    raw: RawConverter,
    dataset: &'d Dataset,
    unit: f64,
}

impl<'a, 'd> FixedRunner<'a, 'd> {
    pub(crate) fn new(image: &'a Image<'a>, dataset: &'d Dataset) -> Result<Self, QuantizeError> {
        let network = Network::new(image, vec![0; image.memory().words()]).map_err(|_| no_memory())?;
        let unit = exp2(-i32::from(image.head().shape.fraction));
        Ok(Self { network, raw: RawConverter::new(image), dataset, unit })
    }

    /// Runs a sequence from a reset; returns `[steps, outputs]` in real numbers. `look` is called after each step.
    pub(crate) fn run(
        &mut self,
        sequence: &Sequence,
        mut look: impl FnMut(&Network<'a, Vec<i32>>),
    ) -> Result<Vec<f64>, QuantizeError> {
        self.network.reset();
        let mut outputs = Vec::new();
        for (step, sample) in self.raw.sequence(sequence)?.chunks_exact(self.raw.width()).enumerate() {
            let output = self.network.step(sample).map_err(|error| {
                let mut place = format!("{}: sequence {}, step {step}", self.dataset.path.display(), sequence.name);
                if let StepError::Missing { feature } = error {
                    place += &format!(", channel {}", self.dataset.channel_name(feature));
                }
                QuantizeError::Step { place, error }
            })?;
            outputs.extend(output.values().iter().map(|&value| f64::from(value) * self.unit));
            look(&self.network);
        }
        Ok(outputs)
    }

    pub(crate) fn counters(&self) -> Counters {
        self.network.counters()
    }
}

fn no_memory() -> QuantizeError {
    QuantizeError::Step { place: "network".into(), error: StepError::Memory }
}

/// The dataset must have the channels (or as many tokens) and the labels that the image lists.
pub(crate) fn check_dataset(image: &Image<'_>, dataset: &Dataset) -> Result<(), QuantizeError> {
    let mismatch = |part: &str, expected: String, found: String| {
        let what = format!("{}: {part}", dataset.path.display());
        Err(QuantizeError::Mismatch { what, expected, found })
    };
    match (&dataset.inputs, image.header().input, image.input()) {
        (Inputs::Channels(names), InputShape::Features { .. }, Input::Features { .. }) => {
            let expected: Vec<&str> = image.channels().collect();
            if *names != expected {
                return mismatch("channels", expected.join(", "), names.join(", "));
            }
        }
        (Inputs::Tokens { vocabulary, .. }, InputShape::Tokens { vocabulary: expected, .. }, _) => {
            if vocabulary.len() != expected as usize {
                return mismatch("tokens", expected.to_string(), vocabulary.len().to_string());
            }
        }
        (Inputs::Channels(names), _, _) => {
            return mismatch("inputs", "tokens".into(), format!("channels {}", names.join(", ")));
        }
        (Inputs::Tokens { column, .. }, _, _) => {
            let expected: Vec<&str> = image.channels().collect();
            return mismatch("inputs", format!("channels {}", expected.join(", ")), format!("tokens of {column:?}"));
        }
    }
    let expected: Vec<&str> = image.header().labels.split('\n').collect();
    let (task, names) = match &dataset.targets {
        Targets::Classes { labels } => (Task::Classification, labels),
        Targets::Values { names } => (Task::Regression, names),
    };
    if image.head().shape.task != task || *names != expected {
        return mismatch("targets", expected.join(", "), names.join(", "));
    }
    Ok(())
}
