//! `littoral errors`: what error codes mean and what to do.

use crate::{
    failure::Failure,
    output::{self, Paint as _, Table},
};
use littoral_api::code::{self, Code};
use serde_json::json;
use std::process::ExitCode;

/// Explains error codes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The codes to explain. Without any, all are listed.
    #[arg(value_name = "CODE")]
    codes: Vec<String>,
}

/// Prints the meaning and the remedy of the codes.
///
/// # Errors
/// [`Failure`] if a code does not exist.
pub fn run(args: &Args, json: bool) -> Result<ExitCode, Failure> {
    let unknown =
        |word: &String| Failure::rejected(format!("there is no error code '{word}'; `littoral errors` lists all"));
    let codes: Vec<&Code> = match args.codes.is_empty() {
        true => code::ALL.iter().collect(),
        false => {
            args.codes.iter().map(|word| code::find(word).ok_or_else(|| unknown(word))).collect::<Result<_, _>>()?
        }
    };
    let document: Vec<_> = codes
        .iter()
        .map(|code| json!({"code": code.word, "statuses": code.statuses, "meaning": code.meaning, "remedy": code.remedy}))
        .collect();
    output::answer(json, &document, |_| {
        let mut table = Table::new(&["code", "status", "meaning", "remedy"]);
        for code in codes {
            let statuses: Vec<String> = code.statuses.iter().map(u16::to_string).collect();
            table.row([code.word.cyan(), statuses.join(", "), code.meaning.to_owned(), code.remedy.to_owned()]);
        }
        table.render("")
    })?;
    Ok(ExitCode::SUCCESS)
}
