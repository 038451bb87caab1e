use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{Scanned, Slab, Visit};

impl Scanned for u64 {
    type Image = u64;

    fn image(&self) -> u64 {
        *self
    }
}

#[test]
fn a_vacated_slot_is_used_again_first() {
    let mut slab = Slab::new();
    let numbers: Vec<u32> = (0..600u64).map(|value| slab.insert(value)).collect();
    assert_eq!(numbers, (0..600).collect::<Vec<u32>>());
    assert_eq!(slab.remove(3), Some(3));
    assert_eq!(slab.remove(500), Some(500));
    assert_eq!(slab.remove(500), None);
    assert_eq!(
        (slab.insert(9), slab.insert(8), slab.insert(7)),
        (500, 3, 600)
    );
    assert_eq!(slab.len(), 601);
    assert_eq!(slab.get(601), None);
    assert_eq!(slab.get(1_000_000), None);
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u64),
    Remove(u32),
    Change(u32, u64),
    Visit,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        any::<u64>().prop_map(Step::Insert),
        (0..40u32).prop_map(Step::Remove),
        (0..40u32, any::<u64>()).prop_map(|(number, value)| Step::Change(number, value)),
        Just(Step::Visit),
    ]
}

proptest! {
    /// However it is changed meanwhile, a scan hands out what was there when it began, each value once.
    #[test]
    fn a_scan_sees_the_moment_it_began(
        before in prop::collection::vec(step(), 0..60),
        during in prop::collection::vec(step(), 0..200),
    ) {
        let mut slab: Slab<u64> = Slab::new();
        let run = |slab: &mut Slab<u64>, step: Step, seen: &mut Vec<u64>| match step {
            Step::Insert(value) => {
                slab.insert(value);
            }
            Step::Remove(number) => {
                slab.remove(number);
            }
            Step::Change(number, value) => {
                if let Some(old) = slab.get_mut(number) {
                    *old = value;
                }
            }
            Step::Visit => {
                if let Visit::Image(value) = slab.scan_next() {
                    seen.push(value);
                }
            }
        };
        for step in before {
            run(&mut slab, step, &mut Vec::new());
        }
        let wanted: BTreeMap<u32, u64> = slab.iter().map(|(number, value)| (number, *value)).collect();
        let mut wanted: Vec<u64> = wanted.into_values().collect();
        let mut seen = Vec::new();
        slab.scan_begin();
        for step in during {
            run(&mut slab, step, &mut seen);
        }
        loop {
            match slab.scan_next() {
                Visit::Image(value) => seen.push(value),
                Visit::Nothing => {}
                Visit::End => break,
            }
        }
        wanted.sort_unstable();
        seen.sort_unstable();
        prop_assert_eq!(wanted, seen);
    }
}
