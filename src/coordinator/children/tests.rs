use std::collections::BTreeSet;

use proptest::prelude::*;

use super::Children;

/// A child's name is its number here.
fn insert(children: &mut Children, child: u32) {
    children.insert(child, |other| other.cmp(&child));
}

fn remove(children: &mut Children, child: u32) -> bool {
    children.remove(child, |other| other.cmp(&child))
}

fn runs(children: &Children) -> &[Vec<u32>] {
    children.0.as_ref().map_or(&[], |runs| &runs.runs)
}

#[test]
fn children_appended_in_order_fill_their_runs() {
    let mut children = Children::default();
    for child in 0..2000 {
        insert(&mut children, child);
    }
    assert_eq!(runs(&children).len(), 4);
    assert!(children.iter().eq(0..2000));
    assert!((0..2000).all(|child| remove(&mut children, child)));
    assert!(children.is_empty() && runs(&children).is_empty());
}

proptest! {
    #[test]
    fn children_are_an_ordered_set(steps in prop::collection::vec((any::<bool>(), 0..3000u32), 0..6000)) {
        let mut children = Children::default();
        let mut model = BTreeSet::new();
        for (add, child) in steps {
            if add {
                if model.insert(child) {
                    insert(&mut children, child);
                }
            } else {
                prop_assert_eq!(remove(&mut children, child), model.remove(&child));
            }
        }
        prop_assert_eq!(children.len(), model.len());
        prop_assert!(runs(&children).iter().all(|run| !run.is_empty()));
        prop_assert!(children.iter().eq(model.iter().copied()));
        let ordered: Vec<u32> = model.into_iter().collect();
        prop_assert!(Children::from_ordered(&ordered).iter().eq(ordered.iter().copied()));
    }
}
