//! In which order outlets are switched on: those that did not follow at once wait at the end until every other one
//! was told, since one live feed runs the machine.

use super::{effect::OutletSeen, outlet::Attempt};

/// Says whether an outlet could be read before any was written.
pub(super) fn is_read(seen: &[Option<OutletSeen>], outlet: usize) -> bool {
    matches!(seen.get(outlet), Some(Some(_)))
}

/// Says whether one of the outlets after the `at`-th was not told yet and could be read. The last ones, of which
/// `late` tells, were.
pub(super) fn others_wait(list: &[usize], late: &[Attempt], at: usize, seen: &[Option<OutletSeen>]) -> bool {
    let untold = list.get(at + 1..list.len().saturating_sub(late.len())).unwrap_or_default();
    untold.iter().any(|outlet| is_read(seen, *outlet))
}

/// Puts the `at`-th of the outlets off until the others were told, where one of those could be read. `late` is what
/// was done already with the last ones. Says whether it did.
pub(super) fn put_off(
    list: &mut Vec<usize>,
    late: &mut Vec<Attempt>,
    (at, attempt): (usize, &Attempt),
    seen: &[Option<OutletSeen>],
) -> bool {
    if !others_wait(list, late, at, seen) {
        return false;
    }
    let outlet = list.remove(at);
    list.push(outlet);
    late.push(attempt.clone());
    true
}

/// Takes what was done already with the `at`-th of `count` outlets, when it had been put off.
pub(super) fn resume(count: usize, late: &mut Vec<Attempt>, at: usize) -> Option<Attempt> {
    (at + late.len() >= count && !late.is_empty()).then(|| late.remove(0))
}

#[cfg(test)]
mod tests {
    use rackhand_wire::OutletState;

    use super::*;

    #[test]
    fn what_was_put_off_comes_last_and_goes_on_where_it_was() {
        let (mut list, mut late) = (vec![7, 8, 9], Vec::new());
        let (slow, slower) = (Attempt::start(1), Attempt::start(2));
        let is_off = OutletSeen { state: OutletState::Off, locked: None };
        let (none_read, only_nine) = (Vec::new(), [vec![None; 9], vec![Some(is_off.clone())]].concat());
        let all = vec![Some(is_off); 10];
        assert_eq!(resume(3, &mut late, 0), None);
        assert!(!put_off(&mut list, &mut late, (0, &slow), &none_read), "no other one can be told");
        assert!(put_off(&mut list, &mut late, (0, &slow), &only_nine));
        assert_eq!(list, [8, 9, 7]);
        assert!(
            !put_off(&mut list.clone(), &mut late.clone(), (1, &slow), &all),
            "who waits is none of them"
        );
        assert_eq!(resume(3, &mut late, 1), None);
        assert!(put_off(&mut list, &mut late, (0, &slower), &all));
        assert_eq!(list, [9, 7, 8]);
        assert!(!put_off(&mut list.clone(), &mut late.clone(), (0, &slow), &all));
        assert_eq!(resume(3, &mut late, 1), Some(slow));
        assert_eq!(resume(3, &mut late, 2), Some(slower));
        assert_eq!(resume(3, &mut late, 2), None);
    }
}
