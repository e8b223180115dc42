//! The table of servers.

use leptos::prelude::*;
use rackhand_wire::{
    api::{
        live::{Change, Object},
        page::Page,
        server::{PathBrief, ServerRow},
    },
    id::ServerId,
    power::{Confidence, ServerPower},
};

use super::{Look, Picked};
use crate::{
    draw::live,
    held::Held,
    load::{faces, load},
    part::{
        Tone,
        button::{Button, Kind},
        empty::Empty,
        evidence::{Evidence, metered},
        icon::Icon,
        pager::Pager,
        popover::Popover,
        power_state::{PowerStateButton, Shown, look as appearance, sureness},
        table::{SortHead, follow, row_keys},
    },
};

/// The rows with heads that sort.
#[component]
pub fn List(
    page: Held<Page<ServerRow>>,
    look: Look,
    picked: Picked,
    total: Signal<Option<u64>>,
    adding: RwSignal<bool>,
) -> impl IntoView {
    let some = Memo::new(move |_| page.with(|page| !page.items.is_empty()));
    live(move || {
        if some.get() {
            return view! { <Table page look picked total/> }.into_any();
        }
        nothing(look, adding, look.q.with(String::is_empty))
    })
}

fn nothing(look: Look, adding: RwSignal<bool>, all: bool) -> AnyView {
    let face = if all {
        let add = Callback::new(move |()| adding.set(true));
        view! {
            <Empty
                icon="server"
                title="No servers yet"
                text="Add the first one: its name, and the address of its BMC if it has one."
            >
                <Button label="Add server".to_owned() kind=Kind::Primary icon="plus" refusal=Signal::derive(crate::live::refusal) on_click=add/>
            </Empty>
        }
        .into_any()
    } else {
        let clear = Callback::new(move |()| look.filter(String::new()));
        view! {
            <Empty icon="filter" title="No server fits this filter" text="Take a word away, or look at all of them.">
                <Button label="Show all servers".to_owned() on_click=clear/>
            </Empty>
        }
        .into_any()
    };
    view! { <div class="card">{face}</div> }.into_any()
}

#[component]
fn Table(
    page: Held<Page<ServerRow>>,
    look: Look,
    picked: Picked,
    total: Signal<Option<u64>>,
) -> impl IntoView {
    let sort = Signal::derive(move || look.sort.get());
    let on_sort = Callback::new(move |sort: String| look.go.run((look.q.get_untracked(), sort)));
    let all = Memo::new(move |_| {
        let picked = picked.get();
        page.with(|page| page.items.iter().all(|row| picked.contains_key(&row.id)))
    });
    let some = move || !picked.with(std::collections::BTreeMap::is_empty) && !all.get();
    let pick_all = move |_| {
        let whole = all.get_untracked();
        let rows = page.get_untracked().items;
        picked.update(|picked| {
            for row in rows {
                if whole {
                    picked.remove(&row.id);
                } else {
                    picked.insert(row.id, row);
                }
            }
        });
    };
    let range = move || {
        let first = look.cursor.before() * super::LIMIT as usize;
        let last = first + page.with(|page| page.items.len());
        // Counted a moment apart: what is in sight is there.
        let total = total.get().and_then(|total| usize::try_from(total).ok());
        let of = total.map(|total| format!(" of {}", last.max(total))).unwrap_or_default();
        format!("{}–{last}{of}", first + 1)
    };
    view! {
        <div class="table-card">
            <table class="table">
                <thead>
                    <tr>
                        <th class="pick" scope="col">
                            <input
                                class="check"
                                type="checkbox"
                                data-some=move || some().then_some("")
                                aria-label="Select all on this page"
                                prop:checked=move || all.get()
                                on:change=pick_all
                            />
                        </th>
                        <SortHead label="Server" column="name" sort on_sort/>
                        <SortHead label="State" column="state" sort on_sort/>
                        <th class="break"></th>
                        <SortHead label="Rack" column="rack" sort on_sort/>
                        <th scope="col" data-p="1">"Site"</th>
                        <th scope="col" data-p="2">"Power paths"</th>
                        <th scope="col" data-p="3">"Tags"</th>
                        <SortHead label="Read" column="checked_at" sort on_sort priority="1" class="num"/>
                    </tr>
                </thead>
                <tbody on:keydown=move |event| row_keys(&event)>
                    {follow(move || page.get().items, |row: &ServerRow| row.id, move |id, row| view! { <Row id row picked/> })}
                </tbody>
            </table>
            <div class="table-foot">
                <span>{live(range)}</span>
                <span class="only-wide">"Rows update in place and move only when you sort."</span>
                <Pager cursor=look.cursor next=Signal::derive(move || page.with(|page| page.next.clone()))/>
            </div>
        </div>
    }
}

