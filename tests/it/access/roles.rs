//! Every operation of the API is for the roles that its permission gives it to, within their scope, and for nobody else.

use std::collections::BTreeMap;

use reqwest::{Method, StatusCode};
use sealift::govern::Permission::{
    AuditRead, DatasetRead, MetricsRead, Pause, PipelinePlan, PipelineRead, PipelineWrite, RunCancel,
    RunRead, RunTrigger,
};
use sealift::govern::token::{self, Terms};
use sealift::govern::{Permission, Role, Scope};
use serde_json::Value;

use crate::serve::world::{Act, World};

/// What each operation asks for; `None` of those that need nobody.
const OPERATIONS: [(&str, Option<Permission>); 24] = [
    ("listPipelines", Some(PipelineRead)),
    ("listProblems", Some(PipelineRead)),
    ("validatePipeline", Some(PipelineWrite)),
    ("showPipeline", Some(PipelineRead)),
    ("registerPipeline", Some(PipelineWrite)),
    ("deletePipeline", Some(PipelineWrite)),
    ("planPipeline", Some(PipelinePlan)),
    ("pausePipeline", Some(Pause)),
    ("resumePipeline", Some(Pause)),
    ("triggerRun", Some(RunTrigger)),
    ("listRuns", Some(RunRead)),
    ("showRun", Some(RunRead)),
    ("cancelRun", Some(RunCancel)),
    ("readRunLog", Some(RunRead)),
    ("followRun", Some(RunRead)),
    ("listDatasets", Some(DatasetRead)),
    ("showDataset", Some(DatasetRead)),
    ("listVersions", Some(DatasetRead)),
    ("readReceipt", Some(DatasetRead)),
    ("showLineage", Some(DatasetRead)),
    ("listAudit", Some(AuditRead)),
    ("readMetrics", Some(MetricsRead)),
    ("showHealth", None),
    ("showReadiness", None),
];
/// What a principal is let in to that is limited to other pipelines: one shows what it may see, the other is about a
/// document that is nobody's yet.
const WITHIN_ANY_SCOPE: [&str; 2] = ["listPipelines", "validatePipeline"];

/// The operations of the document: method and path, by their ids.
fn operations(run_id: &str) -> BTreeMap<String, (Method, String)> {
    let document: Value = serde_json::from_str(&sealift::serve::openapi()).unwrap();
    let mut operations = BTreeMap::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let path = path
            .replace("{name}", "crm")
            .replace("{run_id}", run_id)
            .replace("{dataset}", "crm.people")
            .replace("{version}", "0");
        assert!(!path.contains('{'), "{path}");
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap().to_owned();
            let method = method.to_uppercase().parse().unwrap();
            operations.insert(id, (method, path.clone()));
        }
    }
    operations
}

#[tokio::test]
async fn each_operation_is_for_the_roles_of_its_permission_and_within_their_scope() {
    let world = World::new(&[("crm", Act::Publish)]).await;
    let run_id = world.trigger("crm").await;
    world.over(&run_id).await;
    let operations = operations(&run_id);
    let expected: BTreeMap<&str, Option<Permission>> = OPERATIONS.into_iter().collect();
    assert!(
        operations.keys().eq(expected.keys()),
        "an operation without a permission in this table, or the other way round: {operations:?}"
    );

    let mut tokens = Vec::new();
    for role in Role::ALL {
        let secret = token::create(&world.ledger, "os:0", role.word(), role, None).await.unwrap();
        tokens.push((role, secret));
    }
    let terms = Terms { role: Role::Admin, scope: Scope::of(&["else*"]).unwrap(), expires_at: None };
    let narrow = token::create_with(&world.ledger, "os:0", "narrow", &terms).await.unwrap();
    for (id, (method, path)) in &operations {
        let ask = async |token: Option<&str>| {
            let request = world.request(method.clone(), path);
            token.into_iter().fold(request, |request, token| request.bearer_auth(token)).send().await.unwrap()
        };
        let permission = expected[id.as_str()];
        let open = ask(None).await.status();
        assert_eq!(open == StatusCode::UNAUTHORIZED, permission.is_some(), "{id} without a token: {open}");
        let Some(permission) = permission else { continue };
        for (role, token) in &tokens {
            let answer = ask(Some(token.expose_str().unwrap())).await;
            let status = answer.status();
            let is_for_them = permission.roles().contains(role);
            assert_eq!(status != StatusCode::FORBIDDEN, is_for_them, "{id} of {role}: {status}");
            assert_ne!(status, StatusCode::UNAUTHORIZED, "{id} of {role}");
            if !is_for_them {
                let said: Value = answer.json().await.unwrap();
                assert_eq!(said["type"], "urn:sealift:problem:denied", "{id} of {role}");
            }
        }
        let status = ask(Some(narrow.expose_str().unwrap())).await.status();
        let is_let_in = WITHIN_ANY_SCOPE.contains(&id.as_str());
        assert_eq!(status != StatusCode::FORBIDDEN, is_let_in, "{id} beyond the scope: {status}");
    }
    let listed = world.request(Method::GET, "/v1/pipelines").bearer_auth(narrow.expose_str().unwrap());
    let listed: Value = listed.send().await.unwrap().json().await.unwrap();
    assert_eq!(listed["pipelines"].as_array().map(Vec::len), Some(0), "{listed}");
}
