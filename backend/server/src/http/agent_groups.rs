//! Groups of agents that stand in for one another.

use actix_web::{get, put, web};
use rackhand_store::{agent_groups, agents, page_of};
use rackhand_wire::api::{
    agent::AgentGroup,
    live::Object,
    page::{ListQuery, Page},
    problem::Problem,
};
use uuid::Uuid;

use super::{body::Body, caller::Caller, check::Check, people::commit, problem::Refused, query::Query};
use crate::{app::App, audit};

/// Lists the groups that agents are in.
#[utoipa::path(tag = "agents", params(ListQuery), responses((status = 200, body = Page<AgentGroup>), (status = 401, body = Problem), (status = 422, body = Problem)))]
#[get("/agent-groups")]
pub async fn list_groups(
    app: web::Data<App>,
    caller: Caller,
    query: Query<ListQuery>,
) -> Result<web::Json<Page<AgentGroup>>, Refused> {
    let known = agents::list(app.db.reader(), &caller.scope).await?;
    let all = agent_groups::list(app.db.reader(), &caller.scope, &known).await?;
    // A name stands for one row, so no id is needed to tell two apart.
    Ok(web::Json(page_of(all, &query.0, |group| (&group.name, Uuid::nil()))?))
}

/// Says how the agents of a group share its devices, and in which order.
#[utoipa::path(tag = "agents", params(("name" = String, Path)), request_body = AgentGroup, responses((status = 200, body = AgentGroup),
    (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
#[put("/agent-groups/{name}")]
pub async fn describe_group(
    app: web::Data<App>,
    caller: Caller,
    name: web::Path<String>,
    body: Body<AgentGroup>,
) -> Result<web::Json<AgentGroup>, Refused> {
    let (name, Body(group)) = (name.into_inner(), body);
    let mut check = Check::default();
    if group.name != name {
        check.refuse("name", "mismatch", "It must be the name in the address.");
    }
    let known = agents::list(app.db.reader(), &caller.scope).await?;
    let own: Vec<_> = known.iter().filter(|agent| agent.group == name).map(|agent| agent.id).collect();
    if own.is_empty() {
        return Err(Refused::NotFound);
    }
    if group.members.iter().any(|member| !own.contains(member)) {
        check.refuse("members", "unknown", "An agent of the list is not in this group.");
    }
    check.done()?;
    let tx = app.db.begin().await?;
    agent_groups::describe(&tx, caller.tenant, &group).await?;
    let detail = serde_json::to_value(&group)?;
    let object = ("agent_group", caller.tenant, name.as_str());
    audit::record(&tx, caller.tenant, &caller, "agent_group.change", object, detail).await?;
    let known = agents::list(&tx, &caller.scope).await?;
    let groups = agent_groups::list(&tx, &caller.scope, &known).await?;
    commit(tx).await?;
    for member in own {
        app.live.tell(Object::Agent, member);
    }
    groups.into_iter().find(|found| found.name == name).map(web::Json).ok_or(Refused::NotFound)
}
