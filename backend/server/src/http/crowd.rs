//! How many connections there may be. Each is an open file, and the database and every device need some too: beyond
//! this number requests are refused, and the refusal says which limit is reached.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
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

/// Files that are kept free, as a part of all.
const SPARE: u64 = 8;
/// At least so many are kept free: the database, the log, and connections that still shake hands.
const LEAST_SPARE: u64 = 128;
/// The log says it once in this time.
const QUIET: Duration = Duration::from_mins(1);

/// The connections of this process.
pub struct Crowd {
    /// The limit of open files; there may be none.
    limit: Option<u64>,
    open: AtomicU64,
    told: Mutex<Option<Instant>>,
}

/// One connection; counted until it is gone.
pub struct Guest {
    crowd: Arc<Crowd>,
    /// Which of them it was.
    number: u64,
}

impl Crowd {
    /// Nobody is here yet.
    #[must_use]
    pub fn new(limit: Option<u64>) -> Arc<Self> {
        Arc::new(Self { limit, open: AtomicU64::new(0), told: Mutex::new(None) })
    }

    /// Counts a connection.
    #[must_use]
    pub fn enter(self: &Arc<Self>) -> Guest {
        Guest { crowd: Arc::clone(self), number: self.open.fetch_add(1, Ordering::Relaxed) + 1 }
    }

    /// The limit of open files, when `number` connections leave too few of them.
    fn reached(&self, number: u64) -> Option<u64> {
        self.limit.filter(|limit| number > limit.saturating_sub((limit / SPARE).max(LEAST_SPARE)))
    }

    fn tell(&self, limit: u64) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|at| at.elapsed() > QUIET) {
            *told = Some(Instant::now());
            let connections = self.open.load(Ordering::Relaxed);
            tracing::error!(
                connections,
                limit,
                "requests are refused: more connections leave too few of the files that this program may open (RLIMIT_NOFILE)"
            );
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.crowd.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Refuses the requests of connections that are too many, and ends these.
///
/// # Errors
/// Those of the request.
pub async fn held_back(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<EitherBody<impl MessageBody>>, Error> {
    let guest = request.conn_data::<Guest>();
    let reached =
        guest.and_then(|guest| Some((Arc::clone(&guest.crowd), guest.crowd.reached(guest.number)?)));
    let Some((crowd, limit)) = reached else { return Ok(next.call(request).await?.map_into_left_body()) };
    crowd.tell(limit);
    let mut response = Refused::Full(limit).error_response();
    response.head_mut().set_connection_type(ConnectionType::Close);
    Ok(request.into_response(response).map_into_right_body())
}
