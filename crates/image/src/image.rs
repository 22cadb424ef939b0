//! The checked, borrowed image.

use emberloop_cells::CellKind;

use crate::error::Part;
use crate::proof::{accumulator_bound, feature_output_range, requantized_bound};
use crate::section::Sections;
use crate::{
    HeadShape, Header, ImageError, InputShape, LayerShape, MAX_LAYERS, MemoryPlan, MissingPolicy, PREAMBLE_BYTES,
    Preamble, Requantizer, Sequences, limits,
};

/// A checked image; borrows everything from the bytes it was parsed from.
#[derive(Clone, Debug)]
pub struct Image<'a> {
    header: Header<'a>,
    input: Input<'a>,
    layers: heapless::Vec<Layer<'a>, MAX_LAYERS>,
    head: Head<'a>,
    golden: Sequences<'a>,
    memory: MemoryPlan,
    bytes: usize,
}

/// How a raw sample becomes the first layer's input.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// A scaler per feature.
    Features {
        /// Packed scalers, [`FeatureScaler::WORDS`] words each.
        scalers: &'a [u32],
        /// What happens where a number is missing.
        missing: MissingPolicy,
    },
    /// An embedding table.
    Tokens {
        /// `[vocabulary, dimension]`, one scale per row.
        table: Matrix<'a>,
    },
}

/// The integer scaler of one feature (NUMERICS §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeatureScaler {
    /// Smallest raw value; below it the input is clipped and counted.
    pub min: i32,
    /// Largest raw value; above it the input is clipped and counted.
    pub max: i32,
    /// Subtracted after the left shift by `pre_shift`.
    pub offset: i32,
    /// Scales the difference.
    pub requantizer: Requantizer,
    /// Scaled input that stands in for a missing value: the training mean.
    pub fill: i16,
    /// Left shift of the raw value, so that the offset has fraction bits.
    pub pre_shift: u8,
    /// Fraction bits of the raw value: `raw = round(value · 2^raw_fraction)`.
    pub raw_fraction: i8,
}

/// An int8 matrix with one scale per row.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    /// Number of columns.
    pub columns: usize,
    /// Packed [`Requantizer`]s, one per row.
    pub scales: &'a [u32],
    /// `[rows, columns]`, row-major.
    pub weights: &'a [i8],
}

/// One recurrent layer.
#[derive(Clone, Copy, Debug)]
pub struct Layer<'a> {
    /// Cell, units, formats.
    pub shape: LayerShape,
    /// `W`, `[gates * hidden, inputs]`.
    pub input: Matrix<'a>,
    /// `U`, `[gates * hidden, hidden]`.
    pub recurrent: Matrix<'a>,
    /// `[gates * hidden]`, Q15.16, added after requantization.
    pub bias: &'a [i32],
    /// GRU with reset-after: `[hidden]`, Q15.16, added to the new gate's recurrent product. Other cells: empty.
    pub recurrent_bias: &'a [i32],
}

/// The dense head.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// Outputs, task, pooling, format.
    pub shape: HeadShape,
    /// `[outputs, hidden]`.
    pub weights: Matrix<'a>,
    /// `[outputs]`, in the outputs' format.
    pub bias: &'a [i32],
}

impl FeatureScaler {
    /// Words of 32 bits in the image.
    pub const WORDS: usize = 5;

    /// From the image's words.
    pub fn from_words(words: &[u32; Self::WORDS]) -> Self {
        let &[min, max, offset, requantizer, tail] = words;
        let [fill_low, fill_high, pre_shift, raw_fraction] = tail.to_le_bytes();
        Self {
            min: min as i32,
            max: max as i32,
            offset: offset as i32,
            requantizer: Requantizer::from_word(requantizer),
            fill: i16::from_le_bytes([fill_low, fill_high]),
            pre_shift,
            raw_fraction: raw_fraction as i8,
        }
    }

    /// As it lies in the image.
    pub fn to_words(&self) -> [u32; Self::WORDS] {
        let [fill_low, fill_high] = self.fill.to_le_bytes();
        let tail = u32::from_le_bytes([fill_low, fill_high, self.pre_shift, self.raw_fraction as u8]);
        [self.min as u32, self.max as u32, self.offset as u32, self.requantizer.word(), tail]
    }

    fn is_valid(&self) -> bool {
        let ranges = self.min <= self.max && self.min != i32::MIN && self.pre_shift < 31 && self.fill != i16::MIN;
        let fraction = (-16..=30).contains(&self.raw_fraction);
        ranges && fraction && self.requantizer.is_valid() && feature_output_range(self).is_some()
    }
}

impl<'a> Matrix<'a> {
    fn take(sections: &mut Sections<'a>, rows: usize, columns: usize) -> Result<Self, ImageError> {
        let scales = sections.take(Some(rows))?;
        let weights = sections.take(rows.checked_mul(columns))?;
        Ok(Self { columns, scales, weights })
    }

