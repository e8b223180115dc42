//! Memory at rest.

use std::time::Duration;

use crate::{
    Extent,
    figure::{Figure, spread},
    seed::Racks,
    served::Installation,
};

const SERVERS: u32 = 1_000;
const REST: u32 = 60;

/// Measures.
pub async fn measure(extent: Extent) -> Vec<Figure> {
    let servers = extent.of(SERVERS);
    let racks = Racks::start(servers);
    let installation = Installation::knowing(&racks).await;
    let (mut now, mut most, mut busy) = (vec![], vec![], vec![]);
    for _ in 0..extent.runs {
        let server = installation.serve(&[]);
        let rest = Duration::from_secs(extent.of(REST).into());
        let before = server.cpu();
        tokio::time::sleep(rest).await;
        busy.push((server.cpu() - before) / rest.as_secs_f64() * 100.0);
        now.push(server.kilobytes("VmRSS") / 1e3);
        most.push(server.kilobytes("VmHWM") / 1e3);
    }
    let rest = extent.of(REST);
    let name = format!("Memory (RSS) after {rest} s with {servers} servers");
    let note = format!(
        "{} MB, at most {} MB before; nobody signed in, its embedded agent polls {servers} simulated BMCs and their \
         PDUs once a minute, for {} % of one core",
        spread(&now, 1),
        spread(&most, 1),
        spread(&busy, 1),
    );
    vec![Figure::at_most(name, "MB", &now, 60.0).noting(note)]
}
