//! The browser's half of Rackhand: pages load and arrange, parts draw. Everything it knows comes
//! from the REST API; what a kind of device needs is told by its descriptor, never written here.
//! Start with `app.rs`.

#![expect(clippy::needless_pass_by_value, reason = "a component owns what it is given")]

mod api;
mod app;
mod draw;
mod focus;
mod form;
mod held;
mod json;
mod live;
mod load;
mod page;
mod part;
mod route;
mod session;
mod theme;
mod time;

fn main() {
    console_error_panic_hook::set_once();
    leptos::mount::mount_to_body(app::App);
}
