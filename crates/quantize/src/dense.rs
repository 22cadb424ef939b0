//! A row-major matrix of f64.

/// `[rows, columns]`
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Dense {
    pub(crate) columns: usize,
    pub(crate) values: Vec<f64>,
}

impl Dense {
    pub(crate) fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.values.chunks_exact(self.columns)
    }

    pub(crate) fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.columns..(row + 1) * self.columns]
    }

    /// `[columns, rows]`
    pub(crate) fn transposed(&self) -> Vec<f64> {
        (0..self.columns).flat_map(|column| self.rows().map(move |row| row[column])).collect()
    }
}
