//! Aligned tables. `console` measures and pads the cells, including coloured ones. A crate for tables would bring
//! several dependencies to replace a few lines.

use crate::output::Paint;
use console::{Alignment, measure_text_width, pad_str};

/// The gap between two columns.
const GAP: &str = "  ";

/// A table with a header; each column is as wide as its widest cell.
pub struct Table {
    columns: Vec<Alignment>,
    /// The header, then the rows.
    lines: Vec<Vec<String>>,
}

impl Table {
    /// Returns an empty table with these columns. A column whose name begins with `>` is aligned to the right, for
    /// numbers; the `>` is not shown.
    #[must_use]
    pub fn new(columns: &[&str]) -> Self {
        let (columns, header) = columns
            .iter()
            .map(|column| match column.strip_prefix('>') {
                Some(name) => (Alignment::Right, name.dim()),
                None => (Alignment::Left, column.dim()),
            })
            .unzip();
        Self { columns, lines: vec![header] }
    }

    /// Adds a row; missing cells stay empty.
    pub fn row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        self.lines.push(cells.into_iter().map(Into::into).collect());
    }

    /// Returns whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.len() == 1
    }

    /// Returns the table's lines, each behind `indent`.
    #[must_use]
    pub fn render(&self, indent: &str) -> String {
        let cell = |line: &[String], column: usize| line.get(column).cloned().unwrap_or_default();
        let width = |column| self.lines.iter().map(|line| measure_text_width(&cell(line, column))).max().unwrap_or(0);
        let widths: Vec<_> = (0..self.columns.len()).map(width).collect();
        let line = |line: &Vec<String>| {
            let cells = self.columns.iter().zip(&widths).enumerate();
            let cells = cells.map(|(at, (align, width))| pad_str(&cell(line, at), *width, *align, None).into_owned());
            format!("{}\n", format!("{indent}{}", cells.collect::<Vec<_>>().join(GAP)).trim_end())
        };
        self.lines.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_to_their_side() {
        let mut table = Table::new(&["view", ">rows"]);
        table.row(["airport_hourly", "221"]);
        table.row(["route", "3190"]);
        assert_eq!(table.render(""), "view            rows\nairport_hourly   221\nroute           3190\n");
    }
}
