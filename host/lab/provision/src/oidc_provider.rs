//! A certified OpenID provider, `oidc-provider` of npm, as a process of its own.

use crate::{Guarded, apt, cache, http::Client, missing::Missing};
use std::{
    fs,
    io::{self, BufRead as _, BufReader},
    net::SocketAddr,
    process::{ChildStdin, Command, Stdio},
};

/// The release that tests use.
pub const VERSION: &str = "9.13.3";

/// The secret of its client `features`.
const SECRET: &str = "planted-provider-secret";

/// A running provider. Dropping it ends it.
pub struct Provider {
    /// Its issuer.
    pub issuer: String,
    address: SocketAddr,
    _process: Guarded,
    _lifeline: Option<ChildStdin>,
}

impl Provider {
    /// Installs the package if needed, and starts a provider of tokens for this audience with these scopes, separated
    /// by spaces.
    ///
    /// # Errors
    /// If Node.js or the package cannot be installed, or the provider does not start.
    pub fn start(audience: &str, scopes: &str) -> Result<Self, Missing> {
        let failed = |why: &dyn std::fmt::Display| Missing::new("an OpenID provider", why, "run again");
        let root = cache::path(&format!("oidc-provider-{VERSION}"));
        install(&root)?;
        let script = root.join("provider.mjs");
        fs::write(&script, include_str!("oidc_provider.mjs")).map_err(|error| failed(&error))?;
        let mut command = Command::new(apt::program("node", "nodejs")?);
        command.arg(&script).args([SECRET, audience, scopes]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let log = root.join("provider.log");
        let mut process = Guarded::start(command, "oidc-provider", &log).map_err(|error| failed(&error))?;
        let lifeline = process.take_stdin();
        let mut line = String::new();
        if let Some(stdout) = process.take_stdout() {
            BufReader::new(stdout).read_line(&mut line).map_err(|error| failed(&error))?;
        }
        let issuer = line.trim().strip_prefix("issuer=").unwrap_or_default().to_owned();
        let address = issuer.strip_prefix("http://").and_then(|address| address.parse().ok());
        let address = address.ok_or_else(|| failed(&process.log_tail()))?;
        Ok(Self { issuer, address, _process: process, _lifeline: lifeline })
    }

    /// Requests a token with these scopes, as a client does.
    ///
    /// # Errors
    /// If the provider does not answer, or rejects the request.
    pub fn token(&self, scopes: &str) -> io::Result<String> {
        let scopes = scopes.replace(' ', "%20");
        let body = format!(
            "grant_type=client_credentials&client_id=features&client_secret={SECRET}&resource=urn:features&scope={scopes}"
        );
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let answer = Client::new(self.address).send("POST", "/token", &headers, body.as_bytes())?;
        let token = answer.json()["access_token"].as_str().map(str::to_owned);
        token.ok_or_else(|| io::Error::other(answer.text()))
    }
}

fn install(root: &std::path::Path) -> Result<(), Missing> {
    let complete = root.join("complete");
    let _one_at_a_time = cache::lock("oidc-provider")?;
    if complete.is_file() {
        return Ok(());
    }
    let failed = |why: String| {
        Missing::new(format_args!("oidc-provider {VERSION}"), why, "make sure that npm can reach a registry")
    };
    let npm = apt::program("npm", "npm")?;
    crate::missing::say(format_args!("installing oidc-provider {VERSION} in {}", root.display()));
    fs::create_dir_all(root).map_err(|error| failed(error.to_string()))?;
    fs::write(root.join("package.json"), "{\"private\":true,\"type\":\"module\"}")
        .map_err(|error| failed(error.to_string()))?;
    let done = Command::new(npm)
        .args(["install", "--no-audit", "--no-fund", "--silent", &format!("oidc-provider@{VERSION}")])
        .current_dir(root)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if !done.status.success() {
        return Err(failed(String::from_utf8_lossy(&done.stderr).into_owned()));
    }
    fs::write(complete, VERSION).map_err(|error| failed(error.to_string()))
}
