//! A progress bar on standard error; hidden unless standard error is a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use littoral_ingest::Progress;
use std::path::Path;

/// The bar of a load.
pub struct Bar(ProgressBar);

impl Bar {
    /// Creates a bar. `hidden` hides it on a terminal too, because the result is printed as JSON for a program.
    pub fn new(hidden: bool, what: &str) -> Self {
        let target = if hidden { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(None, target).with_prefix(what.to_owned());
        let style = ProgressStyle::with_template(
            "   {prefix} {bar:30} {human_pos}/{human_len} rows, {per_sec}, {eta} left {msg}",
        );
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self(bar)
    }

    /// Removes the bar from the terminal.
    pub fn finish(&self) {
        self.0.finish_and_clear();
    }
}

impl Progress for Bar {
    fn planned(&mut self, _files: usize, rows: u64) {
        self.0.set_length(rows);
    }

    fn scanned(&mut self, rows: u64) {
        self.0.set_message(format!("(looked at {rows})"));
    }

    fn file(&mut self, path: &Path, _rows: u64, _from_row: u64) {
        self.0.set_message(path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default());
    }

    fn done(&mut self, rows: u64) {
        self.0.inc(rows);
    }
}
