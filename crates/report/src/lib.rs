//! The page that shows a training: what is wrong at the top, in words; then curves, gradients, gates and confusion.
//!
//! [`html`] turns a [`Report`], which is plain data, into one file that needs no network and no script, follows the reader's
//! light or dark scheme, fits a phone and prints.

mod confusion;
mod curves;
mod data;
mod findings;
mod gates;
mod gradients;
mod number;
mod page;
mod plot;
mod text;
mod trials;

pub use data::{Confusion, Epoch, GateHistogram, Gradients, Mended, Report, Trial};

/// The page, a whole HTML file. It depends on nothing but the report: the same report, the same bytes.
pub fn html(report: &Report) -> String {
    page::page(report).into_string()
}
