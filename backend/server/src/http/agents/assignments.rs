//! What an agent serves.

use actix_web::{get, web};
use rackhand_store::{agents, connections, endpoints, servers};
use rackhand_wire::{
    api::{
        agent::{AssignedConnection, Assignment},
        endpoint::Endpoint,
        page::{ListQuery, Page},
        problem::Problem,
        server::ServerBrief,
    },
    id::AgentId,
};

use crate::{
    app::App,
    http::{caller::Caller, problem::Refused, query::Query},
};

/// Lists the devices that an agent serves, with the connections that go through it.
#[utoipa::path(tag = "agents", params(("id" = AgentId, Path), ListQuery), responses((status = 200, body = Page<Assignment>),
    (status = 401, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
#[get("/agents/{id}/assignments")]
pub async fn assignments(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<AgentId>,
    query: Query<ListQuery>,
) -> Result<web::Json<Page<Assignment>>, Refused> {
    let agent = agents::get(app.db.reader(), &caller.scope, id.into_inner()).await?;
    let own = format!("agent:{} {}", agent.id, query.0.q.unwrap_or_default());
    let query = ListQuery { q: Some(own), ..query.0 };
    let page = endpoints::list(app.db.reader(), &caller.scope, &query).await?;
    let mut items = Vec::with_capacity(page.items.len());
    for endpoint in page.items {
        items.push(assignment(&app, &caller, &agent, endpoint).await?);
    }
    Ok(web::Json(Page { items, next: page.next }))
}

async fn assignment(
    app: &App,
    caller: &Caller,
    agent: &agents::Agent,
    endpoint: Endpoint,
) -> Result<Assignment, Refused> {
    let is_own = match endpoint.agent_id {
        Some(named) => named == agent.id,
        None => endpoint.agent_group.as_deref().unwrap_or(agents::LOCAL) == agent.group,
    };
    let mut through = Vec::new();
    for connection in connections::of_endpoint(app.db.reader(), endpoint.id).await? {
        let goes_here = match (connection.agent_id, &connection.agent_group) {
            (Some(named), _) => named == agent.id,
            (None, Some(group)) => *group == agent.group,
            (None, None) => is_own,
        };
        if !goes_here {
            continue;
        }
        // A server outside of the caller's scope is none of their business.
        match servers::get(app.db.reader(), &caller.scope, connection.server_id).await {
            Ok(server) => through.push(AssignedConnection {
                id: connection.id,
                label: connection.label,
                server: ServerBrief { id: server.id, name: server.name },
            }),
            Err(rackhand_store::Error::NotFound) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Assignment {
        endpoint_id: endpoint.id,
        name: endpoint.name,
        kind: endpoint.kind,
        address: endpoint.address,
        state: endpoint.status.state,
        connections: through,
    })
}
