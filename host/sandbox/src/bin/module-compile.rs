//! The compiling process as its own program, for processes whose binary has no such command; set `compile_command` to
//! it.

#![warn(clippy::unwrap_used)]

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((command, rest)) if command == littoral_sandbox::compile_child::COMMAND => {
            littoral_sandbox::compile_child::main(rest)
        }
        _ => {
            eprintln!("this program compiles modules; only the sandbox starts it");
            ExitCode::FAILURE
        }
    }
}
