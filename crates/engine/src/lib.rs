//! Integer inference of recurrent networks: no_std, no allocation, no float.
