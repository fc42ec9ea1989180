//! Compiling in a process of its own, from this side.

use crate::{compile_child, config::Config, guest::clean};
use bytes::Bytes;
use littoral_model::ports::ModuleError;
use std::{process::Stdio, time::Duration};
use tokio::{io::AsyncReadExt as _, io::AsyncWriteExt as _, process::Command, sync::Semaphore, time};

/// Native code beyond this many times the component's largest size is refused: it would not be a compiler's output.
const CODE_FACTOR: u64 = 16;

/// Runs one compiling process at a time: compiling is allowed to take one processor, not all.
#[derive(Debug)]
pub(crate) struct Compiler {
    config: Config,
    turn: Semaphore,
}

impl Compiler {
    pub(crate) fn new(config: Config) -> Self {
        Self { config, turn: Semaphore::new(1) }
    }

    /// The component's native code. The caller has checked its size.
    ///
    /// # Errors
    /// [`ModuleError::Refused`] with the compiler's reason, or with the bound that it ran into.
    pub(crate) async fn compile(&self, component: Bytes) -> Result<Vec<u8>, ModuleError> {
        let refused = |what: String| ModuleError::Refused(clean(&what, 1_024));
        let _turn = self.turn.acquire().await.map_err(|_| refused("the compiler has shut down".into()))?;
        let seconds = self.config.compile_seconds;
        let program = match &self.config.compile_command {
            Some(program) => program.clone(),
            None => std::env::current_exe()
                .map_err(|error| refused(format!("cannot find the compiling program: {error}")))?,
        };
        let mut child = Command::new(&program)
            // It needs nothing from our environment, which may hold secrets.
            .env_clear()
            .arg(compile_child::COMMAND)
            .args([self.config.compile_memory_bytes, seconds, self.config.component_bytes].map(|n| n.to_string()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| refused(format!("cannot start the compiling process {}: {error}", program.display())))?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(mut stdin), Some(stdout), Some(stderr)) = (stdin, stdout, stderr) else {
            return Err(refused("the compiling process has no pipes".into()));
        };
        let code_max = self.config.component_bytes.saturating_mul(CODE_FACTOR);
        let (mut code, mut words) = (Vec::new(), Vec::new());
        let talk = async {
            let feed = async {
                // The child may end before it has read all, and says why on its standard error.
                let _ = stdin.write_all(&component).await;
                drop(stdin);
            };
            // One more than is allowed, to tell code that is cut from code that is whole.
            let mut stdout = stdout.take(code_max.saturating_add(1));
            let read = async {
                let read = stdout.read_to_end(&mut code).await;
                // Closed at once: a child that has more to say is not left waiting for somebody to listen.
                drop(stdout);
                read
            };
            let listen = async {
                let mut said = stderr.take(4_096);
                let read = said.read_to_end(&mut words).await;
                drop(said);
                read
            };
            let (_, code, words) = tokio::join!(feed, read, listen);
            code.and(words)?;
            child.wait().await
        };
        let status = match time::timeout(Duration::from_secs(seconds), talk).await {
            Ok(Ok(status)) => status,
            Ok(Err(error)) => return Err(refused(format!("the compiling process failed: {error}"))),
            Err(_) => return Err(refused(format!("compiling it took longer than {seconds} s"))),
        };
        if code.len() as u64 > code_max {
            return Err(refused(format!("its native code is larger than {code_max} bytes")));
        }
        match status.code() {
            Some(0) => Ok(code),
            Some(code) if code == i32::from(compile_child::REFUSED) => {
                Err(refused(String::from_utf8_lossy(&words).trim().to_owned()))
            }
            _ => Err(refused(format!(
                "compiling it did not stay within {} bytes of memory and {seconds} s of processor time ({status})",
                self.config.compile_memory_bytes
            ))),
        }
    }
}
