//! An OIDC issuer on this host: a discovery document, a key set, a token endpoint, and keys that rotate. It can
//! misbehave.

use crate::{apt, missing::Missing};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    hmac,
    rand::SystemRandom,
    rsa::{self, PublicKeyComponents},
    signature::{self, EcdsaKeyPair, KeyPair as _, RsaKeyPair},
};
use serde_json::{Value, json};
use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::Command,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// The secret of the client that may request tokens.
pub const CLIENT_SECRET: &str = "planted-client-secret";

/// A running issuer.
pub struct Issuer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// How the issuer answers requests for its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// As it should.
    Well,
    /// With a web page.
    Html,
    /// With more bytes than any key set has.
    Huge,
    /// Not at all; the connection stays open.
    Silent,
    /// With status 500.
    Broken,
}

/// The algorithm of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSA, the current key of the issuer.
    Rs256,
    /// ECDSA, the current key of the issuer.
    Es256,
    /// RSA, a key that the issuer does not have, under the key id of its own.
    ForeignRs256,
    /// HMAC, with the modulus of the issuer's public key as the secret.
    Hs256,
    /// No signature.
    None,
}

struct Shared {
    address: SocketAddr,
    state: Mutex<State>,
    requests: AtomicU64,
    token: Mutex<Value>,
}

struct State {
    behaviour: Behaviour,
    generation: u64,
    rsa: RsaKeyPair,
    foreign: RsaKeyPair,
    ec: EcdsaKeyPair,
}

impl Issuer {
    /// Starts an issuer.
    ///
    /// # Errors
    /// If `openssl`, which generates its RSA keys, cannot be installed.
    pub fn start() -> Result<Self, Missing> {
        let failed = |why: String| Missing::new("an OIDC issuer", why, "run again");
        let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(|error| failed(error.to_string()))?;
        let address = listener.local_addr().map_err(|error| failed(error.to_string()))?;
        let state = State {
            behaviour: Behaviour::Well,
            generation: 1,
            rsa: rsa_key()?,
            foreign: rsa_key()?,
            ec: ec_key().map_err(failed)?,
        };
        let (state, token) = (Mutex::new(state), Mutex::new(json!({})));
        let shared = Arc::new(Shared { address, state, requests: AtomicU64::new(0), token });
        let serving = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = serving.clone();
                thread::spawn(move || {
                    let _ = serve(&shared, stream);
                });
            }
        });
        Ok(Self { address, shared })
    }

    /// Returns its URL, which is the claim `iss` of its tokens.
    #[must_use]
    pub fn url(&self) -> String {
        url(self.address)
    }

    /// Returns the number of requests for its keys.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Relaxed)
    }

    /// Changes how it answers.
    pub fn behave(&self, behaviour: Behaviour) {
        self.shared.state().behaviour = behaviour;
    }

    /// Replaces its keys. Tokens of the old keys are no longer valid.
    ///
    /// # Errors
    /// If no key can be generated.
    pub fn rotate(&self) -> Result<(), Missing> {
        let rsa = rsa_key()?;
        let ec = ec_key().map_err(|why| Missing::new("an EC key", why, "run again"))?;
        let mut state = self.shared.state();
        (state.rsa, state.ec) = (rsa, ec);
        state.generation += 1;
        Ok(())
    }

    /// Sets the claims of the tokens that its token endpoint issues.
    pub fn issue(&self, claims: Value) {
        *self.shared.token.lock().unwrap_or_else(PoisonError::into_inner) = claims;
    }

    /// Creates a token with these claims, and with `iss`, `exp` and `sub` where they are absent.
    #[must_use]
    pub fn token(&self, algorithm: Algorithm, claims: &Value) -> String {
        self.shared.sign(algorithm, claims)
    }
}

