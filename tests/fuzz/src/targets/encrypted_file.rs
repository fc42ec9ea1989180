//! Encrypted files, and the texts of key rings.

use super::check_words;
use crate::Target;
use littoral_at_rest::{Encryption, FileId, FileKind, KeyRing, Standing};
use std::{
    fs::{self, File},
    path::Path,
    sync::LazyLock,
};

pub(super) const TARGET: Target = Target { name: "encrypted_file", run: read, seeds, memory: (4 << 20, 16) };

/// A ring whose key is known to everybody who reads this.
const RING: &str = "fuzz:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const ID: FileId<'_> = FileId { kind: FileKind::DetachedTail, name: "input" };

static ENCRYPTION: LazyLock<Encryption> =
    LazyLock::new(|| Encryption::with(KeyRing::parse(RING).expect("a key ring with one key")));

static DIRECTORY: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a temporary directory")
});

/// A file is rejected with words, or is plain and returned as it is, or was written with the key. A text is a key ring,
/// or is rejected with words.
fn read(input: &[u8]) {
    if let Ok(text) = std::str::from_utf8(input)
        && let Err(error) = KeyRing::parse(text)
    {
        check_words(&error.to_string());
    }
    let path = DIRECTORY.path().join("input");
    fs::write(&path, input).expect("a temporary file is written");
    let standing = Standing::of(&path).expect("it can be read").expect("it exists");
    match ENCRYPTION.decode(ID, File::open(&path).expect("it exists")) {
        Err(error) => {
            check_words(&error.to_string());
            assert_ne!(standing, Standing::Plain, "{error}");
        }
        Ok(content) if standing == Standing::Plain => assert_eq!(content, input),
        // Only who has the key can have made it: one of the seeds.
        Ok(content) => assert!(content.iter().all(|byte| *byte == b'r'), "{} bytes were not written", content.len()),
    }
}

fn seeds() -> Vec<(String, Vec<u8>)> {
    let encrypted = |len: usize| ENCRYPTION.encode(ID, &vec![b'r'; len]).expect("a small file is encrypted");
    vec![
        ("encrypted".into(), encrypted(40)),
        ("two-chunks".into(), encrypted((64 << 10) + 9)),
        ("ring".into(), RING.as_bytes().to_vec()),
        ("plain".into(), b"LITTTAIL\x02\0\0\0".to_vec()),
    ]
}
