//! In which order outlets are switched on: those that did not follow at once wait at the end until every other one
//! was told, since one live feed runs the machine.

use serde::{Deserialize, Serialize};

use super::outlet::Attempt;

/// The outlets that are switched on, in their order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Kept")]
pub(super) struct List {
    pub(super) outlets: Vec<usize>,
    /// What was done already with the last ones.
    late: Vec<Attempt>,
}

/// A list as it is kept; servers of an older build kept the outlets alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum Kept {
    List { outlets: Vec<usize>, late: Vec<Attempt> },
    Outlets(Vec<usize>),
}

impl From<Kept> for List {
    fn from(kept: Kept) -> Self {
        match kept {
            Kept::List { outlets, late } => Self { outlets, late },
            Kept::Outlets(outlets) => Self::of(outlets),
        }
    }
}

impl List {
    pub(super) fn of(outlets: Vec<usize>) -> Self {
        Self { outlets, late: Vec::new() }
    }

    /// Says whether an outlet behind the `at`-th was not told yet.
    pub(super) fn has_others(&self, at: usize) -> bool {
        at + 1 + self.late.len() < self.outlets.len()
    }

    /// Puts the `at`-th off until the others were told.
    pub(super) fn put_off(&mut self, at: usize, attempt: Attempt) {
        let outlet = self.outlets.remove(at);
        self.outlets.push(outlet);
        self.late.push(attempt);
    }

    /// Takes what was done already with the `at`-th, when it had been put off.
    pub(super) fn resume(&mut self, at: usize) -> Option<Attempt> {
        let is_late = at + self.late.len() >= self.outlets.len();
        (is_late && !self.late.is_empty()).then(|| self.late.remove(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_off_comes_last_and_goes_on_where_it_was() {
        let mut list = List::of(vec![7, 8, 9]);
        assert!(list.has_others(0) && list.resume(0).is_none());
        let slow = Attempt::start(1);
        list.put_off(0, slow.clone());
        assert_eq!(list.outlets, [8, 9, 7]);
        assert!(list.has_others(0) && !list.has_others(1), "who was put off is none of the others");
        assert!(list.resume(1).is_none());
        list.put_off(0, Attempt::start(2));
        assert_eq!((list.outlets.clone(), list.has_others(0)), (vec![9, 7, 8], false));
        assert_eq!(list.resume(1), Some(slow));
        assert_eq!(list.resume(2), Some(Attempt::start(2)));
        assert_eq!(list.resume(2), None);
    }

    #[test]
    fn a_list_that_an_older_server_kept_is_read() {
        let list: List = serde_json::from_str("[2,0]").unwrap();
        assert_eq!(list, List::of(vec![2, 0]));
        let again: List = serde_json::from_str(&serde_json::to_string(&list).unwrap()).unwrap();
        assert_eq!(again, list);
    }
}
