//! Writes the seeds of every corpus again. Inputs found by fuzzing have other names and stay.

use std::{fs, io};

fn main() -> io::Result<()> {
    for target in littoral_fuzz::TARGETS {
        let directory = littoral_fuzz::corpus::directory(target.name);
        fs::create_dir_all(&directory)?;
        for (name, bytes) in (target.seeds)() {
            fs::write(directory.join(format!("seed-{name}")), bytes)?;
        }
    }
    Ok(())
}
