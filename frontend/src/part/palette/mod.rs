//! Search over everything, and the pages, by Ctrl-K or `/`.

use crate::draw::live;
use leptos::{ev, html, prelude::*};

use super::{
    dialog,
    empty::Failed,
    icon::Icon,
    power_state::{Shown, look},
};
use rackhand_wire::{
    api::problem::Problem,
    power::{Confidence, PowerFlag, PowerValue},
};

/// One line of the palette.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Heading that it stands under.
    pub group: &'static str,
    /// Its icon.
    pub icon: &'static str,
    /// Name.
    pub title: String,
    /// What else is known.
    pub subtitle: String,
    /// State, for servers, and what is wrong with them.
    pub power: Option<PowerValue>,
    /// See `power`.
    pub flags: Vec<PowerFlag>,
    /// Where it leads.
    pub href: String,
}

/// Draws the palette while `open`. `text` is what was typed, `entries` what was found; while nothing was, it is
/// waited for, or there is a problem and `again` asks anew.
#[component]
pub fn Palette(
    open: RwSignal<bool>,
    text: RwSignal<String>,
    #[prop(into)] entries: Signal<Vec<Entry>>,
    waiting: Signal<bool>,
    problem: RwSignal<Option<Problem>>,
    again: Callback<()>,
    on_go: Callback<String>,
) -> impl IntoView {
    live(move || open.get().then(|| view! { <Window open text entries waiting problem again on_go/> }))
}

#[component]
fn Window(
    open: RwSignal<bool>,
    text: RwSignal<String>,
    entries: Signal<Vec<Entry>>,
    waiting: Signal<bool>,
    problem: RwSignal<Option<Problem>>,
    again: Callback<()>,
    on_go: Callback<String>,
) -> impl IntoView {
    let face = move || match (problem.get(), waiting.get()) {
        (Some(problem), _) => view! { <Failed problem again/> }.into_any(),
        (None, true) => view! { <p class="empty" role="status">"Searching …"</p> }.into_any(),
        (None, false) if entries.with(Vec::is_empty) => {
            view! { <p class="empty">"Nothing found"</p> }.into_any()
        }
        (None, false) => ().into_any(),
    };
    let node = NodeRef::<html::Dialog>::new();
    dialog::hold_open(node);
    let at = RwSignal::new(0usize);
    Effect::new(move |_| {
        entries.track();
        at.set(0);
    });
    let go = move |href: String| {
        open.set(false);
        on_go.run(href);
    };
    let key = move |event: ev::KeyboardEvent| {
        let count = entries.with_untracked(Vec::len);
        match event.key().as_str() {
            "ArrowDown" if count > 0 => at.update(|at| *at = (*at + 1) % count),
            "ArrowUp" if count > 0 => at.update(|at| *at = (*at + count - 1) % count),
            "Enter" => {
                let href =
                    entries.with_untracked(|all| all.get(at.get_untracked()).map(|entry| entry.href.clone()));
                if let Some(href) = href {
                    go(href);
                }
            }
            _ => return,
        }
        event.prevent_default();
    };
    view! {
        <dialog
            class="overlay"
            data-side="top"
            node_ref=node
            aria-label="Search and pages"
            on:close=move |_| open.set(false)
            on:mousedown=move |event| {
                if dialog::on_scrim(&event, node) {
                    open.set(false);
                }
            }
        >
            <div class="dialog">
                <div class="palette-input">
                    <Icon name="search"/>
                    <input
                        role="combobox"
                        aria-expanded="true"
                        aria-controls="hits"
                        aria-activedescendant=move || format!("hit-{}", at.get())
                        aria-label="Search"
                        placeholder="Name, address, rack, tag, id"
                        autocomplete="off"
                        autofocus
                        prop:value=move || text.get()
                        on:input=move |event| text.set(event_target_value(&event))
                        on:keydown=key
                    />
                    <span class="kbd">"Esc"</span>
                </div>
                <div class="palette-list" id="hits" role="listbox" aria-label="Found">
                    {live(move || lines(entries.get(), at, go))}
                </div>
                {live(face)}
                <footer class="dialog-foot meta only-wide">
                    <span><span class="kbd">"↑"</span> " " <span class="kbd">"↓"</span> " choose"</span>
                    <span><span class="kbd">"Enter"</span> " open"</span>
                </footer>
            </div>
        </dialog>
    }
}

fn lines(entries: Vec<Entry>, at: RwSignal<usize>, go: impl Fn(String) + Copy + 'static) -> AnyView {
    let mut group = "";
    let lines: Vec<_> = entries
        .into_iter()
        .enumerate()
        .map(|(index, entry)| {
            let head = (entry.group != group).then_some(entry.group);
            group = entry.group;
            view! {
                {head.map(|head| view! { <p class="nav-title">{head}</p> })}
                {line(index, entry, at, go)}
            }
        })
        .collect();
    lines.into_any()
}

fn line(index: usize, entry: Entry, at: RwSignal<usize>, go: impl Fn(String) + 'static) -> impl IntoView {
    let state = entry.power.map(|value| {
        let shown = Shown {
            value,
            confidence: Confidence::High,
            unsure: false,
            flags: entry.flags,
            checked_at: None,
            in_job: false,
        };
        let (tone, icon, word) = look(&shown);
        view! { <span class="power-state" data-tone=tone.word()><Icon name=icon/>{word}</span> }
    });
    let href = entry.href.clone();
    view! {
        <a
            id=format!("hit-{index}")
            href=entry.href
            role="option"
            tabindex="-1"
            aria-selected=move || (at.get() == index).to_string()
            on:click=move |event| {
                event.prevent_default();
                go(href.clone());
            }
        >
            <Icon name=entry.icon/>
            <span class="cut flow"><b class="strong">{entry.title}</b> " " <span class="meta">{entry.subtitle}</span></span>
            {state}
        </a>
    }
}
