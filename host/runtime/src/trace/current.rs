//! The trace context of the running work.

use littoral_model::trace::TraceContext;
use pin_project_lite::pin_project;
use std::{
    cell::RefCell,
    pin::Pin,
    task::{Context, Poll},
};

thread_local! {
    static CURRENT: RefCell<Option<TraceContext>> = const { RefCell::new(None) };
}

pin_project! {
    /// Work that belongs to a trace. See [`within`].
    pub struct Within<F> {
        context: Option<TraceContext>,
        #[pin]
        work: F,
    }
}

/// Returns `work` so that [`current`] is `context` while it runs. With `None`, it changes nothing.
pub fn within<F: Future>(context: Option<TraceContext>, work: F) -> Within<F> {
    Within { context, work }
}

/// Returns the trace context of the running work.
#[must_use]
pub fn current() -> Option<TraceContext> {
    CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
}

/// Does something with the context if the running work belongs to a sampled trace.
pub(super) fn if_sampled<T>(use_it: impl FnOnce(&TraceContext) -> T) -> Option<T> {
    CURRENT.try_with(|current| current.borrow().as_ref().filter(|context| context.sampled).map(use_it)).ok().flatten()
}

/// Restores the former context, also when the work panics.
struct Entered(Option<TraceContext>);

impl Entered {
    fn new(context: TraceContext) -> Self {
        Self(CURRENT.try_with(|current| current.replace(Some(context))).ok().flatten())
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let former = self.0.take();
        let _ = CURRENT.try_with(|current| current.replace(former));
    }
}

/// Runs `work` on this thread with this context.
pub fn within_sync<T>(context: Option<TraceContext>, work: impl FnOnce() -> T) -> T {
    let _entered = context.map(Entered::new);
    work()
}

impl<F: Future> Future for Within<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        match this.context {
            None => this.work.poll(cx),
            Some(context) => {
                let _entered = Entered::new(context.clone());
                this.work.poll(cx)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(digit: char) -> TraceContext {
        let text = format!("00-{}-{}-01", digit.to_string().repeat(32), digit.to_string().repeat(16));
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn concurrent_work_in_one_task_keeps_its_own_context() {
        let step = |digit| {
            within(Some(context(digit)), async move {
                for _ in 0..3 {
                    assert_eq!(current(), Some(context(digit)));
                    let inner = within(Some(context('c')), async { current() });
                    assert_eq!(inner.await, Some(context('c')));
                    tokio::task::yield_now().await;
                }
            })
        };
        tokio::join!(step('a'), step('b'), async {
            tokio::task::yield_now().await;
            assert_eq!(current(), None);
        });
        assert_eq!(within(None, async { current() }).await, None);
    }

    #[test]
    fn a_panic_leaves_no_context_behind() {
        let panicked = std::panic::catch_unwind(|| within_sync(Some(context('a')), || panic!("on purpose")));
        assert!(panicked.is_err() && current().is_none());
    }
}
