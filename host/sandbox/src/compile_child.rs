//! The compiling process: reads a component from standard input, and writes native code to standard output.
//!
//! The compiler is the largest code that processes untrusted bytes, and wasmtime does not guarantee that it ends soon
//! or in little memory. So it runs in a process that limits itself before it reads the first byte.

use crate::engine;
use rustix::process::{Resource, Rlimit, setrlimit};
use std::{
    io::{self, Read as _, Write as _},
    process::ExitCode,
};

/// The hidden command under which the node's binary runs [`main`].
pub const COMMAND: &str = "module-compile";
/// The exit code for an invalid component; the reason is on standard error.
pub(crate) const REJECTED: u8 = 3;

/// Runs the whole process. Arguments: bytes of address space, seconds of processor time, bytes of the largest
/// component.
#[must_use]
pub fn main(arguments: &[String]) -> ExitCode {
    let numbers: Option<Vec<u64>> = arguments.iter().map(|argument| argument.parse().ok()).collect();
    let Some(&[memory_bytes, seconds, component_bytes]) = numbers.as_deref() else {
        eprintln!("{COMMAND} needs three numbers: bytes of memory, seconds, bytes of the largest component");
        return ExitCode::FAILURE;
    };
    match run(memory_bytes, seconds, component_bytes) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(refusal)) => {
            eprintln!("{refusal}");
            ExitCode::from(REJECTED)
        }
        Err(error) => {
            eprintln!("the compiling process failed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(memory_bytes: u64, seconds: u64, component_bytes: u64) -> io::Result<Result<(), String>> {
    let limit = |bound| Rlimit { current: Some(bound), maximum: Some(bound) };
    // Calls that are being served have priority.
    let _ = rustix::process::nice(10);
    setrlimit(Resource::As, limit(memory_bytes))?;
    setrlimit(Resource::Cpu, limit(seconds))?;
    setrlimit(Resource::Core, limit(0))?;
    setrlimit(Resource::Fsize, limit(0))?;
    let mut component = Vec::new();
    io::stdin().lock().take(component_bytes + 1).read_to_end(&mut component)?;
    if component.len() as u64 > component_bytes {
        return Ok(Err(format!("it is larger than {component_bytes} bytes")));
    }
    if let Err(refusal) = sniff(&component) {
        return Ok(Err(refusal));
    }
    let compiled = engine::compiling().and_then(|engine| engine.precompile_component(&component));
    match compiled {
        Ok(code) => {
            let mut out = io::stdout().lock();
            out.write_all(&code)?;
            out.flush()?;
            Ok(Ok(()))
        }
        Err(error) => Ok(Err(error.chain().map(ToString::to_string).collect::<Vec<_>>().join(": "))),
    }
}

/// Checks the first bytes, for a clearer error than a parser's.
fn sniff(component: &[u8]) -> Result<(), String> {
    match component {
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => {
            Err("it is a core WebAssembly module, not a component; build it with 'littoral module build'".into())
        }
        [0, b'a', b's', b'm', ..] => Ok(()),
        [] => Err("it is empty".into()),
        _ => Err("it is not WebAssembly".into()),
    }
}
