//! Power: state, plan, action.

use actix_web::{HttpResponse, get, post, web};
use rackhand_domain::power::plan::Refusal;
use rackhand_store::{Tx, connections, events, jobs, queue, servers, users};
use rackhand_wire::{
    PowerAction, PowerValue,
    api::{
        job::{Job, JobKind},
        live::Object,
        power::{PowerPlan, StartPower, Via},
        problem::Problem,
        server::Server,
    },
    id::ServerId,
    power::{PowerFlag, ServerPower},
};
use serde::Deserialize;
use serde_json::json;

use super::{away, body::Body, caller::Caller, check::Check, once::Once, problem::Refused, query::Query};
use crate::{app::App, audit, secret, work};

/// Shows the state of a server and what it rests on.
#[utoipa::path(tag = "power", params(("id" = ServerId, Path)), responses((status = 200, body = ServerPower), (status = 401, body = Problem), (status = 404, body = Problem)))]
#[get("/servers/{id}/power")]
pub async fn view(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<ServerId>,
) -> Result<web::Json<ServerPower>, Refused> {
    let mut server = servers::get(app.db.reader(), &caller.scope, id.into_inner()).await?;
    away::of_paths(&app, &caller, &mut server).await?;
    Ok(web::Json(server.power))
}

/// What is to be planned.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// The action.
    action: PowerAction,
    /// Which paths may be used; automatic when absent.
    #[serde(default)]
    via: Via,
}

/// Says what an action would do now, without doing it.
#[utoipa::path(tag = "power", params(("id" = ServerId, Path), Asked), responses((status = 200, body = PowerPlan),
    (status = 401, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
#[get("/servers/{id}/power/plan")]
pub async fn plan(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<ServerId>,
    query: Query<Asked>,
) -> Result<web::Json<PowerPlan>, Refused> {
    let request = StartPower {
        action: query.0.action,
        via: query.0.via,
        on_if_off: false,
        escalate: false,
        deadline_s: None,
        expires_in_ms: None,
        queue: false,
        confirm_name: None,
        password: None,
        shared_with: Vec::new(),
    };
    let mut blueprint = work::blueprint(&app, &caller.scope, id.into_inner(), &request).await?;
    // A limit that is used up is told beforehand, not when the BMC has been silent for long; but not where it is not
    // all that stands in the way.
    let plan = &blueprint.plan;
    if plan.fallback_refusal.is_none() && plan.outlet_refusal(request.action.into()).is_none() {
        blueprint.plan.fallback_refusal = work::rack_refusal(&app, &blueprint).await?;
    }
    away::of_paths(&app, &caller, &mut blueprint.server).await?;
    Ok(web::Json(work::plan_of(&blueprint)))
}

/// Says whether a job does what is asked for. Once it has begun, it matters no more how long it might have waited.
fn is_same(asked: &StartPower, last: &jobs::Work) -> bool {
    let Ok(known) = serde_json::from_value::<StartPower>(last.request.clone()) else { return false };
    let what = |power: &StartPower| {
        let options = (power.on_if_off, power.escalate, power.deadline_s);
        (power.action, power.via, options, power.shared_with.clone())
    };
    let has_begun = last.job.started_at.is_some();
    !last.job.cancel_requested
        && what(asked) == what(&known)
        && (has_begun || asked.expires_in_ms == known.expires_in_ms)
}

/// Asks for a fresh look at every path of a server. It changes nothing, so it makes no job; `checked_at` tells when
/// it is over.
#[utoipa::path(tag = "power", params(("id" = ServerId, Path)), responses((status = 204), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
#[post("/servers/{id}/power/refresh")]
pub async fn refresh(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<ServerId>,
) -> Result<HttpResponse, Refused> {
    let id = id.into_inner();
    servers::get(app.db.reader(), &caller.scope, id).await?;
    let paths = connections::list(app.db.reader(), &caller.scope, id).await?;
    app.engine.look_now(paths.into_iter().map(|connection| connection.endpoint_id));
    Ok(HttpResponse::NoContent().finish())
}

/// Starts a power action. The same one is joined when it is under way or waits as the last of its server; another one
/// is 409, or waits behind them.
#[utoipa::path(tag = "power", params(("id" = ServerId, Path)), request_body = StartPower, responses((status = 202, body = Job),
    (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem)))]
