//! Log lines that are not repeated: at most one in a time, or one for each change.

use std::time::Duration;

use crate::units::Moment;

/// A line that is told at most once in a time, however often its cause comes.
#[derive(Clone, Copy, Debug)]
pub struct Throttle {
    every: Duration,
    told: Option<Moment>,
}

impl Throttle {
    /// At most one line in `every`.
    pub const fn new(every: Duration) -> Throttle {
        Throttle { every, told: None }
    }

    /// Whether the line is due; takes note that it is told now.
    pub fn is_due(&mut self, now: Moment) -> bool {
        let due = self.told.is_none_or(|at| at + self.every <= now);
        if due {
            self.told = Some(now);
        }
        due
    }
}

/// Something that goes wrong again and again: told when it begins, and again when it begins anew after some time.
#[derive(Clone, Copy, Debug)]
pub struct Trouble {
    lasts: bool,
    told: Throttle,
}

impl Trouble {
    /// At most one line in `every`.
    pub const fn new(every: Duration) -> Trouble {
        Trouble {
            lasts: false,
            told: Throttle::new(every),
        }
    }

    /// It went wrong; true if that is to be told.
    pub fn begins(&mut self, now: Moment) -> bool {
        let first = !std::mem::replace(&mut self.lasts, true);
        first && self.told.is_due(now)
    }

    /// It went well.
    pub fn ends(&mut self) {
        self.lasts = false;
    }
}

/// Why something goes wrong: told once, until it goes well or goes wrong in another way.
#[derive(Clone, Debug, Default)]
pub struct Complaint(Option<String>);

impl Complaint {
    /// It went wrong for this reason; true if that is to be told.
    pub fn is_new(&mut self, why: &str) -> bool {
        let new = self.0.as_deref() != Some(why);
        if new {
            self.0 = Some(why.to_owned());
        }
        new
    }

    /// It went well.
    pub fn ends(&mut self) {
        self.0 = None;
    }

    /// Why it goes wrong, if it does.
    pub fn reason(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Moment {
        Moment::START + Duration::from_secs(second)
    }

    #[test]
    fn a_throttled_line_comes_once_in_its_time() {
        let mut throttle = Throttle::new(Duration::from_secs(10));
        let due: Vec<u64> = (0..=30)
            .filter(|second| throttle.is_due(at(*second)))
            .collect();
        assert_eq!(due, [0, 10, 20, 30]);
    }

    #[test]
    fn trouble_is_told_when_it_begins_and_not_while_it_lasts() {
        let mut trouble = Trouble::new(Duration::from_secs(10));
        assert!(trouble.begins(at(0)));
        assert!(!trouble.begins(at(60)), "it lasts");
        trouble.ends();
        assert!(trouble.begins(at(61)));
        trouble.ends();
        assert!(!trouble.begins(at(62)), "it was told a second ago");
    }

    #[test]
    fn a_complaint_is_told_once_for_each_reason() {
        let mut complaint = Complaint::default();
        assert!(complaint.is_new("a"));
        assert!(!complaint.is_new("a"));
        assert!(complaint.is_new("b"));
        complaint.ends();
        assert_eq!(complaint.reason(), None);
        assert!(complaint.is_new("b"));
    }
}
