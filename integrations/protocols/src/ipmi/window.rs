/// Session sequence numbers that were seen: a packet that the network doubled, or that somebody kept and
/// sends again, counts once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    highest: u32,
    /// Bit n: `highest - n` was seen.
    seen: u32,
}

/// How far ahead of the highest number a packet may be, and how far behind.
const REACH: u32 = 16;

impl Window {
    /// Expects `first` and what follows.
    pub fn from(first: u32) -> Self {
        Self { highest: first.wrapping_sub(1), seen: u32::MAX }
    }

    /// Expects `number`, wherever the other end began to count, what follows and what it overtook.
    pub fn before(number: u32) -> Self {
        Self { highest: number.wrapping_sub(1), seen: 0 }
    }

    /// Takes a number in; `false` when it was seen before or is too far off.
    pub fn accept(&mut self, seq: u32) -> bool {
        let ahead = seq.wrapping_sub(self.highest);
        if (1..=REACH).contains(&ahead) {
            self.seen = self.seen << ahead | 1;
            self.highest = seq;
            return true;
        }
        let behind = self.highest.wrapping_sub(seq);
        let fresh = behind < REACH && self.seen & 1 << behind == 0;
        if fresh {
            self.seen |= 1 << behind;
        }
        fresh
    }
}

#[cfg(test)]
mod tests {
    use super::Window;

    #[test]
    fn each_number_is_accepted_once_in_any_order() {
        let mut window = Window::from(1);
        let verdicts = [3, 1, 2, 2, 1, 3, 4, 20, 4, 5, 37, 36].map(|seq| window.accept(seq));
        assert_eq!(
            verdicts,
            [true, true, true, false, false, false, true, true, false, true, false, true],
            "37 is more than 16 ahead of 20"
        );
        assert!(!window.accept(0), "zero lies before the session");
    }

    #[test]
    fn what_a_first_packet_overtook_is_accepted_once() {
        let mut window = Window::before(3);
        let verdicts = [3, 3, 1, 2, 1, 4].map(|seq| window.accept(seq));
        assert_eq!(verdicts, [true, false, true, true, false, true]);
    }

    #[test]
    fn numbers_may_start_anywhere_and_wrap() {
        let mut window = Window::from(u32::MAX);
        assert!(window.accept(u32::MAX));
        assert!(!window.accept(u32::MAX - 1), "before the first");
        assert!(window.accept(1));
        assert!(!window.accept(u32::MAX));
    }
}
