//! The data of one instance: its limits, and the call that it serves.

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

/// The longest logged line, in bytes.
const LINE_LEN_MAX: usize = 1_024;
/// The longest text of a guest in an error, in bytes.
pub(crate) const TEXT_LEN_MAX: usize = 512;

/// The data of a store.
pub(crate) struct Guest {
    pub(crate) limits: Limits,
    pub(crate) call: Option<Call>,
    pub(crate) pace: Pace,
    /// The last line that the guest logged as an error: the reason of a panic.
    pub(crate) last_error: Option<String>,
}

/// The processor time of a guest, and whether the guest was ended for exceeding it.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    pub(crate) deadline: Deadline,
    pub(crate) interrupted: bool,
}

impl Pace {
    /// Checks the deadline.
    ///
    /// # Errors
    /// The trap that ends a guest whose time is used up.
    pub(crate) fn check(&mut self) -> wasmtime::Result<Slice> {
        self.deadline.check(thread_time::exact()).ok_or_else(|| {
            self.interrupted = true;
            Trap::Interrupt.into()
        })
    }

    /// Runs between two steps of the host, which the engine does not interrupt. Once a tick has passed, checks the
    /// deadline and yields to other work.
    ///
    /// # Errors
    /// As [`Pace::check`].
    pub(crate) async fn step(&mut self) -> wasmtime::Result<()> {
        if self.deadline.is_due() {
            let slice = self.check()?;
            tokio::task::yield_now().await;
            slice.begin(thread_time::exact());
        }
        Ok(())
    }
}

/// The call that an instance serves.
pub(crate) struct Call {
    pub(crate) module: Arc<str>,
    pub(crate) manifest: Arc<ModuleManifest>,
    pub(crate) reader: Arc<dyn FeatureReader>,
    pub(crate) demand: ReadDemand,
    pub(crate) now: EventTime,
    pub(crate) keys_left: u64,
    /// The largest answer of one lookup, in bytes.
    pub(crate) answer_bytes: usize,
    pub(crate) lines_left: u64,
    /// What all calls of this release may log.
    pub(crate) meter: Arc<Meter>,
    /// Whether a lookup was rejected or failed, because of a bound of the call or because of one of its rows.
    pub(crate) lookup_rejected: bool,
    /// The last lookup that failed for a reason outside the guest.
    pub(crate) lookup_failed: Option<ReadError>,
}

/// Links everything that a guest may import.
///
/// # Errors
/// Never in practice, because each name is linked once.
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
    pub(crate) fn log_line(&mut self, level: Level, message: &str) {
        if level == Level::ERROR {
            self.last_error = Some(clean(message, TEXT_LEN_MAX));
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
            tracing::warn!(target: "littoral::module", module, "dropping this call's further lines");
        }
    }
}

/// Makes a guest's text fit for a log or an error: truncated, on one line, and without characters that change how
/// others are displayed.
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

/// Returns whether a character is invisible: line and paragraph separators, characters that change the direction of
/// text or join and hide others, tags.
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
    fn a_text_becomes_one_line_of_bounded_length() {
        assert_eq!(clean("a\nb\u{1b}[31mc", 100), "a b [31mc");
        assert_eq!(clean("äää", 4), "ää…");
        assert_eq!(clean("paid\u{202e}on\u{2028}not\u{feff}", 100), "paid on not ");
    }
}
