//! Both ends against each other over a line that loses, doubles, delays and reorders.

mod garbage;
mod outcomes;
mod refusals;
mod replay;
mod rig;
mod schedules;
mod vectors;