#[post("/servers/{id}/power")]
pub async fn start(
    app: web::Data<App>,
    caller: Caller,
    once: Once,
    id: web::Path<ServerId>,
    body: Body<StartPower>,
) -> Result<HttpResponse, Refused> {
    let (id, Body(mut asked)) = (id.into_inner(), body);
    let server = servers::get(app.db.reader(), &caller.scope, id).await?;
    // What is typed to confirm is no part of the job.
    let typed = (asked.password.take(), asked.confirm_name.take());
    if let Some(answer) = once.answered(&caller, &asked).await? {
        return Ok(answer);
    }
    times(&asked)?;
    confirmed(&app, &caller, &server, asked.via, typed).await?;
    let blueprint = work::blueprint(&app, &caller.scope, id, &asked).await?;
    let tx = app.db.begin().await?;
    if let Some(answer) = once.replay(&tx, &caller, &asked).await? {
        return Ok(answer);
    }
    sharers(&tx, &caller, &asked).await?;
    if let Some(last) = queue::last(&tx, id).await?.filter(|last| is_same(&asked, last)) {
        let location = Some(format!("/api/v1/jobs/{}", last.job.id));
        return once.commit(tx, &caller, &asked, (202, location, last.job)).await;
    }
    allowed(&blueprint.server, &asked, &blueprint)?;
    let waits = asked.queue && jobs::find_active(&tx, id).await?.is_some();
    let title = format!("{} {}", asked.action.title(), server.name);
    let new = jobs::New {
        tenant: caller.tenant,
        kind: JobKind::Power,
        server: Some(id),
        waits,
        endpoint: None,
        power: Some((asked.action, asked.via)),
        title: if asked.via == Via::Outlets { format!("{title} via PDU") } else { title },
        requested_by: caller.actor(),
        source_ip: caller.source_ip.clone(),
        request: serde_json::to_value(&asked)?,
        node: app.peers.id(),
    };
    let job = jobs::add(&tx, new).await?;
    let detail =
        json!({"job": job.id, "action": asked.action, "via": asked.via, "before": server.power.value});
    let action = format!("server.power.{}", asked.action.code());
    audit::record(&tx, caller.tenant, &caller, &action, ("server", id, &server.name), detail.clone()).await?;
    let by_outlets = blueprint.plan.is_by_outlets() || blueprint.plan.feeds_come_first();
    for other in blueprint.shared_with.iter().filter(|_| by_outlets) {
        // Each server that is switched with this one has it in its own history.
        audit::record(
            &tx,
            caller.tenant,
            &caller,
            &action,
            ("server", other.id, &other.name),
            detail.clone(),
        )
        .await?;
    }
    let event = events::New {
        kind: "job.accepted".into(),
        message: format!("{} was asked for.", job.deed()),
        actor: Some(caller.actor()),
        server: Some((id, server.name.clone())),
        job_id: Some(job.id),
        ..Default::default()
    };
    events::add(&tx, caller.tenant, event).await?;
    let id = job.id;
    // Its time to begin counts from now, whatever becomes of the time of day.
    app.engine.age(id, job.created_at);
    let location = Some(format!("/api/v1/jobs/{id}"));
    let answer = once.commit(tx, &caller, &asked, (202, location, job)).await?;
    if !waits {
        work::launch(&app.clone().into_inner(), id);
    }
    app.live.tell(Object::Job, id);
    app.live.tell(Object::Server, server.id);
    Ok(answer)
}