#[component]
fn Row(id: ServerId, row: Held<ServerRow>, picked: Picked) -> impl IntoView {
    let ticked = move || picked.with(|picked| picked.contains_key(&id));
    let tick = move |_| {
        let row = row.get_untracked();
        picked.update(|picked| {
            if picked.remove(&id).is_none() {
                picked.insert(id, row);
            }
        });
    };
    let age = move || row.get().checked_at.map(|at| format!("{} ago", crate::time::age(at)));
    view! {
        <tr aria-selected=move || ticked().to_string()>
            <td class="pick" data-m="pick">
                <input
                    class="check"
                    type="checkbox"
                    aria-label=move || format!("Select {}", row.get().name)
                    prop:checked=ticked
                    on:change=tick
                />
            </td>
            <td data-m="title">
                <a href=format!("/servers/{id}") class="name">{live(move || row.get().name)}</a>
            </td>
            <td data-m="end"><State id row/></td>
            <td class="break"></td>
            <td data-m="line" class="mono">{live(move || row.get().rack)}</td>
            <td data-p="1" data-m="line">{live(move || row.get().site_name)}</td>
            <td data-p="2">{live(move || row.with(|row| paths(&row.paths, &row.name)))}</td>
            <td data-p="3">{live(move || tags(row.get().tags))}</td>
            <td data-p="1" class="num dim">{live(age)}</td>
        </tr>
    }
}

fn tags(tags: Vec<String>) -> impl IntoView {
    let chips: Vec<_> =
        tags.into_iter().take(3).map(|tag| view! { <span class="badge">{tag}</span> " " }).collect();
    view! { <span>{chips}</span> }
}

fn paths(paths: &[PathBrief], server: &str) -> impl IntoView + use<> {
    let draw = |path: &PathBrief| {
        let (tone, icon, said) = match path.ok {
            _ if path.agent_away => (Some(Tone::Unknown), Some("state-unknown"), "agent away"),
            Some(true) if path.is_off => (Some(Tone::Off), Some("state-off"), "off"),
            Some(true) => (None, None, "answers"),
            Some(false) => (Some(Tone::Danger), Some("warning"), "does not answer"),
            None => (Some(Tone::Unknown), Some("state-unknown"), "not read yet"),
        };
        let title = format!("{}: {said}", path.label);
        view! {
            <span class="path" data-tone=tone.map(Tone::word) title=title>
                {icon.map(|icon| view! { <Icon name=icon/> })}
                {brief(&path.label, server)}
            </span>
        }
    };
    view! { <span class="paths">{paths.iter().map(draw).collect::<Vec<_>>()}</span> }
}

/// A path in as few letters as tell it: `pdu-a 3` for `outlet 3 on pdu-a`, `BMC` for the server's own.
fn brief(label: &str, server: &str) -> String {
    if let Some((place, device)) = label.split_once(" on ") {
        let number = place.rsplit(' ').next().unwrap_or(place);
        return format!("{device} {number}");
    }
    let own = label.strip_suffix(server).map(|own| own.trim_end().trim_end_matches(" of"));
    own.filter(|own| !own.is_empty()).unwrap_or(label).to_owned()
}

/// The chip; its evidence is fetched when it is opened.
#[component]
fn State(id: ServerId, row: Held<ServerRow>) -> impl IntoView {
    let open = RwSignal::new(false);
    let shown = Memo::new(move |_| {
        let row = row.get();
        Shown {
            value: row.power,
            confidence: row.confidence,
            unsure: row.confidence == Confidence::Low || row.paths.iter().any(|path| path.agent_away),
            flags: row.flags,
            checked_at: row.checked_at,
            in_job: row.active_job_id.is_some(),
        }
    });
    let title = move || shown.with(heading);
    view! {
        <Popover
            open
            title=Signal::derive(title)
            opener=move || view! { <PowerStateButton shown open/> }
        >
            <Paths id/>
        </Popover>
    }
}

/// The state and how sure it is.
fn heading(shown: &Shown) -> String {
    format!("{}: {}", appearance(shown).2, sureness(shown.confidence))
}

#[component]
fn Paths(id: ServerId) -> impl IntoView {
    let own = id.to_string();
    let concerns = move |change: &Change| change.object == Object::Server && change.id == own;
    let power = load::<ServerPower>(move || Some(format!("servers/{id}/power")), concerns);
    let draw = |power: Held<ServerPower>| {
        let none = move || {
            power
                .with(|power| power.paths.is_empty())
                .then(|| view! { <p class="dim">"No connection reads its power yet."</p> })
        };
        // What the row says may be older than what the paths say.
        let now = move || {
            let ServerPower { value, confidence, flags, .. } = power.get();
            heading(&Shown { value, confidence, unsure: false, flags, checked_at: None, in_job: false })
        };
        view! {
            <h3>{live(now)}</h3>
            {live(none)}
            <Evidence paths=Signal::derive(move || power.get().paths)/>
            {live(move || power.with(metered).map(|why| view! { <p class="dim">{why}</p> }))}
        }
        .into_any()
    };
    faces(power, || view! { <span class="skeleton"></span> }.into_any(), draw)
}
