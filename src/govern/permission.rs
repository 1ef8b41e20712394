//! What each role may do, in one table: `docs/access.md` shows it. What is not in it, nobody may.

use std::fmt;

use crate::spec::Role;
use crate::spec::Role::{Admin, Auditor, Engineer, Infosec, Scheduler};

/// One thing that can be asked of the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Permission {
    /// To list and show pipelines and their schedule.
    PipelineRead,
    /// To have a plan made, for which the source is connected to.
    PipelinePlan,
    /// To register, change and remove pipelines.
    PipelineWrite,
    /// To list and show runs, with their events and logs.
    RunRead,
    /// To ask for a run.
    RunTrigger,
    /// To stop a run.
    RunCancel,
    /// To hold back the runs of a pipeline, and to let them go on.
    Pause,
    /// To read what is known of datasets: columns, versions, receipts, lineage. Not their rows.
    DatasetRead,
    /// To read the metrics, which name pipelines and datasets.
    MetricsRead,
    /// To read the audit trail.
    AuditRead,
}

impl Permission {
    /// Every permission.
    pub const ALL: [Self; 10] = [
        Self::PipelineRead,
        Self::PipelinePlan,
        Self::PipelineWrite,
        Self::RunRead,
        Self::RunTrigger,
        Self::RunCancel,
        Self::Pause,
        Self::DatasetRead,
        Self::MetricsRead,
        Self::AuditRead,
    ];

    /// The word it is called by, in documents and in the audit trail.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::PipelineRead => "pipeline.read",
            Self::PipelinePlan => "pipeline.plan",
            Self::PipelineWrite => "pipeline.write",
            Self::RunRead => "run.read",
            Self::RunTrigger => "run.trigger",
            Self::RunCancel => "run.cancel",
            Self::Pause => "pause",
            Self::DatasetRead => "dataset.read",
            Self::MetricsRead => "metrics.read",
            Self::AuditRead => "audit.read",
        }
    }

    /// The roles that have it.
    #[must_use]
    pub const fn roles(self) -> &'static [Role] {
        match self {
            Self::PipelineRead | Self::RunRead | Self::DatasetRead => &Role::ALL,
            Self::PipelinePlan => &[Engineer, Infosec, Admin],
            Self::PipelineWrite => &[Engineer, Admin],
            Self::RunTrigger | Self::RunCancel | Self::Pause => &[Engineer, Scheduler, Admin],
            Self::MetricsRead => &[Engineer, Scheduler, Infosec, Auditor, Admin],
            Self::AuditRead => &[Infosec, Auditor, Admin],
        }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Role::Modeler;

    #[test]
    fn the_page_on_access_shows_this_table() {
        let page = include_str!("../../docs/access.md");
        for permission in Permission::ALL {
            let cells =
                Role::ALL.map(|role| if permission.roles().contains(&role) { "yes" } else { "" }).join(" | ");
            let start = format!("| `{permission}` |");
            let row = page.lines().find(|line| line.starts_with(&start)).unwrap_or_else(|| panic!("{start}"));
            let shown: Vec<&str> = row.trim_matches('|').split('|').skip(2).map(str::trim).collect();
            assert_eq!(shown.join(" | "), cells, "{permission}");
        }
        let rows = page.lines().filter(|line| line.starts_with("| `") && line.contains(".read` |")).count();
        assert_eq!(rows, Permission::ALL.iter().filter(|p| p.word().ends_with(".read")).count());
    }

    #[test]
    fn an_admin_may_do_everything_and_a_modeler_changes_nothing() {
        for permission in Permission::ALL {
            assert!(permission.roles().contains(&Admin), "{permission}");
            assert_eq!(
                permission.roles().contains(&Modeler),
                permission.word().ends_with(".read")
                    && !matches!(permission, Permission::AuditRead | Permission::MetricsRead),
                "{permission}"
            );
        }
    }
}
