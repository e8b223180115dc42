//! The live stream. One tab of the browser holds it, chosen by a Web Lock, and passes every message
//! to the other tabs; a page hears that something changed and fetches what it shows.

use crate::json;
use leptos::prelude::*;
use rackhand_wire::api::live::{Change, Object};
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use web_sys::{BroadcastChannel, EventSource, MessageEvent};

const NAME: &str = "rackhand-live";
/// Sent between tabs when messages may have been missed.
const RESYNC: &str = "resync";
/// Sent when the tab that holds the stream has lost it.
const CUT: &str = "cut";
/// Sent by a tab that has just come; answered when the stream is lost.
const ASK: &str = "ask";

/// What a page hears.
#[derive(Debug, Clone, PartialEq)]
pub enum Notice {
    /// One thing changed.
    Changed(Change),
    /// Messages may have been missed: everything on the screen is fetched again.
    Resync,
}

type Listener = Rc<dyn Fn(&Notice)>;

thread_local! {
    static LISTENERS: RefCell<Vec<(u64, Listener)>> = const { RefCell::new(Vec::new()) };
    static STREAM: RefCell<Option<EventSource>> = const { RefCell::new(None) };
    static CHANNEL: RefCell<Option<BroadcastChannel>> = const { RefCell::new(None) };
    /// Gives the lock of the stream to another tab.
    static RELEASE: RefCell<Option<js_sys::Function>> = const { RefCell::new(None) };
    /// Counts the times that this tab has left: what was begun before is over.
    static ROUND: Cell<u32> = const { Cell::new(0) };
    static CONNECTED: RefCell<Option<RwSignal<bool>>> = const { RefCell::new(None) };
    /// When somebody last did something here.
    static TOUCHED: Cell<f64> = const { Cell::new(0.0) };
    /// When the stream was heard last.
    static HEARD: Cell<f64> = const { Cell::new(0.0) };
}

/// Hears every notice until the calling component is gone.
pub fn listen(hear: impl Fn(&Notice) + 'static) {
    let id = LISTENERS.with_borrow_mut(|listeners| {
        let id = listeners.last().map_or(0, |(last, _)| last + 1);
        listeners.push((id, Rc::new(hear)));
        id
    });
    on_cleanup(move || LISTENERS.with_borrow_mut(|listeners| listeners.retain(|(other, _)| *other != id)));
}

/// Tells this tab's pages of a change that it made itself, ahead of the stream.
pub fn announce(object: Object, id: impl ToString) {
    tell(&Notice::Changed(Change { object, id: id.to_string(), version: None }));
}

fn tell(notice: &Notice) {
    // Cloned, because a listener may come or go while it hears.
    let listeners: Vec<_> =
        LISTENERS.with_borrow(|all| all.iter().map(|(_, listener)| Rc::clone(listener)).collect());
    for listener in listeners {
        listener(notice);
    }
}

/// So often it is looked whether the stream is still heard.
const TICK: Duration = Duration::from_secs(5);
/// Readings that say the same as before are not told; pages fetch their ages after so many ticks.
const BEAT: u32 = 4;
/// The server speaks every ten seconds.
const SILENT_MS: f64 = 25_000.0;
/// A stream that was refused, as by a proxy whose server starts anew, is asked for again within so many
/// milliseconds, and not by all pages at once.
const AGAIN_MS: i64 = 4_000;
/// A page that nobody touched for an hour is left as it is.
const ATTENDED_MS: f64 = 3_600_000.0;

/// Joins the stream, after signing in. Says whether this tab hears anything.
pub fn start() -> RwSignal<bool> {
    let connected = RwSignal::new(true);
    if CONNECTED.with_borrow_mut(|slot| slot.replace(connected)).is_none() {
        let touch = |_: web_sys::Event| TOUCHED.set(js_sys::Date::now());
        for kind in ["pointermove", "pointerdown", "keydown"] {
            window_event_listener_untyped(kind, touch);
        }
        TOUCHED.set(js_sys::Date::now());
        // Nobody is there after a while: the session must be able to end by itself.
        let ticks = Cell::new(0_u32);
        let beat = move || {
            ticks.set(ticks.get() + 1);
            if holds() == Some(EventSource::OPEN) && js_sys::Date::now() - HEARD.get() > SILENT_MS {
                lost();
                close();
                open();
            }
            if ticks.get().is_multiple_of(BEAT)
                && !document().hidden()
                && js_sys::Date::now() - TOUCHED.get() < ATTENDED_MS
            {
                tell(&Notice::Resync);
            }
        };
        set_interval(beat, TICK);
    }
    let channel = BroadcastChannel::new(NAME).ok();
    if let Some(channel) = &channel {
        let answer = channel.clone();
        let hear = Closure::<dyn Fn(MessageEvent)>::new(move |event: MessageEvent| {
            match event.data().as_string().as_deref() {
                Some(ASK) if holds().is_some_and(|state| state != EventSource::OPEN) => post(&answer, CUT),
                Some(text) => {
                    // Whoever holds a stream knows better.
                    if holds().is_none() && matches!(text, RESYNC | CUT) {
                        self::connected(text == RESYNC);
                    }
                    tell_text(text);
                }
                None => {}
            }
        });
        channel.set_onmessage(Some(hear.as_ref().unchecked_ref()));
        hear.forget();
        post(channel, ASK);
    }
    CHANNEL.set(channel);
    if !lead() {
        open();
    }
    connected
}

