//! Every route of a door, with its description.

use super::{Endpoint, Route};
use crate::{openapi::Operation, v1};
use http::Method;
use littoral_api::{
    ChangeReceipt, RowsReceipt,
    conflicts::Conflicts,
    feast::{FeastAnswer, FeastPush, FeastRead, FeastWrite},
    modules::{ModuleInfo, ModulePut, Modules},
    names::{PushSourceBody, PushSources, Service, ServiceBody, Services, Source},
    node::{Catalogue, Fresh, Ready, Status, ViewPut, Views},
    projects::{Project, ProjectBody, Projects},
    read::{Read, ReadAnswer},
    rows::{RowPage, Rows, Writes},
    tails::{Tail, TailPage, Tails},
    view::View,
};
use littoral_columnar::ARROW_STREAM;
use littoral_model::{adoption::OfferedLog, digest::Verification, document::ViewDocument, tail::TailMerged};
use serde_json::json;

/// The search for a route is linear, so the frequent ones are first.
pub(crate) static ROUTES: [Route; 42] = [
    post("/get-online-features", Endpoint::FeastRead, "getOnlineFeatures", |op| {
        op.summary("Reads features by entity, as Feast's feature server does. Ignores the Content-Type.")
            .demand_headers()
            .body::<FeastRead>()
            .answer::<FeastAnswer>("The columns, join keys first.")
            .fresh()
    }),
    post("/v1/read", Endpoint::Read, "read", |op| {
        op.summary("Reads features by entity.")
            .demand_headers()
            .body::<Read>()
            .answer::<ReadAnswer>("The columns: join keys first, then what the request names, in its order.")
            .fresh()
            .problem("412", "`not_fresh_enough`: the demand was not met in time.")
    }),
    post("/push", Endpoint::FeastPush, "push", |op| {
        op.summary("Writes rows into every view of a push source, all or none.")
            .write_headers()
            .body::<FeastPush>()
            .empty_answer("The rows are durable. The body is empty.")
            .reached()
    }),
    post("/write-to-online-store", Endpoint::FeastWrite, "writeToOnlineStore", |op| {
        op.summary("Writes rows into one view, all or none.")
            .write_headers()
            .body::<FeastWrite>()
            .answer::<()>("The rows are durable. The body is `null`.")
            .reached()
    }),
    get("/health", Endpoint::Health, "health", |op| {
        op.summary("Shows that the process runs.").empty_answer("The process runs. The body is empty.")
    }),
    get("/metrics", Endpoint::Metrics, "metrics", |op| {
        op.summary("Returns the metrics of the process, in Prometheus's text format.").answer_as(
            "text/plain",
            json!({ "type": "string" }),
            "The metrics.",
        )
    }),
    get("/v1/openapi.json", Endpoint::OpenApi, "openapi", |op| {
        op.summary("Returns this document.").answer_as(
            "application/json",
            json!({ "type": "object" }),
            "The document, as OpenAPI 3.1.",
        )
    }),
    get("/v1/status", Endpoint::Status, "status", |op| {
        op.summary("Returns the state of the node.").answer::<Status>("The state.")
    }),
    get("/v1/ready", Endpoint::Ready, "ready", |op| {
        op.summary("Shows whether the node may serve: it has data and is not draining.")
            .description(
                "The answer also shows whether the data is fresh and whether the node accepts writes. Neither is a reason to \
                 send reads elsewhere, as no other node may be better.",
            )
            .answer::<Ready>("The node may serve.")
            .problem("503", "The node may not serve. `detail` has the reason.")
    }),
    get("/v1/fresh", Endpoint::Fresh, "fresh", |op| {
        op.summary("Shows whether the data of the node is fresh: at most `fresh_lag_ms_max` behind its leader.")
            .answer::<Fresh>("The data is fresh.")
            .problem("503", "The data is not fresh. `detail` has the reason.")
    }),
    post("/v1/verify", Endpoint::Verify, "verify", |op| {
        op.summary("Compares the rows of an edge with those of its leader, and repairs what differs.")
            .description(
                "The leader computes digests of its views. The edge applies the log up to the record of the digests, compares \
                 them with its own, hashes its rows again to find memory corruption, and compares the rows of resident views \
                 one by one. A leader answers 404.",
            )
            .answer::<Verification>("The result, whether or not something differed.")
    }),
    post("/v1/adopt", Endpoint::Adopt, "adopt", |op| {
        op.summary("Makes an edge adopt the log that it was offered and has rejected.")
            .description(
                "An edge that holds rows of one log follows another log only if that log records that it replaces the first, \
                 or if an operator decides so with this request. The snapshot of the leader then replaces the rows, and the \
                 edge keeps its previous local snapshot beside the new one. The answer is 409 if the edge was offered no other \
                 log, or a different one from `log`.",
            )
            .query(
                "log",
                "The log to adopt, as the edge's own log and its error name it. By default the log that was offered last.",
                json!({ "type": "string" }),
            )
            .answer::<OfferedLog>("The log that the edge follows from now on.")
    }),
    get("/v1/catalogue", Endpoint::Catalogue, "catalogue", |op| {
        op.summary("Returns every view, module, feature service and push source, as of one moment.")
            .answer::<Catalogue<View>>("The catalogue.")
    }),
    get("/v1/conflicts", Endpoint::ListConflicts, "listConflicts", |op| {
        op.summary("Lists conflicts between regions, the newest first, with both values. Send it to a leader.")
            .limit("The largest number of conflicts in the answer.", v1::conflicts::PAGE, v1::conflicts::PAGE_MAX)
            .answer::<Conflicts>("The conflicts.")
    }),
    post("/v1/conflicts/{name}/replay", Endpoint::ReplayConflict, "replayConflict", |op| {
        op.summary("Writes the lost value of a conflict again, as of now, so that it wins. Send it to a leader.")
            .name("The `id` of the conflict.")
            .write_headers()
            .answer::<RowsReceipt>("The row is durable.")
            .reached()
    }),
    get("/v1/tails", Endpoint::ListTails, "listTails", |op| {
        op.summary(
            "Lists detached tails, the oldest first: records that this member alone had and removed from its log, or rows that \
             this edge holds and its leader's log has lost.",
        )
        .description("Send it to a member, or to an edge with a data directory.")
        .answer::<Tails>("The detached tails of the node.")
    }),
    get("/v1/tails/{name}", Endpoint::ShowTail, "showTail", |op| {
        op.summary(
            "Shows the rows and deletions of a detached tail, in order. Send it to the node that keeps the tail.",
        )
        .name("The name of the tail.")
        .query(
            "from",
            "The first record to show. To continue, send the `next` of the previous answer.",
            json!({ "type": "integer", "minimum": 0, "default": 0 }),
        )
        .limit("The largest number of records in the answer.", v1::tails::PAGE, v1::tails::PAGE_MAX)
        .answer::<TailPage>("A page of its records.")
    }),
    delete("/v1/tails/{name}", Endpoint::DropTail, "dropTail", |op| {
        op.summary("Drops a detached tail. Send it to the node that keeps the tail.")
            .name("The name of the tail.")
            .answer::<Tail>("The tail that was dropped.")
    }),
    post("/v1/tails/{name}/merge", Endpoint::MergeTail, "mergeTail", |op| {
        op.summary("Appends the writes of a detached tail to the region's log, under their old versions.")
            .description(
                "The writes rank as if they had arrived late, so they lose against writes made since. The tail is dropped as \
                 soon as all of its writes are durable in the log; until then the request can be repeated. Send it to the node \
                 that keeps the tail.",
            )
            .name("The name of the tail.")
            .answer::<TailMerged>("The writes are durable.")
    }),
    post("/v1/rows", Endpoint::WriteViews, "writeViews", |op| {
        op.summary("Writes and deletes rows of several views, all or none.")
            .write_headers()
            .body::<Writes<'_>>()
            .answer::<RowsReceipt>("The rows are durable.")
            .reached()
    }),
    get("/v1/views", Endpoint::ListViews, "listViews", |op| {
        op.summary("Lists every feature view.").answer::<Views<View>>("The views, by name.")
    }),
    get("/v1/views/{name}", Endpoint::GetView, "getView", |op| {
        op.summary("Returns a feature view.").name(VIEW).answer::<View>("The view.")
    }),
    put("/v1/views/{name}", Endpoint::PutView, "putView", |op| {
        op.summary("Creates a feature view, or adds features to it. No feature may be removed or change its type.")
            .name(VIEW)
            .body::<ViewDocument>()
            .answer::<ViewPut<View>>("The view, and the position of the change in the log.")
    }),
    delete("/v1/views/{name}", Endpoint::DropView, "dropView", |op| {
        op.summary("Drops a feature view with all its rows.").name(VIEW).answer::<ChangeReceipt>(DROPPED)
    }),
    get("/v1/views/{name}/rows", Endpoint::PageRows, "pageRows", |op| {
        op.summary("Lists the rows that the node holds, in the order of their key bytes.")
            .description("For comparisons and browsing: it traverses the whole replica.")
            .name(VIEW)
            .limit("The largest number of rows in the answer.", v1::rows::PAGE_ROWS, v1::rows::PAGE_ROWS_MAX)
            .query("cursor", "The `cursor` of the previous page.", json!({ "type": "string" }))
            .answer::<RowPage>("A page of rows.")
            .problem("409", "`not_held_whole`: the node does not hold every row of the view.")
    }),
    post("/v1/views/{name}/rows", Endpoint::WriteRows, "writeRows", |op| {
        op.summary("Writes and deletes rows of a view, all or none.")
            .name(VIEW)
            .write_headers()
            .body::<Rows<'_>>()
            .body_as(
                ARROW_STREAM,
                json!({
                    "type": "string",
                    "contentMediaType": ARROW_STREAM,
                    "description": "An Arrow IPC stream. Its columns are the join keys, the features and `event_timestamp`.",
                }),
            )
            .answer::<RowsReceipt>("The rows are durable.")
            .reached()
    }),
    get("/v1/modules", Endpoint::ListModules, "listModules", |op| {
        op.summary("Lists every module.").answer::<Modules>("The modules, by name.")
    }),
    get("/v1/modules/{name}", Endpoint::GetModule, "getModule", |op| {
        op.summary("Returns a module.").name(MODULE).answer::<ModuleInfo>("The module.")
    }),
    put("/v1/modules/{name}", Endpoint::PutModule, "putModule", |op| {
        op.summary("Uploads a WebAssembly component, and makes it the current release of the name.")
            .name(MODULE)
            .query("release", "The name of the release.", release(json!({ "required": true })))
            .query(
                "version",
                "The former name of `release`, accepted in its place.",
                release(json!({ "deprecated": true })),
            )
            .query(
                "wait_ms",
                "How long to wait until every connected edge can call the release, in milliseconds. At most 60000.",
                json!({ "type": "integer", "minimum": 0, "default": 0 }),
            )
            .body_as("application/wasm", json!({ "type": "string", "contentMediaType": "application/wasm" }))
            .answer::<ModulePut>("The release.")
    }),
    delete("/v1/modules/{name}", Endpoint::DropModule, "dropModule", |op| {
        op.summary("Drops a module.").name(MODULE).answer::<ChangeReceipt>(DROPPED)
    }),
    get("/v1/services", Endpoint::ListServices, "listServices", |op| {
        op.summary("Lists every feature service.").answer::<Services>("The feature services, by name.")
    }),
    get("/v1/services/{name}", Endpoint::GetService, "getService", |op| {
        op.summary("Returns a feature service.").name(SERVICE).answer::<Service>("The feature service.")
    }),
    put("/v1/services/{name}", Endpoint::PutService, "putService", |op| {
        op.summary(
            "Creates or replaces a feature service. The name in the path counts; a `name` in the body is ignored.",
        )
        .name(SERVICE)
        .body::<ServiceBody>()
        .answer::<ChangeReceipt>(CHANGED)
    }),
    delete("/v1/services/{name}", Endpoint::DropService, "dropService", |op| {
        op.summary("Drops a feature service.").name(SERVICE).answer::<ChangeReceipt>(DROPPED)
    }),
    get("/v1/push-sources", Endpoint::ListPushSources, "listPushSources", |op| {
        op.summary("Lists every push source.").answer::<PushSources>("The push sources, by name.")
    }),
    get("/v1/push-sources/{name}", Endpoint::GetPushSource, "getPushSource", |op| {
        op.summary("Returns a push source.").name(PUSH_SOURCE).answer::<Source>("The push source.")
    }),
    put("/v1/push-sources/{name}", Endpoint::PutPushSource, "putPushSource", |op| {
        op.summary("Creates or replaces a push source. The name in the path counts; a `name` in the body is ignored.")
            .name(PUSH_SOURCE)
            .body::<PushSourceBody>()
            .answer::<ChangeReceipt>(CHANGED)
    }),
    delete("/v1/push-sources/{name}", Endpoint::DropPushSource, "dropPushSource", |op| {
        op.summary("Drops a push source.").name(PUSH_SOURCE).answer::<ChangeReceipt>(DROPPED)
    }),
    get("/v1/projects", Endpoint::ListProjects, "listProjects", |op| {
        op.summary("Lists every project that has a record, whichever project the request names.")
            .description(
                "A request names its project by the path prefix `/p/PROJECT` or by the header `littoral-project`. \
                 Without either, its project is that of the credential, or else `default`.",
            )
            .answer::<Projects>("The projects, by name.")
    }),
    get("/v1/projects/{name}", Endpoint::GetProject, "getProject", |op| {
        op.summary("Returns a project.").name(PROJECT).answer::<Project>("The project.")
    }),
    put("/v1/projects/{name}", Endpoint::PutProject, "putProject", |op| {
        op.summary(
            "Creates or replaces the record of a project. The regions of a project that has views cannot change.",
        )
        .name(PROJECT)
        .body::<ProjectBody>()
        .answer::<ChangeReceipt>(CHANGED)
    }),
    delete("/v1/projects/{name}", Endpoint::DropProject, "dropProject", |op| {
        op.summary("Drops a project that has no definitions.").name(PROJECT).answer::<ChangeReceipt>(DROPPED)
    }),
];

