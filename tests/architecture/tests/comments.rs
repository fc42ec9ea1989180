//! Comments fit the width of the code; rustfmt leaves them as they are.

use littoral_architecture::{metadata, sources};
use std::fs;

/// The width of a line, in characters, as `.rustfmt.toml` sets it.
const WIDTH: usize = 120;

#[test]
fn comments_fit_the_width_of_the_code() {
    let mut wide = Vec::new();
    for dir in ["host", "guest", "tests"] {
        let files = sources(&metadata::root().join(dir));
        for file in files.into_iter().filter(|file| file.extension().is_some_and(|extension| extension == "rs")) {
            let text = fs::read_to_string(&file).expect("a source can be read");
            let lines = text.lines().enumerate().filter(|(_, line)| line.trim_start().starts_with("//"));
            let too_wide = lines.filter(|(_, line)| line.chars().count() > WIDTH && line.contains("// "));
            wide.extend(too_wide.map(|(at, _)| format!("{}:{}", file.display(), at + 1)));
        }
    }
    assert!(wide.is_empty(), "wrap these comments at {WIDTH} characters: {wide:#?}");
}
