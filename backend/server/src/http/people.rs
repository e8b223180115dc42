//! Users and tokens.

use actix_web::{HttpResponse, delete, get, patch, post, web};
use chrono::TimeDelta;
use rackhand_store::{Tx, now, page_of, sessions, tokens, users};
use rackhand_wire::{
    api::{
        live::Object,
        page::{ListQuery, Page},
        problem::Problem,
        token::{AddToken, NewToken, Token},
        user::{AddUser, ChangeUser, User},
    },
    id::{TokenId, UserId},
};
use serde_json::json;

use super::{body::Body, caller::Caller, check::Check, once::Once, problem::Refused, query::Query, session};
use crate::{app::App, audit, secret};

/// Lists users.
#[utoipa::path(tag = "users", params(ListQuery), responses((status = 200, body = Page<User>), (status = 401, body = Problem), (status = 422, body = Problem)))]
#[get("/users")]
pub async fn list_users(
    app: web::Data<App>,
    caller: Caller,
    query: Query<ListQuery>,
) -> Result<web::Json<Page<User>>, Refused> {
    let all = users::list(app.db.reader(), &caller.scope).await?;
    Ok(web::Json(page_of(all, &query.0, |user| (&user.name, user.id.0))?))
}

/// Adds a user.
#[utoipa::path(tag = "users", request_body = AddUser, responses((status = 201, body = User), (status = 400, body = Problem),
    (status = 401, body = Problem), (status = 403, body = Problem), (status = 422, body = Problem)))]
#[post("/users")]
pub async fn add_user(
    app: web::Data<App>,
    caller: Caller,
    once: Once,
    body: Body<AddUser>,
) -> Result<HttpResponse, Refused> {
    let Body(new) = body;
    Check::default().name("name", &new.name).password("password", &new.password).done()?;
    let hash = hashed(new.password.clone()).await?;
    let tx = app.db.begin().await?;
    if let Some(answer) = once.replay(&tx, &caller, &new).await? {
        return Ok(answer);
    }
    let user = users::add(&tx, caller.tenant, &new.name, hash).await?;
    audit::record(&tx, caller.tenant, &caller, "user.add", ("user", user.id, &user.name), json!({})).await?;
    let location = Some(format!("/api/v1/users/{}", user.id));
    once.commit(tx, &caller, &new, (201, location, user)).await
}

/// Shows one user.
#[utoipa::path(tag = "users", params(("id" = UserId, Path)), responses((status = 200, body = User), (status = 401, body = Problem), (status = 404, body = Problem)))]
#[get("/users/{id}")]
pub async fn view_user(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<UserId>,
) -> Result<web::Json<User>, Refused> {
    Ok(web::Json(users::get(app.db.reader(), &caller.scope, id.into_inner()).await?.user))
}

/// Changes a user. A new password or disabling ends the user's sessions; disabling ends tokens too.
#[utoipa::path(tag = "users", params(("id" = UserId, Path)), request_body = ChangeUser, responses((status = 200, body = User),
    (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem)))]
#[patch("/users/{id}")]
pub async fn change_user(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<UserId>,
    body: Body<ChangeUser>,
) -> Result<web::Json<User>, Refused> {
    let (id, Body(change)) = (id.into_inner(), body);
    let mut check = Check::default();
    if let Some(name) = &change.name {
        check.name("name", name);
    }
    if let Some(password) = &change.password {
        check.password("password", password);
    }
    check.done()?;
    if id == caller.user.id && change.disabled == Some(true) {
        return Err(Refused::Conflict("own_account", "You cannot disable your own account.".into()));
    }
    if id == caller.user.id && change.password.is_some() {
        confirmed(&app, &caller, change.current_password.clone()).await?;
    }
    let password_hash = match change.password.clone() {
        Some(password) => Some(hashed(password).await?),
        None => None,
    };
    let detail =
        json!({"name": change.name, "disabled": change.disabled, "password": change.password.is_some()});
    let ends = change.password.is_some() || change.disabled == Some(true);
    let tx = app.db.begin().await?;
    let values = users::Change { name: change.name, password_hash, disabled: change.disabled };
    let user = users::change(&tx, &caller.scope, id, values).await?;
    if ends {
        let own = caller.session().filter(|session| session.user == id).map(|session| session.id);
        sessions::remove_of_user(&tx, id, own).await?;
    }
    if user.disabled {
        tokens::remove_of_user(&tx, id).await?;
    }
    audit::record(&tx, caller.tenant, &caller, "user.change", ("user", id, &user.name), detail).await?;
    commit(tx).await?;
    if ends {
        app.live.tell(Object::Session, id);
    }
    Ok(web::Json(user))
}

/// Whoever finds an open page or a token must not be able to lock its owner out.
async fn confirmed(app: &App, caller: &Caller, current: Option<String>) -> Result<(), Refused> {
    if caller.session().is_none() {
        let why = "A token cannot change the password of its user. Sign in to change it.";
        return Err(Refused::Forbidden("needs_session", why.into()));
    }
    let Some(current) = current.filter(|current| !current.is_empty()) else {
        return Err(Refused::field("current_password", "required", "Enter your present password."));
    };
    let (name, source) = (caller.user.name.as_str(), caller.source_ip.as_deref());
    app.limits.check(name, source)?;
    let hash = users::get(app.db.reader(), &caller.scope, caller.user.id).await?.password_hash;
    if session::fits(current, Some(hash)).await? {
        app.limits.check(name, source)
    } else {
        app.limits.failed(name, source)?;
        Err(Refused::field("current_password", "wrong", "This is not your password."))
    }
}

