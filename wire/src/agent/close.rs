//! Codes with which the backend closes a session (RFC 6455 section 7.4.2: 4000 to 4999 are the application's).

/// A newer session of the same process took its place.
pub const SUPERSEDED: u16 = 4000;
/// Another process with the same identity took its place while this one still answered: this one ends.
pub const REPLACED: u16 = 4001;
/// The hello was refused; the message before it says why.
pub const REFUSED: u16 = 4002;
/// A message could not be understood or was too large.
pub const MALFORMED: u16 = 4003;
/// Nothing was heard for too long.
pub const SILENT: u16 = 4004;
/// The backend stops; another one may be there at once.
pub const GOING_AWAY: u16 = 4005;
/// The agent was revoked or removed.
pub const REVOKED: u16 = 4006;
