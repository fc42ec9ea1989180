//! Replaces the root of a running cluster: first every node trusts both roots, then every node gets a certificate of
//! the new one, then no node trusts the old one. Each step begins when all nodes have completed the one before.

use super::{Ca, NEXT, ROOT, TRUST, new_root};
use crate::{
    Error,
    files::{self, replace},
    material::digest,
    tls::now_s,
};

/// Exists while a rotation is in progress.
const ROTATING: &str = "rotating";

/// The step of a rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nodes receive the bundle with both roots.
    Trust,
    /// Nodes renew their certificates with the new root.
    Renew,
    /// Nodes receive the bundle without the old root.
    Retire,
    /// The rotation is complete.
    Done,
}

/// The state of a rotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The step in progress.
    pub step: Step,
    /// The identities of the nodes that have not completed it.
    pub waiting: Vec<String>,
    /// The number of nodes that the authority has recorded.
    pub nodes: usize,
}

impl Ca {
    /// Begins a rotation, or continues one that was interrupted.
    ///
    /// # Errors
    /// When no node renews at this authority, or a file cannot be read or written.
    pub fn begin_rotation(&self) -> Result<(), Error> {
        if self.path(ROTATING).exists() {
            return Ok(());
        }
        if self.nodes()?.is_empty() {
            let what = "no node has requested anything of this authority, so none would follow the rotation";
            let remedy =
                "start a leader of the catalogue home with tls.ca = this directory, and wait for its first check";
            return Err(Error::new(&self.dir, what, remedy));
        }
        let next = new_root(&self.dir, &self.cluster()?)?;
        replace(&self.path(NEXT), &format!("{}{}", next.chain, next.key), 0o600)?;
        replace(&self.path(ROTATING), "", 0o600)?;
        let both = format!("{}{}", self.root(ROOT)?.pem, next.chain);
        replace(&self.path(TRUST), &both, 0o644)
    }

    /// Begins the next step if every node has completed the current one. Nodes in `ignored` do not count.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn advance_rotation(&self, ignored: &[String]) -> Result<Progress, Error> {
        let now = now_s();
        let mut nodes = self.nodes()?;
        nodes.retain(|identity, node| node.not_after_s > now && !ignored.contains(identity));
        let trust = digest(&self.trust()?);
        let root = self.root(ROOT)?;
        let progress = |step, done: &dyn Fn(&super::signer::Node) -> bool| Progress {
            step,
            waiting: nodes.iter().filter(|(_, node)| !done(node)).map(|(identity, _)| identity.clone()).collect(),
            nodes: nodes.len(),
        };
        if !self.path(ROTATING).exists() {
            return Ok(Progress { step: Step::Done, waiting: Vec::new(), nodes: nodes.len() });
        }
        if self.path(NEXT).exists() {
            let next = self.root(NEXT)?;
            // Interrupted between its files: the bundle is written again.
            let both = format!("{}{}", root.pem, next.pem);
            if trust != digest(&both) {
                replace(&self.path(TRUST), &both, 0o644)?;
                return Ok(progress(Step::Trust, &|_| false));
            }
            let trusting = progress(Step::Trust, &|node| node.trust == trust);
            if !trusting.waiting.is_empty() {
                return Ok(trusting);
            }
            let renamed = std::fs::rename(self.path(NEXT), self.path(ROOT));
            renamed.map_err(|error| {
                Error::new(&self.path(NEXT), format!("it cannot be renamed: {error}"), "run it again")
            })?;
            return Ok(progress(Step::Renew, &|_| false));
        }
        if files::certificates(&self.path(TRUST))?.len() > 1 {
            let name = root.certificate.common_name.clone().unwrap_or_default();
            let renewing = progress(Step::Renew, &|node| node.root == name);
            if !renewing.waiting.is_empty() {
                return Ok(renewing);
            }
            replace(&self.path(TRUST), &root.pem, 0o644)?;
            return Ok(progress(Step::Retire, &|_| false));
        }
        let retiring = progress(Step::Retire, &|node| node.trust == trust);
        if !retiring.waiting.is_empty() {
            return Ok(retiring);
        }
        let removed = std::fs::remove_file(self.path(ROTATING));
        removed
            .map_err(|error| Error::new(&self.path(ROTATING), format!("it cannot be removed: {error}"), "remove it"))?;
        Ok(Progress { step: Step::Done, waiting: Vec::new(), nodes: nodes.len() })
    }
}