/// Removes a user with all sessions and tokens.
#[utoipa::path(tag = "users", params(("id" = UserId, Path)), responses((status = 204), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
#[delete("/users/{id}")]
pub async fn remove_user(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<UserId>,
) -> Result<HttpResponse, Refused> {
    let id = id.into_inner();
    if id == caller.user.id {
        return Err(Refused::Conflict("own_account", "You cannot remove your own account.".into()));
    }
    let tx = app.db.begin().await?;
    let user = users::get(&tx, &caller.scope, id).await?.user;
    sessions::remove_of_user(&tx, id, None).await?;
    tokens::remove_of_user(&tx, id).await?;
    users::remove(&tx, &caller.scope, id).await?;
    audit::record(&tx, caller.tenant, &caller, "user.remove", ("user", id, &user.name), json!({})).await?;
    commit(tx).await?;
    app.live.tell(Object::Session, id);
    Ok(HttpResponse::NoContent().finish())
}

/// Lists one's own tokens.
#[utoipa::path(tag = "tokens", params(ListQuery), responses((status = 200, body = Page<Token>), (status = 401, body = Problem), (status = 422, body = Problem)))]
#[get("/tokens")]
pub async fn list_tokens(
    app: web::Data<App>,
    caller: Caller,
    query: Query<ListQuery>,
) -> Result<web::Json<Page<Token>>, Refused> {
    let all = tokens::list(app.db.reader(), &caller.scope, caller.user.id).await?;
    Ok(web::Json(page_of(all, &query.0, |token| (&token.name, token.id.0))?))
}

/// Shows one of one's own tokens, without its value.
#[utoipa::path(tag = "tokens", params(("id" = TokenId, Path)), responses((status = 200, body = Token), (status = 401, body = Problem), (status = 404, body = Problem)))]
#[get("/tokens/{id}")]
pub async fn view_token(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<TokenId>,
) -> Result<web::Json<Token>, Refused> {
    let token = tokens::get(app.db.reader(), &caller.scope, caller.user.id, id.into_inner()).await?;
    Ok(web::Json(token))
}

/// Makes a token for oneself; its value is shown this once.
#[utoipa::path(tag = "tokens", request_body = AddToken, responses((status = 201, body = NewToken), (status = 400, body = Problem),
    (status = 401, body = Problem), (status = 403, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
#[post("/tokens")]
pub async fn add_token(
    app: web::Data<App>,
    caller: Caller,
    once: Once,
    body: Body<AddToken>,
) -> Result<HttpResponse, Refused> {
    let Body(new) = body;
    let mut check = Check::default();
    check.name("name", &new.name);
    if let Some(days) = new.expires_in_days {
        check.range("expires_in_days", days, 1, 3650);
    }
    check.done()?;
    let tx = app.db.begin().await?;
    once.replay(&tx, &caller, &new).await?;
    once.note(&tx, &caller, &new).await?;
    let made = make_token(&tx, &caller.user, caller.tenant, new).await?;
    let (id, name) = (made.token.id, made.token.name.clone());
    audit::record(&tx, caller.tenant, &caller, "token.add", ("token", id, &name), json!({})).await?;
    commit(tx).await?;
    let location = ("location", format!("/api/v1/tokens/{id}"));
    Ok(HttpResponse::Created().insert_header(location).json(made))
}

/// Makes a token; also used by the command line.
///
/// # Errors
/// When the database fails.
pub async fn make_token(
    tx: &Tx,
    user: &User,
    tenant: rackhand_wire::id::TenantId,
    new: AddToken,
) -> Result<NewToken, Refused> {
    let random = secret::fresh_token().map_err(|_| Refused::Internal)?;
    let value = format!("rh_{random}");
    let prefix: String = value.chars().take(9).collect();
    let expires_at = new.expires_in_days.map(|days| now() + TimeDelta::days(days.into()));
    let secret_hash = secret::token_hash(&value);
    let new = tokens::New { user: user.id, tenant, name: new.name, prefix, secret_hash, expires_at };
    Ok(NewToken { token: tokens::add(tx, new).await?, value })
}

/// Ends a token of one's own.
#[utoipa::path(tag = "tokens", params(("id" = TokenId, Path)), responses((status = 204), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 404, body = Problem)))]
#[delete("/tokens/{id}")]
pub async fn remove_token(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<TokenId>,
) -> Result<HttpResponse, Refused> {
    let tx = app.db.begin().await?;
    let token = tokens::remove(&tx, &caller.scope, caller.user.id, id.into_inner()).await?;
    let object = ("token", token.id, token.name.as_str());
    audit::record(&tx, caller.tenant, &caller, "token.remove", object, json!({})).await?;
    commit(tx).await?;
    app.live.tell(Object::Session, token.id);
    Ok(HttpResponse::NoContent().finish())
}

async fn hashed(password: String) -> Result<String, Refused> {
    let hash = web::block(move || secret::hash_password(&password)).await;
    hash.map_err(|_| Refused::Unavailable)?.map_err(|_| Refused::Internal)
}

/// Commits, or says that it was not accepted.
///
/// # Errors
/// When the database fails.
pub async fn commit(tx: Tx) -> Result<(), Refused> {
    tx.commit().await.map_err(|error| rackhand_store::Error::from(error).into())
}
