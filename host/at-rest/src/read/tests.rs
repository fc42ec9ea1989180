#![allow(clippy::unwrap_used)]
use super::*;
use crate::{Encryption, FileKind, Standing, header::Header};
use std::{fs, io::Write as _, os::unix::fs::PermissionsExt as _, path::Path};

/// More than the size of a chunk with its tag, so that offsets can be named.
const STORED_LEN: usize = CHUNK_LEN + TAG_LEN;

fn entry(id: &str) -> String {
    KeyRing::new_entry(&KeyId::parse(id).unwrap()).unwrap().to_string()
}

fn ring(ids: &[&str]) -> KeyRing {
    KeyRing::parse(&ids.iter().map(|id| entry(id)).collect::<Vec<_>>().join("\n")).unwrap()
}

fn id(name: &str) -> FileId<'_> {
    FileId { kind: FileKind::DetachedTail, name }
}

fn content(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + at / 251) as u8).collect()
}

/// Returns how the bytes read as this file.
fn read_as(encryption: &Encryption, id: FileId<'_>, bytes: &[u8]) -> Result<Vec<u8>, String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), bytes).unwrap();
    encryption.decode(id, file.reopen().unwrap()).map_err(|error| error.to_string())
}

fn header_len(bytes: &[u8]) -> usize {
    Header::decode(bytes).unwrap().unwrap().1
}

#[test]
fn every_length_is_read_back_in_any_steps() {
    let encryption = Encryption::with(ring(&["a"]));
    let lens = [0, 1, CHUNK_LEN - 1, CHUNK_LEN, CHUNK_LEN + 1, 2 * CHUNK_LEN, 3 * CHUNK_LEN + 17];
    for len in lens {
        let whole = content(len);
        let stored = encryption.encode(id("x"), &whole).unwrap();
        let chunks = len.div_ceil(CHUNK_LEN).max(1);
        assert_eq!(stored.len(), header_len(&stored) + len + chunks * TAG_LEN, "{len}");
        assert_eq!(read_as(&encryption, id("x"), &stored).unwrap(), whole, "{len}");
        // Written and read in steps that no chunk has as its length.
        let mut writer = encryption.writer(id("x"), Vec::new()).unwrap();
        whole.chunks(1_000).for_each(|step| writer.write_all(step).unwrap());
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), writer.finish().unwrap()).unwrap();
        let mut reader = encryption.reader(id("x"), file.reopen().unwrap()).unwrap();
        assert_eq!(reader.content_len(), len as u64);
        let (mut read, mut step) = (Vec::new(), [0; 977]);
        loop {
            match reader.read(&mut step).unwrap() {
                0 => break,
                count => read.extend_from_slice(&step[..count]),
            }
        }
        assert_eq!(read, whole, "{len}");
    }
}

/// `format-1` was written by another implementation of the format, with this key.
#[test]
fn files_of_format_1_stay_readable() {
    let keys = KeyRing::parse("fuzz:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").unwrap();
    let read = read_as(&Encryption::with(keys), id("input"), include_bytes!("format-1"));
    assert_eq!(read.unwrap(), [b'r'; 40]);
}

#[test]
fn two_encryptions_of_one_content_have_nothing_in_common() {
    let encryption = Encryption::with(ring(&["a"]));
    let whole = content(500);
    let [one, two] = [(); 2].map(|()| encryption.encode(id("x"), &whole).unwrap());
    let body = header_len(&one);
    assert!(!one[body..].windows(8).any(|window| two[body..].windows(8).any(|other| other == window)));
    assert!(!one.windows(8).any(|window| whole.windows(8).any(|other| other == window)));
}

#[test]
fn a_change_of_any_byte_is_detected() {
    let encryption = Encryption::with(ring(&["a"]));
    let stored = encryption.encode(id("x"), &content(300)).unwrap();
    for at in 0..stored.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut changed = stored.clone();
            changed[at] ^= flip;
            // Without its magic the file is a plain one.
            let read = read_as(&encryption, id("x"), &changed);
            assert!(if at < 8 { read.as_ref() == Ok(&changed) } else { read.is_err() }, "{at}: {read:?}");
        }
    }
}

