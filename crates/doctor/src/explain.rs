//! Why a cause keeps a model from learning, for somebody who meets it for the first time.

use emberloop_findings::Cause;

/// A sentence or two. What only the data show is explained where it is found (`emberloop_findings::data`).
pub fn explanation(cause: Cause) -> &'static str {
    match cause {
        Cause::LearningRateHigh => {
            "Each step overshoots: the weights jump from one side of the valley to the other, or out of it, and gates end up saturated. A step should move the weights by about a thousandth of their size."
        }
        Cause::LearningRateLow => {
            "Each step moves the weights by so little that the whole training hardly leaves the point where it started. A step should move the weights by about a thousandth of their size."
        }
        Cause::ClipAlways => {
            "Clipping is a guard against rare, huge gradients. A limit below every gradient turns each step into one of fixed, tiny length, and what is left may vanish beside the optimizer's eps."
        }
        Cause::ClipNever => "A limit that is never reached guards against nothing.",
        Cause::GradientExploding => {
            "Over many steps a recurrent network multiplies gradients; now and then one is so large that a single update destroys what was learned. Clipping by the global norm keeps the direction and bounds the length (Pascanu et al. 2013)."
        }
        Cause::GradientVanishing => {
            "A plain RNN passes the gradient through one tanh and one matrix per step, which shrink it: what happened long before the end cannot be learned. GRU and LSTM have a path on which it survives (Hochreiter and Schmidhuber 1997)."
        }
        Cause::BatchLarge => {
            "Training proceeds by steps, not by epochs: with nearly all sequences in one batch an epoch is one step, and the training is over before it has begun."
        }
        Cause::BatchSmall => {
            "The gradient of one or two sequences is mostly noise: steps point everywhere, and the loss jumps about instead of falling."
        }
        Cause::DropoutStrong => {
            "Dropout makes a network spread what it knows over its units. Where nearly all of them are dropped, too little is left in any step to learn from."
        }
        Cause::RegularizationStrong => {
            "Decay and penalties pull every weight towards 0. Where they pull harder than the data, the weights stay there, and the model says the same whatever it sees."
        }
        Cause::LabelSmoothingStrong => {
            "Smoothing spreads a part of each label over all classes. Where nearly everything is spread, the label says hardly more than that there are classes."
        }
        Cause::ClassWeights => {
            "Class weights multiply each class's loss. Where one class outweighs all others together, it pays to say that class always."
        }
        Cause::CapacitySmall => {
            "With so few units the network cannot hold what it must tell apart: training and validation are both bad, and neither gets better with time."
        }
        Cause::CapacityLarge => {
            "With so many weights and so little against it the network remembers the training sequences themselves: training gets better and better, validation does not."
        }
        Cause::ScheduleEarly => {
            "The rate falls before the model has learned; from then on each step is too short to change anything, and the loss looks as if it had converged."
        }
        Cause::EpochsFew => "The loss is still falling when training ends.",
        Cause::TruncateShort => {
            "Truncated back-propagation cuts the gradient off after a few steps: the network cannot learn to remember anything for longer."
        }
        Cause::LabelsUnrelated => {
            "Neither this network under any setting tried, nor a linear model on simple statistics of the inputs says more about the target than its mean or most frequent class: the labels are shuffled, shifted, of another file, or the inputs lack what decides them."
        }
        Cause::GatesSaturated => {
            "A gate that is always 0 or 1 has no gradient: it cannot learn to be anything else. Inputs that are too large, or steps that are too long, drive gates there."
        }
        Cause::UnitsDead => "A unit that never changes carries nothing, whatever its weights.",
        Cause::InitialLoss => {
            "A fresh classifier should give every class about the same probability, which costs ln(classes). If it starts far above, inputs or targets have a scale that they should not have."
        }
        Cause::CannotOverfit => {
            "Any sound network learns a handful of sequences by heart. If it cannot, something between data and loss is broken, and no amount of training will mend it."
        }
        Cause::NoBetterThanBaseline => {
            "An answer that ignores the input (the most frequent class, or the mean) is as good: whatever the loss does, nothing about the input has been learned."
        }
        Cause::LabelsAsValues
        | Cause::ValuesAsLabels
        | Cause::FeaturesUnscaled
        | Cause::Outliers
        | Cause::ScalerLeak
        | Cause::SplitLeak
        | Cause::ClassImbalance
        | Cause::FeatureConstant
        | Cause::FeatureDuplicate
        | Cause::ValuesMissing
        | Cause::Padding
        | Cause::LengthsWrong
        | Cause::NotEnoughData => "",
    }
}
