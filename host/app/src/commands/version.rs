//! `littoral version`: the version of this build, and of the formats and protocols that it knows.

use crate::{
    cli::BUILD,
    failure::Failure,
    output::{self, Paint as _, Table},
};
use littoral_model::format::{Format, ProtocolVersion};
use littoral_sandbox::INTERFACES;
use littoral_tls::renewal;
use serde_json::json;
use std::process::ExitCode;

/// Shows the version.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Also show the versions of files and protocols that this build writes and reads. Before an upgrade, compare them
    /// with those of the running build: what the new build writes must be read by the build that it is rolled back to.
    /// A node that is held with `protocol_version` writes that version of the protocol; its status shows it.
    #[arg(long)]
    formats: bool,
}

/// Returns the formats on disk and between nodes.
fn formats() -> Vec<Format> {
    let renewal = u32::from(renewal::VERSION);
    let (newest, previous) = (ProtocolVersion::NEWEST.number(), ProtocolVersion::PREVIOUS.number());
    let mut all = vec![
        Format { name: "protocol between nodes", writes: newest.into(), reads_from: previous.into() },
        Format { name: "renewal of certificates", writes: renewal, reads_from: renewal },
    ];
    all.extend(littoral_leader::FORMATS);
    all.extend(littoral_edge::FORMATS);
    all.push(littoral_at_rest::FORMAT);
    all.push(littoral_ingest::FORMAT);
    all
}

/// Prints the version.
///
/// # Errors
/// If standard output is closed.
pub fn run(args: &Args, json: bool) -> Result<ExitCode, Failure> {
    let mut document = json!({ "version": BUILD });
    if args.formats {
        document["formats"] = json!(formats());
        document["module_interfaces"] = json!(INTERFACES);
    }
    output::answer(json, &document, |_| {
        let mut text = format!("littoral {BUILD}\n");
        if args.formats {
            let mut table = Table::new(&["format", "writes", "reads"]);
            for Format { name, writes, reads_from } in formats() {
                let reads = if reads_from == writes { writes.to_string() } else { format!("{reads_from} to {writes}") };
                table.row([name.cyan(), writes.to_string(), reads]);
            }
            table.row(["module interface littoral:feature".cyan(), INTERFACES[0].to_owned(), INTERFACES.join(", ")]);
            text.push_str(&table.render(""));
        }
        text
    })?;
    Ok(ExitCode::SUCCESS)
}