/// Returns the seconds since 1970.
#[must_use]
pub fn now_s() -> u64 {
    #[allow(clippy::disallowed_methods, reason = "tokens have wall-clock times")]
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sign(&self, algorithm: Algorithm, claims: &Value) -> String {
        let state = self.state();
        let mut all = json!({ "iss": url(self.address), "exp": now_s() + 600, "sub": "a-subject" });
        if let (Some(all), Some(given)) = (all.as_object_mut(), claims.as_object()) {
            all.extend(given.clone());
            all.retain(|_, value| !value.is_null());
        }
        let generation = state.generation;
        let (name, kid) = match algorithm {
            Algorithm::Rs256 | Algorithm::ForeignRs256 => ("RS256", format!("rsa-{generation}")),
            Algorithm::Es256 => ("ES256", format!("ec-{generation}")),
            Algorithm::Hs256 => ("HS256", format!("rsa-{generation}")),
            Algorithm::None => ("none", format!("rsa-{generation}")),
        };
        let encode = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", encode(json!({ "alg": name, "kid": kid, "typ": "JWT" })), encode(all));
        let signature = match algorithm {
            Algorithm::Rs256 => rsa_signature(&state.rsa, &message),
            Algorithm::ForeignRs256 => rsa_signature(&state.foreign, &message),
            Algorithm::Es256 => {
                let signature = state.ec.sign(&SystemRandom::new(), message.as_bytes());
                signature.map(|signature| signature.as_ref().to_vec()).unwrap_or_default()
            }
            Algorithm::Hs256 => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, &components(&state.rsa).n);
                hmac::sign(&key, message.as_bytes()).as_ref().to_vec()
            }
            Algorithm::None => Vec::new(),
        };
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn keys(&self) -> Value {
        let state = self.state();
        let PublicKeyComponents { n, e } = components(&state.rsa);
        let point = state.ec.public_key().as_ref();
        let (x, y) = point.get(1..).unwrap_or_default().split_at_checked(32).unwrap_or_default();
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let generation = state.generation;
        json!({ "keys": [
            { "kty": "RSA", "use": "sig", "alg": "RS256", "kid": format!("rsa-{generation}"), "n": encode(&n), "e": encode(&e) },
            { "kty": "EC", "use": "sig", "crv": "P-256", "kid": format!("ec-{generation}"), "x": encode(x), "y": encode(y) },
            { "kty": "oct", "kid": "secret", "k": "c2VjcmV0" },
        ] })
    }
}

fn serve(shared: &Shared, stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let path = request.split(' ').nth(1).unwrap_or_default();
    let base = url(shared.address);
    let discovery = json!({
        "issuer": base,
        "jwks_uri": format!("{base}/jwks"),
        "token_endpoint": format!("{base}/token"),
        "authorization_endpoint": format!("{base}/authorize"),
    });
    let behaviour = shared.state().behaviour;
    let (status, kind, text) = match path {
        "/jwks" => {
            shared.requests.fetch_add(1, Relaxed);
            match behaviour {
                Behaviour::Well => ("200 OK", "application/json", shared.keys().to_string()),
                Behaviour::Html => ("200 OK", "text/html", "<!doctype html><p>Log in</p>".to_owned()),
                Behaviour::Huge => ("200 OK", "application/json", format!("[{}]", "1,".repeat(1 << 20))),
                Behaviour::Broken => ("500 Internal Server Error", "text/plain", "broken".to_owned()),
                Behaviour::Silent => {
                    thread::sleep(Duration::from_secs(60));
                    return Ok(());
                }
            }
        }
        "/token" if String::from_utf8_lossy(&body).contains(CLIENT_SECRET) => {
            let claims = shared.token.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let token = shared.sign(Algorithm::Rs256, &claims);
            ("200 OK", "application/json", json!({ "access_token": token, "token_type": "Bearer" }).to_string())
        }
        "/token" => ("401 Unauthorized", "application/json", json!({ "error": "invalid_client" }).to_string()),
        "/.well-known/openid-configuration" => ("200 OK", "application/json", discovery.to_string()),
        _ => ("404 Not Found", "text/plain", String::new()),
    };
    let mut stream = stream;
    let length = text.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{text}"
    )
}

fn components(key: &RsaKeyPair) -> PublicKeyComponents<Vec<u8>> {
    PublicKeyComponents::from(key.public())
}

fn rsa_signature(key: &RsaKeyPair, message: &str) -> Vec<u8> {
    let mut signature = vec![0; key.public().modulus_len()];
    let signed = key.sign(&signature::RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature);
    signed.map(|()| signature).unwrap_or_default()
}

fn rsa_key() -> Result<RsaKeyPair, Missing> {
    let openssl = apt::program("openssl", "openssl")?;
    let failed = |why: String| Missing::new("an RSA key", why, "check that openssl works");
    let made = Command::new(openssl)
        .args(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-outform", "DER"])
        .output()
        .map_err(|error| failed(error.to_string()))?;
    // Some versions of OpenSSL write PKCS #8, others PKCS #1.
    let key = rsa::KeyPair::from_pkcs8(&made.stdout).or_else(|_| rsa::KeyPair::from_der(&made.stdout));
    key.map_err(|error| failed(error.to_string()))
}

fn ec_key() -> Result<EcdsaKeyPair, String> {
    let (algorithm, random) = (&signature::ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
    let key = EcdsaKeyPair::generate_pkcs8(algorithm, &random).map_err(|error| error.to_string())?;
    EcdsaKeyPair::from_pkcs8(algorithm, key.as_ref(), &random).map_err(|error| error.to_string())
}
