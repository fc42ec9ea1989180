//! The programs that arrange networks, and why they cannot.

use std::{
    io::{self, Write as _},
    process::{Command, Output, Stdio},
};

/// Why no network can be made here. Nothing of it is left behind.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    /// A program is not installed.
    #[error("the program `{program}` is not installed; its Debian package is iproute2")]
    NoProgram {
        /// Its name.
        program: &'static str,
    },
    /// Only root may make networks.
    #[error("only root may make network namespaces, and this process is user {user}")]
    NotRoot {
        /// Who we are.
        user: u32,
    },
    /// The system forbids it, as in a container without CAP_SYS_ADMIN and CAP_NET_ADMIN, or its kernel cannot do it.
    #[error("`{command}` was refused: {said}")]
    Refused {
        /// What was tried.
        command: String,
        /// What was said to it.
        said: String,
    },
    /// Every address that a network may take is taken.
    #[error("all networks of 198.18.0.0/15 are in use on this host")]
    NoAddresses,
    /// A network has room for so many sites.
    #[error("a network has at most {max} sites")]
    TooMany {
        /// How many.
        max: u8,
    },
}

/// Runs `ip` once for all of these commands, in a namespace or in ours; the first that fails ends it.
pub(super) fn batch(namespace: Option<&str>, commands: &[String]) -> Result<(), Unavailable> {
    let mut ip = Command::new("ip");
    if let Some(namespace) = namespace {
        ip.args(["-n", namespace]);
    }
    ip.args(["-batch", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = ip.spawn().and_then(|mut child| {
        if let Some(mut stdin) = child.stdin.take() {
            // Whoever does not take them all says why on standard error.
            let _ = stdin.write_all((commands.join("\n") + "\n").as_bytes());
        }
        child.wait_with_output()
    });
    judge("ip", &commands.join("; "), output).map(drop)
}

/// Runs `tc` in a namespace.
pub(super) fn tc(namespace: &str, arguments: &[&str]) -> Result<(), Unavailable> {
    let command = format!("tc -n {namespace} {}", arguments.join(" "));
    let mut tc = Command::new("tc");
    judge("tc", &command, tc.args(["-n", namespace]).args(arguments).output()).map(drop)
}

/// Runs `ip` and gives what it says.
pub(super) fn ask(arguments: &[&str]) -> Result<String, Unavailable> {
    let output = judge("ip", &arguments.join(" "), Command::new("ip").args(arguments).output())?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn judge(program: &'static str, command: &str, output: io::Result<Output>) -> Result<Output, Unavailable> {
    let refused = |said: String| Unavailable::Refused { command: command.to_owned(), said };
    match output {
        Ok(output) if output.status.success() => Ok(output),
        Ok(output) => Err(refused(String::from_utf8_lossy(&output.stderr).trim().replace('\n', " "))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Unavailable::NoProgram { program }),
        Err(error) => Err(refused(error.to_string())),
    }
}
