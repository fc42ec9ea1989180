//! `littoral module`: WebAssembly modules that transform features.

use crate::{
    commands::target::{self, Target, failed},
    failure::Failure,
    output::{self, Paint, Table, text},
};
use clap::{Subcommand, builder::NonEmptyStringValueParser};
use littoral_client::{Config, Edges};
use littoral_model::{
    module::{ModuleDigest, ModuleManifest},
    ports::ModuleRuntime as _,
};
use serde::Serialize;
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

/// `littoral module ...`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Build a module's crate into a component.
    Build {
        /// The crate's directory.
        dir: PathBuf,
        /// The output file [default: NAME.wasm in the working directory].
        #[arg(long, short, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Show what a component declares, and whether the sandbox accepts it.
    Inspect {
        /// The component.
        component: PathBuf,
    },
    /// Run a module's own tests natively, then check its component in the sandbox.
    Test {
        /// The crate's directory.
        dir: PathBuf,
    },
    /// Upload a component as a release. From then on, the module's name refers to this release.
    Push {
        /// The component.
        component: PathBuf,
        /// The module's name.
        #[arg(long, value_parser = NonEmptyStringValueParser::new())]
        name: String,
        /// The release, for example `1.0.0`.
        #[arg(long, value_parser = NonEmptyStringValueParser::new())]
        release: String,
        /// How long to wait until every edge that follows the node can call it, for example `20s`. `0s` does not wait.
        #[arg(long, value_name = "TIME", default_value = "20s", value_parser = crate::output::text::parse_span)]
        wait: Duration,
        /// The node.
        #[command(flatten)]
        target: Target,
    },
    /// List the modules.
    List {
        /// The node.
        #[command(flatten)]
        target: Target,
    },
    /// Drop a module.
    Drop {
        /// The module's name.
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        name: String,
        /// The node.
        #[command(flatten)]
        target: Target,
    },
}

/// The result of an upload, as JSON.
#[derive(Serialize)]
struct Pushed {
    name: String,
    release: String,
    digest: String,
    manifest: ModuleManifest,
    token: String,
    edges: Edges,
}

/// The result of a drop, as JSON.
#[derive(Serialize)]
struct Dropped {
    name: String,
    token: String,
}

/// Runs the command.
///
/// # Errors
/// If a component does not build or is rejected, or the node cannot be reached.
pub fn run(args: &Args, json: bool) -> Result<ExitCode, Failure> {
    match &args.action {
        Action::Build { dir, out } => build(dir, out.as_deref(), json),
        Action::Inspect { component } => super::block_on(inspect(component, json)),
        Action::Test { dir } => super::block_on(test(dir, json)),
        Action::Push { component, name, release, wait, target } => {
            super::block_on(push(component, (name, release), *wait, target, json))
        }
        Action::List { target } => super::block_on(list(target, json)),
        Action::Drop { name, target } => super::block_on(async {
            let receipt = target.client()?.drop_module(name).await.map_err(failed)?;
            let dropped = Dropped { name: name.clone(), token: receipt.token };
            output::answer(json, &dropped, |one| format!("{} module {}", "dropped".green(), one.name))?;
            Ok(ExitCode::SUCCESS)
        }),
    }
}

