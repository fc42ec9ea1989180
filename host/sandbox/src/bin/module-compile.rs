//! The compiling process as a program of its own, for binaries without such a command. Set `compile_command` to its
//! path.

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
