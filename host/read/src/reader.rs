//! The reader: prepares plans and executes them.

use crate::{
    answer::Answer,
    error::{Error, Kind},
    gather,
    input::Input,
    modules,
    plan::{Cache, Extra, Plan, Prepared, Shape},
    release::ReleaseWait,
    scratch::Scratch,
};
use arc_swap::ArcSwap;
use littoral_model::{
    catalogue::Catalogue,
    event_time::EventTime,
    freshness::ReadDemand,
    parts,
    ports::{FeatureReader, ModuleError, ModuleRuntime},
    read::{ReadAnswer, ReadRequest},
};
use std::sync::Arc;

/// Reads features from a node. `X` is what a door derives once from each plan.
pub struct Reader<X = ()> {
    node: Arc<dyn FeatureReader>,
    modules: Arc<dyn ModuleRuntime>,
    limits: Arc<ArcSwap<Limits>>,
    clock: fn() -> EventTime,
    plans: Cache<X>,
}

/// The bounds of one read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The number of rows.
    pub rows_max: usize,
    /// The number of values: rows times columns of the answer.
    pub values_max: usize,
}

/// A read.
#[derive(Clone, Copy, Debug)]
pub struct Read<'a> {
    /// Its features and its columns.
    pub shape: Shape<'a>,
    /// Its values.
    pub input: Input<'a>,
    /// Its freshness demand.
    pub demand: &'a ReadDemand,
    /// The number of values above which it is not executed, so that the caller can execute it elsewhere.
    pub values_max: usize,
}

/// Waits on behalf of a client, within the bounds of a door.
pub trait Wait: Send {
    /// The errors of the door.
    type Error: From<Error> + Send;

    /// Checks that the client may read what a plan needs, before it is executed. Called again if the plan changes.
    ///
    /// # Errors
    /// What it may not read.
    fn check(&mut self, plan: &Plan, catalogue: &Catalogue) -> Result<(), Self::Error> {
        let _ = (plan, catalogue);
        Ok(())
    }

    /// Waits for a future. The door may reject the wait, and end it when the client leaves.
    fn wait_for<T: Send>(
        &mut self,
        future: impl Future<Output = T> + Send,
    ) -> impl Future<Output = Result<T, Self::Error>> + Send;
}

/// The result of [`Reader::execute`].
pub enum Executed<X> {
    /// The answer.
    Answered(Answer<X>),
    /// The catalogue has changed since the plan was prepared: prepare it again.
    Outdated,
    /// The read has more than [`Read::values_max`] values.
    Large,
    /// A module's release cannot be called here yet.
    ModuleNotReady(ModuleError),
}

impl<X: Extra> Reader<X> {
    /// Creates a reader of `node`. `limits` may change while it reads. `clock` returns the time as of
    /// which TTLs are evaluated.
    pub fn new(
        node: Arc<dyn FeatureReader>,
        modules: Arc<dyn ModuleRuntime>,
        limits: Arc<ArcSwap<Limits>>,
        clock: fn() -> EventTime,
    ) -> Self {
        Self { node, modules, limits, clock, plans: Cache::default() }
    }

    /// Reads features. Returns `None` if the read has more than [`Read::values_max`] values.
    ///
    /// # Errors
    /// [`Error`], and the errors of `wait`.
    pub async fn read<W: Wait>(&self, read: &Read<'_>, wait: &mut W) -> Result<Option<Answer<X>>, W::Error> {
        if !read.demand.is_none() {
            self.meet(read.demand, wait).await?;
        }
        let releases = ReleaseWait::new(read.demand);
        loop {
            let prepared = self.prepare(&read.shape).await?;
            wait.check(&prepared.plan, &prepared.catalogue)?;
            if releases.waits_for_newer(&*self.node, &prepared.plan).await? {
                continue;
            }
            match self.execute(&prepared, read, wait).await? {
                Executed::Answered(answer) => return Ok(Some(answer)),
                Executed::Large => return Ok(None),
                Executed::Outdated => {}
                // Its release is being compiled here.
                Executed::ModuleNotReady(error) => {
                    if !releases.waits_for_first().await {
                        return Err(Error::from(error).into());
                    }
                }
            }
        }
    }

