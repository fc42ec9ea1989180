//! Colours for people, with the `console` crate. Text stays uncoloured if standard output is not a terminal, or
//! `NO_COLOR` is set.

use console::style;

/// Colours text when standard output is a terminal.
pub trait Paint: AsRef<str> {
    /// For titles.
    fn bold(&self) -> String {
        style(self.as_ref()).bold().to_string()
    }

    /// For details.
    fn dim(&self) -> String {
        style(self.as_ref()).dim().to_string()
    }

    /// For success.
    fn green(&self) -> String {
        style(self.as_ref()).green().to_string()
    }

    /// For warnings.
    fn yellow(&self) -> String {
        style(self.as_ref()).yellow().to_string()
    }

    /// For errors.
    fn red(&self) -> String {
        style(self.as_ref()).red().to_string()
    }

    /// For names.
    fn cyan(&self) -> String {
        style(self.as_ref()).cyan().to_string()
    }
}

impl<T: AsRef<str> + ?Sized> Paint for T {}
