//! The device image: layout, checks, borrowed views.