    /// The rows: weights and scale.
    pub fn rows(&self) -> impl Iterator<Item = (&'a [i8], Requantizer)> + use<'a> {
        let scales = self.scales.iter().map(|&word| Requantizer::from_word(word));
        self.weights.chunks_exact(self.columns).zip(scales)
    }

    /// Proves every row (NUMERICS §4) and hands its bound after requantization to `check`, which says whether it may be so large.
    fn prove(&self, part: Part, mut check: impl FnMut(usize, i64) -> bool) -> Result<(), ImageError> {
        for (row, (weights, requantizer)) in self.rows().enumerate() {
            let at = row as u32;
            check_row(part, at, weights, requantizer)?;
            let bound = requantized_bound(accumulator_bound(weights), requantizer);
            if !bound.is_some_and(|bound| check(row, bound)) {
                return Err(ImageError::Overflow { part, row: at });
            }
        }
        Ok(())
    }
}

/// What must hold of every row before its bounds are computed.
fn check_row(part: Part, row: u32, weights: &[i8], requantizer: Requantizer) -> Result<(), ImageError> {
    if !requantizer.is_valid() {
        return Err(ImageError::Requantizer { part, row });
    }
    // -128 has no negation in int8: excluded, so that every kernel may negate or take magnitudes.
    if weights.contains(&i8::MIN) {
        return Err(ImageError::Weight { part, row });
    }
    Ok(())
}

fn check_bias(part: Part, bias: &[i32]) -> Result<(), ImageError> {
    match bias.iter().position(|&bias| i64::from(bias).abs() > limits::BIAS) {
        Some(row) => Err(ImageError::Bias { part, row: row as u32 }),
        None => Ok(()),
    }
}

impl<'a> Layer<'a> {
    fn take(sections: &mut Sections<'a>, shape: LayerShape, inputs: usize) -> Result<Self, ImageError> {
        let hidden = usize::from(shape.hidden);
        let rows = shape.cell.gate_count() * hidden;
        let input = Matrix::take(sections, rows, inputs)?;
        let recurrent = Matrix::take(sections, rows, hidden)?;
        let bias = sections.take(Some(rows))?;
        let separate = if shape.cell.has_separate_recurrent_bias() { hidden } else { 0 };
        let recurrent_bias = sections.take(Some(separate))?;
        Ok(Self { shape, input, recurrent, bias, recurrent_bias })
    }

    fn prove(&self, index: u8) -> Result<(), ImageError> {
        let hidden = usize::from(self.shape.hidden);
        let new_gate = match self.shape.cell {
            CellKind::GruResetAfter => 2 * hidden,
            CellKind::Rnn | CellKind::Lstm | CellKind::GruResetBefore => usize::MAX,
        };
        check_bias(Part::InputWeights(index), self.bias)?;
        self.input.prove(Part::InputWeights(index), |_, bound| bound <= limits::PRODUCT)?;
        self.recurrent.prove(Part::RecurrentWeights(index), |row, bound| {
            // The separate recurrent bias shares the recurrent product's half of the range.
            let bias = row
                .checked_sub(new_gate)
                .and_then(|unit| self.recurrent_bias.get(unit))
                .map_or(0, |&bias| i64::from(bias).abs());
            bound + bias <= limits::PRODUCT
        })
    }
}

impl<'a> Image<'a> {
    /// Checks an image and borrows it. The bytes must lie at an address that is a multiple of 4 (see
    /// [`include_image!`](crate::include_image)).
    ///
    /// Reads every byte once: on a device, call it at start-up and keep the result.
    ///
    /// # Errors
    /// [`ImageError`]: the first thing found wrong.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ImageError> {
        if !bytes.as_ptr().addr().is_multiple_of(4) {
            return Err(ImageError::Misaligned);
        }
        let preamble = Preamble::read(bytes)?;
        let (header, payload) = split_header(bytes, &preamble)?;
        header.check()?;
        let memory = MemoryPlan::new(&header);
        if memory.words() != preamble.ram_words as usize {
            return Err(ImageError::Memory { expected: memory.words() as u32, found: preamble.ram_words });
        }

        let mut sections = Sections::new(payload);
        let input = Input::take(&mut sections, &header)?;
        let mut layers = heapless::Vec::new();
        let mut width = header.input_width();
        for (index, &shape) in header.layers.iter().enumerate() {
            let layer = Layer::take(&mut sections, shape, width)?;
            layer.prove(index as u8)?;
            width = usize::from(shape.hidden);
            layers.push(layer).map_err(|_| ImageError::Header)?;
        }
        let head = Head::take(&mut sections, header.head, width)?;
        let rest = bytemuck::try_cast_slice(sections.rest()).map_err(|_| ImageError::Sequences)?;
        let golden = Sequences::from_words(rest).map_err(|_| ImageError::Sequences)?;
        if golden.width() != header.raw_width() || golden.outputs() != usize::from(header.head.outputs) {
            return Err(ImageError::Sequences);
        }
        Ok(Self { header, input, layers, head, golden, memory, bytes: bytes.len() })
    }

