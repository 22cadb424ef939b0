#![allow(missing_docs)]
use emberloop_cells::CellKind;
use std::num::NonZeroUsize;
#[derive(Clone, Copy)]
pub struct Layer {
    pub cell: CellKind,
    pub inputs: usize,
    pub hidden: usize,
}
#[derive(Clone, Copy)]
pub struct Weights<'a> {
    pub input: &'a [f32],
    pub recurrent: &'a [f32],
    pub input_bias: &'a [f32],
    pub recurrent_bias: &'a [f32],
}
#[derive(Clone, Copy)]
pub struct Sequences<'a> {
    pub steps: usize,
    pub batch: usize,
    pub values: &'a [f32],
    pub lengths: Option<&'a [usize]>,
    pub reverse: bool,
    pub initial: Option<&'a [f32]>,
}
#[derive(Clone, Copy)]
pub enum Output {
    Every,
    Last,
    Both,
}
pub struct States {
    pub hidden: Vec<f32>,
    pub last: Vec<f32>,
}
pub fn infer(_: Layer, _: &Weights<'_>, _: &Sequences<'_>, _: Output) -> States {
    todo!()
}
#[derive(Debug)]
pub struct Tape;
pub fn forward(_: Layer, _: &Weights<'_>, _: &Sequences<'_>, _: Output) -> (States, Tape) {
    todo!()
}
pub struct StateGradients<'a> {
    pub hidden: Option<&'a [f32]>,
    pub last: Option<&'a [f32]>,
}
pub struct Wanted {
    pub values: bool,
    pub initial: bool,
}
pub struct Gradients {
    pub input: Vec<f32>,
    pub recurrent: Vec<f32>,
    pub input_bias: Vec<f32>,
    pub recurrent_bias: Vec<f32>,
    pub values: Option<Vec<f32>>,
    pub initial: Option<Vec<f32>>,
}
pub fn backward(_: Tape, _: &Weights<'_>, _: &StateGradients<'_>, _: Wanted, _: Option<NonZeroUsize>) -> Gradients {
    todo!()
}
