//! A call that several requests share, and what each of them waits for.

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

/// A call with the rows of several requests. Whoever waits for it is told when it is dropped, too.
pub(crate) struct Turn {
    call: ModuleCall,
    /// The rows of each request.
    parts: Vec<Range<usize>>,
    state: Arc<Mutex<State>>,
}

/// What came of the call, and who waits for it.
#[derive(Default)]
struct State {
    /// A place for each part.
    wakers: Vec<Option<Waker>>,
    made: Option<Made>,
}

enum Made {
    /// The outputs, of all parts.
    Outputs(ModuleOutputs),
    /// A fault that all are told of.
    Failed(ModuleError),
    /// One of them may be at fault: the call of each part.
    Apart(Vec<Option<Box<ModuleCall>>>),
}

/// One request's wait for its part.
pub(crate) struct Waits {
    state: Arc<Mutex<State>>,
    at: usize,
    rows: Range<usize>,
}

/// What a request gets that gets no outputs.
pub(crate) enum Ended {
    /// An error that all are told.
    Failed(ModuleError),
    /// Its call, to be made again for it alone.
    Alone(Box<ModuleCall>),
}

// === impl Turn ===

impl Turn {
    /// A turn with the rows of one request.
    pub(crate) fn open(call: &mut ModuleCall) -> (Self, Waits) {
        let (inputs, params) = (std::mem::take(&mut call.inputs), std::mem::take(&mut call.params));
        let own = like(call, 0, inputs, params);
        let mut turn = Self { call: own, parts: Vec::new(), state: Arc::default() };
        let waits = turn.part(call);
        (turn, waits)
    }

    /// Whether a request can be answered by this call: it calls the module by the same name, has the same columns, and looks up
    /// under the same demands.
    pub(crate) fn takes(&self, other: &ModuleCall) -> bool {
        let own = &self.call;
        Arc::ptr_eq(&own.reader, &other.reader)
            && own.name == other.name
            && own.demand == other.demand
            && types(&own.inputs).eq(types(&other.inputs))
            && types(&own.params).eq(types(&other.params))
    }

    /// Takes the rows of a request that it [`Turn::takes`].
    pub(crate) fn add(&mut self, call: &mut ModuleCall) -> Waits {
        let columns = self.call.inputs.iter_mut().chain(&mut self.call.params);
        for (column, further) in columns.zip(call.inputs.iter_mut().chain(&mut call.params)) {
            column.append(further);
        }
        // Expiry is judged once for all, as late as for the latest.
        self.call.now = self.call.now.max(call.now);
        self.part(call)
    }

    fn part(&mut self, call: &ModuleCall) -> Waits {
        let rows = self.call.rows..self.call.rows + call.rows;
        self.call.rows = rows.end;
        self.parts.push(rows.clone());
        Waits { state: self.state.clone(), at: self.parts.len() - 1, rows }
    }

    /// The call with the rows of all.
    pub(crate) fn call(&mut self) -> &mut ModuleCall {
        &mut self.call
    }

    /// How many requests share it.
    pub(crate) fn requests(&self) -> usize {
        self.parts.len()
    }

    /// Tells everyone what came of the call.
    pub(crate) fn end(mut self, made: Result<ModuleOutputs, ModuleError>) {
        let made = match made {
            Ok(outputs) => Made::Outputs(outputs),
            // Overloaded: a call for each would make it worse.
            Err(error @ ModuleError::Busy { .. }) => Made::Failed(error),
            Err(error) if self.requests() <= 1 => Made::Failed(error),
            Err(_) => Made::Apart(self.apart()),
        };
        tell(&self.state, made);
    }

    /// Has everyone call alone.
    pub(crate) fn end_apart(mut self) {
        let apart = Made::Apart(self.apart());
        tell(&self.state, apart);
    }

    /// The call of each part, as they were before they came together.
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

impl Drop for Turn {
    fn drop(&mut self) {
        // Nothing, when it has ended; else this host is about to end.
        tell(&self.state, Made::Failed(ModuleError::NotReady { module: self.call.name.to_string() }));
    }
}

/// A call with other rows.
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

fn tell(state: &Mutex<State>, made: Made) {
    let wakers = {
        let mut state = state.lock();
        if state.made.is_some() {
            return;
        }
        state.made = Some(made);
        std::mem::take(&mut state.wakers)
    };
    wakers.into_iter().flatten().for_each(Waker::wake);
}

fn types(columns: &[Column]) -> impl Iterator<Item = ValueType> {
    columns.iter().map(|column| column.data.value_type())
}

// === impl Waits ===

impl Future for Waits {
    type Output = Result<ModuleOutputs, Ended>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.state.lock();
        let State { wakers, made } = &mut *state;
        Poll::Ready(match made {
            Some(Made::Outputs(outputs)) => Ok(outputs.slice(self.rows.clone())),
            Some(Made::Failed(error)) => Err(Ended::Failed(error.clone())),
            // A future that is done is not asked again.
            Some(Made::Apart(calls)) => match calls[self.at].take() {
                Some(call) => Err(Ended::Alone(call)),
                None => return Poll::Pending,
            },
            None => {
                if wakers.len() <= self.at {
                    wakers.resize(self.at + 1, None);
                }
                match &mut wakers[self.at] {
                    Some(waker) => waker.clone_from(cx.waker()),
                    place => *place = Some(cx.waker().clone()),
                }
                return Poll::Pending;
            }
        })
    }
}
