//! Who sends a request, and whether it may: one check when the head of the request has arrived, and checks of the views
//! that the body names.

use crate::{failure::Failure, project::Named, routes::Endpoint};
use http::{HeaderValue, StatusCode, header, request::Parts};
use littoral_api::{code, headers};
use littoral_auth::{Access, Authenticator, Certificate, Rejected, Scope, Trust, authorize::Forbidden};
use littoral_http::{Client, Load, PeerIdentity};
use littoral_model::{
    caller::{Caller, Credential},
    catalogue::Catalogue,
    project::ProjectName,
    view::ViewId,
    write::RowBatch,
};
use littoral_tls::Role;
use std::sync::Arc;

tokio::task_local! {
    static RIGHTS: Rights;
}

/// Which requests a door accepts.
#[derive(Clone)]
pub struct Guard {
    /// Verifies credentials. Without it every client may read, write and define.
    pub authenticator: Option<Arc<Authenticator>>,
    /// The clients that may send placement headers.
    pub trust: Trust,
    /// Whether every client of the door may administer the node, as at a loopback door without authentication.
    pub is_open: bool,
}

/// What the client of the running request may do.
#[derive(Clone, Debug)]
struct Rights {
    /// `None` without a credential.
    access: Option<Arc<Access>>,
    /// The project of the request.
    project: ProjectName,
    /// Whether it may administer the node without a credential.
    is_operator: bool,
}

/// The listener that received a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The door.
    Door,
    /// The listener for administration.
    Admin {
        /// Whether its clients need no credential to observe the node, as on a loopback address.
        is_open: bool,
    },
}

/// A request that was admitted.
#[derive(Clone, Debug)]
pub(crate) struct Admitted {
    rights: Rights,
    /// The client, for work that may be forwarded or recorded. `None` for reads.
    caller: Option<Caller>,
}

/// What a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    /// Nothing.
    Nothing,
    /// A valid credential.
    Credential,
    /// A scope for the name in the path.
    Named(Scope),
    /// A scope for names that only the body or the catalogue shows.
    Some(Scope),
    /// The scope `admin` in every project.
    Admin,
}

fn need(endpoint: Endpoint) -> Need {
    use Endpoint as E;
    match endpoint {
        // Orchestrators and load balancers probe without a credential.
        E::Health | E::Ready | E::Fresh => Need::Nothing,
        E::OpenApi | E::Status => Need::Credential,
        E::FeastRead | E::Read => Need::Some(Scope::Read),
        E::Catalogue | E::ListViews | E::ListModules | E::ListServices | E::ListPushSources => Need::Some(Scope::Read),
        E::FeastPush | E::FeastWrite | E::WriteViews => Need::Some(Scope::Write),
        E::GetView | E::GetModule | E::GetService | E::GetPushSource | E::PageRows => Need::Named(Scope::Read),
        E::WriteRows => Need::Named(Scope::Write),
        E::PutView | E::DropView | E::PutService | E::DropService | E::PutPushSource | E::DropPushSource => {
            Need::Named(Scope::Define)
        }
        E::PutModule | E::DropModule => Need::Named(Scope::Module),
        E::ListProjects | E::GetProject => Need::Credential,
        E::PutProject | E::DropProject => Need::Admin,
        E::Metrics | E::Verify | E::Adopt => Need::Admin,
        E::ListConflicts | E::ReplayConflict | E::ListTails | E::ShowTail | E::MergeTail | E::DropTail => Need::Admin,
    }
}

/// Whether an endpoint only shows the state of the node.
fn observes(endpoint: Endpoint) -> bool {
    matches!(
        endpoint,
        Endpoint::Health | Endpoint::OpenApi | Endpoint::Status | Endpoint::Ready | Endpoint::Fresh | Endpoint::Metrics
    )
}

/// Whether the listener for administration has an endpoint.
pub(crate) fn is_for_admins(endpoint: Endpoint) -> bool {
    observes(endpoint)
        || need(endpoint) == Need::Admin
        || matches!(endpoint, Endpoint::ListProjects | Endpoint::GetProject)
}

