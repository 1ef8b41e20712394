//! Pipelines for tests.

use crate::spec::pipeline::Schedule;
use crate::spec::schedule::{LONGEST_ATTEMPT, Priority, Retry};
use crate::spec::{ConnectionName, Pipeline, PipelineName};

pub(super) fn pipeline(name: &str, schedule: Option<Schedule>) -> Pipeline {
    Pipeline {
        path: format!("{name}.yaml").into(),
        digest: String::new(),
        name: PipelineName::parse(name).unwrap(),
        owner: "o".into(),
        description: String::new(),
        connection: ConnectionName::parse("c").unwrap(),
        store: None,
        streams: Vec::new(),
        schedule,
        retry: Retry::default(),
        timeout: LONGEST_ATTEMPT,
        priority: Priority::default(),
    }
}