async fn push(
    component: &Path,
    (name, release): (&str, &str),
    wait: Duration,
    target: &Target,
    json: bool,
) -> Result<ExitCode, Failure> {
    let bytes = read(component)?;
    let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    let timeout_ms = Config::default().timeout_ms.saturating_add(wait_ms);
    let client = target.client_with(Config { timeout_ms, ..target::config()? })?;
    let put = client.put_module_and_wait(name, release, bytes.into(), wait).await.map_err(failed)?;
    let pushed = Pushed {
        name: name.to_owned(),
        release: release.to_owned(),
        digest: put.digest,
        manifest: put.manifest,
        token: put.receipt.token,
        edges: put.edges,
    };
    output::answer(json, &pushed, |pushed| {
        let head = format!("{} module {} {}", "pushed".green(), pushed.name.bold(), pushed.release);
        let edges = pushed.edges;
        let spread = match edges.ready == edges.of {
            true => String::new(),
            false => format!(
                "\n{} {} of {} edges can call it so far; the others are preparing it",
                "note:".yellow(),
                edges.ready,
                edges.of
            ),
        };
        format!("{head}\n{}\n{}{spread}", pushed.digest.dim(), manifest(&pushed.manifest))
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn list(target: &Target, json: bool) -> Result<ExitCode, Failure> {
    let modules = target.client()?.modules().await.map_err(failed)?;
    output::answer(json, &modules, |modules| {
        if modules.is_empty() {
            return "there are no modules".to_owned();
        }
        let mut table = Table::new(&["module", "release", "makes", ">size", "digest"]);
        for module in modules {
            let makes: Vec<_> = module.manifest.outputs.iter().map(|output| output.name.as_str()).collect();
            let digest = module.digest.chars().take(12).collect();
            let size = text::bytes(module.size);
            table.row([module.name.cyan(), module.version.clone(), makes.join(", "), size, digest]);
        }
        table.render("")
    })?;
    Ok(ExitCode::SUCCESS)
}

fn read(component: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(component)
        .map_err(|error| Failure::usage(format!("{}: cannot be read: {error}", component.display())))
}

/// Renders what a module declares, as text.
fn manifest(manifest: &ModuleManifest) -> String {
    let mut table = Table::new(&["", "name", "type", ""]);
    for input in &manifest.inputs {
        let renamed: Vec<_> = input.join_key_map.iter().map(|(from, to)| format!("{from} = {to}")).collect();
        table.row([
            "reads".to_owned(),
            format!("{}:{}", input.view, input.feature),
            input.value_type.to_string(),
            renamed.join(", ").dim(),
        ]);
    }
    for view in &manifest.lookups {
        table.row(["looks up".to_owned(), view.clone()]);
    }
    for param in &manifest.params {
        table.row(["takes".to_owned(), param.name.clone(), param.value_type.to_string()]);
    }
    for output in &manifest.outputs {
        table.row(["makes".to_owned(), output.name.cyan(), output.value_type.to_string()]);
    }
    let rows =
        if manifest.row_wise { "one by one: requests may share a call" } else { "together, those of one request" };
    table.row(["takes rows".to_owned(), rows.to_owned()]);
    table.render("")
}

/// The result of a build, as JSON.
#[derive(Serialize)]
struct BuiltFile {
    name: String,
    version: String,
    component: PathBuf,
    bytes: usize,
    digest: String,
}

fn build(dir: &Path, out: Option<&Path>, json: bool) -> Result<ExitCode, Failure> {
    let built = littoral_module_build::build(dir).map_err(Failure::rejected)?;
    let component = out.map_or_else(|| PathBuf::from(format!("{}.wasm", built.name)), Path::to_owned);
    std::fs::write(&component, &built.bytes)
        .map_err(|error| Failure::usage(format!("{}: cannot be written: {error}", component.display())))?;
    let file = BuiltFile {
        name: built.name,
        version: built.version,
        component,
        bytes: built.bytes.len(),
        digest: ModuleDigest::of(&built.bytes).to_string(),
    };
    output::answer(json, &file, |file| {
        let size = text::bytes(file.bytes as u64);
        let head = format!("{} {} {} ({size})", "built".green(), file.name.bold(), file.version);
        format!("{head}\n{}\n{}", file.component.display(), file.digest.dim())
    })?;
    Ok(ExitCode::SUCCESS)
}

/// What a component declares, as JSON.
#[derive(Serialize)]
struct Inspected {
    digest: String,
    bytes: usize,
    manifest: ModuleManifest,
    #[serde(skip_serializing_if = "Option::is_none")]
    tests_passed: Option<bool>,
}

async fn inspect(component: &Path, json: bool) -> Result<ExitCode, Failure> {
    let inspected = describe(read(component)?, None).await?;
    output::answer(json, &inspected, |inspected| details("accepted", inspected))?;
    Ok(ExitCode::SUCCESS)
}

async fn test(dir: &Path, json: bool) -> Result<ExitCode, Failure> {
    let (tests, source) = (dir.to_owned(), dir.to_owned());
    let blocking = |error: tokio::task::JoinError| Failure::rejected(error);
    let passed = tokio::task::spawn_blocking(move || littoral_module_build::test(&tests)).await;
    if !passed.map_err(blocking)?.map_err(Failure::rejected)? {
        return Err(Failure::rejected("the module's own tests fail; see their output above"));
    }
    let built = tokio::task::spawn_blocking(move || littoral_module_build::build(&source)).await;
    let built = built.map_err(blocking)?.map_err(Failure::rejected)?;
    let inspected = describe(built.bytes, Some(true)).await?;
    output::answer(json, &inspected, |inspected| details("its tests pass, and it is accepted", inspected))?;
    Ok(ExitCode::SUCCESS)
}

/// Checks a component in the sandbox, as a leader does before it accepts one.
async fn describe(bytes: Vec<u8>, tests_passed: Option<bool>) -> Result<Inspected, Failure> {
    // One instance at a time is enough here, and keeps the pool's address space small.
    let config = littoral_sandbox::Config { instances_max: 2, ..littoral_sandbox::Config::default() };
    let sandbox = littoral_sandbox::Runtime::new(config).map_err(Failure::rejected)?;
    let (digest, size) = (ModuleDigest::of(&bytes).to_string(), bytes.len());
    let manifest = sandbox.inspect(bytes.into()).await.map_err(Failure::rejected)?;
    Ok(Inspected { digest, bytes: size, manifest, tests_passed })
}

fn details(verdict: &str, inspected: &Inspected) -> String {
    let size = text::bytes(inspected.bytes as u64);
    let head = format!("{} by the sandbox ({size})", verdict.green());
    format!("{head}\n{}\n{}", inspected.digest.dim(), manifest(&inspected.manifest))
}