impl Guard {
    /// Returns the guard of a loopback door without authentication: it accepts everything.
    #[must_use]
    pub fn open() -> Self {
        Self { authenticator: None, trust: Trust::everyone(), is_open: true }
    }

    /// Admits a request, before its body is read. `named` is the project that its path or its header names.
    ///
    /// # Errors
    /// Why the credential is rejected, which scope the client lacks, or which header it may not send.
    pub(crate) async fn admit(
        &self,
        side: Side,
        (endpoint, name): (Endpoint, &str),
        named: Option<Named>,
        parts: &Parts,
        client: &Client,
    ) -> Result<Admitted, Failure> {
        let need = need(endpoint);
        let is_open = side == Side::Admin { is_open: true } && observes(endpoint);
        let verified = match &self.authenticator {
            Some(authenticator) if need != Need::Nothing && !is_open => {
                Some(authenticate(authenticator, need, parts, client).await.map_err(unauthenticated)?)
            }
            _ => None,
        };
        let access = verified.as_ref().map(|(access, _)| access);
        let project = match endpoint.is_in_project() {
            true => project_of(named, access.map(|access| &**access))?,
            false => ProjectName::default(),
        };
        if let Some(access) = access {
            match need {
                Need::Nothing | Need::Credential => Ok(()),
                Need::Named(scope) => access.require(scope, project.as_str(), name),
                Need::Some(scope) => access.require_some(scope, project.as_str()),
                Need::Admin => access.require_everywhere(Scope::Admin),
            }?;
        }
        let is_operator = access.is_none() && (self.is_open || side == Side::Admin { is_open: true });
        if access.is_none() && need == Need::Admin && !is_operator {
            let message =
                "this door does not serve administration; use the listener 'admin_listen', or configure [auth]";
            return Err(Failure::forbidden(message.to_owned()));
        }
        let who = access.map(|access| &access.who);
        self.check_headers(parts, client, who.map(|who| &**who))?;
        let caller =
            (!matches!(need, Need::Nothing | Need::Credential | Need::Named(Scope::Read) | Need::Some(Scope::Read)))
                .then(|| Caller {
                    who: who.cloned().unwrap_or_default(),
                    from: Some(client.address),
                    credential: verified.as_ref().and_then(|(_, token)| token.map(Credential::new)),
                });
        Ok(Admitted { rights: Rights { access: access.cloned(), project, is_operator }, caller })
    }

    /// Rejects headers that influence placement, unless the client is trusted. They are not ignored, because the client
    /// would then receive something other than it demanded.
    fn check_headers(&self, parts: &Parts, client: &Client, who: Option<&str>) -> Result<(), Failure> {
        let present = [headers::PART, headers::TENANT].into_iter().find(|name| parts.headers.contains_key(name));
        let Some(name) = present else { return Ok(()) };
        if self.believes(client, who) { Ok(()) } else { Err(untrusted(&name)) }
    }

    /// Returns whether a client is trusted: by its address, its credential, or the certificate of its connection. A
    /// router sends its clients' requests. Their headers are accepted if the router's certificate is trusted.
    pub(crate) fn believes(&self, client: &Client, who: Option<&str>) -> bool {
        let connection = client.identity.as_ref().map(certificate_name);
        [who, connection.as_deref()].into_iter().any(|it| self.trust.believes(client.address, it))
    }
}

