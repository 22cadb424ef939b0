//! The float checkpoint: safetensors with PyTorch names and complete metadata.
