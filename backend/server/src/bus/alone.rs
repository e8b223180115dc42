use async_trait::async_trait;

use super::{Bus, Heard, Notice};

/// The bus of a server that has its database for itself: there is nobody else.
pub struct Alone;

#[async_trait]
impl Bus for Alone {
    fn tell(&self, _: Notice) {}

    async fn flush(&self) {}

    async fn hear(&self) -> Heard {
        std::future::pending().await
    }
}
