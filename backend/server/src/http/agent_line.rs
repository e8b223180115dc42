//! What agents ask of the backend: their identity, and then the control channel.

use actix_web::{Error, HttpRequest, HttpResponse, get, post, web};
use rackhand_store::{Scope, Tx, agent_tokens, agents, now};
use rackhand_wire::{
    agent::enrol::{Enrol, Enrolled},
    api::live::Object,
    id::AgentId,
};
use serde_json::json;
use std::net::IpAddr;

use super::{body::Body, caller::source_ip, people::commit, problem::Refused};
use crate::{
    agents::{OldTls, TlsBinding, serve},
    app::App,
    audit,
    secret::token_hash,
};

/// No message of an agent is larger.
const LARGEST: usize = 1024 * 1024;

/// Gives an agent its first certificate for a single-use token, or for a key that was registered.
#[post("/agent/v1/enrol")]
pub async fn enrol(
    app: web::Data<App>,
    request: HttpRequest,
    body: Body<Enrol>,
) -> Result<HttpResponse, Refused> {
    let Body(ask) = body;
    let source = source_ip(&app, &request);
    // Tokens cannot be guessed, but nobody shall try in peace.
    app.limits.check("agent token", source.as_deref())?;
    let tx = app.db.begin().await?;
    let claimed = match (&ask.token, ask.agent) {
        (Some(token), None) => by_token(&tx, token, source.as_deref()).await,
        (None, Some(agent)) => Ok(agent),
        (Some(_), Some(_)) | (None, None) => Err(Refused::field(
            "token",
            "required",
            "Send the token, or the id of an agent with a registered key.",
        )),
    };
    let id = match claimed {
        Ok(id) => id,
        Err(refused) => {
            app.limits.failed("agent token", source.as_deref())?;
            return Err(refused);
        }
    };
    let made = app.authority.certify(id, &ask.request).map_err(|_| {
        Refused::field(
            "request",
            "not_a_request",
            "This is no certificate request for an Ed25519 or P-256 key.",
        )
    })?;
    if rackhand_agent::sealing::seal(&ask.sealing_key, id, id.0, &[("probe", "")].into_iter().collect())
        .is_none()
    {
        return Err(Refused::field("sealing_key", "not_a_key", "This is no X25519 public key in hex."));
    }
    let agent = agents::get(&tx, &Scope::provider(), id).await.map_err(|_| unknown_key())?;
    if ask.token.is_none() && agents::registered(&tx, id).await? != Some(made.key.clone()) {
        app.limits.failed("agent token", source.as_deref())?;
        return Err(unknown_key());
    }
    agent_tokens::remove_of_agent(&tx, id).await?;
    let identity = agents::Identity {
        key: made.key,
        next_key: None,
        sealing_key: ask.sealing_key,
        certificate_at: made.from,
        certificate_until: made.until,
    };
    agents::identify(&tx, id, identity, &ask.host).await?;
    let object = ("agent", id, agent.name.as_str());
    audit::by_system(
        &tx,
        agent.tenant,
        "agent.enrol",
        object,
        json!({"host": ask.host, "source_ip": source}),
    )
    .await?;
    commit(tx).await?;
    // Whoever had its identity before has it no more.
    app.roster.part(id, rackhand_wire::agent::close::REVOKED);
    app.live.tell(Object::Agent, id);
    Ok(HttpResponse::Created().json(Enrolled { agent: id, name: agent.name, certificate: made.certificate }))
}

fn unknown_key() -> Refused {
    Refused::Forbidden("unknown_key", "No agent is registered with this key.".into())
}

async fn by_token(tx: &Tx, token: &str, source: Option<&str>) -> Result<AgentId, Refused> {
    let refuse = |code, why: &str| Refused::Forbidden(code, why.to_owned());
    let Some(token) = agent_tokens::find(tx, &token_hash(token)).await? else {
        return Err(refuse("unknown_token", "This token was used already, was replaced, or never existed."));
    };
    if token.expires_at <= now() {
        return Err(refuse("token_expired", "This token has expired. Make a new one on the Agents page."));
    }
    let address = source.and_then(|source| source.parse::<IpAddr>().ok());
    let network = token.source.as_deref().and_then(|network| network.parse::<ipnet::IpNet>().ok());
    if token.source.is_some()
        && !network.zip(address).is_some_and(|(network, address)| network.contains(&address))
    {
        let why = format!("This token may be used from {} alone.", token.source.unwrap_or_default());
        return Err(Refused::Forbidden("foreign_source", why));
    }
    Ok(token.agent)
}

/// Opens the control channel of an agent.
#[get("/agent/v1/link")]
pub async fn link(
    app: web::Data<App>,
    request: HttpRequest,
    body: web::Payload,
) -> Result<HttpResponse, Error> {
    if request.conn_data::<OldTls>().is_some() {
        let why = "The agents' channel is served over TLS 1.3 alone.";
        return Err(Refused::Forbidden("old_tls", why.into()).into());
    }
    let (response, socket, stream) = actix_ws::handle(&request, body)?;
    let stream = stream.max_frame_size(LARGEST).aggregate_continuations().max_continuation_size(LARGEST);
    let binding = request.conn_data::<TlsBinding>().copied();
    let source = source_ip(&app, &request);
    actix_web::rt::spawn(serve(app, socket, stream, binding, source));
    Ok(response)
}
