//! Files to sequences, split, and a scaler fitted on the training split alone.
