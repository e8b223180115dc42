//! Calls of the REST API: JSON in, JSON or a problem out.

use std::cell::RefCell;

use gloo_net::http::{Method, RequestBuilder, Response};
use leptos::prelude::{StoredValue, UpdateValue};
use rackhand_wire::api::problem::Problem;
use serde::{Serialize, de::DeserializeOwned};

use crate::{json, session};

/// Path prefix of every call.
const BASE: &str = "/api/v1/";

thread_local! {
    static CSRF: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Remembers the token that proves that a changing request comes from this page.
pub fn set_csrf(token: &str) {
    CSRF.with_borrow_mut(|slot| token.clone_into(slot));
}

/// Reads `path`, relative to the API, as text.
pub async fn get_text(path: String) -> Result<String, Problem> {
    send(Method::GET, path, None, None).await
}

/// Reads `path`, relative to the API.
pub async fn get<T: DeserializeOwned>(path: &str) -> Result<T, Problem> {
    decode(&get_text(path.to_owned()).await?)
}

/// Posts `body` and reads the answer.
pub async fn post<B: Serialize, T: DeserializeOwned>(path: &str, body: &B) -> Result<T, Problem> {
    decode(&send(Method::POST, path.to_owned(), Some(encode_body(body)), None).await?)
}

/// What a person means to do once. A request that is sent again because no answer came carries the same
/// key, so that it is not done twice; it is dropped when the request succeeds or the form is opened anew.
#[derive(Clone, Copy)]
pub struct Intent(StoredValue<Vec<(String, String)>>);

impl Intent {
    /// Nothing was sent yet.
    pub fn new() -> Self {
        Self(StoredValue::new(Vec::new()))
    }

    /// Forgets what was sent.
    pub fn renew(self) {
        self.0.try_update_value(Vec::clear);
    }

    fn key(self, request: &str) -> Option<String> {
        self.0.try_update_value(|sent| {
            if let Some((_, key)) = sent.iter().find(|(other, _)| other == request) {
                return key.clone();
            }
            let key = fresh_key();
            sent.push((request.to_owned(), key.clone()));
            key
        })
    }

    async fn post(self, path: String, body: String) -> Result<String, Problem> {
        let request = format!("{path} {body}");
        let answer = send(Method::POST, path, Some(body), self.key(&request)).await;
        if answer.is_ok() {
            self.0.try_update_value(|sent| sent.retain(|(other, _)| *other != request));
        }
        answer
    }
}

/// Posts `body`, with the same key as long as the same is meant, and reads the answer.
pub async fn post_once<B: Serialize, T: DeserializeOwned>(
    intent: Intent,
    path: &str,
    body: &B,
) -> Result<T, Problem> {
    decode(&intent.post(path.to_owned(), encode_body(body)).await?)
}

/// Sends a changing request and gives its answer as text; what is posted is meant once.
pub async fn exchange(
    intent: Intent,
    method: Method,
    path: String,
    body: Option<String>,
) -> Result<String, Problem> {
    match body {
        Some(body) if method == Method::POST => intent.post(path, body).await,
        body => send(method, path, body, None).await,
    }
}

/// Posts nothing; the answer does not matter.
pub async fn poke(path: &str) -> Result<(), Problem> {
    send(Method::POST, path.to_owned(), None, None).await.map(drop)
}

/// Changes what stands at `path` and reads it as it is now.
pub async fn patch<B: Serialize, T: DeserializeOwned>(path: &str, body: &B) -> Result<T, Problem> {
    decode(&send(Method::PATCH, path.to_owned(), Some(encode_body(body)), None).await?)
}

/// Removes what stands at `path`.
pub async fn delete(path: &str) -> Result<(), Problem> {
    send(Method::DELETE, path.to_owned(), None, None).await.map(drop)
}

/// Escapes a value for a query string.
pub fn encode(value: &str) -> String {
    js_sys::encode_uri_component(value).into()
}

/// Bodies are plain structs with text keys, which always serialise; the API refuses an empty one.
pub fn encode_body<B: Serialize>(body: &B) -> String {
    serde_json::to_string(body).unwrap_or_default()
}

/// Reads an answer's text.
pub fn decode<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
    json::read(text).map_err(unreadable)
}

fn unreadable(error: String) -> Problem {
    let title = "Rackhand's answer cannot be read. Reload the page: it may be older than the server.";
    local(0, "unreadable", title, Some(error))
}

// Not generic on purpose: the whole exchange is compiled once, not once per body and answer.
async fn send(
    method: Method,
    path: String,
    body: Option<String>,
    key: Option<String>,
) -> Result<String, Problem> {
    let changes = method != Method::GET;
    let mut request =
        RequestBuilder::new(&format!("{BASE}{path}")).method(method).header("accept", "application/json");
    if changes {
        request = request
            .header("x-csrf-token", &CSRF.with_borrow(Clone::clone))
            .header("idempotency-key", &key.unwrap_or_else(fresh_key));
    }
    let sent = match body {
        Some(body) => match request.header("content-type", "application/json").body(body) {
            Ok(request) => request.send().await,
            Err(error) => Err(error),
        },
        None => request.send().await,
    };
    let response = sent.map_err(|_| offline())?;
    if response.ok() {
        return response.text().await.map_err(|_| offline());
    }
    let problem = understand(&response).await;
    if problem.status == 401 && path != "session" {
        session::lost();
    }
    Err(problem)
}

/// Reads the problem of an answer, or makes one from its status.
async fn understand(response: &Response) -> Problem {
    let text = response.text().await.unwrap_or_default();
    json::read(&text).unwrap_or_else(|_| {
        let title = format!("Rackhand answered {}.", response.status());
        local(response.status(), "unexpected", &title, None)
    })
}

fn offline() -> Problem {
    let remedy = "Is it running, and is this computer connected? What was on its way may have arrived.";
    local(0, "offline", "Rackhand does not answer.", Some(remedy.to_owned()))
}

/// Makes a problem that no server told.
pub fn local(status: u16, code: &str, title: &str, detail: Option<String>) -> Problem {
    Problem {
        kind: "about:blank".to_owned(),
        title: title.to_owned(),
        status,
        code: code.to_owned(),
        detail,
        request_id: String::new(),
        errors: Vec::new(),
        job_id: None,
    }
}

/// Makes a random UUID. `crypto.randomUUID` is missing on plain http, what `getrandom` asks is not.
fn fresh_key() -> String {
    let mut bytes = [0u8; 16];
    if getrandom::fill(&mut bytes).is_err() {
        // Without a source of chance a repeated key would be refused, never executed twice.
        bytes = u128::from(js_sys::Date::now().to_bits()).to_le_bytes();
    }
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}
