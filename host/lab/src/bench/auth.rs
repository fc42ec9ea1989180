//! Reads of one entity at a door with authentication, in turns with the same reads at a door without.

use crate::bench::{
    data,
    failure::Failure,
    http_load,
    measurement::Measurement,
    names,
    reads::{CONNECTIONS, http, in_turns},
    requests::{VARIETY, feast_reads, uniform},
    session::Effort,
    setup::{Setup, executable},
};
use bytes::Bytes;
use littoral_provision::{Issuer, oidc::Algorithm};
use serde_json::{Value, json};
use std::{path::Path, process::Command, sync::Arc};

/// Measures with a static token and with a JWT of an issuer on this host.
///
/// # Errors
/// When a node or the issuer does not start.
pub fn measure(effort: Effort) -> Result<Measurement, Failure> {
    let dir = tempfile::tempdir()?;
    let tokens = dir.path().join("tokens.toml");
    let token = create_token(&tokens)?;
    let issuer = Issuer::start().map_err(|missing| Failure::new("an OIDC issuer", missing))?;
    let config = format!(
        "[auth]\ntokens = \"{}\"\n[[auth.issuers]]\nissuer = \"{}\"\naudiences = [\"bench\"]\nscopes_claim = \"scope\"\n",
        tokens.display(),
        issuer.url()
    );
    let setup = Setup::start(&[None, Some(&config)])?;
    setup.load(data::STATS, false, effort.rows)?;
    let groups: Vec<_> = (0..20).map(|group| format!("a-group-of-the-caller-{group}")).collect();
    let claims = json!({ "aud": "bench", "scope": "openid read", "groups": groups, "exp": 4_102_444_800_u64 });
    let jwt = issuer.token(Algorithm::Rs256, &claims);
    let requests = feast_reads(data::STATS, 1, VARIETY, uniform(effort.rows, 1));
    let (open, guarded) = (setup.edge_door(0)?, setup.edge_door(1)?);
    let with = |token: &str| -> Arc<[Bytes]> {
        requests
            .iter()
            .map(|request| http_load::with_header(request, &format!("authorization: Bearer {token}")))
            .collect()
    };
    let loads =
        [http(open, &requests, effort), http(guarded, &with(&token), effort), http(guarded, &with(&jwt), effort)];
    let series = in_turns(&loads, effort.rounds)?;
    let work =
        format!("read 1 entity x 10 features with a static token, {} rows, {CONNECTIONS} connections", effort.rows);
    Ok(Measurement::new(names::AUTH_READ_1X10, work, "reads/s", series[1].rate())
        .at_least(0.95, "the same without authentication", Some(series[0].rate()))
        .compared_with(&format!("the same with a JWT of {} bytes", jwt.len()), Some(series[2].rate()))
        .note(format!("with {}; without {}; JWT {}", series[1].latency(), series[0].latency(), series[2].latency())))
}

/// Creates a token that may read.
fn create_token(file: &Path) -> Result<String, Failure> {
    let mut command = Command::new(executable()?);
    let done = command.args(["--json", "token", "new", "bench", "--scope", "read", "--file"]).arg(file).output()?;
    let created: Value = serde_json::from_slice(&done.stdout)
        .map_err(|_| Failure::new("littoral token new", String::from_utf8_lossy(&done.stderr)))?;
    Ok(created["token"].as_str().unwrap_or_default().to_owned())
}
