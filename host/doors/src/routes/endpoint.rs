//! The endpoints of a door, with what the service must know about each before it answers.

/// The endpoints of a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    FeastRead,
    FeastPush,
    FeastWrite,
    Health,
    Metrics,
    OpenApi,
    Status,
    Ready,
    Fresh,
    Verify,
    Adopt,
    Catalogue,
    Read,
    ListConflicts,
    ReplayConflict,
    ListTails,
    ShowTail,
    MergeTail,
    DropTail,
    ListViews,
    GetView,
    PutView,
    DropView,
    PageRows,
    WriteRows,
    WriteViews,
    ListModules,
    GetModule,
    PutModule,
    DropModule,
    ListServices,
    GetService,
    PutService,
    DropService,
    ListPushSources,
    GetPushSource,
    PutPushSource,
    DropPushSource,
    ListProjects,
    GetProject,
    PutProject,
    DropProject,
}

impl Endpoint {
    /// Whether a small request takes little time. Endpoints that list, render, compile or compare do not.
    pub(crate) fn is_short(self) -> bool {
        self.writes_rows() || matches!(self, Self::FeastRead | Self::Read | Self::Health | Self::Ready | Self::Fresh)
    }

    /// Whether errors have Feast's form.
    pub(crate) fn is_feast(self) -> bool {
        matches!(self, Self::FeastRead | Self::FeastPush | Self::FeastWrite | Self::Health)
    }

    /// Whether the request writes the rows in its body.
    pub(crate) fn writes_rows(self) -> bool {
        matches!(self, Self::FeastPush | Self::FeastWrite | Self::WriteRows | Self::WriteViews)
    }

    /// Whether it concerns the rows of the request's project.
    pub(crate) fn concerns_rows(self) -> bool {
        self.writes_rows() || matches!(self, Self::FeastRead | Self::Read | Self::PageRows)
    }

    /// Whether it concerns the request's project, and not the whole node.
    pub(crate) fn is_in_project(self) -> bool {
        self.concerns_rows()
            || matches!(
                self,
                Self::Catalogue
                    | Self::ListViews
                    | Self::GetView
                    | Self::PutView
                    | Self::DropView
                    | Self::ListModules
                    | Self::GetModule
                    | Self::PutModule
                    | Self::DropModule
                    | Self::ListServices
                    | Self::GetService
                    | Self::PutService
                    | Self::DropService
                    | Self::ListPushSources
                    | Self::GetPushSource
                    | Self::PutPushSource
                    | Self::DropPushSource
            )
    }

    /// Whether the request changes rows, definitions or the node, so that a read-only door rejects it. Lists what does
    /// not, so that an endpoint that is forgotten here is rejected.
    pub(crate) fn changes(self) -> bool {
        let reads = matches!(self, Self::FeastRead | Self::Read | Self::PageRows);
        let lists = matches!(
            self,
            Self::Catalogue
                | Self::ListConflicts
                | Self::ListTails
                | Self::ShowTail
                | Self::ListViews
                | Self::GetView
                | Self::ListModules
                | Self::GetModule
                | Self::ListServices
                | Self::GetService
                | Self::ListPushSources
                | Self::GetPushSource
                | Self::ListProjects
                | Self::GetProject
        );
        !(reads || lists || self.is_vital() || matches!(self, Self::OpenApi | Self::Verify))
    }

    /// Whether operators and routers need the answer while the node is overloaded.
    pub(crate) fn is_vital(self) -> bool {
        matches!(self, Self::Health | Self::Ready | Self::Fresh | Self::Metrics | Self::Status)
    }
}