/// Leaves the stream to another tab.
pub fn stop() {
    ROUND.set(ROUND.get() + 1);
    close();
    if let Some(channel) = CHANNEL.take() {
        channel.close();
    }
    if let Some(release) = RELEASE.take() {
        // Nobody waits for what it gives.
        drop(release.call0(&JsValue::NULL));
    }
}

fn close() {
    if let Some(stream) = STREAM.take() {
        stream.close();
    }
}

/// Waits for the lock that only one tab has; says whether this browser knows locks.
fn lead() -> bool {
    let Some(window) = web_sys::window() else { return false };
    let navigator: JsValue = window.navigator().into();
    let Ok(locks) = js_sys::Reflect::get(&navigator, &"locks".into()) else { return false };
    let Ok(request) = js_sys::Reflect::get(&locks, &"request".into()) else { return false };
    let Some(request) = request.dyn_ref::<js_sys::Function>() else { return false };
    let round = ROUND.get();
    let granted = Closure::once_into_js(move || {
        if ROUND.get() != round {
            return JsValue::NULL;
        }
        open();
        // The lock is held until the tab goes, or leaves.
        js_sys::Promise::new(&mut |release, _| RELEASE.set(Some(release))).into()
    });
    request.call2(&locks, &NAME.into(), &granted).is_ok()
}

fn open() {
    let Ok(stream) = EventSource::new("/api/v1/live") else { return };
    let round = ROUND.get();
    let hear = Closure::<dyn Fn(MessageEvent)>::new(move |event: MessageEvent| {
        HEARD.set(js_sys::Date::now());
        match event.type_().as_str() {
            "message" => pass(&event.data().as_string().unwrap_or_default()),
            "beat" => {}
            // A new stream begins with a reset; one that was lost goes on, and the others wait for a word.
            "open" if untrack(hears) => {}
            "open" => {
                connected(true);
                pass(RESYNC);
            }
            "error" => {
                lost();
                // What was answered with anything but a stream is over; the session may be.
                if holds() == Some(EventSource::CLOSED) {
                    crate::session::check();
                    let pause = Duration::from_millis((crate::time::now() % AGAIN_MS).unsigned_abs());
                    set_timeout(move || (ROUND.get() == round).then(open).unwrap_or_default(), pause);
                }
            }
            // The other event there is, `reset`: too much was missed.
            _ => pass(RESYNC),
        }
    });
    for kind in ["message", "beat", "reset", "open", "error"] {
        // Refused only where nobody listens.
        drop(stream.add_event_listener_with_callback(kind, hear.as_ref().unchecked_ref()));
    }
    hear.forget();
    STREAM.set(Some(stream));
}

/// Changes do not arrive any more.
fn lost() {
    connected(false);
    pass(CUT);
}

/// Tells this tab and the others.
fn pass(text: &str) {
    tell_text(text);
    CHANNEL.with_borrow(|channel| {
        if let Some(channel) = channel {
            post(channel, text);
        }
    });
}

/// How the stream stands, in the tab that holds it.
fn holds() -> Option<u16> {
    STREAM.with_borrow(|slot| slot.as_ref().map(EventSource::ready_state))
}

fn post(channel: &BroadcastChannel, text: &str) {
    // A closed channel has no one left to hear.
    drop(channel.post_message(&text.into()));
}

/// Says whether changes arrive; followed.
pub fn hears() -> bool {
    CONNECTED.with_borrow(|slot| *slot).is_none_or(|signal| signal.get())
}

/// Why nothing can be begun while the server cannot be reached; followed.
pub fn refusal() -> Option<String> {
    (!hears()).then(|| "Rackhand cannot be reached now; what you see may be old.".to_owned())
}

fn connected(now: bool) {
    CONNECTED.with_borrow(|slot| {
        if let Some(signal) = slot
            && signal.get_untracked() != now
        {
            signal.set(now);
        }
    });
}

fn tell_text(text: &str) {
    if text == RESYNC {
        tell(&Notice::Resync);
    } else if let Ok(change) = json::read::<Change>(text) {
        if change.object == Object::Session {
            crate::session::check();
        }
        tell(&Notice::Changed(change));
    }
}