#[test]
fn truncation_and_extension_are_detected_at_every_boundary() {
    let encryption = Encryption::with(ring(&["a"]));
    let stored = encryption.encode(id("x"), &content(3 * CHUNK_LEN + 100)).unwrap();
    let header = header_len(&stored);
    let boundaries = (0..4).map(|chunk| header + chunk * STORED_LEN);
    let near =
        boundaries.flat_map(|at| [at.saturating_sub(1), at, at + 1, at + TAG_LEN - 1, at + TAG_LEN, at + TAG_LEN + 1]);
    for len in near.chain([stored.len() - 1, stored.len() - TAG_LEN, 8, 9, header - 1]) {
        let read = read_as(&encryption, id("x"), &stored[..len]);
        assert!(read.is_err(), "{len} of {} bytes", stored.len());
    }
    for more in [&b"x"[..], &[0; TAG_LEN], &stored[header..header + STORED_LEN], &stored[header + 3 * STORED_LEN..]] {
        assert!(read_as(&encryption, id("x"), &[&stored, more].concat()).is_err(), "{} bytes more", more.len());
    }
    // A file that ends with a full chunk cannot be continued either.
    let full = encryption.encode(id("x"), &content(2 * CHUNK_LEN)).unwrap();
    assert!(read_as(&encryption, id("x"), &full[..header_len(&full) + STORED_LEN]).is_err());
}

#[test]
fn chunks_cannot_be_moved_repeated_left_out_or_exchanged() {
    let encryption = Encryption::with(ring(&["a"]));
    let [one, two] = [(); 2].map(|()| encryption.encode(id("x"), &content(4 * CHUNK_LEN)).unwrap());
    let header = header_len(&one);
    let chunk = |bytes: &[u8], number: usize| bytes[header + number * STORED_LEN..][..STORED_LEN].to_vec();
    let built = |numbers: &[(&[u8], usize)]| {
        let chunks: Vec<u8> = numbers.iter().flat_map(|(bytes, number)| chunk(bytes, *number)).collect();
        read_as(&encryption, id("x"), &[&one[..header], &chunks].concat())
    };
    let own = |numbers: &[usize]| built(&numbers.iter().map(|number| (&one[..], *number)).collect::<Vec<_>>());
    assert_eq!(own(&[0, 1, 2, 3]).unwrap(), content(4 * CHUNK_LEN));
    for numbers in
        [&[1, 0, 2, 3][..], &[0, 1, 1, 3], &[0, 0, 1, 2, 3], &[0, 2, 3], &[0, 1, 3], &[0, 1, 2], &[3], &[1, 2, 3]]
    {
        assert!(own(numbers).is_err(), "{numbers:?}");
    }
    assert!(built(&[(&one, 0), (&two, 1), (&one, 2), (&one, 3)]).is_err(), "a chunk of another file");
    assert!(read_as(&encryption, id("x"), &[&one[..header], &two[header..]].concat()).is_err(), "all of another file");
    // What precedes the fault is returned, and nothing after it.
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut changed = one.clone();
    changed[header + 2 * STORED_LEN] ^= 1;
    fs::write(file.path(), &changed).unwrap();
    let (mut read, mut reader) = (Vec::new(), encryption.reader(id("x"), file.reopen().unwrap()).unwrap());
    let error = reader.read_to_end(&mut read).unwrap_err();
    assert_eq!((error.kind(), read), (ErrorKind::InvalidData, content(2 * CHUNK_LEN)));
    assert!(error.to_string().contains("chunk 2 is not authentic"), "{error}");
    assert!(reader.read(&mut [0; 1]).is_err(), "it stays an error");
}