    /// Returns the plan of a shape under the node's catalogue.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn prepare(&self, shape: &Shape<'_>) -> Result<Arc<Prepared<X>>, Error> {
        loop {
            let catalogue = self.node.catalogue();
            match self.plans.plan(&catalogue, shape) {
                Ok(prepared) => return Ok(prepared),
                Err(error) => {
                    // A node without data has no names either. This check comes before the comparison of catalogues,
                    // because the catalogue arrives before the data.
                    let error = self.or_not_ready(error).await;
                    if self.node.is_catalogue(&catalogue) {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// Executes a plan that [`Reader::prepare`] returned for the shape of the read. Does not wait for the demand to be
    /// met before it checks names; [`Reader::read`] does.
    ///
    /// # Errors
    /// [`Error`], and the errors of `wait`.
    pub async fn execute<W: Wait>(
        &self,
        prepared: &Arc<Prepared<X>>,
        read: &Read<'_>,
        wait: &mut W,
    ) -> Result<Executed<X>, W::Error> {
        let plan = &prepared.plan;
        let rows = read.input.rows(plan)?;
        self.check_size(rows, plan)?;
        if rows.saturating_mul(plan.outputs.len()) > read.values_max {
            return Ok(Executed::Large);
        }
        let now = (self.clock)();
        let mut scratch = Scratch::take();
        scratch.request.demand = read.demand.clone();
        gather::keys(plan, &read.input, rows, &mut scratch.request)?;
        let waits = !read.demand.is_none();
        if plan.lookups.iter().any(|lookup| lookup.combines) {
            let rows = parts::read(&*self.node, &scratch.request, now, &mut scratch.answer);
            let read = if waits { wait.wait_for(rows).await? } else { rows.await };
            read.map_err(Error::from)?;
        // The replica nearly always holds the rows. Only other reads need a boxed future.
        } else if !self.node.read_local(&scratch.request, &mut scratch.answer) {
            let rows = self.node.read(&scratch.request);
            let read = if waits { wait.wait_for(rows).await? } else { rows.await };
            scratch.answer = read.map_err(Error::from)?;
        }
        if !self.node.is_catalogue(&prepared.catalogue) {
            return Ok(Executed::Outdated);
        }
        scratch.evaluate(plan, rows, now);
        let made = match plan.calls.is_empty() {
            true => Vec::new(),
            false => {
                match modules::call(&self.node, &*self.modules, plan, &read.input, rows, &mut scratch, now).await {
                    Ok(made) => made,
                    // The release of the plan was replaced since.
                    Err(Error::Module(ModuleError::NotReady { .. }))
                        if !self.node.is_catalogue(&prepared.catalogue) =>
                    {
                        return Ok(Executed::Outdated);
                    }
                    Err(Error::Module(error @ ModuleError::NotReady { .. })) => {
                        return Ok(Executed::ModuleNotReady(error));
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        };
        Ok(Executed::Answered(Answer { prepared: prepared.clone(), rows, now, scratch, made }))
    }

    /// Waits until the demand is met, before names are resolved: the replica may lack the view, service or release that
    /// the token stands for.
    async fn meet<W: Wait>(&self, demand: &ReadDemand, wait: &mut W) -> Result<(), W::Error> {
        let nothing = ReadRequest { reads: Vec::new(), demand: demand.clone() };
        if !self.node.read_local(&nothing, &mut ReadAnswer::default()) {
            wait.wait_for(self.node.read(&nothing)).await?.map_err(Error::from)?;
        }
        Ok(())
    }

    /// Replaces the error about an unknown name if the node has no data yet, as that is not the client's fault.
    async fn or_not_ready(&self, error: Error) -> Error {
        let nothing = ReadRequest::default();
        if !error.is_unknown_name() || self.node.read_local(&nothing, &mut ReadAnswer::default()) {
            return error;
        }
        self.node.read(&nothing).await.err().map_or(error, Error::from)
    }

    fn check_size(&self, rows: usize, plan: &Plan) -> Result<(), Error> {
        let (Limits { rows_max, values_max }, columns) = (**self.limits.load(), plan.outputs.len());
        if rows > rows_max {
            let message = format!("the read has {rows} rows; at most {rows_max} are allowed");
            return Err(Error::request(Kind::TooLarge, message));
        }
        if rows.saturating_mul(columns) > values_max {
            let message =
                format!("the read has {rows} rows of {columns} columns; at most {values_max} values are allowed");
            return Err(Error::request(Kind::TooLarge, message));
        }
        Ok(())
    }
}
