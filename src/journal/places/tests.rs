use super::*;

const GROUP: GroupId = GroupId(3);

fn place(first: u64, file: u64, position: u64) -> Place {
    Place {
        first,
        file,
        position,
    }
}

fn filled(appended: &[(Place, u64)]) -> Places {
    let mut places = Places::default();
    for (place, last) in appended {
        places.appended(GROUP, *place, *last);
    }
    places
}

#[test]
fn near_batches_share_a_place() {
    let near = STEP_BYTES - 4096;
    let places = filled(&[
        (place(1, 1, 4096), 4),
        (place(5, 1, near), 9),
        (place(10, 1, 4096 + STEP_BYTES), 12),
    ]);
    assert_eq!(places.find(GROUP, 9), Some((place(1, 1, 4096), 10)));
    let third = place(10, 1, 4096 + STEP_BYTES);
    assert_eq!(places.find(GROUP, 12), Some((third, 13)));
    assert_eq!(places.find(GROUP, 13), None, "it is not there yet");
    assert_eq!(places.find(GroupId(4), 1), None, "another group");
}

#[test]
fn what_was_replaced_is_not_found() {
    let places = filled(&[
        (place(1, 1, 0), 8),
        (place(5, 1, 4096), 5),
        (place(6, 1, 8192), 6),
    ]);
    assert_eq!(places.find(GROUP, 4), Some((place(1, 1, 0), 5)));
    assert_eq!(places.find(GROUP, 6), Some((place(5, 1, 4096), 7)));
    assert_eq!(places.find(GROUP, 7), None, "nothing took its place");
}

#[test]
fn a_batch_that_replaces_its_own_entries_is_a_place_of_the_later_ones() {
    let places = filled(&[(place(1, 1, 0), 3), (place(2, 1, 0), 2)]);
    assert_eq!(places.find(GROUP, 1), Some((place(1, 1, 0), 2)));
    assert_eq!(places.find(GROUP, 2), Some((place(2, 1, 0), 3)));
}

#[test]
fn a_file_that_is_used_again_takes_its_entries_along() {
    let mut places = filled(&[(place(1, 1, 0), 4), (place(5, 2, 0), 9)]);
    places.released(1);
    assert_eq!(places.find(GROUP, 4), None);
    assert_eq!(places.find(GROUP, 5), Some((place(5, 2, 0), 10)));
}

#[test]
fn behind_a_gap_the_entries_have_a_place_of_their_own() {
    let mut places = filled(&[(place(1, 1, 0), 4)]);
    places.emptied(GROUP);
    assert_eq!(places.find(GROUP, 1), None);
    places.appended(GROUP, place(90, 1, 4096), 91);
    assert_eq!(places.find(GROUP, 90), Some((place(90, 1, 4096), 92)));
    assert_eq!(places.find(GROUP, 89), None);
}
