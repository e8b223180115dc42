//! The fleet: counted, filtered, sorted, and switched many at a time.

mod add;
mod bulk;
mod list;
mod saved;

use leptos::prelude::*;
use rackhand_wire::{
    api::{
        live::{Change, Object},
        page::Page,
        server::{ServerRow, Tally},
    },
    id::ServerId,
};
use std::collections::BTreeMap;

use crate::{
    api, draw, live,
    load::{faces, load},
    part::{
        Tone,
        button::{Button, Kind},
        crumbs,
        filter_bar::{FilterBar, words},
        page_head::PageHead,
        pager::Cursor,
        skeleton::Skeleton,
        tally::{Figure, TallyBar},
    },
    route,
};

/// Servers ticked, with what the bulk dialog tells of them.
pub type Picked = RwSignal<BTreeMap<ServerId, ServerRow>>;

/// Rows per page.
const LIMIT: u32 = 50;

/// What is looked at; its filter and order stand in the address.
#[derive(Clone, Copy)]
pub struct Look {
    /// Filter.
    pub q: Memo<String>,
    /// Order.
    pub sort: Memo<String>,
    /// Page.
    pub cursor: Cursor,
    /// Goes to another filter and order.
    pub go: Callback<(String, String)>,
}

impl Look {
    fn from_address() -> Self {
        let q = route::query("/servers", "q");
        let asked = route::query("/servers", "sort");
        let sort = Memo::new(move |_| {
            Some(asked.get()).filter(|sort| !sort.is_empty()).unwrap_or_else(|| "name".to_owned())
        });
        let cursor = Cursor::kept();
        let go = Callback::new(move |(q, sort): (String, String)| {
            cursor.reset();
            let sort = if sort == "name" { String::new() } else { format!("&sort={}", api::encode(&sort)) };
            route::go(&format!("/servers?q={}{sort}", api::encode(&q)));
        });
        Effect::new(move |_| {
            q.track();
            sort.track();
            cursor.recall();
        });
        Self { q, sort, cursor, go }
    }

    fn filter(self, q: String) {
        self.go.run((q, self.sort.get_untracked()));
    }
}

/// The page.
#[component]
pub fn ServersPage() -> impl IntoView {
    crumbs::stand(|| (Vec::new(), "Servers".to_owned()));
    let look = Look::from_address();
    let path = move || {
        let cursor =
            look.cursor.get().map(|cursor| format!("&cursor={}", api::encode(&cursor))).unwrap_or_default();
        let (q, sort) = (api::encode(&look.q.get()), api::encode(&look.sort.get()));
        Some(format!("servers?limit={LIMIT}&sort={sort}&q={q}{cursor}"))
    };
    let concerns = |change: &Change| matches!(change.object, Object::Server | Object::Agent);
    let rows = load::<Page<ServerRow>>(path, concerns);
    let counted = move || Some(format!("servers/tally?q={}", api::encode(&without_figure(&look.q.get()))));
    let tally = load::<Tally>(counted, concerns);
    let picked: Picked = RwSignal::new(BTreeMap::new());
    let adding = RwSignal::new(false);
    let filtered = Memo::new(move |_| !without_figure(&look.q.get()).is_empty());
    let figures = Signal::derive(move || figures(tally.value.get().as_ref(), filtered.get()));
    let chosen = Signal::derive(move || figure_of(&look.q.get()));
    let total = Signal::derive(move || {
        // Each figure counts alone; two together are not counted.
        let several = look.q.with(|q| words(q).into_iter().filter(|word| is_figure(word)).count() > 1);
        let chosen = Some(chosen.get()).filter(|_| !several)?;
        figures.with(|all| all.iter().find(|figure| figure.filter == chosen)?.count)
    });
    let count = move || {
        let count = total.get()?;
        let how = if live::hears() { "live" } else { "not live" };
        Some(format!("{count} in sight, {how}"))
    };
    let choose = Callback::new(move |figure: String| {
        look.filter(format!("{} {figure}", without_figure(&look.q.get_untracked())).trim().to_owned());
    });
    view! {
        <PageHead title="Servers".to_owned() state=move || view! { <span class="meta">{draw::live(count)}</span> }>
            <Button
                label="Add server".to_owned()
                kind=Kind::Primary
                icon="plus"
                refusal=Signal::derive(live::refusal)
                on_click=Callback::new(move |()| adding.set(true))
            />
        </PageHead>
        <TallyBar figures chosen on_choose=choose/>
        <FilterBar
            filter=look.q
            on_change=Callback::new(move |q| look.filter(q))
            placeholder="Filter: name, address, rack:R1, site:, tag:, state:off"
        >
            <saved::SavedFilters look/>
        </FilterBar>
        {faces(
            rows,
            || view! { <Skeleton lines=12/> }.into_any(),
            move |page| view! { <list::List page look picked total adding/> }.into_any(),
        )}
        <bulk::Bulk picked/>
        <add::AddServerDialog open=adding/>
    }
}

const STATES: [(&str, &str, Option<Tone>, &str); 6] = [
    ("All servers", "server", None, ""),
    ("On", "state-on", Some(Tone::On), "state:on"),
    ("Off", "state-off", Some(Tone::Off), "state:off"),
    ("Fed", "state-fed", Some(Tone::Fed), "state:fed"),
    ("Unknown", "state-unknown", Some(Tone::Unknown), "state:unknown"),
    ("Needs attention", "state-degraded", Some(Tone::Degraded), "flag:attention"),
];

/// The figures count what fits the rest of the filter, and the first one says so.
fn figures(tally: Option<&Tally>, filtered: bool) -> Vec<Figure> {
    let counts = tally
        .map(|tally| [tally.total, tally.on, tally.off, tally.fed, tally.unknown, tally.attention].map(Some))
        .unwrap_or_default();
    STATES
        .into_iter()
        .zip(counts)
        .map(|((label, icon, tone, filter), count)| {
            let label = if filtered && filter.is_empty() { "In this filter" } else { label };
            Figure { label, icon, tone, filter, count }
        })
        .collect()
}

fn is_figure(word: &str) -> bool {
    STATES.iter().any(|(_, _, _, filter)| *filter == word)
}

fn figure_of(q: &str) -> String {
    words(q).into_iter().find(|word| is_figure(word)).unwrap_or_default()
}

fn without_figure(q: &str) -> String {
    let mut left = words(q);
    left.retain(|word| !is_figure(word));
    left.join(" ")
}
