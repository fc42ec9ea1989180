//! Renewal over a connection to a peer, and rotation of the root.

use crate::support::{Authority, Node, connect};
use littoral_tls::{
    Tls,
    ca::{Signer, rotation::Step},
    files,
    renewal::{self, Request},
};
use std::{fs, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

const EDGE: &str = "littoral://prod/eu/edge/e1";
const LEADER: &str = "littoral://prod/eu/leader/l1";
const SOON: Duration = Duration::from_secs(60);

/// A node that renews at a signer, until dropped.
struct Renewing {
    tls: Tls,
    stop: CancellationToken,
}

impl Drop for Renewing {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn signer(authority: &Authority) -> Arc<Signer> {
    Arc::new(Signer::open(authority.ca.trust_file().parent().unwrap(), None).unwrap())
}

fn renewing(node: &Node, signer: &Arc<Signer>) -> Renewing {
    let (tls, stop, signer) = (node.load(), CancellationToken::new(), signer.clone());
    let ask = move |request: Vec<u8>| {
        let signer = signer.clone();
        async move { signer.answer(&Request::decode(&request)?)?.encode() }
    };
    tokio::spawn(renewal::keep(tls.clone(), ask, stop.clone()));
    Renewing { tls, stop }
}

async fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let waiting = async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, waiting).await.unwrap_or_else(|_| panic!("{what}"));
}

#[tokio::test]
async fn a_certificate_is_renewed_before_it_expires_and_a_fresh_one_is_not() {
    let authority = Authority::new();
    let signer = signer(&authority);
    let file = authority.path("old.pem");
    // Certificates are valid from five minutes before their issue, so this one has used up most of its lifetime.
    files::install(&file, &file, &authority.issue(EDGE, Duration::from_secs(60))).unwrap();
    let old = renewing(&Node::of(&file, &file, &authority.ca.trust_file()), &signer);
    let fresh = renewing(&authority.node("littoral://prod/eu/edge/e2"), &signer);
    let (before, fresh_before) = (old.tls.certificate(), fresh.tls.certificate());
    eventually("renewed", || old.tls.certificate().not_after_s > before.not_after_s + 3_600).await;
    let after = old.tls.certificate();
    assert_eq!(
        (after.identity, after.dns_names, after.addresses),
        (before.identity, before.dns_names, before.addresses)
    );
    assert_eq!(fresh.tls.certificate(), fresh_before);
    Tls::load(&Node::of(&file, &file, &authority.ca.trust_file()).config)
        .expect("the next start uses the new certificate");
}

#[tokio::test]
async fn a_request_for_a_certificate_of_another_node_is_rejected() {
    let authority = Authority::new();
    let signer = signer(&authority);
    let requests = Arc::new(std::sync::Mutex::new(Vec::new()));
    let kept = requests.clone();
    let ask = move |request: Vec<u8>| {
        kept.lock().unwrap().push(request);
        async { Err("the request is kept".to_owned()) }
    };
    let stop = CancellationToken::new();
    tokio::spawn(renewal::keep(authority.node(EDGE).load(), ask, stop.clone()));
    eventually("sent", || !requests.lock().unwrap().is_empty()).await;
    stop.cancel();
    let request = requests.lock().unwrap()[0].clone();
    signer.answer(&Request::decode(&request).unwrap()).expect("as it was sent");
    // The certificate of another node in the same request: its owner did not sign it.
    let mut forged: serde_json::Value = serde_json::from_slice(&request[1..]).unwrap();
    let other = files_der(authority.node(LEADER).config.cert.as_ref().unwrap());
    forged["chain"] = serde_json::json!([other]);
    let mut bytes = vec![request[0]];
    serde_json::to_writer(&mut bytes, &forged).unwrap();
    let error = signer.answer(&Request::decode(&bytes).unwrap()).unwrap_err();
    assert!(error.contains("not signed with the key of its certificate"), "{error}");
    // A node of another authority.
    let stranger = Authority::new();
    let error = Signer::open(stranger.ca.trust_file().parent().unwrap(), None)
        .unwrap()
        .answer(&Request::decode(&request).unwrap())
        .unwrap_err();
    assert!(error.contains("no trusted root signed"), "{error}");
    assert!(Request::decode(&[9, 1, 2]).unwrap_err().contains("version"));
}

