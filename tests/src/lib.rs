//! Conformance: one list of cases, many runners (float, reference, host engine, QEMU boards).
