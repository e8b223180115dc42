//! The first step: what it is. Pasting an address or a panel's URL spares the choice.

use leptos::prelude::*;
use rackhand_wire::api::{
    kind::{Kind, Paste, Suggested},
    page::Page,
};

use crate::{
    api,
    draw::live,
    form::Submit,
    held::Held,
    load::{faces, load},
    part::{
        button::Button,
        callout::ProblemNote,
        field::{Kind as Typed, TextField},
        kind_list::{KindList, choice, choices},
        skeleton::Skeleton,
    },
};

/// Draws the paste and the list; `choose` gets the kind with what the paste told.
#[component]
pub fn PickKind(choose: Callback<(Kind, Option<Suggested>)>, pasted: RwSignal<String>) -> impl IntoView {
    let kinds = load::<Page<Kind>>(|| Some("kinds".to_owned()), |_| false);
    let shape = || view! { <Skeleton lines=3/> }.into_any();
    faces(kinds, shape, move |kinds| {
        let descriptors =
            kinds.with_untracked(|page| page.items.iter().map(|kind| kind.descriptor.clone()).collect());
        let pick = Callback::new(move |name: String| {
            if let Some(kind) = named(&kinds.get_untracked(), &name) {
                choose.run((kind, None));
            }
        });
        view! {
            <PasteBox kinds choose pasted/>
            <div class="or">"or choose the type"</div>
            <KindList kinds=descriptors on_choose=pick/>
        }
        .into_any()
    })
}

fn named(kinds: &Page<Kind>, name: &str) -> Option<Kind> {
    kinds.items.iter().find(|kind| kind.descriptor.kind == name).cloned()
}

#[component]
fn PasteBox(
    kinds: Held<Page<Kind>>,
    choose: Callback<(Kind, Option<Suggested>)>,
    pasted: RwSignal<String>,
) -> impl IntoView {
    let submit = Submit::new();
    let text = RwSignal::new(pasted.get_untracked());
    let told = RwSignal::new(None::<Vec<Suggested>>);
    let ask = move || {
        let paste = Paste { text: text.get_untracked() };
        let work = async move { api::post::<_, Page<Suggested>>("kinds/suggest", &paste).await };
        submit.run(work, move |page| {
            let mut all = page.items;
            // There is nothing to choose.
            if all.len() == 1
                && let Some(only) = all.pop()
                && let Some(kind) = named(&kinds.get_untracked(), &only.kind)
            {
                choose.run((kind, Some(only)));
            }
            told.try_set(Some(all));
        });
    };
    // What was handed over is asked at once, and only once.
    Effect::new(move |_| {
        if !pasted.get_untracked().is_empty() {
            pasted.set(String::new());
            ask();
        }
    });
    let recognise = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        ask();
    };
    let draw = move |suggested: Suggested| {
        let kind = named(&kinds.get_untracked(), &suggested.kind)?;
        let label = format!("{}{}", kind.descriptor.title, at(&suggested));
        let act = Callback::new(move |()| choose.run((kind.clone(), Some(suggested.clone()))));
        Some(choice("arrow-right", &label, "", act))
    };
    let found = move || {
        told.get().map(|told| {
            if told.is_empty() {
                return view! { <p class="meta">"Nothing known fits this text. Choose the type below."</p> }
                    .into_any();
            }
            choices("Recognised", told.into_iter().filter_map(draw).collect())
        })
    };
    view! {
        <form class="stack" data-gap="2" on:submit=recognise>
            <TextField
                label="Paste the BMC address"
                name="text"
                value=text
                error=submit.at("text")
                kind=Typed::Exact
                placeholder="10.20.4.131"
                help="An address, a host name or the URL of a panel: the type and its settings are filled in from it."
            />
            <div class="row"><Button label="Recognise".to_owned() busy=submit.busy/></div>
            {live(found)}
            <ProblemNote problem=submit.rest(|field| field == "text")/>
        </form>
    }
}

fn at(suggested: &Suggested) -> String {
    let host = suggested.params.get("host").and_then(serde_json::Value::as_str);
    let port = suggested.params.get("port").map(|port| format!(":{port}")).unwrap_or_default();
    host.map(|host| format!(" at {host}{port}")).unwrap_or_default()
}
