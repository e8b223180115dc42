//! Errors as `application/problem+json` (RFC 9457).

use actix_web::{HttpResponse, ResponseError, http::StatusCode};
use rackhand_store as store;
use rackhand_wire::{FieldError, api::problem::Problem, id::JobId};
use std::fmt;

tokio::task_local! {
    /// Id of the request that is being answered; also in the log and in `x-request-id`.
    pub static REQUEST_ID: String;
}

/// Reads the id of the present request.
pub fn request_id() -> String {
    REQUEST_ID.try_with(Clone::clone).unwrap_or_default()
}

/// Why a request failed.
#[derive(Debug)]
pub enum Refused {
    /// Nobody is signed in.
    Unauthenticated,
    /// User name or password is wrong; which one is not told.
    WrongCredentials,
    /// Signed in, but this is not allowed; with the reason.
    Forbidden(&'static str, String),
    /// No such thing in the caller's scope.
    NotFound,
    /// Fields are wrong.
    Invalid(Vec<FieldError>),
    /// The body is not what was asked for.
    Malformed(String),
    /// It stands against the present state; code and sentence.
    Conflict(&'static str, String),
    /// A power job is under way.
    Busy(JobId),
    /// The same Idempotency-Key came with another request.
    KeyReused,
    /// Too many tries.
    TooMany(u64),
    /// The body is too large.
    TooLarge,
    /// The method exists, but not here.
    MethodNotAllowed,
    /// Cannot be accepted now; try again.
    Unavailable,
    /// More connections than this limit of open files leaves room for.
    Full(u64),
    /// Our own fault; the cause is in the log.
    Internal,
}

impl Refused {
    /// One wrong field.
    pub fn field(field: &str, code: &str, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError::new(field, code, message)])
    }

    /// Names wrong fields as they are called in the body around them.
    #[must_use]
    pub fn under(self, parent: &str) -> Self {
        match self {
            Self::Invalid(errors) => {
                Self::Invalid(errors.into_iter().map(|error| error.under(parent)).collect())
            }
            other @ (Self::Unauthenticated
            | Self::WrongCredentials
            | Self::Forbidden(..)
            | Self::NotFound
            | Self::Malformed(_)
            | Self::Conflict(..)
            | Self::Busy(_)
            | Self::KeyReused
            | Self::TooMany(_)
            | Self::TooLarge
            | Self::MethodNotAllowed
            | Self::Unavailable
            | Self::Full(_)
            | Self::Internal) => other,
        }
    }

    /// What the caller is told.
    pub fn problem(&self) -> Problem {
        let (status, code, title) = match self {
            Self::Unauthenticated => {
                (401, "unauthenticated", "Sign in first, or send a valid token.".to_owned())
            }
            Self::WrongCredentials => {
                (401, "wrong_credentials", "User name or password is wrong.".to_owned())
            }
            Self::Forbidden(code, why) => (403, *code, why.clone()),
            Self::NotFound => (404, "not_found", "There is no such thing here.".to_owned()),
            Self::Invalid(_) => (422, "validation_failed", "Some values are not right.".to_owned()),
            Self::Malformed(why) => (400, "malformed_request", why.clone()),
            Self::Conflict(code, why) => (409, *code, why.clone()),
            Self::Busy(_) => {
                (409, "power_conflict", "A power job is under way here. Wait until it is over.".to_owned())
            }
            Self::KeyReused => {
                (422, "idempotency_key_reused", "This Idempotency-Key came with another request.".to_owned())
            }
            Self::TooMany(seconds) => (429, "too_many_requests", format!("Try again in {seconds} s.")),
            Self::TooLarge => (413, "too_large", "The request is larger than 256 KiB.".to_owned()),
            Self::MethodNotAllowed => (405, "method_not_allowed", "This cannot be done here.".to_owned()),
            Self::Unavailable => (503, "unavailable", "Not accepted; try again in a moment.".to_owned()),
            Self::Full(limit) => (
                503,
                "too_many_connections",
                format!("Too many connections: this server may open {limit} files. Try again in a moment."),
            ),
            Self::Internal => (500, "internal", "Something failed on our side.".to_owned()),
        };
        let errors = if let Self::Invalid(errors) = self { errors.clone() } else { Vec::new() };
        let job_id = if let Self::Busy(job) = self { Some(*job) } else { None };
        Problem {
            kind: format!("urn:rackhand:problem:{code}"),
            title,
            status,
            code: code.to_owned(),
            detail: None,
            request_id: request_id(),
            errors,
            job_id,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem().title)
    }
}

impl ResponseError for Refused {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.problem().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        if let Self::TooMany(seconds) = self {
            response.insert_header(("retry-after", seconds.to_string()));
        }
        response.content_type("application/problem+json").json(self.problem())
    }
}

impl From<store::Error> for Refused {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::NotFound => Self::NotFound,
            store::Error::Field(field) => Self::Invalid(vec![field]),
            store::Error::Stale => Self::Conflict(
                "stale",
                "Someone else changed this in the meantime. Reload and try again.".into(),
            ),
            store::Error::InUse(why) => Self::Conflict("in_use", why),
            store::Error::ActiveJob(job) => Self::Busy(job),
            store::Error::Database(ref cause) if error.is_temporary() => {
                tracing::error!(error = %cause, request_id = request_id(), "database refused");
                Self::Unavailable
            }
            store::Error::Taken
            | store::Error::Sealed
            | store::Error::Damaged(_)
            | store::Error::NoDatabase(_)
            | store::Error::Database(_) => {
                tracing::error!(error = %error, request_id = request_id(), "request failed");
                Self::Internal
            }
        }
    }
}

impl From<serde_json::Error> for Refused {
    fn from(error: serde_json::Error) -> Self {
        tracing::error!(%error, request_id = request_id(), "an answer could not be written");
        Self::Internal
    }
}
