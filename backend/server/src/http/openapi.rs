//! The API's own description.

use actix_web::{HttpResponse, get};
use rackhand_wire::api;
use utoipa::{
    Modify, OpenApi,
    openapi::{
        Content, Header, ObjectBuilder, PathItem, Ref, RefOr, Required, Response, Type,
        path::{Operation, Parameter, ParameterBuilder, ParameterIn},
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::{
    agent_groups, agents, connections, endpoints, kinds, live, people, places, power, record, servers,
    session,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Rackhand",
        description = "Runs a hosting company's fleet. Scripts send `Authorization: Bearer TOKEN`; browsers a \
            cookie and `X-CSRF-Token`. An action answers 202 with a job; `Idempotency-Key` makes a repeated \
            request harmless.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    servers((url = "/api/v1")),
    modifiers(&Ways, &Problems, &Shared),
    security(("token" = []), ("session" = [])),
    components(schemas(api::endpoint::TestResult, api::live::Change)),
    paths(
        session::view, session::sign_in, session::sign_out, session::setup_state, session::setup,
        people::list_users, people::add_user, people::view_user, people::change_user, people::remove_user,
        people::list_tokens, people::add_token, people::view_token, people::remove_token,
        places::list_sites, places::view_site, places::add_site, places::change_site, places::remove_site,
        agent_groups::list_groups, agent_groups::describe_group, agents::list, agents::view, agents::add, agents::change, agents::replace, agents::revoke, agents::remove,
        agents::log, agents::assignments, agents::probe, agents::firewall,
        kinds::list, kinds::suggest,
        servers::list, servers::tally, servers::view, servers::add, servers::change, servers::remove,
        connections::list, connections::add, connections::view, connections::change, connections::remove,
        power::view, power::plan, power::refresh, power::start,
        endpoints::list, endpoints::view, endpoints::add, endpoints::change, endpoints::remove,
        endpoints::outlets, endpoints::test,
        record::list_jobs, record::view_job, record::cancel_job, record::list_events, record::list_audit,
        record::find, record::view_settings, record::change_settings,
        live::live,
    )
)]
struct Document;

struct Ways;

impl Modify for Ways {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.add_security_scheme("token", SecurityScheme::Http(bearer));
        let cookie = ApiKey::Cookie(ApiKeyValue::new("__Host-rackhand"));
        components.add_security_scheme("session", SecurityScheme::ApiKey(cookie));
    }
}

/// Refusals are problems by their media type too: said once, not at every status of every route.
struct Problems;

impl Modify for Problems {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        for item in document.paths.paths.values_mut() {
            for operation in operations(item) {
                for (status, response) in &mut operation.responses.responses {
                    if status.starts_with(['4', '5'])
                        && let RefOr::T(response) = response
                        && let Some(content) = response.content.swap_remove("application/json")
                    {
                        response.content.insert("application/problem+json".into(), content);
                    }
                }
            }
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let all = [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
    all.into_iter().filter_map(Option::as_mut)
}

/// What routes have in common by what they are.
struct Shared;

/// A `POST` takes a key, but for these: who signs in has no name yet under which it could be kept, and a suggestion
/// and a look change nothing.
const KEYLESS: [&str; 4] = ["/session", "/setup", "/kinds/suggest", "/servers/{id}/power/refresh"];

impl Modify for Shared {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        for (path, item) in &mut document.paths.paths {
            if let Some(post) = item.post.as_mut().filter(|_| !KEYLESS.contains(&path.as_str())) {
                post.parameters.get_or_insert_default().push(key().into());
            }
            for operation in operations(item) {
                named(operation);
                if operation.request_body.is_some() {
                    refuses(operation, "413", "The body is larger than 256 KiB.");
                }
                refuses(
                    operation,
                    "503",
                    "Not accepted: the database does not answer, or there are too many connections. Try again.",
                );
                for status in ["201", "202"] {
                    if let Some(RefOr::T(response)) = operation.responses.responses.get_mut(status) {
                        response.headers.insert("Location".into(), location().into());
                    }
                }
            }
        }
    }
}

/// Functions of several modules share a name; what is made from the description wants each once.
fn named(operation: &mut Operation) {
    let tag = operation.tags.iter().flatten().next();
    if let (Some(tag), Some(name)) = (tag, &operation.operation_id) {
        operation.operation_id = Some(format!("{tag}_{name}"));
    }
}

fn key() -> Parameter {
    let text = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(200));
    let why = "Makes it harmless to send the request again: within 24 hours the same key has one effect and one \
               answer. With another request it is 422 `idempotency_key_reused`; where the answer held a secret, \
               a repetition is 409 `shown_once`.";
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(why))
        .schema(Some(text))
        .build()
}

fn location() -> Header {
    let mut header = Header::default();
    header.description = Some("Path of what was made.".into());
    header
}

fn refuses(operation: &mut Operation, status: &str, why: &str) {
    let problem = Content::new(Some(Ref::from_schema_name("Problem")));
    let mut response = Response::new(why);
    response.content.insert("application/problem+json".into(), problem.into());
    operation.responses.responses.insert(status.into(), response.into());
}

/// The description as JSON, the way it is checked in.
///
/// # Errors
/// When it cannot be written, which a test would show.
pub fn document() -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string_pretty(&Document::openapi())?;
    text.push('\n');
    Ok(text)
}

/// Serves the description.
#[get("/api/v1/openapi.json")]
pub async fn raw() -> HttpResponse {
    match document() {
        Ok(text) => HttpResponse::Ok().content_type("application/json").body(text),
        Err(_) => HttpResponse::InternalServerError().finish(),
    }
}

/// Leads to the pages, whose own links need the slash.
#[get("/api/docs")]
pub async fn docs() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header(("location", "/api/docs/")).finish()
}

/// Serves pages to read and try it.
pub fn swagger() -> SwaggerUi {
    SwaggerUi::new("/api/docs/{_:.*}").config(Config::from("/api/v1/openapi.json"))
}