fn times(asked: &StartPower) -> Result<(), Refused> {
    let mut check = Check::default();
    if let Some(seconds) = asked.deadline_s {
        check.range("deadline_s", seconds, 30, 600);
    }
    if let Some(ms) = asked.expires_in_ms {
        check.range("expires_in_ms", u32::try_from(ms).unwrap_or(u32::MAX), 1000, 24 * 3_600_000);
    }
    check.done()
}

/// Every server that is named as sharing an outlet must be one that the caller may see.
async fn sharers(tx: &Tx, caller: &Caller, asked: &StartPower) -> Result<(), Refused> {
    let known = servers::known(tx, &caller.scope, &asked.shared_with).await?;
    let mut check = Check::default();
    for (at, id) in asked.shared_with.iter().enumerate() {
        if !known.contains(id) {
            check.refuse(&format!("shared_with[{at}]"), "unknown", "There is no such server.");
        }
    }
    check.done()
}

/// Refuses what cannot begin as things stand; what needs a look at the devices is up to the job.
fn allowed(server: &Server, asked: &StartPower, blueprint: &work::Blueprint) -> Result<(), Refused> {
    if server.maintenance {
        return Err(Refused::Conflict("maintenance", "The server is in maintenance.".into()));
    }
    if server.power.flags.contains(&PowerFlag::FirmwareUpdate) {
        return Err(Refused::Conflict("firmware_update", Refusal::firmware_update().sentence));
    }
    if asked.action == PowerAction::Reset
        && server.power.value == PowerValue::Off
        && !asked.on_if_off
        && !blueprint.plan.controllers.is_empty()
    {
        let why = "The server is off, so there is nothing to reset. Use on, or say on_if_off.";
        return Err(Refused::Conflict("server_is_off", why.into()));
    }
    let planned = work::plan_of(blueprint);
    match planned.refusal {
        Some(why) if !(asked.action == PowerAction::Reset && asked.on_if_off) => {
            let code = match blueprint.plan.outlet_refusal(asked.action.into()) {
                Some(refusal) if refusal.sentence == why => known_code(&refusal.code),
                Some(_) | None => "no_path",
            };
            Err(Refused::Conflict(code, why))
        }
        Some(_) | None => Ok(()),
    }
}

fn known_code(code: &str) -> &'static str {
    match code {
        "feeds_incomplete" => "feeds_incomplete",
        "shared_outlet" => "shared_outlet",
        "neighbour_in_maintenance" => "neighbour_in_maintenance",
        "neighbour_busy" => "neighbour_busy",
        "wiring_mismatch" => "wiring_mismatch",
        "maintenance" => "maintenance",
        "firmware_update" => "firmware_update",
        _ => "no_path",
    }
}

/// Forcing by outlets needs the server's name typed, and a person's password again.
async fn confirmed(
    app: &App,
    caller: &Caller,
    server: &Server,
    via: Via,
    (password, name): (Option<String>, Option<String>),
) -> Result<(), Refused> {
    if via == Via::Auto {
        return Ok(());
    }
    if name.as_deref() != Some(server.name.as_str()) {
        let why = format!("Type the server's name, “{}”, to confirm.", server.name);
        return Err(Refused::field("confirm_name", "not_confirmed", why));
    }
    if caller.session().is_none() {
        return Ok(());
    }
    let Some(password) = password.filter(|password| !password.is_empty()) else {
        return Err(Refused::field("password", "required", "Enter your password again."));
    };
    let (name, source) = (caller.user.name.as_str(), caller.source_ip.as_deref());
    app.limits.check(name, source)?;
    let hash = users::get(app.db.reader(), &caller.scope, caller.user.id).await?.password_hash;
    let fits = web::block(move || secret::password_fits(&password, Some(&hash))).await;
    if fits.map_err(|_| Refused::Unavailable)? {
        // Guesses that were made meanwhile count too.
        return app.limits.check(name, source);
    }
    app.limits.failed(name, source)?;
    Err(Refused::field("password", "wrong", "This is not your password."))
}
