//! Aligned tables.

use crate::output::paint::{Paint, shown_width};

/// A column's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// A table with a header; columns are as wide as their widest cell.
pub struct Table {
    header: Vec<(String, Side)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table of these columns. One whose name begins with `>` holds numbers and is aligned to the right.
    pub fn new(columns: &[&str]) -> Self {
        let header = columns.iter().map(|column| match column.strip_prefix('>') {
            Some(name) => (name.to_owned(), Side::Right),
            None => ((*column).to_owned(), Side::Left),
        });
        Self { header: header.collect(), rows: Vec::new() }
    }

    /// Adds a row; missing cells stay empty.
    pub fn row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table's lines, each behind `indent`.
    pub fn render(&self, indent: &str) -> String {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column)).map(|cell| shown_width(cell));
            cells.chain([shown_width(&self.header[column].0)]).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..self.header.len()).map(width).collect();
        let line = |cells: &dyn Fn(usize) -> String| {
            let mut text = String::from(indent);
            for (column, (_, side)) in self.header.iter().enumerate() {
                let cell = cells(column);
                let pad = " ".repeat(widths[column].saturating_sub(shown_width(&cell)));
                let gap = if column == 0 { "" } else { "  " };
                match side {
                    Side::Left => text.push_str(&format!("{gap}{cell}{pad}")),
                    Side::Right => text.push_str(&format!("{gap}{pad}{cell}")),
                }
            }
            text.truncate(text.trim_end().len());
            text.push('\n');
            text
        };
        let mut text = line(&|column| self.header[column].0.dim());
        for row in &self.rows {
            text.push_str(&line(&|column| row.get(column).cloned().unwrap_or_default()));
        }
        text
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
