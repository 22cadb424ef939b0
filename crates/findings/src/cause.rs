//! The causes by name. An id, once published, keeps its meaning.

use serde::{Deserialize, Serialize};

/// What part of the work a cause belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The files, or what `[data]` and `[scaler]` say of them.
    Data,
    /// `[model]`
    Model,
    /// `[training]`
    Training,
    /// What is seen when something is wrong, whatever that is.
    Symptom,
}

macro_rules! causes {
    ($($(#[doc = $doc:literal])+ $name:ident = $id:literal, $kind:ident, $title:literal;)+) => {
        /// Why a model does not learn, or learns what will not hold.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(into = "&'static str", try_from = "String")]
        pub enum Cause {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Cause {
            /// Every cause, in the order of the documentation.
            pub const ALL: &[Cause] = &[$(Cause::$name),+];

            /// The stable name.
            pub fn id(self) -> &'static str {
                match self { $(Cause::$name => $id),+ }
            }

            /// What part of the work it belongs to.
            pub fn kind(self) -> Kind {
                match self { $(Cause::$name => Kind::$kind),+ }
            }

            /// A few words for a heading.
            pub fn title(self) -> &'static str {
                match self { $(Cause::$name => $title),+ }
            }
        }
    };
}

causes! {
    /// A regression on the codes of classes: it would say that class 2 lies between 1 and 3.
    LabelsAsValues = "labels-as-values", Data, "classes are learned as numbers";
    /// A classification of a continuous quantity: every value a class of its own.
    ValuesAsLabels = "values-as-labels", Data, "numbers are learned as classes";
    /// Channels whose scale is far from 1, or from each other's, and no scaler.
    FeaturesUnscaled = "features-unscaled", Data, "the inputs are not scaled";
    /// A few extreme values decide a channel's scale, and the rest is squeezed together.
    Outliers = "outliers", Data, "outliers decide the scale";
    /// The data were scaled, before they came here, by numbers that include validation or test data.
    ScalerLeak = "scaler-leak", Data, "the scaler has seen validation or test data";
    /// The same sequences, or overlapping windows of one recording, on both sides of a split.
    SplitLeak = "split-leak", Data, "the same data are on two sides of the split";
    /// One class is most of the data, or some are hardly there.
    ClassImbalance = "class-imbalance", Data, "the classes are very uneven";
    /// The labels have nothing to do with the inputs: shuffled, shifted, of another file.
    LabelsUnrelated = "labels-unrelated", Data, "the targets do not follow from the inputs";
    /// A channel that never changes.
    FeatureConstant = "feature-constant", Data, "a channel is constant";
    /// A channel that is another one again.
    FeatureDuplicate = "feature-duplicate", Data, "a channel is there twice";
    /// Many values are missing.
    ValuesMissing = "values-missing", Data, "many values are missing";
    /// Rows of padding count as data, and the last state is one of padding.
    Padding = "padding", Data, "padding is read as data";
    /// Lengths cut off most of what the sequences hold.
    LengthsWrong = "lengths-wrong", Data, "the lengths cut off data";
    /// Too few sequences to learn from.
    NotEnoughData = "not-enough-data", Data, "there are too few sequences";
    /// A plain RNN (or too long a sequence) whose gradient does not reach the steps that matter.
    GradientVanishing = "gradient-vanishing", Model, "the gradient vanishes over the steps";
    /// A gradient that grows over the steps, until one update destroys what was learned.
    GradientExploding = "gradient-exploding", Training, "the gradient explodes";
    /// Gates that are 0 or 1 whatever comes.
    GatesSaturated = "gates-saturated", Symptom, "gates are saturated";
    /// Units that never change.
    UnitsDead = "units-dead", Symptom, "units are dead";
    /// Steps so long that the loss jumps about, or grows.
    LearningRateHigh = "learning-rate-high", Training, "the learning rate is too high";
    /// Steps so short that nothing changes.
    LearningRateLow = "learning-rate-low", Training, "the learning rate is too low";
    /// Gradients of so few sequences that they are mostly noise.
    BatchSmall = "batch-small", Training, "the batch is too small";
    /// So few steps per epoch that there is no time to learn.
    BatchLarge = "batch-large", Training, "the batch is too large";
    /// Clipping that shortens every gradient to next to nothing.
    ClipAlways = "clip-always", Training, "clipping always bites";
    /// A limit that no gradient ever reaches, in a training that needs one.
    ClipNever = "clip-never", Training, "clipping never bites";
    /// So many features dropped that too little is left to learn from.
    DropoutStrong = "dropout-strong", Training, "the dropout is too strong";
    /// Decay or penalties that hold the weights at 0.
    RegularizationStrong = "regularization-strong", Training, "the regularization is too strong";
    /// Targets so smooth that they say next to nothing.
    LabelSmoothingStrong = "label-smoothing-strong", Training, "the label smoothing is too strong";
    /// Class weights that make the loss care about the wrong classes.
    ClassWeights = "class-weights", Training, "the class weights distort the loss";
    /// Too few units for what is to be learned: training and validation are both bad.
    CapacitySmall = "capacity-small", Model, "the model is too small";
    /// So many units, and so little against it, that the training data are learned by heart.
    CapacityLarge = "capacity-large", Model, "the model learns by heart";
    /// A schedule that lowers the rate before the model has learned.
    ScheduleEarly = "schedule-early", Training, "the schedule lowers the rate too early";
    /// Training ends while the model still improves.
    EpochsFew = "epochs-few", Training, "training ends too early";
    /// Truncated back-propagation through fewer steps than what is to be learned takes.
    TruncateShort = "truncate-short", Training, "gradients are cut off too early";
    /// An initial loss far from that of a model that knows nothing.
    InitialLoss = "initial-loss", Symptom, "the initial loss is not that of a model that knows nothing";
    /// Not even one batch can be learned by heart.
    CannotOverfit = "cannot-overfit", Symptom, "not even one batch can be learned";
    /// The model says the same whatever it sees.
    NoBetterThanBaseline = "no-better-than-baseline", Symptom, "no better than an answer that ignores the input";
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.id())
    }
}

impl From<Cause> for &'static str {
    fn from(cause: Cause) -> &'static str {
        cause.id()
    }
}

impl TryFrom<String> for Cause {
    type Error = String;

    fn try_from(id: String) -> Result<Cause, String> {
        Cause::ALL.iter().copied().find(|cause| cause.id() == id).ok_or_else(|| format!("no finding is called {id:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each id once, in the order of the causes.
    #[test]
    fn the_documentation_lists_every_id() {
        let page = include_str!("../../doctor/DOCTOR.md");
        let listed = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | ")).map(|(id, _)| id);
        let listed: Vec<&str> = listed.skip_while(|id| *id != Cause::ALL[0].id()).collect();
        assert_eq!(listed, Cause::ALL.iter().map(|cause| cause.id()).collect::<Vec<_>>());
    }

    #[test]
    fn ids_are_distinct_and_lead_back() {
        for (place, cause) in Cause::ALL.iter().enumerate() {
            assert_eq!(Cause::try_from(cause.id().to_string()), Ok(*cause));
            assert!(Cause::ALL[..place].iter().all(|other| other.id() != cause.id()), "{cause}");
            assert!(cause.id().chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{cause}");
        }
    }
}