#[test]
fn a_file_is_readable_only_under_its_own_kind_and_name() {
    let encryption = Encryption::with(ring(&["a"]));
    let stored = encryption.encode(id("x"), b"rows").unwrap();
    assert_eq!(read_as(&encryption, id("x"), &stored).unwrap(), b"rows");
    for other in [id("y"), id(""), FileId { kind: FileKind::Component, name: "x" }] {
        assert!(read_as(&encryption, other, &stored).unwrap_err().contains("not authentic"), "{other:?}");
    }
}

#[test]
fn the_key_that_is_missing_is_named_and_the_file_counts_as_withheld() {
    let keys = ring(&["new", "old"]);
    let stored = Encryption::with(keys.clone()).encode(id("x"), b"rows").unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), &stored).unwrap();
    let open = |encryption: &Encryption| encryption.decode(id("x"), file.reopen().unwrap()).unwrap_err();
    for (error, expected) in [
        (open(&Encryption::default()), "no key ring"),
        (open(&Encryption::with(ring(&["other"]))), "which the key ring lacks"),
        (open(&Encryption::with(ring(&["new"]))), "differs from the key 'new' in the key ring"),
    ] {
        assert!(error.to_string().contains("'new'") && error.to_string().contains(expected), "{error}");
        assert_eq!(error.withheld(), Some("new"));
    }
    fs::write(file.path(), &stored[..stored.len() - 1]).unwrap();
    assert_eq!(open(&Encryption::with(keys)).withheld(), None, "a damaged file is not withheld");
}

#[test]
fn a_plain_file_is_read_unless_it_must_be_authentic() {
    let encryption = Encryption::with(ring(&["a"]));
    assert_eq!(read_as(&encryption, id("x"), b"LITTEDGE").unwrap(), b"LITTEDGE");
    let code = FileId { kind: FileKind::CompiledModule, name: "x" };
    assert!(read_as(&encryption, code, b"code").unwrap_err().contains("it is plain"));
    assert_eq!(read_as(&Encryption::default(), code, b"code").unwrap(), b"code");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys");
    fs::write(&path, entry("a")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let config = crate::Config { key_ring: Some(path), reject_plain: true, ..crate::Config::default() };
    let strict = Encryption::load(&config).unwrap();
    assert!(read_as(&strict, id("x"), b"LITTEDGE").unwrap_err().contains("it is plain"));
}

#[test]
fn a_file_is_renewed_under_the_first_key_once() {
    let old_entry = entry("old");
    let old = KeyRing::parse(&old_entry).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (path, unfinished) = (dir.path().join("x"), dir.path().join("x.unfinished"));
    let whole = content(2 * CHUNK_LEN + 5);
    fs::write(&path, Encryption::with(old.clone()).encode(id("x"), &whole).unwrap()).unwrap();
    let label = |path: &Path| Standing::of(path).unwrap().unwrap().label().to_owned();
    assert_eq!(label(&path), "old");
    let rotated = Encryption::with(KeyRing::parse(&format!("{}\n{old_entry}", entry("new"))).unwrap());
    assert!(rotated.renew(id("x"), &path, &unfinished).unwrap());
    assert_eq!(label(&path), "new");
    assert_eq!(rotated.decode(id("x"), File::open(&path).unwrap()).unwrap(), whole);
    assert!(!rotated.renew(id("x"), &path, &unfinished).unwrap(), "it is under the first key already");
    // A plain file, a missing one, and one whose key is missing.
    fs::write(&path, &whole).unwrap();
    assert!(rotated.renew(id("x"), &path, &unfinished).unwrap() && label(&path) == "new");
    let before = fs::read(&path).unwrap();
    let lacking = Encryption::with(old);
    let error = lacking.renew(id("x"), &path, &unfinished).unwrap_err();
    assert_eq!(error.withheld(), Some("new"));
    assert!(fs::read(&path).unwrap() == before && !unfinished.exists(), "it is unchanged");
    assert!(!rotated.renew(id("y"), &dir.path().join("y"), &unfinished).unwrap());
    assert!(!Encryption::default().renew(id("x"), &path, &unfinished).unwrap(), "without keys nothing is renewed");
}