    /// Shapes and names.
    pub fn header(&self) -> &Header<'a> {
        &self.header
    }

    /// How a raw sample becomes the first layer's input.
    pub fn input(&self) -> Input<'a> {
        self.input
    }

    /// The recurrent layers, the one next to the input first.
    pub fn layers(&self) -> &[Layer<'a>] {
        &self.layers
    }

    /// The dense head.
    pub fn head(&self) -> Head<'a> {
        self.head
    }

    /// The golden vectors: raw inputs and the exact outputs of every step.
    pub fn golden(&self) -> Sequences<'a> {
        self.golden
    }

    /// How a network's RAM is cut up.
    pub fn memory(&self) -> MemoryPlan {
        self.memory
    }

    /// Length of the image in bytes.
    pub fn len_bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of RAM that a network of this image needs.
    pub fn ram_bytes(&self) -> usize {
        4 * self.memory.words()
    }

    /// The label of an output, or the name of a regression target.
    pub fn label(&self, output: usize) -> Option<&'a str> {
        self.header.labels.split('\n').nth(output)
    }

    /// Fraction bits of a feature's raw number: a driver hands over `round(value · 2^fraction)`, the value in the unit of the
    /// training data. 0 where the training data were integers (ADC counts). `None` for tokens and beyond the last feature.
    pub fn raw_fraction(&self, feature: usize) -> Option<i8> {
        self.input.feature_scalers().nth(feature).map(|scaler| scaler.raw_fraction)
    }

    /// The names of the input channels.
    pub fn channels(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.header.channels.split('\n')
    }
}

fn split_header<'a>(bytes: &'a [u8], preamble: &Preamble) -> Result<(Header<'a>, &'a [u8]), ImageError> {
    let end = PREAMBLE_BYTES.checked_add(preamble.header_bytes as usize).ok_or(ImageError::Header)?;
    let payload_offset = preamble.payload_offset as usize;
    // Exactly one place for the payload, and zeros before it: no two images of the same content differ.
    if end.checked_next_multiple_of(16) != Some(payload_offset) {
        return Err(ImageError::Header);
    }
    let (Some(header), Some(padding), Some(payload)) =
        (bytes.get(PREAMBLE_BYTES..end), bytes.get(end..payload_offset), bytes.get(payload_offset..))
    else {
        return Err(ImageError::Header);
    };
    match postcard::take_from_bytes::<Header<'a>>(header) {
        Ok((header, [])) if padding.iter().all(|&byte| byte == 0) => Ok((header, payload)),
        _ => Err(ImageError::Header),
    }
}

impl<'a> Input<'a> {
    fn take(sections: &mut Sections<'a>, header: &Header<'a>) -> Result<Self, ImageError> {
        match header.input {
            InputShape::Features { features, missing, fraction: _ } => {
                let scalers = sections.take(Some(usize::from(features) * FeatureScaler::WORDS))?;
                let input = Input::Features { scalers, missing };
                for (feature, scaler) in input.feature_scalers().enumerate() {
                    if !scaler.is_valid() {
                        return Err(ImageError::Scaler { feature: feature as u32 });
                    }
                }
                Ok(input)
            }
            InputShape::Tokens { vocabulary, dimension, fraction: _ } => {
                let table = Matrix::take(sections, vocabulary as usize, usize::from(dimension))?;
                for (row, (weights, requantizer)) in table.rows().enumerate() {
                    let row = row as u32;
                    check_row(Part::Embedding, row, weights, requantizer)?;
                    let largest = weights.iter().map(|weight| weight.unsigned_abs()).max().unwrap_or(0);
                    let bound = requantized_bound(i64::from(largest), requantizer);
                    if bound.is_none_or(|bound| bound > i64::from(limits::ACTIVATION)) {
                        return Err(ImageError::Overflow { part: Part::Embedding, row });
                    }
                }
                Ok(Input::Tokens { table })
            }
        }
    }

    /// The scalers of the features; nothing for tokens.
    pub fn feature_scalers(&self) -> impl Iterator<Item = FeatureScaler> + use<'a> {
        let words: &'a [u32] = match *self {
            Input::Features { scalers, .. } => scalers,
            Input::Tokens { .. } => &[],
        };
        words.as_chunks::<{ FeatureScaler::WORDS }>().0.iter().map(FeatureScaler::from_words)
    }
}

impl<'a> Head<'a> {
    fn take(sections: &mut Sections<'a>, shape: HeadShape, hidden: usize) -> Result<Self, ImageError> {
        let outputs = usize::from(shape.outputs);
        let weights = Matrix::take(sections, outputs, hidden)?;
        let bias = sections.take(Some(outputs))?;
        // One product and one bias share the range.
        check_bias(Part::Head, bias)?;
        weights.prove(Part::Head, |_, bound| bound <= limits::HEAD_PRODUCT)?;
        Ok(Self { shape, weights, bias })
    }
}
