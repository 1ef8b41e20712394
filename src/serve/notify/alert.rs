//! What an alert says.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

use crate::run::ledger::{EndedRun, State};
use crate::spec::config::Concern;

/// The state of a pipeline that nothing is wrong with.
pub(super) const FINE: &str = "fine";

/// One alert, as a webhook gets it: `type` and `timestamp` as Standard Webhooks has them. Holds names, counts and our
/// own errors; no value of a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Notice {
    /// `pipeline.failed`, `pipeline.held`, `pipeline.quality`, `pipeline.late` or `pipeline.recovered`.
    pub(super) r#type: String,
    /// When it was found, RFC 3339 in UTC.
    pub(super) timestamp: String,
    pub(super) data: Data,
}

/// What an alert is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Data {
    pub(super) pipeline: String,
    /// Who answers for the pipeline.
    pub(super) owner: Option<String>,
    /// What was wrong before, of one that recovered.
    pub(super) was: Option<String>,
    /// When it was due, of one that is late.
    pub(super) due_at: Option<String>,
    pub(super) run: Option<RunTold>,
}

/// The run that an alert is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RunTold {
    pub(super) run_id: String,
    pub(super) trigger: String,
    pub(super) outcome: Option<String>,
    pub(super) error: Option<String>,
    pub(super) quarantined_rows: u64,
    pub(super) finished_at: Option<String>,
}

/// What is wrong after a run; `None` where it says nothing, and `Some(None)` where nothing is.
#[expect(clippy::option_option, reason = "a cancelled run says nothing, a good one says that all is well")]
pub(super) fn concern(ended: &EndedRun) -> Option<Option<Concern>> {
    match ended.run.state {
        State::Succeeded if ended.quarantined > 0 => Some(Some(Concern::Quality)),
        State::Succeeded => Some(None),
        State::Failed if ended.run.outcome.as_deref() == Some("data") => Some(Some(Concern::Quality)),
        State::Failed => Some(Some(Concern::Failed)),
        State::Held => Some(Some(Concern::Held)),
        State::Cancelled | State::Queued | State::Running => None,
    }
}

impl Notice {
    /// Of a run: what is wrong, or that nothing is any more.
    pub(super) fn of_run(ended: &EndedRun, owner: Option<String>, word: &str, was: Option<&str>) -> Self {
        let run = &ended.run;
        let told = RunTold {
            run_id: run.run_id.to_string(),
            trigger: run.trigger.word().to_owned(),
            outcome: run.outcome.clone(),
            error: run.error.clone(),
            quarantined_rows: ended.quarantined,
            finished_at: run.finished_at.map(written),
        };
        Self {
            r#type: format!("pipeline.{word}"),
            timestamp: run.finished_at.map(written).unwrap_or_default(),
            data: Data {
                pipeline: run.pipeline.clone(),
                owner,
                was: was.map(str::to_owned),
                due_at: None,
                run: Some(told),
            },
        }
    }

    /// Of a pipeline that was due at `due_at` and has not succeeded since.
    pub(super) fn late(
        pipeline: &str,
        owner: Option<String>,
        due_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            r#type: format!("pipeline.{}", Concern::Late.word()),
            timestamp: written(now),
            data: Data {
                pipeline: pipeline.to_owned(),
                owner,
                was: None,
                due_at: Some(written(due_at)),
                run: None,
            },
        }
    }

    /// The message.
    pub(super) fn body(&self) -> String {
        // A struct of texts and numbers is always JSON.
        serde_json::to_string(self).unwrap_or_default()
    }

    fn word(&self) -> &str {
        self.r#type.rsplit('.').next().unwrap_or(&self.r#type)
    }

    /// One line for people.
    pub(super) fn subject(&self) -> String {
        let what = match self.word() {
            "failed" => "failed",
            "held" => "is held",
            "quality" => "has rows that broke their contract",
            "late" => "is late",
            _ => "is well again",
        };
        format!("Sealift: {} {what}", self.data.pipeline)
    }

    /// All of it for people.
    pub(super) fn text(&self) -> String {
        let mut lines = vec![self.subject(), String::new()];
        let mut line = |name: &str, value: Option<&str>| {
            if let Some(value) = value {
                lines.push(format!("{name:<12} {value}"));
            }
        };
        let data = &self.data;
        line("pipeline", Some(&data.pipeline));
        line("owner", data.owner.as_deref());
        line("was", data.was.as_deref());
        line("due at", data.due_at.as_deref());
        if let Some(run) = &data.run {
            line("run", Some(&run.run_id));
            line("trigger", Some(&run.trigger));
            line("outcome", run.outcome.as_deref());
            line("finished at", run.finished_at.as_deref());
            let set_aside = run.quarantined_rows.to_string();
            line("quarantined", (run.quarantined_rows > 0).then_some(&set_aside));
        }
        if let Some(error) = data.run.as_ref().and_then(|run| run.error.as_deref()) {
            lines.extend([String::new(), error.to_owned()]);
        }
        lines.push(String::new());
        lines.join("\n")
    }
}

fn written(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_says_what_is_wrong_and_whose_it_is() {
        let due = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let notice = Notice::late("crm", Some("retail-data".into()), due, due);
        assert_eq!(notice.subject(), "Sealift: crm is late");
        let text = notice.text();
        for part in
            ["pipeline     crm\n", "owner        retail-data\n", "due at       2027-01-15T08:00:00.000Z\n"]
        {
            assert!(text.contains(part), "{text}");
        }
        assert_eq!(serde_json::from_str::<Notice>(&notice.body()).unwrap(), notice);
    }
}
