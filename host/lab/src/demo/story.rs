//! The output of the demo: sections, tables and checks for people, or one JSON document for programs.

use crate::{
    failure::Failure,
    output::{self, Paint, Table, text},
};
use serde::Serialize;
use serde_json::{Map, Value};
use std::time::{Duration, Instant};

/// The indentation of everything below a title.
pub const INDENT: &str = "   ";

/// The steps so far.
pub struct Story {
    json: bool,
    begun: Instant,
    steps: Vec<Step>,
}

#[derive(Serialize)]
struct Step {
    title: String,
    checks: Vec<String>,
    facts: Map<String, Value>,
    #[serde(skip)]
    begun: Instant,
    seconds: f64,
}

#[derive(Serialize)]
struct Report<'a> {
    passed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'a str>,
    checks: usize,
    seconds: f64,
    steps: &'a [Step],
}

impl Story {
    /// Starts the clock of the demo.
    pub fn new(json: bool) -> Self {
        Self { json, begun: Instant::now(), steps: Vec::new() }
    }

    /// Prints the first lines.
    ///
    /// # Errors
    /// When standard output cannot be written to.
    pub fn title(&self, title: &str, what: &str) -> Result<(), Failure> {
        self.print(&format!("\n{}: {what}", title.bold()))
    }

    /// Begins the next step, and prints its title.
    ///
    /// # Errors
    /// When standard output cannot be written to.
    pub fn step(&mut self, title: &str) -> Result<(), Failure> {
        self.end_step();
        self.steps.push(Step {
            title: title.to_owned(),
            checks: Vec::new(),
            facts: Map::new(),
            begun: Instant::now(),
            seconds: 0.0,
        });
        self.print(&format!("\n{}  {}", self.steps.len().to_string().cyan().bold(), title.bold()))
    }

    /// Prints a line.
    ///
    /// # Errors
    /// When standard output cannot be written to.
    pub fn say(&self, line: &str) -> Result<(), Failure> {
        self.print(&format!("{INDENT}{line}"))
    }

    /// Prints a table.
    ///
    /// # Errors
    /// When standard output cannot be written to.
    pub fn table(&self, table: &Table) -> Result<(), Failure> {
        self.print(table.render(INDENT).trim_end_matches('\n'))
    }

    /// Adds a number or text to the JSON document.
    pub fn fact(&mut self, name: &str, value: impl Into<Value>) {
        if let Some(step) = self.steps.last_mut() {
            step.facts.insert(name.to_owned(), value.into());
        }
    }

    /// Prints a check that holds; ends the demo with one that does not.
    ///
    /// # Errors
    /// When it does not hold: `what`, with `why_not`.
    pub fn check(&mut self, holds: bool, what: &str, why_not: impl FnOnce() -> String) -> Result<(), Failure> {
        if !holds {
            return Err(Failure::rejected(format!("check failed: {what}; {}", why_not())));
        }
        if let Some(step) = self.steps.last_mut() {
            step.checks.push(what.to_owned());
        }
        self.print(&format!("{INDENT}{} {what}", "✓".green()))
    }

    /// Returns how long the demo has run.
    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Prints the last lines, or the JSON document.
    ///
    /// # Errors
    /// When standard output cannot be written to.
    pub fn end(&mut self, failure: Option<&Failure>) -> Result<(), Failure> {
        self.end_step();
        let checks = self.steps.iter().map(|step| step.checks.len()).sum();
        let seconds = self.begun.elapsed().as_secs_f64();
        if self.json {
            let failure = failure.map(|failure| failure.message.as_str());
            let report = Report { passed: failure.is_none(), failure, checks, seconds, steps: &self.steps };
            return output::answer(true, &report, |_| String::new());
        }
        let verdict = match failure {
            None => {
                format!("{} {checks} checks in {}", "All checks passed:".green().bold(), text::span(self.elapsed()))
            }
            Some(_) => format!("{} after {checks} checks that passed", "Stopped".red().bold()),
        };
        self.print(&format!("\n{verdict}"))
    }

    fn end_step(&mut self) {
        if let Some(step) = self.steps.last_mut() {
            step.seconds = step.begun.elapsed().as_secs_f64();
        }
    }

    fn print(&self, text: &str) -> Result<(), Failure> {
        if self.json { Ok(()) } else { output::line(text) }
    }
}
