//! The programs that configure networks, and their errors.

use std::{
    io::{self, Write as _},
    process::{Command, Output, Stdio},
};

/// Why no network can be created here. Nothing of it is left behind.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    /// A program is not installed.
    #[error("the program `{program}` is not installed; its Debian package is iproute2")]
    NoProgram {
        /// Its name.
        program: &'static str,
    },
    /// Only root may create networks.
    #[error("only root may create network namespaces, and this process runs as user {user}")]
    NotRoot {
        /// The user of this process.
        user: u32,
    },
    /// The system forbids it, as in a container without CAP_SYS_ADMIN and CAP_NET_ADMIN, or its kernel cannot do it.
    #[error("`{command}` failed: {message}")]
    Refused {
        /// The command.
        command: String,
        /// Its error message.
        message: String,
    },
    /// All addresses for networks are in use.
    #[error("all networks of 198.18.0.0/15 are in use on this host")]
    NoAddresses,
    /// The network has the most possible sites.
    #[error("a network has at most {max} sites")]
    TooMany {
        /// How many.
        max: u8,
    },
}

/// Runs `ip` once for all these commands, in a namespace or in this process's own. Stops at the first that fails.
pub(super) fn batch(namespace: Option<&str>, commands: &[String]) -> Result<(), Unavailable> {
    let mut ip = Command::new("ip");
    if let Some(namespace) = namespace {
        ip.args(["-n", namespace]);
    }
    ip.args(["-batch", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = ip.spawn().and_then(|mut child| {
        if let Some(mut stdin) = child.stdin.take() {
            // A program that stops early prints the reason on standard error.
            let _ = stdin.write_all((commands.join("\n") + "\n").as_bytes());
        }
        child.wait_with_output()
    });
    check_output("ip", &commands.join("; "), output).map(drop)
}

/// Runs `tc` in a namespace.
pub(super) fn tc(namespace: &str, arguments: &[&str]) -> Result<(), Unavailable> {
    let command = format!("tc -n {namespace} {}", arguments.join(" "));
    let mut tc = Command::new("tc");
    check_output("tc", &command, tc.args(["-n", namespace]).args(arguments).output()).map(drop)
}

/// Runs `ip` and returns its output.
pub(super) fn output_of(arguments: &[&str]) -> Result<String, Unavailable> {
    let output = check_output("ip", &arguments.join(" "), Command::new("ip").args(arguments).output())?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn check_output(program: &'static str, command: &str, output: io::Result<Output>) -> Result<Output, Unavailable> {
    let refused = |message: String| Unavailable::Refused { command: command.to_owned(), message };
    match output {
        Ok(output) if output.status.success() => Ok(output),
        Ok(output) => Err(refused(String::from_utf8_lossy(&output.stderr).trim().replace('\n', " "))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Unavailable::NoProgram { program }),
        Err(error) => Err(refused(error.to_string())),
    }
}
