//! Names of airports, for people.

use crate::failure::Failure;
use std::{collections::HashMap, path::Path};

/// Airport codes with names.
pub struct Airports(HashMap<String, String>);

impl Airports {
    /// Reads the list: `iata,name,city,state,...`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::usage(format!("{}: cannot be read: {error}", path.display())))?;
        let names = text.lines().skip(1).filter_map(|line| {
            let fields = fields(line);
            Some((fields.first()?.clone(), format!("{}, {}", fields.get(2)?, fields.get(3)?)))
        });
        Ok(Self(names.collect()))
    }

    /// Its city and state, as `Atlanta, GA`; the code itself of an airport that the list lacks.
    pub fn place(&self, code: &str) -> String {
        self.0.get(code).cloned().unwrap_or_else(|| code.to_owned())
    }
}

/// A line's fields; quoted ones may hold commas.
fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            c => field.push(c),
        }
    }
    fields.push(field);
    fields
}

#[cfg(test)]
mod tests {
    #[test]
    fn quoted_fields_may_hold_commas() {
        assert_eq!(super::fields("ABE,\"Lehigh, Valley\",Allentown,PA"), ["ABE", "Lehigh, Valley", "Allentown", "PA"]);
    }
}