const VIEW: &str = "The name of the view.";
const MODULE: &str = "The name of the module.";
const SERVICE: &str = "The name of the feature service.";
const PROJECT: &str = "The name of the project.";
const PUSH_SOURCE: &str = "The name of the push source.";
const CHANGED: &str = "The position of the change in the log.";
const DROPPED: &str = "It is dropped, at this position of the log.";

type Describe = fn(Operation<'_>) -> Operation<'_>;

const fn get(path: &'static str, endpoint: Endpoint, id: &'static str, describe: Describe) -> Route {
    Route { method: Method::GET, path, endpoint, id, describe }
}

const fn post(path: &'static str, endpoint: Endpoint, id: &'static str, describe: Describe) -> Route {
    Route { method: Method::POST, path, endpoint, id, describe }
}

const fn put(path: &'static str, endpoint: Endpoint, id: &'static str, describe: Describe) -> Route {
    Route { method: Method::PUT, path, endpoint, id, describe }
}

const fn delete(path: &'static str, endpoint: Endpoint, id: &'static str, describe: Describe) -> Route {
    Route { method: Method::DELETE, path, endpoint, id, describe }
}

/// Returns the schema of a release's name, with further members.
fn release(mut schema: serde_json::Value) -> serde_json::Value {
    schema["type"] = "string".into();
    schema["minLength"] = 1.into();
    schema["maxLength"] = v1::names::RELEASE_BYTES_MAX.into();
    schema
}
