//! The pages before a session: first set-up and sign-in.

pub mod set_up;
pub mod sign_in;
