//! What a guest may log.

use crate::support::{Module, config};
use littoral_sandbox::Config;
use std::{
    fmt::{Debug, Write as _},
    sync::{Arc, Mutex},
    time::Instant,
};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

/// Records what modules log.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<String>>>);

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{}={value:?} ", field.name()).unwrap();
    }
}

impl Subscriber for Kept {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "littoral::module"
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(format!("{} ", event.metadata().level()));
        event.record(&mut text);
        self.0.lock().unwrap().push(text.0);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[tokio::test(flavor = "current_thread")]
async fn lines_are_counted_truncated_and_cleaned() {
    let config = Config { log_lines: 5, log_lines_per_second: 8, ..config() };
    let module = Module::start("misbehaving/deeds", config).await;
    let kept = Kept::default();
    let _guard = tracing::subscriber::set_default(kept.clone());
    assert_eq!(module.deed("logs", 100).await, Ok(0.0));
    let lines = std::mem::take(&mut *kept.0.lock().unwrap());
    assert_eq!(lines.len(), 6, "{lines:?}");
    assert!(lines[0].starts_with("WARN ") && lines[0].contains("line 0  [31mxxx"), "{}", lines[0]);
    assert!(lines[0].contains("misbehaving/deeds"), "{}", lines[0]);
    assert!(lines.iter().all(|line| line.len() < 1_200 && !line.contains(['\n', '\u{1b}'])));
    assert!(lines[5].contains("dropping this call's further lines"), "{}", lines[5]);

    let begun = Instant::now();
    for _ in 0..20 {
        assert_eq!(module.deed("logs", 100).await, Ok(0.0));
    }
    // A second may have begun before the calls, and another may end after them.
    let seconds = begun.elapsed().as_secs() as usize + 2;
    let lines = kept.0.lock().unwrap().iter().filter(|line| line.contains("xxx")).count();
    assert!(lines <= 8 * seconds, "{lines} of 100 lines were kept, within {seconds} seconds");
}
