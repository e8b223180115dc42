//! From the start of the process to ready.

use crate::{
    Extent,
    figure::{Figure, spread},
    seed::Racks,
    served::Installation,
};

/// Measures.
pub async fn measure(extent: Extent) -> Vec<Figure> {
    let mut figures = Vec::new();
    for servers in [1_000, 10_000] {
        let servers = extent.of(servers);
        let racks = Racks::start(servers);
        let installation = Installation::knowing(&racks).await;
        let mut took = Vec::new();
        for run in 0..=extent.runs {
            let server = installation.serve(&[]);
            if run > 0 {
                took.push(server.took.as_secs_f64());
            }
        }
        let name = format!("Start to ready with {servers} servers");
        let note = format!("{} s, to the first 200 of /readyz", spread(&took, 3));
        figures.push(Figure::at_most(name, "s", &took, 1.0).noting(note));
    }
    figures
}
