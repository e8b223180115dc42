//! The list of servers under load.

use serde_json::Value;
use std::{rc::Rc, time::Duration};

use crate::{
    Extent,
    figure::{Figure, percentile, spread},
    load::steady,
    seed::Racks,
    served::{Installation, Server},
};

const SERVERS: u32 = 10_000;
const PAGE: usize = 100;
const RATE: u32 = 200;
const SPAN: u32 = 30;

/// What one run showed, in milliseconds.
struct Run {
    middle: f64,
    p99: f64,
    worst: f64,
    busy: f64,
}

/// Measures.
pub async fn measure(extent: Extent) -> Vec<Figure> {
    let servers = extent.of(SERVERS);
    let racks = Racks::start(servers);
    let installation = Installation::knowing(&racks).await;
    let mut figures = Vec::new();
    let polling = "while it polls every device once a minute";
    for (how, options) in [(polling, &[][..]), ("without polling", &["--embedded-agent", "off"][..])] {
        let server = installation.serve(options);
        if options.is_empty() {
            all_read(&server, servers).await;
        }
        let runs = under_load(&installation, &server, extent).await;
        let each = |value: fn(&Run) -> f64| runs.iter().map(value).collect::<Vec<f64>>();
        let name = format!("Page of {PAGE} from {servers} servers at {RATE}/s, p99, {how}");
        let note = format!(
            "p99 {} ms, median {} ms, worst {} ms; the server used {} % of one core",
            spread(&each(|run| run.p99), 1),
            spread(&each(|run| run.middle), 1),
            spread(&each(|run| run.worst), 1),
            spread(&each(|run| run.busy * 100.0), 0),
        );
        figures.push(Figure::at_most(name, "ms", &each(|run| run.p99), 20.0).noting(note));
    }
    figures
}

/// Waits until every server has been read once.
async fn all_read(server: &Server, servers: u32) {
    let end = tokio::time::Instant::now() + Duration::from_mins(10);
    while server.metric("rackhand_servers{state=\"unknown\"}") > 0.0 {
        assert!(tokio::time::Instant::now() < end, "the poller does not get through {servers} servers");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn under_load(installation: &Installation, server: &Server, extent: Extent) -> Vec<Run> {
    // The server closes lines that rest for 5 s; no request shall meet one that is about to be closed.
    let client = rackhand_tests::client_builder().pool_idle_timeout(Duration::from_secs(2)).build().unwrap();
    let pages = Rc::new(pages(&client, installation, server).await);
    let send = {
        let (client, token) = (client.clone(), installation.token.clone());
        async move |number: u32| {
            // Every page in turn, not in order: none is next to the one before.
            let url = &pages[number as usize * 37 % pages.len()];
            let answer = client.get(url).bearer_auth(&token).send().await.unwrap();
            assert_eq!(answer.status().as_u16(), 200);
            answer.bytes().await.unwrap();
        }
    };
    let span = Duration::from_secs(extent.of(SPAN).into());
    let mut runs = Vec::new();
    for run in 0..=extent.runs {
        let before = server.cpu();
        let span = if run == 0 { span / 3 } else { span };
        let took = steady(RATE, span.max(Duration::from_secs(1)), send.clone()).await;
        let busy = (server.cpu() - before) / span.as_secs_f64();
        if run > 0 {
            let at = |percent| percentile(&took, percent);
            runs.push(Run { middle: at(50.0), p99: at(99.0), worst: at(100.0), busy });
        }
    }
    runs
}

/// Walks the whole list once and keeps the address of each page.
async fn pages(client: &reqwest::Client, installation: &Installation, server: &Server) -> Vec<String> {
    let first = format!("http://{}/api/v1/servers?limit={PAGE}", server.at);
    let mut pages = vec![first.clone()];
    loop {
        let url = pages.last().unwrap();
        let answer = client.get(url).bearer_auth(&installation.token).send().await.unwrap();
        let text = answer.text().await.unwrap();
        let page: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(page["items"].as_array().unwrap().len(), PAGE, "{url}");
        match page["next"].as_str() {
            Some(next) => pages.push(format!("{first}&cursor={next}")),
            None => return pages,
        }
    }
}
