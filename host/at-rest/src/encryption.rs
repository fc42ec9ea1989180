//! The encryption of a node's files: the key ring in force, and its reload.

use crate::{Config, FileId, FileKind, LoadError, OpenError, Reader, Standing, Writer, key_ring::KeyRing, key_source};
use littoral_runtime::WatchedFile;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    fs::File,
    io::{self, ErrorKind, Read as _, Write},
    path::Path,
    sync::Arc,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    time::MissedTickBehavior,
};
use tokio_util::sync::CancellationToken;

/// The encryption of a node's files. Cheap to clone; clones share the key ring, which follows its file. The default
/// has no key ring: files are plain.
#[derive(Clone, Default)]
pub struct Encryption(Option<Arc<Shared>>);

struct Shared {
    config: Config,
    keys: watch::Sender<Arc<KeyRing>>,
    /// The file as it was before the first load.
    file: Option<WatchedFile>,
    /// What the metric of standings has shown, by kind: a label that no file has any more becomes zero.
    shown: Mutex<BTreeMap<&'static str, BTreeSet<String>>>,
}

/// Waits for changes of the key ring.
pub struct Changes(Option<watch::Receiver<Arc<KeyRing>>>);

impl Encryption {
    /// Loads the key ring, if the configuration names one. Blocks for the disk.
    ///
    /// # Errors
    /// If the key ring cannot be read or is invalid.
    pub fn load(config: &Config) -> Result<Self, LoadError> {
        // Before the file is read: a change in between is noticed later.
        let file = config.key_ring.clone().map(WatchedFile::about_to_be_read);
        let keys = key_source::load(config)?;
        Ok(Self(keys.map(|keys| Arc::new(Shared::new(config.clone(), keys, file)))))
    }

    /// Encrypts with a key ring that follows no file.
    #[must_use]
    pub fn with(keys: KeyRing) -> Self {
        Self(Some(Arc::new(Shared::new(Config::default(), keys, None))))
    }

    /// Returns whether files are encrypted.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Returns the key ring in force.
    #[must_use]
    pub fn keys(&self) -> Option<Arc<KeyRing>> {
        self.0.as_ref().map(|shared| shared.keys.borrow().clone())
    }

    /// Puts another key ring in force.
    pub fn replace(&self, keys: KeyRing) {
        if let Some(shared) = &self.0 {
            shared.keys.send_replace(Arc::new(keys));
        }
    }

    /// Returns what waits for changes of the key ring, from now on.
    #[must_use]
    pub fn changes(&self) -> Changes {
        Changes(self.0.as_ref().map(|shared| shared.keys.subscribe()))
    }

    /// Writes a new file to `out`, encrypted if there is a key ring.
    ///
    /// # Errors
    /// If `out` fails.
    pub fn writer<W: Write>(&self, id: FileId<'_>, out: W) -> io::Result<Writer<W>> {
        match self.keys() {
            Some(keys) => Writer::encrypted(keys.first(), id, out),
            None => Ok(Writer::plain(out)),
        }
    }

    /// Reads a file, encrypted or plain.
    ///
    /// # Errors
    /// If the file cannot be read, or needs a key that this node does not have, or is plain although it must not be.
    pub fn reader(&self, id: FileId<'_>, file: File) -> Result<Reader, OpenError> {
        let rejects_plain = self.0.as_ref().is_some_and(|shared| shared.config.reject_plain || !id.kind.may_be_plain());
        Reader::open(self.keys().as_deref(), !rejects_plain, id, file)
    }

    /// Returns the content of a small file as it is stored.
    ///
    /// # Errors
    /// If it cannot be encrypted.
    pub fn encode(&self, id: FileId<'_>, content: &[u8]) -> io::Result<Vec<u8>> {
        let mut writer = self.writer(id, Vec::with_capacity(content.len() + (4 << 10)))?;
        writer.write_all(content)?;
        writer.finish()
    }

