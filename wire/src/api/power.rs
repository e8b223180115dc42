//! Power actions.

use serde::{Deserialize, Serialize};

use crate::{PowerAction, id::ServerId};

/// Asks for a power action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct StartPower {
    /// What to do.
    pub action: PowerAction,
    /// Which paths may be used; automatic when absent.
    #[serde(default)]
    pub via: Via,
    /// With `reset` on a server that is off: switch it on instead of refusing.
    #[serde(default)]
    pub on_if_off: bool,
    /// With `shutdown`: force off when the operating system has not obeyed by the deadline.
    #[serde(default)]
    pub escalate: bool,
    /// With `shutdown`: seconds until the deadline, at most 600; 180 when absent.
    #[serde(default)]
    pub deadline_s: Option<u32>,
    /// Expires when no device was asked anything within so many milliseconds, 1000 to 86400000, counted from now:
    /// its turn may not come, or its agent may be offline. As long as commands usually wait when absent.
    #[serde(default)]
    pub expires_in_ms: Option<u64>,
    /// Waits until the present job ends instead of being refused.
    #[serde(default)]
    pub queue: bool,
    /// With `via: outlets`: the server's name, typed.
    #[serde(default)]
    pub confirm_name: Option<String>,
    /// With `via: outlets`: the user's password again (not needed with a bearer token).
    #[serde(default)]
    pub password: Option<String>,
    /// Where the outlets are switched directly (`via: outlets`, or no controller): every other server that shares one.
    /// Naming all of them agrees to what happens to them; it never opens the automatic fallback.
    #[serde(default)]
    pub shared_with: Vec<ServerId>,
}

/// Which paths may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// Controllers first, outlets when the controller is unreachable and nothing speaks against it.
    #[default]
    Auto,
    /// The outlets at once ("Force via PDU"): for when fallback is refused or the BMC lies.
    Outlets,
}

/// What an action would do now, for the dialog and the buttons.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PowerPlan {
    /// The action.
    pub action: PowerAction,
    /// Which paths.
    pub via: Via,
    /// Whether it can be started.
    pub allowed: bool,
    /// Why not, when not.
    pub refusal: Option<String>,
    /// What will happen, one sentence each, in order: `Asks the BMC at 10.0.0.7 to switch off.`
    pub steps: Vec<String>,
    /// What fallback would do, or why there is none.
    pub fallback: Option<String>,
    /// Whether fallback is possible as things stand.
    pub fallback_possible: bool,
    /// Outlets that may be cut: `outlet 7 on pdu-a`.
    pub cuts: Vec<String>,
    /// Other servers that share one of these outlets, where the outlets are switched directly: all of them must be
    /// named. Where the plan is allowed all the same, dark outlets are switched on first only when they are.
    pub shared_with: Vec<super::server::ServerBrief>,
}
