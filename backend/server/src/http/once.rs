//! `Idempotency-Key`: the same request twice has one effect and one answer.

use actix_web::{FromRequest, HttpRequest, HttpResponse, dev::Payload, http::StatusCode, web};
use rackhand_store::{Tx, idempotency};
use serde::Serialize;
use std::future::{Ready, ready};
use zeroize::Zeroizing;

use super::{caller::Caller, problem::Refused};
use crate::app::App;

/// Kept in the place of an answer that held a secret.
const SHOWN_ONCE: u16 = 409;

/// The key of a request, when it has one.
pub struct Once {
    key: Option<String>,
    route: String,
    app: web::Data<App>,
}

impl FromRequest for Once {
    type Error = Refused;
    type Future = Ready<Result<Self, Refused>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let key = request.headers().get("idempotency-key").map(|value| value.to_str().unwrap_or_default());
        if key.is_some_and(|key| key.is_empty() || key.len() > 200) {
            let why = "It must have 1 to 200 printable characters.";
            return ready(Err(Refused::field("Idempotency-Key", "out_of_range", why)));
        }
        let route = format!("{} {}", request.method(), request.path());
        let app = request.app_data::<web::Data<App>>().cloned().ok_or(Refused::Internal);
        ready(app.map(|app| Self { key: key.map(str::to_owned), route, app }))
    }
}

impl Once {
    /// Finds the answer that this request got before. Call it inside the transaction of the effect.
    ///
    /// # Errors
    /// When the key came with another request.
    pub async fn replay(
        &self,
        tx: &Tx,
        caller: &Caller,
        body: &impl Serialize,
    ) -> Result<Option<HttpResponse>, Refused> {
        let Some(key) = self.kept_key(caller) else { return Ok(None) };
        match idempotency::find(tx, caller.tenant, &key).await? {
            None => Ok(None),
            Some(kept) if kept.body_hash == self.fingerprint(body)? => {
                if kept.status == SHOWN_ONCE {
                    let why = "This was done already, and its secret was shown then. Make another one.";
                    return Err(Refused::Conflict("shown_once", why.into()));
                }
                Ok(Some(answer(kept.status, kept.location.as_deref(), &kept.body)))
            }
            Some(_) => Err(Refused::KeyReused),
        }
    }

    /// The same before anything is checked: what was right when it was done may be wrong by now, and was done
    /// nevertheless. [`Once::replay`] still decides who of two is first.
    ///
    /// # Errors
    /// When the key came with another request.
    pub async fn answered(
        &self,
        caller: &Caller,
        body: &impl Serialize,
    ) -> Result<Option<HttpResponse>, Refused> {
        if self.key.is_none() {
            return Ok(None);
        }
        let tx = self.app.db.begin().await?;
        self.replay(&tx, caller, body).await
    }

    /// Notes that it was done, without the answer, which holds a secret that is shown once. Call it inside the
    /// transaction of the effect.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn note(&self, tx: &Tx, caller: &Caller, body: &impl Serialize) -> Result<(), Refused> {
        let Some(key) = self.kept_key(caller) else { return Ok(()) };
        let (body_hash, body) = (self.fingerprint(body)?, serde_json::Value::Null);
        let kept = idempotency::Kept { body_hash, status: SHOWN_ONCE, location: None, body };
        Ok(idempotency::keep(tx, caller.tenant, &key, kept).await?)
    }

    /// Keeps the answer and commits: effect and answer are stored together or not at all.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn commit(
        &self,
        tx: Tx,
        caller: &Caller,
        body: &impl Serialize,
        (status, location, response): (u16, Option<String>, impl Serialize),
    ) -> Result<HttpResponse, Refused> {
        let response = serde_json::to_value(response)?;
        if let Some(key) = self.kept_key(caller) {
            let kept = idempotency::Kept {
                body_hash: self.fingerprint(body)?,
                status,
                location: location.clone(),
                body: response.clone(),
            };
            idempotency::keep(&tx, caller.tenant, &key, kept).await?;
        }
        tx.commit().await.map_err(rackhand_store::Error::from)?;
        Ok(answer(status, location.as_deref(), &response))
    }

    fn kept_key(&self, caller: &Caller) -> Option<String> {
        self.key.as_ref().map(|key| format!("{}/{key}", caller.user.id))
    }

    /// Names the request. The body may hold passwords, so the name tells nothing without the master key.
    fn fingerprint(&self, body: &impl Serialize) -> Result<String, Refused> {
        let request = Zeroizing::new(serde_json::to_vec(&(&self.route, body))?);
        Ok(self.app.db.keys().fingerprint_of("idempotency", &request))
    }
}

fn answer(status: u16, location: Option<&str>, body: &serde_json::Value) -> HttpResponse {
    let mut response = HttpResponse::build(StatusCode::from_u16(status).unwrap_or(StatusCode::OK));
    if let Some(location) = location {
        response.insert_header(("location", location));
    }
    response.json(body)
}
