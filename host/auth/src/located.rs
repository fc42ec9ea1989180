//! Errors of TOML files, with the line.

use std::path::Path;

/// Returns an error of a file's text as `FILE:LINE: MESSAGE`.
pub(crate) fn error(path: &Path, text: &str, error: &toml::de::Error) -> String {
    let message = error.message().trim_end_matches('.').to_owned();
    match error.span() {
        Some(span) => {
            let line = text.get(..span.start).map_or(1, |before| before.matches('\n').count() + 1);
            format!("{}:{line}: {message}", path.display())
        }
        None => format!("{}: {message}", path.display()),
    }
}
