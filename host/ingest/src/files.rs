//! Finds the files of a load, opens them, checks them against the view, and hashes them.

use crate::{
    Error, bounds,
    partition::{self, Constant},
};
use arrow_schema::{FieldRef, Schema};
use littoral_columnar::{Columns, Plan};
use littoral_model::view::FeatureView;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    sync::Arc,
};
use xxhash_rust::xxh3::Xxh3;

/// How deep folders are searched: a link back to a parent folder must not make a load endless.
const DEPTH_MAX: usize = 32;

/// One file of a load.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    pub(crate) path: PathBuf,
    /// Its path within the folder that is loaded, or its name if this file alone is loaded.
    below: PathBuf,
    /// The file's metadata. Its Arrow schema has texts and bytes as views.
    pub(crate) metadata: ArrowReaderMetadata,
    pub(crate) rows: u64,
    /// The plan of the file's columns, then of those from its folders.
    pub(crate) plan: Plan,
    /// The columns from its folders, which follow those of the file.
    pub(crate) constants: Vec<Constant>,
    /// XXH3-128 of the whole file and of the values from its folders, in hexadecimal.
    pub(crate) digest: String,
}

impl Input {
    /// Returns the file's key in the state, which distinguishes equal files of a directory.
    pub(crate) fn state_key(&self) -> String {
        format!("{} {}", self.below.to_string_lossy(), self.digest)
    }

    /// Returns the number of columns of the file itself.
    pub(crate) fn columns(&self) -> usize {
        self.metadata.schema().fields().len()
    }
}

/// The result of searching a path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The folder that was searched; for a file, its parent.
    pub root: PathBuf,
    /// The Parquet files, by path.
    pub files: Vec<PathBuf>,
    /// Files and folders that were skipped because their names begin with `.` or `_`. Other programs mark files that
    /// are not data in this way.
    pub hidden: usize,
    /// Files that were skipped because their names do not end in `.parquet`.
    pub others: usize,
}

/// Returns the Parquet files of a path: itself, or the `*.parquet` files in a directory and below.
///
/// # Errors
/// [`Error::Read`], [`Error::NoFiles`].
pub fn find(path: &Path) -> Result<Found, Error> {
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    if !metadata.is_dir() {
        let root = path.parent().unwrap_or(Path::new("")).to_owned();
        return Ok(Found { root, files: vec![path.to_owned()], ..Found::default() });
    }
    let mut found = Found { root: path.to_owned(), ..Found::default() };
    look_into(path, 0, &mut found)?;
    found.files.sort();
    if found.files.is_empty() { Err(Error::NoFiles { path: path.to_owned(), found }) } else { Ok(found) }
}

fn look_into(folder: &Path, depth: usize, found: &mut Found) -> Result<(), Error> {
    if depth > DEPTH_MAX {
        let reason = format!("more than {DEPTH_MAX} folders lie within each other; does a link lead back?");
        return Err(Error::Read { path: folder.to_owned(), reason });
    }
    for entry in std::fs::read_dir(folder).map_err(|error| unreadable(folder, &error))? {
        let path = entry.map_err(|error| unreadable(folder, &error))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with(crate::state::IN_A_FOLDER) {
            continue;
        }
        if is_hidden(&name) {
            found.hidden += 1;
        } else if path.is_dir() {
            look_into(&path, depth + 1, found)?;
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            found.files.push(path);
        } else {
            found.others += 1;
        }
    }
    Ok(())
}

/// Returns whether a name marks a file or folder that is not data. A folder `_NAME=VALUE` is data: the name of a
/// partition column may begin with `_`.
fn is_hidden(name: &str) -> bool {
    name.starts_with('.') || (name.starts_with('_') && !name.contains('='))
}

/// Opens a file and checks its columns.
pub(crate) fn open(root: &Path, path: &Path, view: &FeatureView, columns: &Columns) -> Result<Input, Error> {
    let file = open_file(path)?;
    let not_parquet =
        |error: parquet::errors::ParquetError| Error::NotParquet { path: path.to_owned(), reason: error.to_string() };
    let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).map_err(not_parquet)?;
    let schema = metadata.schema().clone();
    let below = path.strip_prefix(root).unwrap_or(path).to_owned();
    let mut constants = partition::constants(&below, view, columns);
    // The file's own columns take precedence.
    constants.retain(|constant| schema.column_with_name(&constant.name).is_none());
    let of_folders = constants.iter().map(|constant| Arc::new(constant.field()));
    let fields: Vec<FieldRef> = schema.fields().iter().cloned().chain(of_folders).collect();
    let rows_of = |source| Error::Rows { path: path.to_owned(), source };
    let plan = Plan::new(&Schema::new(fields), view, columns).map_err(rows_of)?;
    for constant in &constants {
        constant.check().map_err(|reason| Error::Folder { path: path.to_owned(), reason })?;
    }
    let views = ArrowReaderOptions::new().with_schema(bounds::as_views(&schema));
    let metadata = ArrowReaderMetadata::try_new(metadata.metadata().clone(), views).map_err(not_parquet)?;
    let rows = u64::try_from(metadata.metadata().file_metadata().num_rows()).unwrap_or(0);
    let digest = digest(path, file, &constants)?;
    Ok(Input { path: path.to_owned(), below, metadata, rows, plan, constants, digest })
}

pub(crate) fn open_file(path: &Path) -> Result<File, Error> {
    File::open(path).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::Read { path: path.to_owned(), reason: error.to_string() }
}

fn digest(path: &Path, mut file: File, constants: &[Constant]) -> Result<String, Error> {
    let failed = |error: std::io::Error| unreadable(path, &error);
    std::io::Seek::rewind(&mut file).map_err(failed)?;
    let mut hasher = Xxh3::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).map_err(failed)? {
            0 => break,
            len => hasher.update(&buffer[..len]),
        }
    }
    // Equal files in two folders hold different rows.
    for constant in constants {
        hasher.update(format!("{:?}={:?}", constant.name, constant.value).as_bytes());
    }
    Ok(format!("{:032x}", hasher.digest128()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_looked_through_and_what_is_left_out_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let files = [
            "b.parquet",
            "date=1/a.parquet",
            "plain/deep/c.parquet",
            "_key=1/d.parquet",
            ".e.parquet",
            "_SUCCESS",
            "_temporary/0/f.parquet",
            "notes.txt",
            ".littoral-ingest.json",
            ".littoral-ingest.json.tmp",
        ];
        for file in files {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let found = find(dir.path()).unwrap();
        let names: Vec<_> = found.files.iter().map(|path| path.strip_prefix(dir.path()).unwrap()).collect();
        let expected = ["_key=1/d.parquet", "b.parquet", "date=1/a.parquet", "plain/deep/c.parquet"];
        assert_eq!(names, expected.map(Path::new));
        assert_eq!((found.hidden, found.others), (3, 1));
        let hidden = find(&dir.path().join("_temporary")).unwrap();
        assert_eq!((hidden.files.len(), hidden.hidden), (1, 0), "what is named is meant");
        std::os::unix::fs::symlink(dir.path(), dir.path().join("plain/back")).unwrap();
        assert!(find(dir.path()).unwrap_err().to_string().contains("lead back"));
    }
}
