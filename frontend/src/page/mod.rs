//! Pages load and arrange; parts draw. One folder per area.

pub mod activity;
pub mod agents;
pub mod devices {
    use leptos::prelude::*;
    #[component]
    pub fn DevicesPage() -> impl IntoView {}
    #[component]
    pub fn DevicePage() -> impl IntoView {}
}
pub mod gate;
pub mod job {
    use leptos::prelude::*;
    #[component]
    pub fn JobPage() -> impl IntoView {}
}
pub mod search;
pub mod server {
    use leptos::prelude::*;
    #[component]
    pub fn ServerPage() -> impl IntoView {}
}
pub mod servers;
pub mod settings;
