//! What a board may do with an image that parses.

use arbitrary::{Result, Unstructured};
use emberloop_engine::{Network, NewError, SelfTestError, self_test};
use emberloop_image::{Image, ram_words};
use emberloop_tests::reference::Reference;
use emberloop_tests::runner::with_pair;

use crate::aligned::Aligned;
use crate::image;
use crate::model::{Input, Model};
use crate::random::{EDGES, Random};

/// Samples, and changes to a saved state.
#[derive(Default)]
pub struct Exercise {
    samples: Vec<Vec<i32>>,
    /// Runs over the samples.
    rounds: usize,
    changes: Vec<(u16, i32)>,
}

/// Words of RAM beyond which a network is not made.
const LARGEST: usize = 1 << 16;

type Running<'a> = Network<'a, Vec<i32>>;

impl Exercise {
    pub fn new(source: &mut Unstructured<'_>, input: &Input) -> Result<Self> {
        let mut random = Random::new(source.arbitrary()?);
        let steps = source.int_in_range(1..=12)?;
        let mut samples: Vec<_> = (0..steps).map(|_| input.sample(&mut random, true)).collect();
        if source.ratio(1, 16)? {
            // Too short, or too long.
            let length = source.int_in_range(0..=13)?;
            samples.push(vec![0; length]);
        }
        let rounds = source.int_in_range(1..=3)?;
        let mut changes = Vec::new();
        for _ in 0..source.int_in_range(0..=3)? {
            let at = source.arbitrary()?;
            let value = if source.arbitrary()? { source.arbitrary()? } else { *source.choose(&EDGES)? };
            changes.push((at, value));
        }
        Ok(Self { samples, rounds, changes })
    }

    /// Every use of a parsed image.
    pub fn run(&self, image: &Image<'_>, bytes: &[u8]) {
        let words = image.memory().words();
        assert_eq!(words, ram_words(bytes));
        // A damaged header may ask for more than there is; a board would not link.
        if words > LARGEST {
            return;
        }
        look(image);
        if let Some(less) = words.checked_sub(1) {
            assert!(matches!(Network::new(image, vec![0; less]), Err(NewError::Memory { .. })));
        }
        match self_test(image, vec![-1; words]) {
            Ok(steps) => assert!(steps > 0),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
        // What the memory held before is of no consequence.
        let mut network = Network::new(image, vec![-1; words]).expect("enough memory, and every cell");
        for _ in 0..self.rounds {
            for sample in self.samples.iter().chain([&vec![0; image.header().raw_width()]]) {
                step(&mut network, sample);
            }
            self.change_state(&mut network);
        }
        network.reset();
        let fresh = Network::new(image, vec![0; words]).expect("enough memory, and every cell");
        assert_eq!(network.save(), fresh.save(), "a reset forgets everything");
    }

    /// Engine and reference (`emberloop_tests::reference`) side by side: the same outputs, states, counters and refusals.
    /// The reference has a reader and a proof of its own: both accept the image.
    pub fn compare(&self, bytes: &[u8]) {
        if ram_words(bytes) > LARGEST {
            return;
        }
        // The one thing that FORMAT §1 demands of a writer and lets a reader pass over; the reference does not.
        if Reference::read(bytes).is_err_and(|error| error.contains("longer than it needs")) {
            return;
        }
        let outcome = with_pair(bytes, |mut pair| pair.run(&self.samples));
        if let Err(difference) = outcome {
            panic!("{difference}");
        }
    }

    /// A state of other values: refused, or one to go on from.
    fn change_state(&self, network: &mut Running<'_>) {
        let mut state = network.save().to_vec();
        assert!(network.restore(&state[1..]).is_err(), "a word too few");
        for &(at, value) in &self.changes {
            let place = usize::from(at) % state.len();
            state[place] = value;
            let before = network.save().to_vec();
            if network.restore(&state).is_err() {
                assert_eq!(network.save(), before, "a refused state changes nothing");
                state = before;
            }
            for sample in self.samples.iter().take(2) {
                step(network, sample);
            }
        }
    }
}

/// One step, and the same again from the state saved before it.
fn step(network: &mut Running<'_>, sample: &[i32]) {
    let before = network.save().to_vec();
    let outputs = match network.step(sample) {
        Ok(output) => {
            let mut probabilities = [0; 8];
            let count = output.probabilities(&mut probabilities);
            assert!(probabilities[..count].iter().all(|&probability| probability <= 1 << 15));
            assert_eq!(output.class().is_some(), output.label().is_some());
            output.values().to_vec()
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert_eq!(network.save(), before, "a refused step changes nothing");
            return;
        }
    };
    assert_eq!(outputs.len(), usize::from(network.image().header().head.outputs));
    let after = network.save().to_vec();
    network.restore(&before).expect("a state that was reached");
    assert_eq!(network.step(sample).map(|output| output.values().to_vec()), Ok(outputs), "the same step again");
    assert_eq!(network.save(), after);
}

/// Everything a report reads.
fn look(image: &Image<'_>) {
    for layer in image.layers() {
        for gate in 0..layer.shape.cell.gate_count() {
            for unit in 0..usize::from(layer.shape.hidden) {
                let bounds = layer.row_bounds(gate, unit).expect("proved");
                assert_eq!(bounds.largest(layer.bounds), layer.bounds);
            }
        }
    }
    for output in 0..usize::from(image.header().head.outputs) {
        assert!(image.head().row_bounds(output).is_some() && image.label(output).is_some());
    }
    assert_eq!(image.input().feature_scalers().count().max(1), image.header().raw_width());
}

/// Gives the model its golden vectors as the exporter does: the image that holds them tests itself.
pub fn golden(model: &mut Model) {
    let bytes = Aligned::new(&image::write(model), 0);
    let image = Image::parse(&bytes).expect("it was parsed before");
    let words = image.memory().words();
    let mut steps = 0;
    for golden in &mut model.golden {
        let mut network = Network::new(&image, vec![0; words]).expect("enough memory, and every cell");
        for (sample, outputs) in golden.samples.iter().zip(&mut golden.outputs) {
            outputs.copy_from_slice(network.step(sample).expect("a sample within the range").values());
            steps += 1;
        }
    }
    let bytes = Aligned::new(&image::write(model), 0);
    let image = Image::parse(&bytes).expect("golden outputs may be any numbers");
    let expected = if steps == 0 { Err(SelfTestError::Empty) } else { Ok(steps) };
    assert_eq!(self_test(&image, vec![0; words]), expected);
}
