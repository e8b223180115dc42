//! Decisions without I/O, without async and without a clock.
//!
//! Everything here is a function of its arguments: time and chance come in, never from inside. It
//! must never import anything of ours but `wire`. Start with [`power`]: which path switches a server
//! and what happens when a path fails.

pub mod access;
pub mod power;
pub mod stages;

/// Shows that `clippy.toml` beside this crate is in force: where it is not, clippy tells of an expectation that is
/// not met.
#[cfg(test)]
#[expect(dead_code, reason = "it is for clippy alone")]
mod lint {
    #[expect(clippy::disallowed_methods, reason = "the wall clock")]
    fn clock() -> impl Sized {
        std::time::SystemTime::now()
    }

    #[expect(clippy::disallowed_types, reason = "chance")]
    fn chance() -> impl Sized {
        std::hash::RandomState::new()
    }

    #[expect(clippy::disallowed_types, reason = "the order of a hash")]
    fn order() -> impl Sized {
        std::collections::HashMap::<u8, u8>::new().into_iter()
    }
}
