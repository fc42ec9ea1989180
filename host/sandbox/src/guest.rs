//! What belongs to one instance: its limits, and the call that it is serving.

use crate::{
    bindings::{v0_1, v0_2},
    deadline::{Deadline, Slice},
    limits::Limits,
    meter::Meter,
    thread_time,
};
use littoral_model::{
    event_time::EventTime, freshness::ReadDemand, module::ModuleManifest, ports::FeatureReader, read::ReadError,
};
use std::{sync::Arc, time::Instant};
use tracing::Level;
use wasmtime::{Trap, component::HasSelf};

/// Bytes of a logged line.
const LINE_LEN_MAX: usize = 1_024;
/// Bytes of a guest's words in an error.
pub(crate) const WORDS_LEN_MAX: usize = 512;

/// A store's data.
pub(crate) struct Guest {
    pub(crate) limits: Limits,
    pub(crate) call: Option<Call>,
    pub(crate) pace: Pace,
    /// The last line that it logged as an error: why it panicked, when it did.
    pub(crate) last_words: Option<String>,
}

/// How long a guest computes, and whether it was ended for that.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    pub(crate) deadline: Deadline,
    pub(crate) interrupted: bool,
}

impl Pace {
    /// A look at the deadline, now.
    ///
    /// # Errors
    /// The trap that ends a guest whose time is up.
    pub(crate) fn look(&mut self) -> wasmtime::Result<Slice> {
        self.deadline.look(thread_time::exact()).ok_or_else(|| {
            self.interrupted = true;
            Trap::Interrupt.into()
        })
    }

    /// Between two steps of the host for its guest, which the engine does not interrupt: once a tick has passed, a look at the
    /// deadline, and way for other work.
    ///
    /// # Errors
    /// As [`Pace::look`].
    pub(crate) async fn step(&mut self) -> wasmtime::Result<()> {
        if self.deadline.is_due() {
            let slice = self.look()?;
            tokio::task::yield_now().await;
            slice.begin(thread_time::exact());
        }
        Ok(())
    }
}

/// The call that an instance is serving.
pub(crate) struct Call {
    pub(crate) module: Arc<str>,
    pub(crate) manifest: Arc<ModuleManifest>,
    pub(crate) reader: Arc<dyn FeatureReader>,
    pub(crate) demand: ReadDemand,
    pub(crate) now: EventTime,
    pub(crate) keys_left: u64,
    /// Bytes that one lookup may answer.
    pub(crate) answer_bytes: usize,
    pub(crate) lines_left: u64,
    /// What all calls of this release may log.
    pub(crate) meter: Arc<Meter>,
    /// Whether a lookup was refused or failed: for how much there was of a call, or for what one of its rows asked.
    pub(crate) lookup_refused: bool,
    /// The last lookup that failed through no fault of the guest.
    pub(crate) lookup_failed: Option<ReadError>,
}

/// Links everything that a guest may import.
///
/// # Errors
/// Never in practice: names are linked once.
pub(crate) fn link(linker: &mut wasmtime::component::Linker<Guest>) -> wasmtime::Result<()> {
    macro_rules! link {
        ($($wit:ident),+) => {$(
            $wit::types::add_to_linker::<_, HasSelf<_>>(linker, |guest| guest)?;
            $wit::feature_reader::add_to_linker::<_, HasSelf<_>>(linker, |guest| guest)?;
            $wit::logging::add_to_linker::<_, HasSelf<_>>(linker, |guest| guest)?;
        )+};
    }
    link!(v0_1, v0_2);
    Ok(())
}

impl Guest {
    /// Logs a guest's line, within its bounds.
    pub(crate) fn take_line(&mut self, level: Level, message: &str) {
        if level == Level::ERROR {
            self.last_words = Some(clean(message, WORDS_LEN_MAX));
        }
        let Some(call) = &mut self.call else { return };
        if call.lines_left == 0 {
            return;
        }
        call.lines_left -= 1;
        if !call.meter.admits(Instant::now()) {
            return;
        }
        let line = clean(message, LINE_LEN_MAX);
        let module = &*call.module;
        match level {
            Level::DEBUG => tracing::debug!(target: "littoral::module", module, "{line}"),
            Level::INFO => tracing::info!(target: "littoral::module", module, "{line}"),
            Level::WARN => tracing::warn!(target: "littoral::module", module, "{line}"),
            _ => tracing::error!(target: "littoral::module", module, "{line}"),
        }
        if call.lines_left == 0 {
            tracing::warn!(target: "littoral::module", module, "this call's further lines are dropped");
        }
    }
}

/// Text from a guest, fit for a log or an error: cut, on one line, and without characters that change how others are shown.
pub(crate) fn clean(text: &str, len_max: usize) -> String {
    let mut line = String::with_capacity(text.len().min(len_max));
    for char in text.chars() {
        if line.len() + char.len_utf8() > len_max {
            line.push('…');
            break;
        }
        line.push(if char.is_control() || is_format(char) { ' ' } else { char });
    }
    line
}

/// Whether a character is none that is seen: line and paragraph separators, those that turn the direction of writing or join
/// and hide others, tags.
fn is_format(char: char) -> bool {
    matches!(
        char,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_of_bounded_length() {
        assert_eq!(clean("a\nb\u{1b}[31mc", 100), "a b [31mc");
        assert_eq!(clean("äää", 4), "ää…");
        assert_eq!(clean("paid\u{202e}on\u{2028}not\u{feff}", 100), "paid on not ");
    }
}
