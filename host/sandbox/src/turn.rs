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
    parts: Vec<Part>,
    state: Arc<Mutex<State>>,
}

/// What is one request's.
struct Part {
    name: Arc<str>,
    rows: Range<usize>,
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
    Outputs(Arc<Vec<Column>>),
    /// A fault that is nobody's own; each part is told under its name.
    Failed(Box<dyn Fn(&str) -> ModuleError + Send>),
    /// One of them may be at fault: the call of each part.
    Apart(Vec<Option<Box<ModuleCall>>>),
}

/// One request's wait for its part.
pub(crate) struct Waits {
    state: Arc<Mutex<State>>,
    at: usize,
    name: Arc<str>,
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
        let own = ModuleCall {
            digest: call.digest,
            name: call.name.clone(),
            rows: 0,
            inputs: std::mem::take(&mut call.inputs),
            params: std::mem::take(&mut call.params),
            reader: call.reader.clone(),
            demand: call.demand.clone(),
            manifest: call.manifest.clone(),
            now: call.now,
        };
        let mut turn = Self { call: own, parts: Vec::new(), state: Arc::default() };
        let waits = turn.part(call);
        (turn, waits)
    }

    /// Whether a request can be answered by this call: it has the same columns and looks up under the same demands.
    pub(crate) fn takes(&self, other: &ModuleCall) -> bool {
        let own = &self.call;
        Arc::ptr_eq(&own.reader, &other.reader)
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
        let (at, name) = (self.parts.len(), call.name.clone());
        self.parts.push(Part { name: name.clone(), rows: rows.clone() });
        Waits { state: self.state.clone(), at, name, rows }
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
    pub(crate) fn end(mut self, made: Result<Vec<Column>, ModuleError>) {
        let made = match made {
            Ok(columns) => Made::Outputs(Arc::new(columns)),
            // Overloaded: a call for each would make it worse.
            Err(ModuleError::Busy { limit, .. }) => {
                Made::Failed(Box::new(move |name| ModuleError::Busy { module: name.to_owned(), limit }))
            }
            Err(error) if self.requests() <= 1 => Made::Failed(Box::new(move |_| error.clone())),
            Err(_) => Made::Apart(self.apart()),
        };
        tell(&self.state, made);
    }

    /// The call of each part, as they were before they came together.
    fn apart(&mut self) -> Vec<Option<Box<ModuleCall>>> {
        let call = &mut self.call;
        let mut apart: Vec<_> = (self.parts.iter().rev())
            .map(|part| {
                let mut take = |columns: fn(&mut ModuleCall) -> &mut Vec<Column>| -> Vec<Column> {
                    columns(call).iter_mut().map(|column| column.split_off(part.rows.start)).collect()
                };
                let (inputs, params) = (take(|call| &mut call.inputs), take(|call| &mut call.params));
                Some(Box::new(ModuleCall {
                    digest: call.digest,
                    name: part.name.clone(),
                    rows: part.rows.len(),
                    inputs,
                    params,
                    reader: call.reader.clone(),
                    demand: call.demand.clone(),
                    manifest: call.manifest.clone(),
                    now: call.now,
                }))
            })
            .collect();
        apart.reverse();
        apart
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Nothing, when it has ended; else this host is about to end.
        tell(&self.state, Made::Failed(Box::new(|name| ModuleError::NotReady { module: name.to_owned() })));
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
            Some(Made::Outputs(columns)) => Ok(ModuleOutputs::new(columns.clone(), self.rows.clone())),
            Some(Made::Failed(error)) => Err(Ended::Failed(error(&self.name))),
            Some(Made::Apart(calls)) => Err(match calls.get_mut(self.at).and_then(Option::take) {
                Some(call) => Ended::Alone(call),
                None => Ended::Failed(ModuleError::NotReady { module: self.name.to_string() }),
            }),
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
