//! How many files are open. Connections are files, and so is what the database and every device need: when few are
//! left, the requests of new connections are refused, and the refusal says which limit is reached.

use std::{
    fs,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use actix_web::{
    Error, ResponseError,
    body::{EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::ConnectionType,
    middleware::Next,
};

use super::problem::Refused;

/// The part of all files that is kept free, but no less than [`LEAST_SPARE`] where there are twice as many.
const SPARE: u64 = 8;
const LEAST_SPARE: u64 = 128;
/// Files are counted so often; meanwhile each connection counts as one more.
const COUNTED: Duration = Duration::from_millis(250);
/// The log says it once in this time.
const QUIET: Duration = Duration::from_mins(1);
/// Supervisors ask these: a server that is full works.
const ALWAYS: [&str; 2] = ["/healthz", "/readyz"];

/// The files of this process.
pub struct Crowd {
    /// How many there may be; absent where there is no limit.
    limit: Option<u64>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    open: u64,
    at: Option<Instant>,
    told: Option<Instant>,
}

/// A connection that came when few files were left, with their limit.
pub struct TooMany(u64);

impl Crowd {
    /// Watches over as many files.
    #[must_use]
    pub fn new(limit: Option<u64>) -> Arc<Self> {
        Arc::new(Self { limit, seen: Mutex::default() })
    }

    /// Counts a connection; says when it is one too many.
    pub fn enter(&self) -> Option<TooMany> {
        let limit = self.limit?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.at.is_none_or(|at| at.elapsed() > COUNTED) {
            seen.open = open_files()?;
            seen.at = Some(Instant::now());
        } else {
            seen.open += 1;
        }
        if seen.open <= limit - spare(limit) {
            return None;
        }
        if seen.told.is_none_or(|at| at.elapsed() > QUIET) {
            seen.told = Some(Instant::now());
            tracing::error!(
                open = seen.open,
                limit,
                "requests are refused: few of the files that this program may open (RLIMIT_NOFILE) are left"
            );
        }
        Some(TooMany(limit))
    }
}

fn spare(limit: u64) -> u64 {
    (limit / SPARE).max(LEAST_SPARE).min(limit / 2)
}

/// Counts them where the system tells.
fn open_files() -> Option<u64> {
    let count = fs::read_dir("/proc/self/fd").ok()?.count();
    u64::try_from(count).ok()
}

/// Refuses the requests of connections that are too many, and ends these.
///
/// # Errors
/// Those of the request.
pub async fn held_back(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<EitherBody<impl MessageBody>>, Error> {
    let reached = request.conn_data::<TooMany>().filter(|_| !ALWAYS.contains(&request.path()));
    let Some(&TooMany(limit)) = reached else { return Ok(next.call(request).await?.map_into_left_body()) };
    let mut response = Refused::Full(limit).error_response();
    response.head_mut().set_connection_type(ConnectionType::Close);
    Ok(request.into_response(response).map_into_right_body())
}
