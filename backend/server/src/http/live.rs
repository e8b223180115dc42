//! The live stream (server-sent events).

use actix_web::{HttpRequest, HttpResponse, get, web};
use futures::stream;
use rackhand_store::{sessions, users};
use rackhand_wire::{
    api::{live::Object, problem::Problem},
    id::{SessionId, UserId},
};
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::sync::broadcast::{self, error::RecvError};

use super::{caller::Caller, problem::Refused};
use crate::{app::App, live::Numbered};

/// A comment keeps proxies from closing a quiet stream, and shows us that the page is gone.
const QUIET: Duration = Duration::from_secs(15);

struct Listener {
    app: Arc<App>,
    receiver: broadcast::Receiver<Numbered>,
    waiting: VecDeque<String>,
    session: Option<SessionId>,
    user: UserId,
    over: bool,
}

/// Tells what changes, as it changes. Each event's data is a `Change`; the event `reset` means that
/// too much was missed and everything on the screen must be loaded again.
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
        session: caller.session().map(|session| session.id),
        user: caller.user.id,
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
        loop {
            match tokio::time::timeout(QUIET, self.receiver.recv()).await {
                Err(_) => return Some(": quiet\n\n".into()),
                Ok(Err(RecvError::Closed)) => return None,
                Ok(Err(RecvError::Lagged(_))) => return Some("event: reset\ndata: {}\n\n".into()),
                Ok(Ok(change)) if change.change.object == Object::Session => {
                    if !self.ended().await {
                        continue;
                    }
                    self.over = true;
                    return Some(message(&change));
                }
                Ok(Ok(change)) => return Some(message(&change)),
            }
        }
    }

    /// Says whether the session or its user ended.
    async fn ended(&self) -> bool {
        let db = self.app.db.reader();
        let everything = rackhand_store::Scope::provider();
        let user = users::get(db, &everything, self.user).await.is_ok_and(|account| !account.user.disabled);
        let session = match self.session {
            Some(id) => sessions::exists(db, id).await.unwrap_or(false),
            None => true,
        };
        !(user && session)
    }
}

fn message(change: &Numbered) -> String {
    let data = serde_json::to_string(&change.change).unwrap_or_default();
    format!("id: {}\ndata: {data}\n\n", change.id)
}
