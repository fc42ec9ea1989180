//! `littoral read`: reads features and shows their freshness.

use crate::{
    commands::pairs,
    commands::target::{Target, failed},
    failure::Failure,
    output::{self, Paint, Table, text},
};
use littoral_client::{Read, ReadAnswer};
use littoral_model::{column::Status, freshness::Source};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{process::ExitCode, time::Duration};

/// `littoral read ...`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The features, each `view:feature` or `module:output`, separated by commas.
    #[arg(long, value_delimiter = ',', required_unless_present = "service", value_name = "VIEW:FEATURE,..")]
    features: Vec<String>,
    /// A feature service, in place of single features.
    #[arg(long, conflicts_with = "features", value_name = "NAME")]
    service: Option<String>,
    /// The join keys of one row, for example `origin=ATL,destination=ORD`. Repeat it for more rows. Values are used
    /// literally, including spaces. Write a value that contains `,NAME=` as a JSON string in double quotes, or the
    /// whole row as a JSON object.
    #[arg(long = "entity", required = true, value_name = "KEY=VALUE,..")]
    entities: Vec<String>,
    /// Request parameters for modules, for example `departure_hour=17`. Once for all rows, or once per row.
    #[arg(long = "param", value_name = "NAME=VALUE,..")]
    params: Vec<String>,
    /// Name features `view__feature` in the answer.
    #[arg(long)]
    full_feature_names: bool,
    #[command(flatten)]
    demand: Demand,
    #[command(flatten)]
    target: Target,
}

/// The freshness demand.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Freshness")]
struct Demand {
    /// The answer must include the write that returned this token.
    #[arg(long, value_name = "TOKEN")]
    at_least: Option<String>,
    /// The answer may be at most this far behind the leader, for example `50ms` or `2s`.
    #[arg(long, value_name = "TIME", value_parser = crate::output::text::parse_span)]
    max_staleness: Option<Duration>,
    /// Which nodes answer.
    #[arg(long, value_parser = ["replica", "leader", "quorum"])]
    consistency: Option<String>,
    /// What to do while the demand is not met.
    #[arg(long, value_parser = ["wait", "leader", "serve_stale", "fail"])]
    on_unmet: Option<String>,
    /// How long the read may wait.
    #[arg(long, value_name = "TIME", value_parser = crate::output::text::parse_span)]
    wait: Option<Duration>,
}

/// Reads features and prints the answer.
///
/// # Errors
/// If an argument is invalid, the node rejects the read, or the node cannot be reached.
pub fn run(args: &Args, json: bool) -> Result<ExitCode, Failure> {
    let read = args.request()?;
    super::block_on(async {
        let answer = args.target.client()?.read(&read).await.map_err(failed)?;
        output::answer(json, &answer, |answer| render(&read, answer))?;
        Ok(ExitCode::SUCCESS)
    })
}

impl Args {
    fn request(&self) -> Result<Read, Failure> {
        let mut read = Read {
            features: self.features.clone(),
            feature_service: self.service.clone(),
            full_feature_names: self.full_feature_names,
            demand: Some(self.demand.request()?),
            ..Read::default()
        };
        for (row, entity) in self.entities.iter().enumerate() {
            for (name, value) in pairs::parse(entity)? {
                // Sent as text: the node converts it to the join key's type, and an airport named 007 keeps its zeros.
                read.entities.entry(name).or_default().push(value.into_text());
            }
            if let Some((name, _)) = read.entities.iter().find(|(_, values)| values.len() != row + 1) {
                return Err(Failure::usage(format!(
                    "every --entity must name the same join keys, but --entity '{entity}' differs in '{name}'"
                )));
            }
        }
        let rows = self.entities.len();
        if self.params.len() > 1 && self.params.len() != rows {
            let given = self.params.len();
            return Err(Failure::usage(format!(
                "pass --param once, or once per row: there are {rows} rows and {given} --param"
            )));
        }
        for row in 0..rows {
            if let Some(param) = self.params.get(row).or(self.params.first()) {
                for (name, value) in pairs::parse(param)? {
                    read.params.entry(name).or_default().push(value.into_scalar());
                }
            }
        }
        Ok(read)
    }
}

impl Demand {
    fn request(&self) -> Result<littoral_client::Demand, Failure> {
        Ok(littoral_client::Demand {
            max_staleness_ms: self.max_staleness.map(ms),
            at_least: self.at_least.clone(),
            consistency: self.consistency.as_deref().map(named).transpose()?,
            on_unmet: self.on_unmet.as_deref().map(named).transpose()?,
            wait_ms: self.wait.map(ms),
        })
    }
}

fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Returns the variant with this API name.
fn named<T: DeserializeOwned>(name: &str) -> Result<T, Failure> {
    serde_json::from_value(Value::String(name.to_owned())).map_err(Failure::usage)
}

fn render(read: &Read, answer: &ReadAnswer) -> String {
    let rows = read.entities.values().map(Vec::len).max().unwrap_or(0);
    let mut table = Table::new(&["entity", "feature", ">value", "status", ">age"]);
    for row in 0..rows {
        let entity: Vec<_> =
            read.entities.iter().map(|(name, values)| format!("{name}={}", plain(values.get(row)))).collect();
        let mut first = true;
        for column in answer.columns.iter().filter(|column| !read.entities.contains_key(&column.name)) {
            let status = column.statuses.get(row).copied().unwrap_or(Status::NotFound);
            let age = column.ages_ms.get(row).copied().flatten();
            table.row([
                if first { entity.join(",").cyan() } else { String::new() },
                column.name.clone(),
                plain(column.values.get(row)),
                if status == Status::Present { status.as_str().to_owned() } else { status.as_str().yellow() },
                age.map(|ms| text::age(Duration::from_secs_f64(ms.max(0.0) / 1e3))).unwrap_or_default(),
            ]);
            first = false;
        }
    }
    format!("{}\n{}", table.render(""), freshness(answer))
}

fn plain(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => text::number(number),
        Some(value) => value.to_string(),
    }
}

fn freshness(answer: &ReadAnswer) -> String {
    let freshness = &answer.freshness;
    let behind = match freshness.staleness_ms {
        Some(ms) => format!("at most {} behind the leader", text::span(Duration::from_secs_f64(ms.max(0.0) / 1e3))),
        None => "staleness unknown: no contact with a leader since the start".to_owned(),
    };
    let source = match freshness.source {
        Source::Replica => "from the replica".to_owned(),
        Source::Leader => "from the leader".to_owned(),
        Source::Quorum => {
            let regions: Vec<_> = freshness.regions.iter().map(ToString::to_string).collect();
            format!("from the leaders of {}", regions.join(", "))
        }
    };
    let mut text = format!("{source}, {behind}\n{}\n", format!("token {}", freshness.token).dim());
    if let Some(degraded) = freshness.degraded {
        let why = serde_json::to_value(degraded).ok();
        text.push_str(&format!("{}\n", format!("degraded: {}", plain(why.as_ref())).yellow()));
    }
    for (module, digest) in &answer.modules {
        text.push_str(&format!("{}\n", format!("module {module} {digest}").dim()));
    }
    text
}
