//! A filter made of words and tokens; what is written is what the API reads.

use crate::draw::live;
use leptos::{ev, prelude::*};

use super::icon::{Icon, Size};

/// Splits a filter into its words; quotes keep a value with spaces together.
pub fn words(filter: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in filter.chars() {
        if c == '"' {
            quoted = !quoted;
        }
        if c.is_whitespace() && !quoted {
            words.push(String::new());
        } else if let Some(word) = words.last_mut() {
            word.push(c);
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Draws the filter with one token per word, and a box for more.
#[component]
pub fn FilterBar(
    #[prop(into)] filter: Signal<String>,
    on_change: Callback<String>,
    placeholder: &'static str,
    #[prop(optional)] children: Option<Children>,
) -> impl IntoView {
    let draft = RwSignal::new(String::new());
    let add = move || {
        let text = draft.get_untracked();
        if !text.trim().is_empty() {
            draft.set(String::new());
            on_change.run(format!("{} {}", filter.get_untracked(), text.trim()).trim().to_owned());
        }
    };
    let remove = move |index: usize| {
        let mut left = words(&filter.get_untracked());
        left.remove(index);
        on_change.run(left.join(" "));
    };
    let key = move |event: ev::KeyboardEvent| match event.key().as_str() {
        "Enter" => add(),
        "Backspace" if draft.with_untracked(String::is_empty) => {
            let count = words(&filter.get_untracked()).len();
            if count > 0 {
                remove(count - 1);
            }
        }
        _ => {}
    };
    let tokens = move || {
        words(&filter.get())
            .into_iter()
            .enumerate()
            .map(|(index, word)| token(&word, move || remove(index)))
            .collect::<Vec<_>>()
    };
    view! {
        <div class="filter-bar" role="search">
            <div class="filter-box">
                <Icon name="filter"/>
                {live(tokens)}
                <input
                    aria-label="Add a filter"
                    placeholder=placeholder
                    autocomplete="off"
                    autocapitalize="none"
                    prop:value=move || draft.get()
                    on:input=move |event| draft.set(event_target_value(&event))
                    on:keydown=key
                    on:blur=move |_| add()
                />
            </div>
            {children.map(|children| children())}
        </div>
    }
}

fn token(word: &str, remove: impl Fn() + 'static) -> AnyView {
    // An address with a port is a word as well.
    let is_token = |(name, value): &(&str, &str)| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase()) && !value.starts_with(':')
    };
    let (name, value) = word.split_once(':').filter(is_token).unwrap_or(("word", word));
    let label = format!("Remove filter {word}");
    view! {
        <span class="token">
            {name.to_owned()}
            <b>{value.to_owned()}</b>
            <button type="button" aria-label=label on:click=move |_| remove()>
                <Icon name="x" size=Size::Small/>
            </button>
        </span>
    }
    .into_any()
}
