//! A button with verbs, one sentence each. Arrows move, Esc closes.

use leptos::{ev, html, prelude::*};

use crate::{
    draw::live,
    focus::{self, Step},
};

use super::{
    icon::Icon,
    popover::{close_outside, refocus},
};

/// One verb of a menu.
#[derive(Clone)]
pub struct Item {
    /// Its name.
    pub label: String,
    /// Its icon.
    pub icon: &'static str,
    /// What it does, in one sentence; may be empty.
    pub help: String,
    /// Loses something.
    pub caution: bool,
    /// Does it.
    pub act: Callback<()>,
}

impl Item {
    /// Makes a harmless verb.
    pub fn new(label: &str, icon: &'static str, act: impl Fn() + Send + Sync + 'static) -> Self {
        let act = Callback::new(move |()| act());
        Self { label: label.to_owned(), icon, help: String::new(), caution: false, act }
    }

    /// Adds the sentence.
    pub fn help(mut self, text: &str) -> Self {
        text.clone_into(&mut self.help);
        self
    }

    /// Marks it as losing something.
    pub fn caution(mut self) -> Self {
        self.caution = true;
        self
    }
}

/// Draws the opener and, while it is open, the verbs. `items` is asked when it opens, and again when what
/// it reads changes.
#[component]
pub fn Menu(
    #[prop(into)] label: Signal<String>,
    #[prop(optional, into)] text: Option<&'static str>,
    #[prop(default = "dots")] icon: &'static str,
    #[prop(optional, into)] small: Option<&'static str>,
    #[prop(optional)] align: Option<&'static str>,
    items: impl Fn() -> Vec<Item> + Send + Sync + 'static,
) -> impl IntoView {
    draw(Look { label, text, icon, small, align }, Box::new(items))
}

struct Look {
    label: Signal<String>,
    text: Option<&'static str>,
    icon: &'static str,
    small: Option<&'static str>,
    align: Option<&'static str>,
}

/// Not generic: compiled once for every menu.
fn draw(look: Look, items: Box<dyn Fn() -> Vec<Item> + Send + Sync>) -> AnyView {
    let Look { label, text, icon, small, align } = look;
    let open = RwSignal::new(false);
    let host = NodeRef::<html::Span>::new();
    close_outside(open, host);
    Effect::new(move |_| {
        if open.get() {
            step(host, Step::To(0));
        }
    });
    let key = move |event: ev::KeyboardEvent| match event.key().as_str() {
        "Escape" if open.get_untracked() => {
            event.stop_propagation();
            open.set(false);
            refocus(host);
        }
        "ArrowDown" => {
            event.prevent_default();
            if open.get_untracked() { step(host, Step::By(1)) } else { open.set(true) }
        }
        "ArrowUp" if open.get_untracked() => {
            event.prevent_default();
            step(host, Step::By(-1));
        }
        "Home" | "End" if open.get_untracked() => {
            event.prevent_default();
            step(host, Step::To(if event.key() == "Home" { 0 } else { -1 }));
        }
        _ => {}
    };
    let class = if text.is_some() { "button" } else { "icon-button" };
    view! {
        <span class="popover-host" node_ref=host on:keydown=key>
            <button
                class=class
                type="button"
                data-size=small
                aria-haspopup="menu"
                aria-expanded=move || open.get().to_string()
                aria-label=move || text.is_none().then(|| label.get())
                title=move || label.get()
                on:click=move |_| open.update(|open| *open = !*open)
            >
                <Icon name=icon/>
                {text}
                {text.map(|_| view! { <Icon name="chevron-down" size=super::icon::Size::Small/> })}
            </button>
            {live(move || {
                open.get()
                    .then(|| {
                        let items: Vec<_> = items().into_iter().map(|item| verb(item, open, host)).collect();
                        view! { <div class="menu" role="menu" data-align=align aria-label=move || label.get()>{items}</div> }
                    })
            })}
        </span>
    }
    .into_any()
}

fn verb(item: Item, open: RwSignal<bool>, host: NodeRef<html::Span>) -> impl IntoView {
    let click = move |_| {
        open.set(false);
        refocus(host);
        item.act.run(());
    };
    let help = (!item.help.is_empty()).then(|| view! { <span class="meta">{item.help.clone()}</span> });
    view! {
        <button type="button" role="menuitem" data-kind=item.caution.then_some("caution") on:click=click>
            <Icon name=item.icon/>
            <span>{item.label.clone()}</span>
            {help}
        </button>
    }
}

fn step(host: NodeRef<html::Span>, step: Step) {
    if let Some(host) = host.get_untracked() {
        focus::move_in(&host, "[role=menuitem]", step);
    }
}
