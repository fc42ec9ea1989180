//! The names and coordinates of airports.

use crate::failure::Failure;
use std::{collections::HashMap, path::Path};

/// Airports by code.
pub struct Airports(HashMap<String, Airport>);

struct Airport {
    place: String,
    latitude: f64,
    longitude: f64,
}

impl Airports {
    /// Reads the list: `iata,name,city,state,country,latitude,longitude`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::usage(format!("{}: cannot be read: {error}", path.display())))?;
        let airports = text.lines().skip(1).filter_map(|line| {
            let fields = fields(line);
            let degrees = |at: usize| fields.get(at)?.parse().ok();
            let place = format!("{}, {}", fields.get(2)?, fields.get(3)?);
            Some((fields.first()?.clone(), Airport { place, latitude: degrees(5)?, longitude: degrees(6)? }))
        });
        Ok(Self(airports.collect()))
    }

    /// Returns an airport's city and state, such as `Atlanta, GA`; its code when the list lacks it.
    pub fn place(&self, code: &str) -> String {
        self.0.get(code).map_or_else(|| code.to_owned(), |airport| airport.place.clone())
    }

    /// Returns an airport's latitude and longitude, in degrees.
    ///
    /// # Errors
    /// When the list lacks it.
    pub fn coordinates(&self, code: &str) -> Result<(f64, f64), Failure> {
        let airport = self.0.get(code).ok_or_else(|| Failure::rejected(format!("there is no airport '{code}'")))?;
        Ok((airport.latitude, airport.longitude))
    }
}

/// Returns a line's fields; quoted fields may contain commas.
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
    fn quoted_fields_may_contain_commas() {
        assert_eq!(super::fields("ABE,\"Lehigh, Valley\",Allentown,PA"), ["ABE", "Lehigh, Valley", "Allentown", "PA"]);
    }
}