/// Returns the project of a request: the one that it names, otherwise the one of its credential, otherwise `default`.
/// The checks of scopes decide whether the client may use it.
///
/// # Errors
/// If the credential names another project, and grants nothing in the one that the request names.
fn project_of(named: Option<Named>, access: Option<&Access>) -> Result<ProjectName, Failure> {
    let Some(Named { place, project }) = named else {
        let of_credential = access.and_then(|access| access.project.as_ref().or(access.only_project.as_ref()));
        return Ok(of_credential.cloned().unwrap_or_default());
    };
    match access.and_then(|access| Some((access, access.project.as_ref()?))) {
        Some((access, other)) if *other != project && !access.may_enter(project.as_str()) => {
            let message = format!(
                "{place} names project '{project}', and the credential of '{}' is for project '{other}'; name that \
                 project, or use a credential for '{project}'",
                access.who
            );
            Err(Failure::new(StatusCode::FORBIDDEN, code::PROJECT_CONFLICT, message))
        }
        _ => Ok(project),
    }
}

/// Returns the error of a header that the client may not send.
fn untrusted(name: &http::HeaderName) -> Failure {
    let message = format!(
        "the header {name} is not accepted from this client; leave it out, or add the client to auth.trust.addresses or auth.trust.identities"
    );
    Failure::new(StatusCode::FORBIDDEN, code::HEADER_NOT_TRUSTED, message)
}

/// Returns the access of a request's credential, and its token if it has one, which can be forwarded. Without a token,
/// the certificate of the connection is the credential.
async fn authenticate<'a>(
    authenticator: &Authenticator,
    need: Need,
    parts: &'a Parts,
    client: &Client,
) -> Result<(Arc<Access>, Option<&'a str>), Rejected> {
    let now_s = littoral_runtime::clock::wall_ms() / 1_000;
    if let (false, Some(certificate)) = (parts.headers.contains_key(header::AUTHORIZATION), own(client, need)) {
        return Ok((authenticator.certificate(&certificate, now_s)?, None));
    }
    let token = bearer(parts)?;
    let access = match authenticator.known(token, now_s) {
        Some(access) => access,
        None => authenticator.verify(token, now_s).await?,
    };
    Ok((access, Some(token)))
}

/// Returns the certificate of a connection if it is the credential of the requests on it. Clients of a router, an edge
/// or a leader send requests over that node's connection, so a node's certificate is a credential for the node's state
/// only.
fn own(client: &Client, need: Need) -> Option<Certificate<'_>> {
    let presented = client.identity.as_deref()?;
    let is_node = presented.identity.as_ref().is_some_and(|identity| identity.role != Role::Operator);
    (need == Need::Credential || !is_node).then(|| Certificate {
        name: presented.owner(),
        fingerprint: presented.fingerprint,
        not_after_s: presented.not_after_s,
    })
}

/// Returns the name of a certificate's owner in the settings of trust.
pub(crate) fn certificate_name(certificate: &PeerIdentity) -> String {
    format!("certificate:{}", certificate.owner())
}

/// Returns the bearer token of a request.
fn bearer(parts: &Parts) -> Result<&str, Rejected> {
    let mut values = parts.headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or(Rejected::Missing)?;
    let text = value.to_str().map_err(|_| Rejected::NotBearer)?;
    let (scheme, token) = text.trim().split_once(' ').ok_or(Rejected::NotBearer)?;
    if values.next().is_some() || !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Rejected::NotBearer);
    }
    Ok(token.trim_start())
}

impl Admitted {
    /// Returns the project of the request: `default` for what concerns no project.
    pub(crate) fn project(&self) -> &ProjectName {
        &self.rights.project
    }

    /// Returns who sends the request. `None` without a credential.
    pub(crate) fn who(&self) -> Option<&str> {
        self.rights.access.as_ref().map(|access| &*access.who)
    }

    /// Returns what the client uses of the bounds that clients share, wherever it connects from. `None` without a
    /// credential.
    pub(crate) fn load(&self) -> Option<Arc<Load>> {
        self.rights.access.as_ref().map(|access| access.load.clone())
    }

    /// Runs the request's work on behalf of its client.
    pub(crate) async fn scope<F: Future>(&self, work: F) -> F::Output {
        let rights = self.rights.clone();
        match self.caller.clone() {
            Some(caller) => RIGHTS.scope(rights, littoral_runtime::caller::scope(caller, work)).await,
            None => RIGHTS.scope(rights, work).await,
        }
    }
}

