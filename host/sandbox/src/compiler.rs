//! Starts the compiling process and reads its output.

use crate::{compile_child, config::Config, guest::clean};
use bytes::Bytes;
use littoral_model::ports::ModuleError;
use std::{process::Stdio, time::Duration};
use tokio::{io::AsyncReadExt as _, io::AsyncWriteExt as _, process::Command, sync::Semaphore, time};

/// The limit of native code, as a multiple of the largest component. A compiler does not produce more.
const CODE_FACTOR: u64 = 16;

/// Runs one compiling process at a time: compiling may use one processor, not all.
#[derive(Debug)]
pub(crate) struct Compiler {
    config: Config,
    permit: Semaphore,
}

impl Compiler {
    pub(crate) fn new(config: Config) -> Self {
        Self { config, permit: Semaphore::new(1) }
    }

    /// Compiles a component to native code. The caller has checked its size.
    ///
    /// # Errors
    /// [`ModuleError::Rejected`] with the compiler's reason, or with the limit that it reached.
    pub(crate) async fn compile(&self, component: Bytes) -> Result<Vec<u8>, ModuleError> {
        let rejected = |what: String| ModuleError::Rejected(clean(&what, 1_024));
        let _permit = self.permit.acquire().await.map_err(|_| rejected("the compiler has shut down".into()))?;
        let seconds = self.config.compile_seconds;
        let program = match &self.config.compile_command {
            Some(program) => program.clone(),
            None => std::env::current_exe()
                .map_err(|error| rejected(format!("cannot find the compiling program: {error}")))?,
        };
        let mut child = Command::new(&program)
            // It does not need our environment, which may contain secrets.
            .env_clear()
            .arg(compile_child::COMMAND)
            .args([self.config.compile_memory_bytes, seconds, self.config.component_bytes].map(|n| n.to_string()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| rejected(format!("cannot start the compiling process {}: {error}", program.display())))?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(mut stdin), Some(stdout), Some(stderr)) = (stdin, stdout, stderr) else {
            return Err(rejected("the compiling process has no pipes".into()));
        };
        let code_max = self.config.component_bytes.saturating_mul(CODE_FACTOR);
        let (mut code, mut errors) = (Vec::new(), Vec::new());
        let talk = async {
            let feed = async {
                // The child may exit before it has read everything; its standard error then has the reason.
                let _ = stdin.write_all(&component).await;
                drop(stdin);
            };
            // Reads one byte more than allowed, to distinguish complete code from truncated code.
            let mut stdout = stdout.take(code_max.saturating_add(1));
            let read = async {
                let read = stdout.read_to_end(&mut code).await;
                // Closes the pipe at once: a child that writes more must not block.
                drop(stdout);
                read
            };
            let read_errors = async {
                let mut stderr = stderr.take(4_096);
                let read = stderr.read_to_end(&mut errors).await;
                drop(stderr);
                read
            };
            let (_, code, errors) = tokio::join!(feed, read, read_errors);
            code.and(errors)?;
            child.wait().await
        };
        let status = match time::timeout(Duration::from_secs(seconds), talk).await {
            Ok(Ok(status)) => status,
            Ok(Err(error)) => return Err(rejected(format!("the compiling process failed: {error}"))),
            Err(_) => return Err(rejected(format!("compiling it took longer than {seconds} s"))),
        };
        if code.len() as u64 > code_max {
            return Err(rejected(format!("its native code is larger than {code_max} bytes")));
        }
        match status.code() {
            Some(0) => Ok(code),
            Some(code) if code == i32::from(compile_child::REJECTED) => {
                Err(rejected(String::from_utf8_lossy(&errors).trim().to_owned()))
            }
            _ => Err(rejected(format!(
                "compiling it did not stay within {} bytes of memory and {seconds} s of processor time ({status})",
                self.config.compile_memory_bytes
            ))),
        }
    }
}
