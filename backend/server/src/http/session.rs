//! Signing in and out, and the first user.

use actix_web::{
    HttpRequest, HttpResponse,
    cookie::{Cookie, SameSite, time::Duration},
    delete, get, post, web,
};
use rackhand_store::{Tx, audit, sessions, users};
use rackhand_wire::{
    api::{
        live::Object,
        problem::Problem,
        session::{Session, Setup, SetupState, SignIn},
        user::User,
    },
    id::TenantId,
};
use std::sync::PoisonError;
use subtle::ConstantTimeEq;

use super::{
    body::Body,
    caller::{Caller, check_origin, cookie_name, is_localhost, source_ip},
    check::Check,
    problem::{Refused, request_id},
};
use crate::{app::App, secret};

/// Who is signed in.
#[utoipa::path(tag = "session", responses((status = 200, body = Session), (status = 401, body = Problem), (status = 403, body = Problem)))]
#[get("/session")]
pub async fn view(caller: Caller) -> Result<web::Json<Session>, Refused> {
    let Some(session) = caller.session() else {
        return Err(Refused::Forbidden("needs_session", "A token has no session.".into()));
    };
    let (csrf_token, expires_at) = (session.csrf_token.clone(), session.expires_at);
    Ok(web::Json(Session { csrf_token, expires_at, user: caller.user }))
}

/// Signs in.
#[utoipa::path(tag = "session", request_body = SignIn, responses(
    (status = 200, body = Session), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem)))]
#[post("/session")]
pub async fn sign_in(
    app: web::Data<App>,
    request: HttpRequest,
    body: Body<SignIn>,
) -> Result<HttpResponse, Refused> {
    let Body(SignIn { name, password }) = body;
    let source = source_ip(&app, &request);
    let origin = request.headers().get("origin").and_then(|value| value.to_str().ok());
    check_origin(&app, origin)?;
    app.limits.check(&name, source.as_deref())?;
    let account = users::find_by_name(app.db.reader(), &name).await?;
    let hash = account.as_ref().map(|account| account.password_hash.clone());
    let fits = fits(password, hash).await?;
    let account = account.filter(|account| fits && !account.user.disabled);
    let Some(account) = account else {
        app.limits.failed(&name, source.as_deref())?;
        tracing::warn!(user = %name.escape_debug(), source, "sign-in refused");
        return Err(Refused::WrongCredentials);
    };
    // Of many guesses side by side, the right one is not told after too many wrong ones.
    app.limits.check(&name, source.as_deref())?;
    let tx = app.db.begin().await?;
    begin(&app, tx, (account.user, account.tenant), source, "session.begin").await
}

/// Compares a password with a hash, off the threads that answer others.
///
/// # Errors
/// When the server is stopping.
pub async fn fits(password: String, hash: Option<String>) -> Result<bool, Refused> {
    let checked = web::block(move || secret::password_fits(&password, hash.as_deref())).await;
    checked.map_err(|_| Refused::Unavailable)
}

/// Begins a session and commits the transaction of what led to it.
async fn begin(
    app: &App,
    tx: Tx,
    (user, tenant): (User, TenantId),
    source: Option<String>,
    action: &str,
) -> Result<HttpResponse, Refused> {
    let fresh = || secret::fresh_token().map_err(|_| Refused::Internal);
    let (value, csrf) = (fresh()?, fresh()?);
    sessions::prune(&tx).await?;
    let hash = secret::token_hash(&value);
    let session = sessions::add(&tx, (user.id, tenant), hash, csrf.clone(), source.clone()).await?;
    users::seen(&tx, user.id).await?;
    let deed = audit::Deed {
        actor: user.name.clone(),
        source_ip: source,
        action: action.to_owned(),
        object: format!("user/{}", user.id),
        object_name: user.name.clone(),
        request_id: Some(request_id()),
        ..audit::Deed::default()
    };
    audit::append(&tx, tenant, deed).await?;
    tx.commit().await.map_err(rackhand_store::Error::from)?;
    let body = Session { user, csrf_token: csrf, expires_at: session.expires_at };
    Ok(HttpResponse::Ok().cookie(cookie(app, value, sessions::ABSOLUTE.num_seconds())).json(body))
}

fn cookie(app: &App, value: String, seconds: i64) -> Cookie<'static> {
    let secure = app.config.is_https() || is_localhost(&app.config.public_url);
    Cookie::build(cookie_name(app), value)
        .path("/")
        .http_only(true)
        .secure(secure)
        .same_site(SameSite::Lax)
        .max_age(Duration::seconds(seconds))
        .finish()
}

/// Signs out.
#[utoipa::path(tag = "session", responses((status = 204), (status = 401, body = Problem), (status = 403, body = Problem)))]
#[delete("/session")]
pub async fn sign_out(app: web::Data<App>, caller: Caller) -> Result<HttpResponse, Refused> {
    if let Some(session) = caller.session() {
        sessions::remove(app.db.writer(), session.id).await?;
        app.live.tell(Object::Session, session.id);
    }
    Ok(HttpResponse::NoContent().cookie(cookie(&app, String::new(), 0)).finish())
}

/// Whether the first user still has to be made.
#[utoipa::path(tag = "session", responses((status = 200, body = SetupState)))]
#[get("/setup")]
pub async fn setup_state(app: web::Data<App>) -> Result<web::Json<SetupState>, Refused> {
    Ok(web::Json(SetupState { needed: users::is_empty(app.db.reader()).await? }))
}

/// Makes the first user and signs them in.
#[utoipa::path(tag = "session", request_body = Setup, responses(
    (status = 200, body = Session), (status = 400, body = Problem), (status = 403, body = Problem),
    (status = 409, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem)))]
#[post("/setup")]
pub async fn setup(
    app: web::Data<App>,
    request: HttpRequest,
    body: Body<Setup>,
) -> Result<HttpResponse, Refused> {
    let Body(setup) = body;
    let source = source_ip(&app, &request);
    app.limits.check("setup", source.as_deref())?;
    let expected = app.setup_token.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let taken = || Refused::Conflict("set_up", "The first user exists already. Sign in.".into());
    let expected = expected.ok_or_else(taken)?;
    if !bool::from(setup.token.as_bytes().ct_eq(expected.as_bytes())) {
        app.limits.failed("setup", source.as_deref())?;
        let why = "This is not the link that the server printed last.";
        return Err(Refused::Forbidden("wrong_setup_token", why.into()));
    }
    Check::default().name("name", &setup.name).password("password", &setup.password).done()?;
    let password = setup.password;
    let hash = web::block(move || secret::hash_password(&password)).await;
    let hash = hash.map_err(|_| Refused::Unavailable)?.map_err(|_| Refused::Internal)?;
    let tx = app.db.begin().await?;
    if !users::is_empty(&tx).await? {
        return Err(taken());
    }
    let user = users::add(&tx, TenantId::PROVIDER, &setup.name, hash).await?;
    let answer = begin(&app, tx, (user, TenantId::PROVIDER), source, "installation.set_up").await?;
    *app.setup_token.lock().unwrap_or_else(PoisonError::into_inner) = None;
    Ok(answer)
}
