//! From a file's own words to the model's: classes by label, tokens by place in the vocabulary.

use crate::dataset::{Dataset, Inputs, Schema, Sequence, SequenceTarget, Targets, UNKNOWN_TOKEN};
use crate::error::DataError;
use crate::files::{Source, SourceInputs, SourceTargets};
use crate::names::{self, Names};

/// The terms that a training file sets: the labels of the whole file, the vocabulary of its training split alone.
pub(crate) fn schema(source: &Source, train: &[Sequence], labels: Option<&[String]>) -> Schema {
    let inputs = match &source.inputs {
        SourceInputs::Channels(names) => Inputs::Channels(names.clone()),
        SourceInputs::Tokens { column, tokens } => {
            Inputs::Tokens { column: column.clone(), vocabulary: vocabulary(tokens, train) }
        }
    };
    let targets = match &source.targets {
        SourceTargets::Labels(names) => Targets::Classes {
            labels: labels.map_or_else(
                || {
                    let mut labels = names.texts().to_vec();
                    names::sort(&mut labels);
                    labels
                },
                <[String]>::to_vec,
            ),
        },
        SourceTargets::Values(names) => Targets::Values { names: names.clone() },
        SourceTargets::Absent => Targets::Values { names: Vec::new() },
    };
    Schema { inputs, targets, target_per: source.target_per }
}

fn vocabulary(tokens: &Names, train: &[Sequence]) -> Vec<String> {
    let mut seen = vec![false; tokens.texts().len()];
    train
        .iter()
        .filter_map(|sequence| sequence.values.loaded())
        .flatten()
        .for_each(|&token| seen[token as usize] = true);
    let mut texts: Vec<String> = (0..seen.len()).filter(|&id| seen[id]).map(|id| tokens.text(id).to_owned()).collect();
    texts.retain(|text| text != UNKNOWN_TOKEN);
    names::sort(&mut texts);
    texts.insert(0, UNKNOWN_TOKEN.to_owned());
    texts
}

/// What the numbers of one source mean in a schema.
pub(crate) struct Resolver<'a> {
    source: &'a Source,
    schema: &'a Schema,
    /// Class by label number.
    classes: Vec<Option<usize>>,
    /// Place in the vocabulary by token number.
    tokens: Option<Vec<f32>>,
}

impl<'a> Resolver<'a> {
    pub(crate) fn new(source: &'a Source, schema: &'a Schema) -> Resolver<'a> {
        let classes = match (&source.targets, &schema.targets) {
            (SourceTargets::Labels(found), Targets::Classes { labels }) => {
                found.texts().iter().map(|text| labels.iter().position(|label| label == text)).collect()
            }
            _ => Vec::new(),
        };
        let tokens = match (&source.inputs, &schema.inputs) {
            (SourceInputs::Tokens { tokens, .. }, Inputs::Tokens { vocabulary, .. }) => {
                let places: std::collections::HashMap<&str, usize> =
                    vocabulary.iter().enumerate().map(|(place, token)| (token.as_str(), place)).collect();
                let place = |text: &String| places.get(text.as_str()).copied().unwrap_or(0) as f32;
                Some(tokens.texts().iter().map(place).collect())
            }
            _ => None,
        };
        Resolver { source, schema, classes, tokens }
    }

    /// The dataset of some of the source's sequences.
    pub(crate) fn dataset(&self, mut sequences: Vec<Sequence>) -> Result<Dataset, DataError> {
        for sequence in &mut sequences {
            if let Some(places) = &self.tokens {
                sequence.values.to_mut()?.iter_mut().for_each(|token| *token = places[*token as usize]);
            }
            match &mut sequence.target {
                SequenceTarget::Class(class) => *class = self.class(*class)?,
                SequenceTarget::Classes(classes) => {
                    for class in classes {
                        *class = self.class(*class)?;
                    }
                }
                SequenceTarget::Values(_) | SequenceTarget::StepValues(_) | SequenceTarget::Absent => {}
            }
        }
        Ok(Dataset {
            inputs: self.schema.inputs.clone(),
            targets: self.schema.targets.clone(),
            target_per: self.schema.target_per,
            sequences,
            hash: self.source.hash.clone(),
            path: self.source.path.clone(),
        })
    }

    fn class(&self, label: usize) -> Result<usize, DataError> {
        if let Some(class) = self.classes[label] {
            return Ok(class);
        }
        let (SourceTargets::Labels(names), Targets::Classes { labels }) = (&self.source.targets, &self.schema.targets)
        else {
            unreachable!("classes are numbered only where both sides have labels");
        };
        Err(DataError::UnknownLabel {
            path: self.source.path.clone(),
            place: names.place(label).to_owned(),
            label: names.text(label).to_owned(),
            known: labels.clone(),
        })
    }
}