fn files_der(path: &std::path::Path) -> Vec<u8> {
    use rustls::pki_types::pem::PemObject as _;
    rustls::pki_types::CertificateDer::from_pem_file(path).unwrap().to_vec()
}

#[tokio::test]
async fn roots_that_no_trusted_root_signed_for_the_request_are_ignored() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let own = signer(&authority);
    let foreign = serde_json::json!({ "pem": stranger.ca.trust().unwrap(), "signature": [1, 2, 3] });
    for replays in [false, true] {
        let mut node = authority.node(EDGE);
        // The authority replaces this bundle, because it has another digest.
        let trust = authority.path("trust.pem");
        let before = format!("another digest\n{}", authority.ca.trust().unwrap());
        fs::write(&trust, &before).unwrap();
        node.config.trust = Some(trust.clone());
        let requests = Arc::new(std::sync::Mutex::new(Vec::new()));
        let (own, foreign, kept) = (own.clone(), foreign.clone(), requests.clone());
        // A relay on the way replaces the roots in the reply, or sends the reply to an earlier request.
        let ask = move |request: Vec<u8>| {
            let is_first = kept.lock().unwrap().is_empty();
            kept.lock().unwrap().push(request.clone());
            let first = kept.lock().unwrap()[0].clone();
            let (own, foreign) = (own.clone(), foreign.clone());
            async move {
                if is_first {
                    return Err("the request is kept".to_owned());
                }
                let answered = if replays { first } else { request };
                let reply = own.answer(&Request::decode(&answered)?)?.encode()?;
                let mut reply: serde_json::Value = serde_json::from_slice(&reply[1..]).unwrap();
                assert!(reply["trust"].is_object(), "{reply}");
                if !replays {
                    reply["trust"] = foreign;
                }
                Ok::<Vec<u8>, String>([&[1u8][..], &serde_json::to_vec(&reply).unwrap()].concat())
            }
        };
        let stop = CancellationToken::new();
        let keeping = tokio::spawn(renewal::keep(node.load(), ask, stop.clone()));
        eventually("several replies", || requests.lock().unwrap().len() > 4).await;
        stop.cancel();
        keeping.await.unwrap();
        assert_eq!(fs::read_to_string(&trust).unwrap(), before);
    }
}

#[tokio::test]
async fn a_root_is_rotated_while_nodes_connect() {
    let authority = Authority::new();
    let signer = signer(&authority);
    let of = |identity: &str| {
        let node = authority.node(identity);
        // Each node has its own copy of the roots, as on its own host.
        let trust = authority.path(&format!("{}.trust", identity.replace('/', "_")));
        fs::copy(authority.ca.trust_file(), &trust).unwrap();
        let config = littoral_tls::Config { trust: Some(trust), ..node.config };
        Node { config }
    };
    let (edge_node, leader_node) = (of(EDGE), of(LEADER));
    assert!(authority.ca.begin_rotation().unwrap_err().to_string().contains("no node has requested"));
    let (edge, leader) = (renewing(&edge_node, &signer), renewing(&leader_node, &signer));
    eventually("both have reported", || authority.ca.advance_rotation(&[]).unwrap().nodes == 2).await;
    let old_issuer = edge.tls.certificate().issuer;
    authority.ca.begin_rotation().unwrap();
    let mut steps = Vec::new();
    let rotating = async {
        loop {
            let progress = authority.ca.advance_rotation(&[]).unwrap();
            if steps.last() != Some(&progress.step) {
                steps.push(progress.step);
            }
            if progress.step == Step::Done {
                return;
            }
            let (connected, accepted) = connect(&edge.tls, &leader.tls).await;
            connected.expect("nodes connect during the rotation");
            accepted.unwrap();
        }
    };
    tokio::time::timeout(SOON, rotating).await.expect("the rotation ends");
    assert_eq!(steps, [Step::Trust, Step::Renew, Step::Retire, Step::Done]);
    let new_issuer = edge.tls.certificate().issuer;
    assert_ne!(new_issuer, old_issuer);
    assert_eq!(leader.tls.certificate().issuer, new_issuer);
    for node in [&edge_node, &leader_node] {
        let roots = files::parse(node.config.trust.as_ref().unwrap()).unwrap();
        assert_eq!(roots.len(), 1, "the old root is no longer trusted");
    }
    connect(&edge.tls, &leader.tls).await.0.unwrap();
}
