//! `littoral certs`: a private certificate authority for clusters that have none.

use crate::{failure::Failure, output};
use littoral_tls::{
    Identity, PeerCertificate,
    ca::{Ca, LIFETIME, Leaf, rotation::Step},
    files,
};
use serde::Serialize;
use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

/// How often a rotation checks whether the nodes have followed.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// `littoral certs ...`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Create a certificate authority in a directory. Only the leader that signs renewals needs the directory.
    Init {
        /// The directory.
        dir: PathBuf,
        /// The cluster's name, the first part of every identity.
        #[arg(long, value_name = "NAME")]
        cluster: String,
    },
    /// Issue a certificate with a new key, for a node's first start or for an operator.
    Issue {
        /// The directory of the authority.
        dir: PathBuf,
        /// The identity: littoral://CLUSTER/REGION/ROLE/NAME, with role leader, edge, relay, router or operator.
        #[arg(long, value_name = "URI")]
        identity: Identity,
        /// A DNS name by which clients connect; repeat for several [default: localhost].
        #[arg(long = "dns", value_name = "NAME")]
        dns_names: Vec<String>,
        /// An address by which clients connect; repeat for several [default: 127.0.0.1 and ::1].
        #[arg(long = "ip", value_name = "ADDR")]
        addresses: Vec<IpAddr>,
        /// How many hours the certificate is valid.
        #[arg(long, value_name = "HOURS", default_value_t = LIFETIME.as_secs() / 3_600, value_parser = clap::value_parser!(u64).range(1..=24 * 825))]
        hours: u64,
        /// The file that receives the certificate and its key.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Issue a certificate again, with the same names and a new key, for example after it has expired.
    Renew {
        /// The directory of the authority.
        dir: PathBuf,
        /// The file of the certificate, which is replaced together with its key.
        file: PathBuf,
        /// The file of the key [default: the file of the certificate].
        #[arg(long, value_name = "FILE")]
        key_file: Option<PathBuf>,
    },
    /// Replace the root while the cluster runs. Waits until every node trusts the new root, has a certificate of it,
    /// and no longer trusts the old one. Interrupted, it continues when it is run again.
    RotateRoot {
        /// The directory of the authority, on the host of the leader that signs.
        dir: PathBuf,
        /// Stop once every node trusts both roots, so that clients can receive trust.pem before certificates change.
        #[arg(long)]
        only_trust: bool,
        /// Do not wait for this node; repeat for several. It needs another certificate afterwards.
        #[arg(long, value_name = "URI")]
        ignore: Vec<String>,
        /// How many seconds to wait for nodes.
        #[arg(long, value_name = "SECONDS", default_value_t = 600)]
        timeout: u64,
    },
    /// Show the certificates in a file: identity, names, issuer, dates.
    Show {
        /// The file.
        file: PathBuf,
    },
}

/// Runs the command.
///
/// # Errors
/// If a file cannot be read or written, a name is invalid, or nodes do not follow a rotation in time.
pub fn run(args: &Args, json: bool) -> Result<ExitCode, Failure> {
    match &args.action {
        Action::Init { dir, cluster } => init(dir, cluster, json),
        Action::Issue { dir, identity, dns_names, addresses, hours, out } => {
            let leaf = Leaf {
                identity: identity.clone(),
                dns_names: if dns_names.is_empty() { vec!["localhost".to_owned()] } else { dns_names.clone() },
                addresses: match addresses.is_empty() {
                    true => vec![IpAddr::from([127, 0, 0, 1]), IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])],
                    false => addresses.clone(),
                },
                lifetime: Duration::from_secs(hours * 3_600),
            };
            issue(dir, &leaf, out, out, json)
        }
        Action::Renew { dir, file, key_file } => renew(dir, file, key_file.as_deref().unwrap_or(file), json),
        Action::RotateRoot { dir, only_trust, ignore, timeout } => {
            rotate(dir, *only_trust, ignore, Duration::from_secs(*timeout), json)
        }
        Action::Show { file } => show(file, json),
    }
}

fn usage(error: littoral_tls::Error) -> Failure {
    Failure::usage(error)
}

#[derive(Serialize)]
struct Created {
    directory: PathBuf,
    trust: PathBuf,
}

