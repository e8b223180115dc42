//! What changes on the screen, behind one type. Each closure that a view holds by its own type brings
//! its own copy of the drawing machinery into the wasm; boxed, they share one.

use leptos::prelude::*;

/// Draws what `f` returns, anew whenever what it reads changes.
pub fn live<V: IntoView + 'static>(f: impl Fn() -> V + Send + 'static) -> AnyView {
    boxed(Box::new(move || f().into_any()))
}

fn boxed(f: Box<dyn Fn() -> AnyView + Send>) -> AnyView {
    f.into_any()
}

/// A number in whole units. Formatting a float would cost 15 kB.
pub fn whole(value: f64) -> String {
    tenths(value).rsplit_once('.').map(|(whole, _)| whole.to_owned()).unwrap_or_default()
}

/// A number with one digit behind the point.
pub fn tenths(value: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "watts and amperes are far below the limit")]
    let tenths = (value * 10.0).round() as i64;
    format!("{}.{}", tenths / 10, (tenths % 10).abs())
}
