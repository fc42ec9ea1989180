//! The files of a load: found, opened, checked against the view, hashed.

use crate::Error;
use littoral_columnar::Plan;
use littoral_model::view::FeatureView;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};
use xxhash_rust::xxh3::Xxh3;

/// One file of a load.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    pub(crate) path: PathBuf,
    pub(crate) metadata: ArrowReaderMetadata,
    pub(crate) rows: u64,
    pub(crate) plan: Plan,
    /// XXH3-128 of the whole file, in hexadecimal.
    pub(crate) digest: String,
}

impl Input {
    /// Under what the state remembers the file: two equal files of a directory are two.
    pub(crate) fn state_key(&self) -> String {
        format!("{} {}", self.path.file_name().unwrap_or_default().to_string_lossy(), self.digest)
    }
}

/// The Parquet files that a path means: itself, or a directory's `*.parquet` files by name.
///
/// # Errors
/// [`Error::Read`], [`Error::NoFiles`].
pub fn find(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |error: std::io::Error| Error::Read { path: path.to_owned(), reason: error.to_string() };
    if !std::fs::metadata(path).map_err(failed)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        if file.extension().is_some_and(|extension| extension == "parquet") && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() { Err(Error::NoFiles(path.to_owned())) } else { Ok(files) }
}

/// Opens a file and checks its columns.
pub(crate) fn open(path: &Path, view: &FeatureView, columns: &littoral_columnar::Columns) -> Result<Input, Error> {
    let file = open_file(path)?;
    let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new())
        .map_err(|error| Error::NotParquet { path: path.to_owned(), reason: error.to_string() })?;
    let plan =
        Plan::new(metadata.schema(), view, columns).map_err(|source| Error::Rows { path: path.to_owned(), source })?;
    let rows = u64::try_from(metadata.metadata().file_metadata().num_rows()).unwrap_or(0);
    let digest = digest(path, file)?;
    Ok(Input { path: path.to_owned(), metadata, rows, plan, digest })
}

pub(crate) fn open_file(path: &Path) -> Result<File, Error> {
    File::open(path).map_err(|error| Error::Read { path: path.to_owned(), reason: error.to_string() })
}

fn digest(path: &Path, mut file: File) -> Result<String, Error> {
    let failed = |error: std::io::Error| Error::Read { path: path.to_owned(), reason: error.to_string() };
    std::io::Seek::rewind(&mut file).map_err(failed)?;
    let mut hasher = Xxh3::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).map_err(failed)? {
            0 => return Ok(format!("{:032x}", hasher.digest128())),
            len => hasher.update(&buffer[..len]),
        }
    }
}
