//! Parts draw: they take values and callbacks and never fetch. A part's look is the `style.css`
//! beside it; states are ARIA attributes, meanings are tones.

pub mod avatar;
pub mod badge;
pub mod bulk_bar;
pub mod button;
pub mod callout;
pub mod card;
pub mod code;
pub mod confirm_field;
pub mod connection_card;
pub mod crumbs;
pub mod dialog;
pub mod empty;
pub mod evidence;
pub mod facts;
pub mod feature_list;
pub mod field;
pub mod filter_bar;
pub mod gate;
pub mod icon;
pub mod icon_button;
pub mod job_steps;
pub mod kbd;
pub mod kind_list;
pub mod lanes;
pub mod menu;
pub mod outlet_picker;
pub mod page_head;
pub mod pager;
pub mod palette;
pub mod popover;
pub mod power_state;
pub mod search;
pub mod segmented;
pub mod shell;
pub mod skeleton;
pub mod steps;
pub mod table;
pub mod tabs;
pub mod tally;
pub mod toast;

/// One meaning; a part inside reads its colours from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tone {
    /// Runs, good.
    On,
    /// Does not run, quiet.
    Off,
    /// Fed.
    Fed,
    /// Not known.
    Unknown,
    /// Under way.
    Transition,
    /// Works, but someone should look.
    Degraded,
    /// Failed.
    Danger,
}

impl Tone {
    /// The word of `data-tone`.
    pub fn word(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
            Self::Fed => "fed",
            Self::Unknown => "unknown",
            Self::Transition => "transition",
            Self::Degraded => "degraded",
            Self::Danger => "danger",
        }
    }
}