fn init(dir: &Path, cluster: &str, json: bool) -> Result<ExitCode, Failure> {
    let ca = Ca::init(dir, cluster).map_err(usage)?;
    let created = Created { directory: dir.to_owned(), trust: ca.trust_file() };
    output::answer(json, &created, |created| {
        format!(
            "created the certificate authority of cluster '{cluster}' in {dir}\n\
             copy {trust} to every node and client; keep root.pem secret\n\
             next: littoral certs issue {dir} --identity littoral://{cluster}/REGION/ROLE/NAME --out NAME.pem\n",
            dir = created.directory.display(),
            trust = created.trust.display(),
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

fn issue(dir: &Path, leaf: &Leaf, cert: &Path, key: &Path, json: bool) -> Result<ExitCode, Failure> {
    let ca = Ca::open(dir).map_err(usage)?;
    let issued = ca.issue(leaf).map_err(usage)?;
    files::install(cert, key, &issued).map_err(usage)?;
    show(cert, json)
}

fn renew(dir: &Path, cert: &Path, key: &Path, json: bool) -> Result<ExitCode, Failure> {
    let current = first(cert)?;
    let Some(identity) = current.identity else {
        return Err(Failure::usage(format!(
            "{}: the certificate has no identity of Littoral; issue one with `littoral certs issue`",
            cert.display()
        )));
    };
    let lifetime = current.not_after_s.saturating_sub(current.not_before_s);
    let lifetime = if lifetime == 0 { LIFETIME } else { Duration::from_secs(lifetime) };
    let leaf = Leaf { identity, dns_names: current.dns_names, addresses: current.addresses, lifetime };
    issue(dir, &leaf, cert, key, json)
}

#[derive(Serialize)]
struct Rotated {
    nodes: usize,
    step: &'static str,
}

fn rotate(
    dir: &Path,
    only_trust: bool,
    ignored: &[String],
    timeout: Duration,
    json: bool,
) -> Result<ExitCode, Failure> {
    let ca = Ca::open(dir).map_err(usage)?;
    ca.begin_rotation().map_err(usage)?;
    let (deadline, mut shown) = (Instant::now() + timeout, None);
    loop {
        let progress = ca.advance_rotation(ignored).map_err(usage)?;
        let (name, what) = match progress.step {
            Step::Trust => ("trust", "waiting until every node trusts both roots"),
            Step::Renew => ("renew", "waiting until every node has a certificate of the new root"),
            Step::Retire => ("retire", "waiting until no node trusts the old root"),
            Step::Done => ("done", "the root is replaced"),
        };
        if shown.replace(name) != Some(name) && progress.step != Step::Done {
            output::note(&format!("{what} ({} of {} nodes)", progress.nodes - progress.waiting.len(), progress.nodes));
        }
        let trusted = only_trust && progress.step == Step::Renew;
        if progress.step == Step::Done || trusted {
            let rotated = Rotated { nodes: progress.nodes, step: name };
            output::answer(json, &rotated, |rotated| match trusted {
                true => format!(
                    "{} nodes trust both roots; give clients {}, then run the command again without --only-trust\n",
                    rotated.nodes,
                    ca.trust_file().display()
                ),
                false => format!(
                    "the root is replaced at {} nodes; clients need {} from now on\n",
                    rotated.nodes,
                    ca.trust_file().display()
                ),
            })?;
            return Ok(ExitCode::SUCCESS);
        }
        if Instant::now() >= deadline {
            return Err(Failure::rejected(format!(
                "{what}: after {} s, {} have not followed; start them or repair their connections and run the command again, or add \
                 --ignore for each that is gone",
                timeout.as_secs(),
                progress.waiting.join(", ")
            )));
        }
        std::thread::sleep(CHECK_INTERVAL);
    }
}

fn first(file: &Path) -> Result<PeerCertificate, Failure> {
    let certificates = files::parse(file).map_err(usage)?;
    certificates.into_iter().next().ok_or_else(|| Failure::usage(format!("{}: it has no certificate", file.display())))
}

#[derive(Serialize)]
struct Shown {
    identity: Option<String>,
    subject: String,
    issuer: String,
    uris: Vec<String>,
    dns_names: Vec<String>,
    addresses: Vec<IpAddr>,
    is_ca: bool,
    not_before: String,
    not_after: String,
    expired: bool,
    fingerprint: String,
}

fn show(file: &Path, json: bool) -> Result<ExitCode, Failure> {
    let shown: Vec<_> = files::parse(file).map_err(usage)?.into_iter().map(shown).collect();
    output::answer(json, &shown, |shown| shown.iter().map(render).collect())?;
    Ok(ExitCode::SUCCESS)
}

fn shown(certificate: PeerCertificate) -> Shown {
    Shown {
        identity: certificate.identity.as_ref().map(ToString::to_string),
        subject: certificate.common_name.clone().unwrap_or_default(),
        issuer: certificate.issuer.clone(),
        not_before: certificate.not_before(),
        not_after: certificate.not_after(),
        expired: littoral_tls::expires_in(&certificate).is_zero(),
        is_ca: certificate.is_ca,
        uris: certificate.uris.clone(),
        dns_names: certificate.dns_names.clone(),
        addresses: certificate.addresses.clone(),
        fingerprint: certificate.fingerprint.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

fn render(shown: &Shown) -> String {
    let kind = if shown.is_ca { "certificate authority" } else { "certificate" };
    let names: Vec<_> =
        shown.dns_names.iter().cloned().chain(shown.addresses.iter().map(ToString::to_string)).collect();
    let expired = if shown.expired { " (expired)" } else { "" };
    let mut text = format!("{kind} {}\n", shown.identity.as_ref().unwrap_or(&shown.subject));
    if !names.is_empty() {
        text += &format!("  hosts    {}\n", names.join(", "));
    }
    text += &format!("  issuer   {}\n", shown.issuer);
    text += &format!("  valid    {} to {}{expired}\n", shown.not_before, shown.not_after);
    text += &format!("  SHA-256  {}\n", shown.fingerprint);
    text
}
