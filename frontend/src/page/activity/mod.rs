//! What happened, what was worked on, and who did what.

mod audit;
mod events;
mod jobs;

use leptos::prelude::*;

use crate::draw::live;
use crate::part::{
    crumbs,
    page_head::PageHead,
    tabs::{Tab, Tabs},
};
use crate::route;

pub use events::event_line;
pub use jobs::{job_line, outcome, outcome_of};

/// Events, jobs and the audit chain, each on its tab.
#[component]
pub fn ActivityPage() -> impl IntoView {
    crumbs::stand(|| (Vec::new(), "Activity".to_owned()));
    let tab = route::tab("/activity");
    let filter = route::query("/activity", "q");
    let draw = move || match tab.get().as_str() {
        "audit" => view! { <audit::Audit/> }.into_any(),
        "jobs" => view! { <jobs::Jobs/> }.into_any(),
        _ => view! { <events::Events filter/> }.into_any(),
    };
    let link = |label, href: &str| Tab { label, href: href.to_owned(), count: None };
    let tabs = move || {
        vec![link("Events", "/activity"), link("Jobs", "/activity/jobs"), link("Audit", "/activity/audit")]
    };
    view! {
        <PageHead title="Activity".to_owned()/>
        <Tabs label="Activity" tabs=Signal::derive(tabs)/>
        {live(draw)}
    }
}