    /// Reads the whole content of a small file. Blocks for the disk.
    ///
    /// # Errors
    /// As [`Self::reader`].
    pub fn decode(&self, id: FileId<'_>, file: File) -> Result<Vec<u8>, OpenError> {
        let mut reader = self.reader(id, file)?;
        let mut content = Vec::with_capacity(usize::try_from(reader.content_len()).unwrap_or_default());
        match reader.read_to_end(&mut content) {
            Ok(_) => Ok(content),
            Err(error) if error.kind() == ErrorKind::InvalidData => Err(OpenError::Damaged(error.to_string())),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns whether a file with this standing is to be written again: it is plain, or under another key than the
    /// first one.
    #[must_use]
    pub fn is_outdated(&self, standing: &Standing) -> bool {
        let Some(keys) = self.keys() else { return false };
        match standing {
            Standing::Plain => true,
            Standing::Encrypted { key, fingerprint } => {
                *key != keys.first().id || *fingerprint != keys.first().fingerprint
            }
            Standing::Damaged => false,
        }
    }

    /// Writes a file again under the first key, if it stands under another one or is plain. Reads and writes it chunk
    /// by chunk. `unfinished` is the name of the new file until it is complete; if this process ends before, the old
    /// file is unchanged. Nobody else may write the file meanwhile. Returns whether it was written. Blocks for the
    /// disk.
    ///
    /// # Errors
    /// As [`Self::reader`]; the file is then unchanged.
    pub fn renew(&self, id: FileId<'_>, path: &Path, unfinished: &Path) -> Result<bool, OpenError> {
        match Standing::of(path)? {
            Some(standing) if self.is_outdated(&standing) => {}
            _ => return Ok(false),
        }
        let renewed = self.copy(id, path, unfinished);
        if renewed.is_err() {
            // The error that is returned says more than that of the removal.
            let _ = std::fs::remove_file(unfinished);
        }
        renewed.map(|()| true)
    }

    fn copy(&self, id: FileId<'_>, path: &Path, unfinished: &Path) -> Result<(), OpenError> {
        let mut reader = self.reader(id, File::open(path)?)?;
        let mut writer = self.writer(id, io::BufWriter::with_capacity(1 << 20, File::create(unfinished)?))?;
        match io::copy(&mut reader, &mut writer) {
            Err(error) if error.kind() == ErrorKind::InvalidData => return Err(OpenError::Damaged(error.to_string())),
            copied => copied?,
        };
        writer.finish()?.get_ref().sync_all()?;
        std::fs::rename(unfinished, path)?;
        match path.parent() {
            Some(directory) => Ok(File::open(directory)?.sync_all()?),
            None => Ok(()),
        }
    }

    /// Publishes how many files of some kinds stand under which key.
    pub fn publish<'a>(&self, kinds: &[FileKind], files: impl Iterator<Item = &'a (FileKind, Standing)>) {
        let Some(shared) = &self.0 else { return };
        let mut counts: BTreeMap<&'static str, BTreeMap<String, u64>> =
            kinds.iter().map(|kind| (kind.as_str(), BTreeMap::new())).collect();
        for (kind, standing) in files {
            *counts.entry(kind.as_str()).or_default().entry(standing.label().to_owned()).or_default() += 1;
        }
        let mut shown = shared.shown.lock();
        for (kind, mut counts) in counts {
            let labels = shown.entry(kind).or_default();
            for label in labels.iter() {
                counts.entry(label.clone()).or_default();
            }
            for (label, count) in counts {
                metrics::gauge!("littoral_at_rest_files", "file" => kind, "key" => label.clone()).set(count as f64);
                labels.insert(label);
            }
        }
    }

    /// Reads the key ring again whenever its file has changed and is complete, or at once on SIGHUP, until `stop`.
    pub async fn watch(self, stop: CancellationToken) {
        let Some(shared) = self.0 else { return };
        let validity = metrics::gauge!("littoral_at_rest_key_ring_valid");
        validity.set(1.0);
        let Some(mut file) = shared.file.clone() else { return stop.cancelled().await };
        let mut tick = tokio::time::interval(shared.config.reload_every());
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut hangups = signal(SignalKind::hangup()).ok();
        loop {
            let hangup = async {
                match &mut hangups {
                    Some(hangups) => hangups.recv().await,
                    None => std::future::pending().await,
                }
            };
            let is_forced = tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => false,
                _ = hangup => true,
            };
            let config = shared.config.clone();
            let checked = tokio::task::spawn_blocking(move || {
                let changed = file.take_change();
                (file, (changed || is_forced).then(|| key_source::load(&config)))
            });
            // Loading does not panic; a runtime that shuts down ends this task.
            let Ok((checked, loaded)) = checked.await else { return };
            file = checked;
            match loaded {
                None => {}
                Some(Ok(keys)) => {
                    validity.set(1.0);
                    shared.put(keys);
                }
                Some(Err(error)) => {
                    validity.set(0.0);
                    tracing::error!(%error, "[at_rest]: the changed key ring was rejected; the last valid one stays in force");
                }
            }
        }
    }
}

impl Shared {
    fn new(config: Config, keys: KeyRing, file: Option<WatchedFile>) -> Self {
        Self { config, keys: watch::Sender::new(Arc::new(keys)), file, shown: Mutex::default() }
    }

    /// Puts a key ring that was read in force, if it is another one.
    fn put(&self, keys: Option<KeyRing>) {
        let Some(keys) = keys else { return };
        let is_new = self.keys.send_if_modified(|current| {
            let is_new = **current != keys;
            if is_new {
                *current = Arc::new(keys);
            }
            is_new
        });
        if is_new {
            tracing::info!(keys = ?self.keys.borrow(), "the key ring was reloaded; its first key encrypts");
        }
    }
}

impl Changes {
    /// Waits until the key ring has changed since the last call. Without a key ring, it never does.
    pub async fn changed(&mut self) {
        let changed = match &mut self.0 {
            Some(changes) => changes.changed().await.is_ok(),
            None => false,
        };
        if !changed {
            std::future::pending().await
        }
    }
}

impl fmt::Debug for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Encryption").field(&self.keys()).finish()
    }
}

impl PartialEq for Encryption {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        }
    }
}

impl Eq for Encryption {}
