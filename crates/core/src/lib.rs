//! Float recurrent models: definition, training, fine-tuning, metrics.
