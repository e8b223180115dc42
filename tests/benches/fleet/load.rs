//! Requests at a steady rate, whatever the server does.

use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Sends `rate` requests a second for as long as `span`; gives for each how many milliseconds after its
/// intended moment the whole answer was there. A slow answer thus delays no other request, and a late start
/// counts against the server.
pub async fn steady(rate: u32, span: Duration, send: impl AsyncFn(u32) + Clone + 'static) -> Vec<f64> {
    let count = rate * u32::try_from(span.as_secs()).unwrap();
    let began = Instant::now();
    let local = tokio::task::LocalSet::new();
    let each = local.run_until(async {
        let mut tasks = Vec::new();
        for number in 0..count {
            let due = began + Duration::from_secs(1) * number / rate;
            sleep_until(due).await;
            let send = send.clone();
            tasks.push(tokio::task::spawn_local(async move {
                send(number).await;
                due.elapsed().as_secs_f64() * 1e3
            }));
        }
        let mut took = Vec::new();
        for task in tasks {
            took.push(task.await.unwrap());
        }
        took
    });
    each.await
}
