//! Whether an agent reaches a device.

use actix_web::{HttpResponse, post, web};
use rackhand_store::agents;
use rackhand_wire::{
    api::{agent::ProbeFromAgent, endpoint::TestEndpoint, job::Job, problem::Problem},
    id::AgentId,
};

use crate::{
    app::App,
    http::{body::Body, caller::Caller, endpoints, once::Once, problem::Refused},
};

/// Has an agent try a device, whoever serves it otherwise. The job's `result` is a `TestResult`.
#[utoipa::path(tag = "agents", params(("id" = AgentId, Path)), request_body = ProbeFromAgent, responses((status = 202, body = Job),
    (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    (status = 422, body = Problem)))]
#[post("/agents/{id}/probe")]
pub async fn probe(
    app: web::Data<App>,
    caller: Caller,
    once: Once,
    id: web::Path<AgentId>,
    body: Body<ProbeFromAgent>,
) -> Result<HttpResponse, Refused> {
    let agent = agents::get(app.db.reader(), &caller.scope, id.into_inner()).await?;
    let asked = TestEndpoint {
        endpoint_id: Some(body.0.endpoint_id),
        kind: None,
        agent_id: Some(agent.id),
        agent_group: None,
        params: None,
        secrets: std::collections::BTreeMap::new(),
        target: None,
    };
    endpoints::try_out(app, caller, once, asked, Some(&agent.name)).await
}