/// Whether requests to an endpoint are logged for audits: changes of definitions and modules, and administration.
pub(crate) fn is_audited(endpoint: Endpoint) -> bool {
    matches!(need(endpoint), Need::Named(Scope::Define | Scope::Module))
        || need(endpoint) == Need::Admin && !observes(endpoint)
}

/// Logs who made the running request, from where, in which project, what it was, and its result.
pub(crate) fn audit(parts: &Parts, project: &ProjectName, status: StatusCode) {
    let Some(Caller { who, from, .. }) = littoral_runtime::caller::current() else { return };
    let (who, from, project) = (&*who, from.map(tracing::field::display), project.as_str());
    let (path, status) = (parts.uri.path(), status.as_u16());
    tracing::info!(target: "littoral_audit", who, from, project, method = %parts.method, path, status);
}

/// Logs a request that was rejected before it ran.
pub(crate) fn audit_rejected(parts: &Parts, client: &Client, failure: &Failure) {
    let (status, reason) = (failure.status.as_u16(), failure.code);
    tracing::info!(target: "littoral_audit", from = %client.address, method = %parts.method, path = parts.uri.path(), status, reason);
}

/// Checks what the client of the running request may do in the project of the request.
fn check(check: impl FnOnce(&Access, &str) -> Result<(), Forbidden>) -> Result<(), Failure> {
    let check_rights = |rights: &Rights| match &rights.access {
        Some(access) => check(access, rights.project.as_str()),
        None => Ok(()),
    };
    let checked = RIGHTS.try_with(check_rights);
    // Work outside a request is the node's own.
    checked.unwrap_or(Ok(())).map_err(Failure::from)
}

/// Checks that the client may read these views of the request's project, whose catalogue this is.
pub(crate) fn require_views(catalogue: &Catalogue, views: impl IntoIterator<Item = ViewId>) -> Result<(), Failure> {
    check(|access, project| {
        let named = |view| catalogue.view_by_id(view).map(|view| (project, view.name.as_str()));
        access.require_views(Scope::Read, named, views)
    })
}

/// Checks that the client may read what a name of the request's project stands for.
pub(crate) fn require_name(name: &str) -> Result<(), Failure> {
    check(|access, project| access.require(Scope::Read, project, name))
}

/// Checks that the client may write these rows. The catalogue is the node's.
pub(crate) fn require_rows(catalogue: &Catalogue, rows: &RowBatch) -> Result<(), Failure> {
    check(|access, _| access.require_rows(catalogue, rows))
}

/// Whether the client sees a definition of this name of the request's project in lists.
pub(crate) fn sees(name: &str) -> bool {
    require_name(name).is_ok()
}

/// Checks that the client may know a project: it has some scope in it.
pub(crate) fn require_project(name: &str) -> Result<(), Failure> {
    check(|access, _| access.require_entry(name))
}

/// Whether the client sees the whole state of the node.
pub(crate) fn is_admin() -> bool {
    let may = |rights: &Rights| rights.access.as_ref().map_or(rights.is_operator, |it| it.may_everywhere(Scope::Admin));
    RIGHTS.try_with(may).unwrap_or(true)
}

impl From<Forbidden> for Failure {
    fn from(error: Forbidden) -> Self {
        Self::forbidden(error.to_string())
    }
}

/// Returns the error of a rejected credential.
fn unauthenticated(error: Rejected) -> Failure {
    metrics::counter!("littoral_auth_rejected_total", "code" => error.code()).increment(1);
    Failure::unauthenticated(error.status(), error.code(), error.to_string())
}

/// Returns the header that asks a client for a bearer token (RFC 6750).
pub(crate) fn challenge(code: &'static str) -> HeaderValue {
    match code {
        code::CREDENTIAL_MISSING => HeaderValue::from_static("Bearer"),
        _ => HeaderValue::from_static("Bearer error=\"invalid_token\""),
    }
}
