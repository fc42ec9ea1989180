//! The node to which a command is sent, and how its errors end the command.

use crate::Failure;
use littoral_client::{Client, ClientFiles, Config, Credential, Error, ProjectName};
use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

/// The node to which the command is sent.
#[derive(Clone, Debug, clap::Args)]
pub struct Target {
    /// The URL of the node's door: a leader, or an edge, which forwards writes to its leader.
    #[arg(long, value_name = "URL", env = "LITTORAL_URL", default_value = "http://127.0.0.1:6566")]
    pub to: String,
    /// The project of the definitions [default: that of the token, otherwise `default`].
    #[arg(long, value_name = "PROJECT")]
    pub project: Option<ProjectName>,
}

impl Target {
    /// Returns a client of the node.
    ///
    /// # Errors
    /// If the address is invalid.
    pub fn client(&self) -> Result<Client, Failure> {
        self.client_with(config()?)
    }

    /// Returns a client of the node with these settings, for the project.
    ///
    /// # Errors
    /// If the address is invalid.
    pub fn client_with(&self, config: Config) -> Result<Client, Failure> {
        Client::new(&self.to, Config { project: self.project.clone(), ..config }).map_err(failed)
    }
}

/// The trusted roots and the certificate of every client of this process, from the command line.
static FILES: Mutex<ClientFiles> = Mutex::new(ClientFiles { ca: None, cert: None, key: None });

/// Options of every command that sends requests to a node whose address begins with https.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct TlsArgs {
    /// The trusted roots as PEM, for https [default: the system's].
    #[arg(long, global = true, value_name = "FILE", env = "LITTORAL_CA")]
    pub ca: Option<PathBuf>,
    /// The client's certificate as PEM, for nodes that require one.
    #[arg(long, global = true, value_name = "FILE", env = "LITTORAL_CERT")]
    pub cert: Option<PathBuf>,
    /// The key of the client's certificate as PEM [default: in the file of --cert].
    #[arg(long, global = true, value_name = "FILE", env = "LITTORAL_KEY")]
    pub key: Option<PathBuf>,
}

impl TlsArgs {
    /// Makes every client of this process use these files.
    pub fn install(&self) {
        let Self { ca, cert, key } = self.clone();
        trust(ClientFiles { ca, cert, key });
    }
}

/// Makes every client of this process that is created from now on use these files.
pub fn trust(files: ClientFiles) {
    *FILES.lock().unwrap_or_else(PoisonError::into_inner) = files;
}

/// Returns the trusted roots and the certificate of every client of this process.
pub fn files() -> ClientFiles {
    FILES.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Returns a client of the node at `url`.
///
/// # Errors
/// If the address or a certificate is invalid, or the file of the token cannot be read.
pub fn client(url: &str) -> Result<Client, Failure> {
    Client::new(url, config()?).map_err(failed)
}

/// Returns the settings of a client: the roots and the certificate of the command line, and the token that it sends.
///
/// # Errors
/// If the file of the token cannot be read.
pub fn config() -> Result<Config, Failure> {
    Ok(Config { tls: files(), token: token()?, ..Config::default() })
}

/// Returns the token that calls send: `LITTORAL_TOKEN`, or the content of the file that `LITTORAL_TOKEN_FILE` names. No
/// flag sets it, because other users of a host can read the command line.
///
/// # Errors
/// If the file cannot be read.
pub fn token() -> Result<Option<Credential>, Failure> {
    let given = |token: &str| Some(Credential::new(token.trim())).filter(|token| !token.token().is_empty());
    if let Ok(token) = std::env::var("LITTORAL_TOKEN") {
        return Ok(given(&token));
    }
    let Some(path) = std::env::var_os("LITTORAL_TOKEN_FILE") else { return Ok(None) };
    let shown = std::path::Path::new(&path).display();
    let token = std::fs::read_to_string(&path)
        .map_err(|error| Failure::usage(format!("cannot read the token in LITTORAL_TOKEN_FILE={shown}: {error}")))?;
    Ok(given(&token))
}

/// Converts a call's error to the command's failure.
#[must_use]
pub fn failed(error: Error) -> Failure {
    match &error {
        Error::Address { .. } | Error::Tls(_) | Error::Request(_) => Failure::usage(error),
        Error::Connect { .. } | Error::Timeout { .. } | Error::Transport { .. } => Failure::unreachable(error),
        _ => Failure::rejected(error),
    }
}
