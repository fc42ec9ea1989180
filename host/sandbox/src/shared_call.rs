//! A call that several requests share, and the waiter of each request.

use littoral_model::{
    column::Column,
    module_outputs::ModuleOutputs,
    ports::{ModuleCall, ModuleError},
    value::ValueType,
};
use parking_lot::Mutex;
use std::{
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

/// A call with the rows of several requests. Dropping it also ends the waiters.
pub(crate) struct SharedCall {
    call: ModuleCall,
    /// The rows of each request.
    parts: Vec<Range<usize>>,
    state: Arc<Mutex<State>>,
}

/// The result of the call, and the waiters.
#[derive(Default)]
struct State {
    /// A slot for each request.
    wakers: Vec<Option<Waker>>,
    outcome: Option<Outcome>,
}

enum Outcome {
    /// The outputs, of all requests.
    Outputs(ModuleOutputs),
    /// A fault that all requests report.
    Failed(ModuleError),
    /// One request may be the cause: the call of each request.
    Apart(Vec<Option<Box<ModuleCall>>>),
}

/// One request's wait for its rows.
pub(crate) struct Waiter {
    state: Arc<Mutex<State>>,
    at: usize,
    rows: Range<usize>,
}

/// Why a request receives no outputs.
pub(crate) enum Ended {
    /// An error that all requests report.
    Failed(ModuleError),
    /// Its call, to be repeated for this request alone.
    Alone(Box<ModuleCall>),
}

// === impl SharedCall ===

impl SharedCall {
    /// Creates a shared call with the rows of one request.
    pub(crate) fn open(call: &mut ModuleCall) -> (Self, Waiter) {
        let (inputs, params) = (std::mem::take(&mut call.inputs), std::mem::take(&mut call.params));
        let own = like(call, 0, inputs, params);
        let mut shared = Self { call: own, parts: Vec::new(), state: Arc::default() };
        let waiter = shared.add_waiter(call);
        (shared, waiter)
    }

    /// Returns whether this call can answer a request: the request calls the module by the same name, has the same
    /// columns, and looks up under the same freshness demands.
    pub(crate) fn accepts(&self, other: &ModuleCall) -> bool {
        let own = &self.call;
        Arc::ptr_eq(&own.reader, &other.reader)
            && own.name == other.name
            && own.demand == other.demand
            && types(&own.inputs).eq(types(&other.inputs))
            && types(&own.params).eq(types(&other.params))
    }

    /// Adds the rows of a request that this call [accepts](SharedCall::accepts).
    pub(crate) fn add(&mut self, call: &mut ModuleCall) -> Waiter {
        let columns = self.call.inputs.iter_mut().chain(&mut self.call.params);
        for (column, further) in columns.zip(call.inputs.iter_mut().chain(&mut call.params)) {
            column.append(further);
        }
        // Expiry is evaluated once for all requests, at the latest of their times.
        self.call.now = self.call.now.max(call.now);
        self.add_waiter(call)
    }

    fn add_waiter(&mut self, call: &ModuleCall) -> Waiter {
        let rows = self.call.rows..self.call.rows + call.rows;
        self.call.rows = rows.end;
        self.parts.push(rows.clone());
        Waiter { state: self.state.clone(), at: self.parts.len() - 1, rows }
    }

    /// Returns the call with the rows of all requests.
    pub(crate) fn call(&mut self) -> &mut ModuleCall {
        &mut self.call
    }

    /// Returns how many requests share it.
    pub(crate) fn requests(&self) -> usize {
        self.parts.len()
    }

    /// Ends the waiters with the result of the call.
    pub(crate) fn end(mut self, outcome: Result<ModuleOutputs, ModuleError>) {
        let outcome = match outcome {
            Ok(outputs) => Outcome::Outputs(outputs),
            // Overload: a call for each request would make it worse.
            Err(error @ ModuleError::Busy { .. }) => Outcome::Failed(error),
            Err(error) if self.requests() <= 1 => Outcome::Failed(error),
            Err(_) => Outcome::Apart(self.apart()),
        };
        finish(&self.state, outcome);
    }

    /// Lets every request call alone.
    pub(crate) fn end_apart(mut self) {
        let apart = Outcome::Apart(self.apart());
        finish(&self.state, apart);
    }

    /// Splits the call into the calls of the requests.
    fn apart(&mut self) -> Vec<Option<Box<ModuleCall>>> {
        let mut apart = Vec::with_capacity(self.parts.len());
        for rows in self.parts.iter().rev() {
            let take = |columns: &mut Vec<Column>| -> Vec<Column> {
                columns.iter_mut().map(|column| column.split_off(rows.start)).collect()
            };
            let (inputs, params) = (take(&mut self.call.inputs), take(&mut self.call.params));
            apart.push(Some(Box::new(like(&self.call, rows.len(), inputs, params))));
        }
        apart.reverse();
        apart
    }
}

impl Drop for SharedCall {
    fn drop(&mut self) {
        // Does nothing if the call has ended. Otherwise the task was dropped, because the process is about to stop.
        finish(&self.state, Outcome::Failed(ModuleError::NotReady { module: self.call.name.to_string() }));
    }
}

/// Creates a call like `call` with other rows.
fn like(call: &ModuleCall, rows: usize, inputs: Vec<Column>, params: Vec<Column>) -> ModuleCall {
    ModuleCall {
        digest: call.digest,
        name: call.name.clone(),
        rows,
        inputs,
        params,
        reader: call.reader.clone(),
        demand: call.demand.clone(),
        manifest: call.manifest.clone(),
        now: call.now,
    }
}

fn finish(state: &Mutex<State>, outcome: Outcome) {
    let wakers = {
        let mut state = state.lock();
        if state.outcome.is_some() {
            return;
        }
        state.outcome = Some(outcome);
        std::mem::take(&mut state.wakers)
    };
    wakers.into_iter().flatten().for_each(Waker::wake);
}

fn types(columns: &[Column]) -> impl Iterator<Item = ValueType> {
    columns.iter().map(|column| column.data.value_type())
}

// === impl Waiter ===

impl Future for Waiter {
    type Output = Result<ModuleOutputs, Ended>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.state.lock();
        let State { wakers, outcome } = &mut *state;
        Poll::Ready(match outcome {
            Some(Outcome::Outputs(outputs)) => Ok(outputs.slice(self.rows.clone())),
            Some(Outcome::Failed(error)) => Err(Ended::Failed(error.clone())),
            // A completed future is not polled again.
            Some(Outcome::Apart(calls)) => match calls[self.at].take() {
                Some(call) => Err(Ended::Alone(call)),
                None => return Poll::Pending,
            },
            None => {
                if wakers.len() <= self.at {
                    wakers.resize(self.at + 1, None);
                }
                match &mut wakers[self.at] {
                    Some(waker) => waker.clone_from(cx.waker()),
                    slot => *slot = Some(cx.waker().clone()),
                }
                return Poll::Pending;
            }
        })
    }
}
