//! Authenticates the clients on whose behalf edges write at a leader: an edge is less trusted than its leader, so the
//! leader verifies each client's own credential again.

use littoral_auth::{Access, Authenticator, Scope, authorize};
use littoral_feed::server::Gate;
use littoral_model::{
    caller::Caller,
    ports::{BoxFuture, Node},
    project,
    write::WriteError,
};
use littoral_protocol::call::Call;
use std::sync::Arc;

/// The gate of a leader's peer listener.
pub struct PeerGate {
    /// Verifies credentials.
    pub authenticator: Arc<Authenticator>,
    /// The leader, whose catalogue names the views.
    pub node: Arc<dyn Node>,
}

impl Gate for PeerGate {
    fn check<'a>(&'a self, caller: Option<Caller>, call: &'a Call) -> BoxFuture<'a, Result<Caller, WriteError>> {
        Box::pin(async move {
            let forwarded = caller.as_ref().and_then(|caller| caller.credential.as_ref());
            let credential = forwarded.ok_or_else(|| {
                let reason =
                    "the peer forwarded none; configure [auth] at the edge too, or send the request to the leader";
                WriteError::Unauthenticated(reason.to_owned())
            })?;
            let now_s = littoral_runtime::clock::wall_ms() / 1_000;
            let verified = self.authenticator.verify(credential.token(), now_s).await;
            let access =
                verified.map_err(|error| WriteError::Unauthenticated(format!("{error} ({})", error.code())))?;
            self.authorize(&access, call).map_err(|error| WriteError::Forbidden(error.to_string()))?;
            let from = caller.as_ref().and_then(|caller| caller.from);
            Ok(Caller { who: access.who.clone(), from, credential: Some(credential.clone()) })
        })
    }
}

impl PeerGate {
    fn authorize(&self, access: &Access, call: &Call) -> Result<(), authorize::Forbidden> {
        match call {
            Call::Write(request) => access.require_rows(&self.node.catalogue(), &request.rows),
            Call::Change(change) => access.require_change(change),
            Call::PutModule { name, .. } => {
                let (project, name) = project::split(name);
                access.require(Scope::Module, project, name)
            }
            _ => access.require_everywhere(Scope::Admin),
        }
    }
}
