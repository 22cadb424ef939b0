//! Checkpoint and calibration data to integers: quantized safetensors and device image.
