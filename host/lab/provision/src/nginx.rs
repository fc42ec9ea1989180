//! nginx with TLS, as a peer in measurements.

use crate::{Guarded, apt, guarded, missing::Missing};
use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    time::{Duration, Instant},
};

/// How long it may take to accept connections.
const START_MAX: Duration = Duration::from_secs(10);

/// A running server.
#[derive(Debug)]
pub struct Nginx {
    process: Guarded,
    _dir: tempfile::TempDir,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Nginx {
    /// Starts one with a certificate and its key, both in one file, if its program is installed.
    ///
    /// # Errors
    /// When it is not installed, or does not start.
    pub fn start(cert: &Path) -> Result<Self, Missing> {
        let program = apt::find("nginx")
            .ok_or_else(|| Missing::new("nginx", "it is not installed", "run: apt-get install nginx-light"))?;
        let lacking = |error: io::Error| Missing::io("a running nginx", &error);
        let dir = tempfile::tempdir().map_err(lacking)?;
        // nginx cannot report a port that it chose itself.
        let address = TcpListener::bind(("127.0.0.1", 0)).and_then(|l| l.local_addr()).map_err(lacking)?;
        let file = dir.path().join("nginx.conf");
        std::fs::write(&file, config(address, cert, dir.path())).map_err(lacking)?;
        let mut command = Guarded::command(&program);
        command.arg("-p").arg(dir.path()).arg("-c").arg(&file);
        guarded::quiet(&mut command).current_dir(dir.path());
        let mut process = Guarded::start(command, "nginx", &dir.path().join("nginx.log")).map_err(lacking)?;
        let deadline = Instant::now() + START_MAX;
        while TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_err() {
            if Instant::now() > deadline || !process.is_running() {
                return Err(Missing::new("nginx", process.log_tail(), "see what it logged"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Self { process, _dir: dir, address })
    }

    /// Returns the id of its main process, whose children serve the connections.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its workers would survive a kill of the main process.
        self.process.stop(START_MAX);
    }
}

/// Returns the configuration in which it is fastest: as many workers as cores, each with a listener of its own. Like
/// the doors, it sends session tickets and keeps no sessions.
fn config(address: SocketAddr, cert: &Path, dir: &Path) -> String {
    let (cert, dir) = (cert.display(), dir.display());
    format!(
        "daemon off;\nworker_processes auto;\nerror_log stderr;\npid {dir}/nginx.pid;\n\
         events {{ worker_connections 1024; }}\nhttp {{\n  access_log off;\n  client_body_temp_path {dir}/body;\n  \
         proxy_temp_path {dir}/proxy;\n  fastcgi_temp_path {dir}/fastcgi;\n  uwsgi_temp_path {dir}/uwsgi;\n  \
         scgi_temp_path {dir}/scgi;\n  ssl_protocols TLSv1.3;\n  ssl_session_cache off;\n  server {{\n    \
         listen {address} ssl reuseport;\n    ssl_certificate {cert};\n    ssl_certificate_key {cert};\n    \
         location / {{ return 200 'ok'; }}\n  }}\n}}\n"
    )
}
