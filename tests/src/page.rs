//! Reads the tables of a specification page.

/// A table of a Markdown page.
#[derive(Clone, Debug)]
pub struct Table {
    /// The number of the section it stands in, as in `6` or `3.1`.
    pub section: String,
    /// The names of its columns.
    pub columns: Vec<String>,
    /// Its rows; every row has a cell for every column.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// Section and first column: names the table among those of its page.
    pub fn key(&self) -> (&str, &str) {
        (&self.section, &self.columns[0])
    }
}

/// All tables of a page, in order.
///
/// # Panics
/// If a row has more or fewer cells than its table has columns.
pub fn tables(markdown: &str) -> Vec<Table> {
    let mut section = String::new();
    let mut tables: Vec<Table> = Vec::new();
    let mut inside = false;
    for line in markdown.lines() {
        if let Some(title) = line.strip_prefix('#') {
            let title = title.trim_start_matches('#').trim();
            section = title.split_whitespace().next().unwrap_or_default().to_owned();
        }
        let Some(row) = line.trim().strip_prefix('|') else {
            inside = false;
            continue;
        };
        let cells = cells(row);
        if !inside {
            tables.push(Table { section: section.clone(), columns: cells, rows: Vec::new() });
            inside = true;
            continue;
        }
        let table = tables.last_mut().expect("inside a table");
        assert_eq!(cells.len(), table.columns.len(), "a row of the table in section {section}: {line}");
        if !cells.iter().all(|cell| cell.chars().all(|c| c == '-' || c == ':')) {
            table.rows.push(cells);
        }
    }
    tables
}

/// The cells of a row whose first bar is taken off. A bar behind a backslash belongs to its cell, which loses the backslash.
fn cells(row: &str) -> Vec<String> {
    const BAR: &str = "\u{0}";
    let row = row.replace("\\|", BAR);
    row.trim().trim_end_matches('|').split('|').map(|cell| cell.trim().replace(BAR, "|")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_tables_with_their_sections() {
        let found =
            tables("# A\n## 2 B\n| a | b |\n|---|---|\n| 1 | `x` |\n| 2 | |\n\n### 2.1 C\n| c |\n|---|\n| 3 |\n");
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].key(), ("2", "a"));
        assert_eq!(found[0].rows, [["1", "`x`"], ["2", ""]]);
        assert_eq!(found[1].key(), ("2.1", "c"));
    }

    #[test]
    fn a_bar_behind_a_backslash_is_no_border() {
        let found = tables("| a | b |\n|---|---|\n| \\|x\\| | `\\|y\\|` |\n");
        assert_eq!(found[0].rows, [["|x|", "`|y|`"]]);
    }
}
