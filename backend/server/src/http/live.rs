//! The live stream (server-sent events).

use actix_web::{HttpRequest, HttpResponse, get, web};
use futures::stream;
use rackhand_store::{sessions, tokens, users};
use rackhand_wire::{
    api::{
        live::{Change, Object},
        problem::Problem,
    },
    id::{SessionId, TokenId, UserId},
};
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::{
    sync::broadcast::{self, error::RecvError},
    time::Instant,
};

use super::{
    caller::{By, Caller},
    problem::Refused,
};
use crate::{app::App, live::Numbered};

/// A beat keeps proxies from closing a quiet stream, shows the page that we are there, and us that it is gone.
const QUIET: Duration = Duration::from_secs(10);

/// How often it is asked whether the sign-in still holds. Another process may have ended it, so nothing that
/// this one hears is proof enough.
const CHECK: Duration = Duration::from_millis(700);

/// What a stream was opened with, and ends with.
enum SignIn {
    Session(SessionId),
    Token(TokenId),
}

struct Listener {
    app: Arc<App>,
    receiver: broadcast::Receiver<Numbered>,
    waiting: VecDeque<String>,
    sign_in: SignIn,
    user: UserId,
    checked: Instant,
    spoke: Instant,
    over: bool,
}

/// Tells what changes, as it changes. Each event's data is a `Change`; the event `reset` means that
/// too much was missed and everything on the screen must be loaded again. A quiet stream has the event `beat` every ten
/// seconds: one that has none for long is dead.
#[utoipa::path(tag = "live", responses((status = 200, description = "text/event-stream of Change", content_type = "text/event-stream", body = String), (status = 401, body = Problem)))]
#[get("/live")]
pub async fn live(
    app: web::Data<App>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, Refused> {
    let last = request.headers().get("last-event-id").and_then(|value| value.to_str().ok());
    let (receiver, missed) = app.live.listen(last);
    let mut waiting = VecDeque::from(["retry: 1000\n\n".to_owned()]);
    match missed {
        Some(missed) => waiting.extend(missed.iter().map(message)),
        None => waiting.push_back("event: reset\ndata: {}\n\n".into()),
    }
    let listener = Listener {
        app: app.into_inner(),
        receiver,
        waiting,
        sign_in: match &caller.by {
            By::Session(session) => SignIn::Session(session.id),
            By::Token(token) => SignIn::Token(token.id),
        },
        user: caller.user.id,
        checked: Instant::now(),
        spoke: Instant::now(),
        over: false,
    };
    let body = stream::unfold(listener, |mut listener| async move {
        let text = listener.next().await?;
        Some((Ok::<_, actix_web::Error>(web::Bytes::from(text)), listener))
    });
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header(("cache-control", "no-store"))
        .insert_header(("x-accel-buffering", "no"))
        .streaming(body))
}

impl Listener {
    async fn next(&mut self) -> Option<String> {
        if let Some(text) = self.waiting.pop_front() {
            return Some(text);
        }
        if self.over {
            return None;
        }
        let text = self.hear().await;
        self.spoke = Instant::now();
        text
    }

    async fn hear(&mut self) -> Option<String> {
        loop {
            // Before each message, so that a busy stream does not put it off.
            if self.checked.elapsed() >= CHECK {
                if self.ended().await {
                    return self.farewell();
                }
                self.checked = Instant::now();
                if self.spoke.elapsed() >= QUIET {
                    return Some("event: beat\ndata: {}\n\n".into());
                }
            }
            match tokio::time::timeout_at(self.checked + CHECK, self.receiver.recv()).await {
                Err(_) => {}
                Ok(Err(RecvError::Closed)) => return None,
                Ok(Err(RecvError::Lagged(_))) => return Some("event: reset\ndata: {}\n\n".into()),
                Ok(Ok(change)) if change.change.object == Object::Session => {
                    if self.ended().await {
                        return self.farewell();
                    }
                }
                Ok(Ok(change)) => return Some(message(&change)),
            }
        }
    }

    /// A page is told that it must sign in again; a script hears no more.
    fn farewell(&mut self) -> Option<String> {
        self.over = true;
        match self.sign_in {
            SignIn::Session(id) => {
                let change = Change { object: Object::Session, id: id.to_string(), version: None };
                Some(format!("data: {}\n\n", serde_json::to_string(&change).unwrap_or_default()))
            }
            SignIn::Token(_) => None,
        }
    }

    /// Says whether the sign-in or its user ended. What cannot be asked does not hold.
    async fn ended(&self) -> bool {
        let db = self.app.db.reader();
        let everything = rackhand_store::Scope::provider();
        let user = users::get(db, &everything, self.user).await.is_ok_and(|account| !account.user.disabled);
        let sign_in = match self.sign_in {
            SignIn::Session(id) => sessions::is_live(db, id).await,
            SignIn::Token(id) => tokens::is_live(db, id).await,
        };
        !(user && sign_in.unwrap_or(false))
    }
}

fn message(change: &Numbered) -> String {
    let data = serde_json::to_string(&change.change).unwrap_or_default();
    format!("id: {}\ndata: {data}\n\n", change.id)
}
