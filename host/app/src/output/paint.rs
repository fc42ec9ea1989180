//! Colours, where somebody looks.

use std::{io::IsTerminal, sync::LazyLock};

static COLOURS: LazyLock<bool> = LazyLock::new(|| {
    std::io::stdout().is_terminal()
        && std::env::var_os("NO_COLOR").is_none()
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
});

/// Paints text when standard output is a terminal.
pub trait Paint {
    /// Titles.
    fn bold(&self) -> String;
    /// What matters less.
    fn dim(&self) -> String;
    /// Good.
    fn green(&self) -> String;
    /// Of note.
    fn yellow(&self) -> String;
    /// Bad.
    fn red(&self) -> String;
    /// Names.
    fn cyan(&self) -> String;
}

impl<T: AsRef<str> + ?Sized> Paint for T {
    fn bold(&self) -> String {
        paint(self.as_ref(), "1")
    }

    fn dim(&self) -> String {
        paint(self.as_ref(), "2")
    }

    fn green(&self) -> String {
        paint(self.as_ref(), "32")
    }

    fn yellow(&self) -> String {
        paint(self.as_ref(), "33")
    }

    fn red(&self) -> String {
        paint(self.as_ref(), "31")
    }

    fn cyan(&self) -> String {
        paint(self.as_ref(), "36")
    }
}

fn paint(text: &str, code: &str) -> String {
    if *COLOURS { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

/// How many characters a text shows: escape sequences show none.
pub fn shown_width(text: &str) -> usize {
    let (mut width, mut escaped) = (0, false);
    for c in text.chars() {
        match c {
            '\x1b' => escaped = true,
            'm' if escaped => escaped = false,
            _ if escaped => {}
            _ => width += 1,
        }
    }
    width
}
