//! A group of one over a journal that is a list in memory.

use super::*;
use crate::consensus::EntryKind;
use crate::consensus::admission::{Admission, Seat};
use crate::consensus::moving::{Ending, Moving};
use crate::units::ServerId;
use crate::units::feature::FeatureLevel;

/// A group and what it handed out to be made durable.
struct Bench {
    group: Group,
    journal: Vec<Record>,
    durable: u64,
}

fn options() -> Options {
    Options {
        id: GroupId(1),
        member: 1,
        window_bytes: 0,
        joins: false,
        levels: Levels::FIRST,
        identity: Identity {
            server: ServerId(1),
            journal: 1,
        },
        uncommitted_bytes_max: 1000,
        election_ticks: 10,
        heartbeat_ticks: 1,
    }
}

/// An empty log behind entry 9 of term 5, with these members.
fn behind_marker(members: &Membership) -> Remembered {
    Remembered {
        hard_state: HardState {
            term: 5,
            vote: 1,
            commit: 9,
        },
        marker: Marker {
            index: 9,
            term: 5,
            state: members.encode(),
        },
        ..Remembered::default()
    }
}

impl Bench {
    fn new(remembered: Remembered) -> Bench {
        let group = Group::new(options(), remembered, Seed(7)).expect("the state is sound");
        Bench {
            group,
            journal: Vec::new(),
            durable: 0,
        }
    }

    fn admit(&mut self, invited: bool) -> Result<Admission, Unchanged> {
        let up_to = self.group.committed_index();
        let invited = invited.then_some(Seat::Voter);
        self.group.admit(other(), invited, up_to)
    }

    /// A server is to be an observer.
    fn observe(&mut self, identity: Identity) -> Result<Admission, Unchanged> {
        let up_to = self.group.committed_index();
        self.group.admit(identity, Some(Seat::Observer), up_to)
    }

    /// A member has everything on disk that this one has.
    fn acknowledge(&mut self, member: u64) {
        let message = Message {
            from: member,
            to: self.group.member(),
            term: self.group.term(),
            body: Body::Appended {
                index: self.group.node.raft.raft_log.last_index(),
                commit: 0,
                refused: None,
            },
        };
        self.group.step(message);
        self.settle();
    }

    fn turn(&mut self) -> Vec<Output> {
        let mut outputs = Vec::new();
        let journal = &mut self.journal;
        self.group.turn(
            |record| {
                journal.push(record);
                journal.len() as u64
            },
            &mut outputs,
        );
        outputs
    }

    /// All that was handed out reaches the disk; what follows from it.
    fn sync(&mut self) -> Vec<Output> {
        self.durable = self.journal.len() as u64;
        self.group.durable(self.durable);
        self.turn()
    }

    /// What a restart would find.
    fn remembered(&self, marker: (u64, u64)) -> Remembered {
        let mut found = Remembered {
            marker: Marker {
                index: marker.0,
                term: marker.1,
                state: Membership::of_voters([1]).encode(),
            },
            ..Remembered::default()
        };
        for record in self
            .journal
            .iter()
            .take(usize::try_from(self.durable).expect("small"))
        {
            match record {
                Record::HardState(state) => found.hard_state = *state,
                Record::Entry(entry) if entry.index > marker.0 => {
                    found.entries.retain(|kept| kept.index < entry.index);
                    found.entries.push(entry.clone());
                }
                _ => {}
            }
        }
        found
    }
}

fn committed(outputs: &[Output]) -> Vec<&[u8]> {
    outputs
        .iter()
        .filter_map(|output| match output {
            Output::Committed(entry) if !entry.data.is_empty() => Some(&entry.data[..]),
            _ => None,
        })
        .collect()
}

#[test]
fn a_lone_voter_leads_once_its_first_entry_is_durable() {
    let mut bench = Bench::new(Remembered::default());
    assert!(
        !bench
            .turn()
            .iter()
            .any(|output| matches!(output, Output::Led { .. }))
    );
    let outputs = bench.sync();
    assert!(
        matches!(outputs[..], [Output::Committed(_), Output::Led { term: 1 }]),
        "{outputs:?}"
    );
}

#[test]
fn nothing_is_committed_before_it_is_durable() {
    let mut bench = Bench::new(Remembered::default());
    bench.turn();
    bench.sync();
    bench
        .group
        .propose(Bytes::from_static(b"a"))
        .expect("it leads");
    assert!(committed(&bench.turn()).is_empty());
    assert_eq!(committed(&bench.sync()), [b"a"]);
}

#[test]
fn several_turns_may_be_on_their_way_to_the_disk() {
    let mut bench = Bench::new(Remembered::default());
    bench.turn();
    bench.sync();
    for command in [&b"a"[..], b"b", b"c"] {
        bench
            .group
            .propose(Bytes::copy_from_slice(command))
            .expect("it leads");
        bench.turn();
    }
    let two = bench.journal.len() as u64 - 1;
    bench.group.durable(two);
    assert_eq!(committed(&bench.turn()), [b"a", b"b"]);
    assert_eq!(committed(&bench.sync()), [b"c"]);
}

#[test]
fn a_lone_put_is_one_record() {
    let mut bench = Bench::new(Remembered::default());
    bench.turn();
    bench.sync();
    let before = bench.journal.len();
    bench
        .group
        .propose(Bytes::from_static(b"a"))
        .expect("it leads");
    bench.turn();
    bench.sync();
    assert_eq!(
        bench.journal.len(),
        before + 1,
        "a moved commit index alone is not persisted"
    );
}

#[test]
fn too_much_uncommitted_is_refused_and_taken_again_later() {
    let mut bench = Bench::new(Remembered::default());
    bench.turn();
    bench.sync();
    let big = Bytes::from(vec![1; 900]);
    bench.group.propose(big.clone()).expect("there is room");
    bench.turn();
    assert_eq!(
        bench.group.propose(big.clone()),
        Err(Refused::Full(GroupId(1)))
    );
    bench.sync();
    bench.group.propose(big).expect("there is room again");
}

#[test]
fn a_restart_gives_out_again_what_was_not_in_the_files() {
    let mut bench = Bench::new(Remembered::default());
    bench.turn();
    bench.sync();
    for command in [&b"a"[..], b"b", b"c"] {
        bench
            .group
            .propose(Bytes::copy_from_slice(command))
            .expect("it leads");
        bench.turn();
    }
    bench.sync();
    bench.group.applied(3);
    let term = bench
        .group
        .marker_at(3)
        .expect("the last applied entry is known")
        .term;
    let mut again = Bench::new(bench.remembered((3, term)));
    let mut outputs = again.turn();
    outputs.extend(again.sync());
    assert_eq!(committed(&outputs), [b"c"]);
    assert_eq!(again.group.term(), 2, "a restart begins a new term");
    assert!(matches!(outputs.last(), Some(Output::Led { term: 2 })));
}

#[test]
fn applied_entries_leave_memory() {
    let mut bench = Bench::new(Remembered::default());
    bench.turn();
    bench.sync();
    for _ in 0..100 {
        bench
            .group
            .propose(Bytes::from_static(b"x"))
            .expect("it leads");
        bench.turn();
        bench.sync();
        let last = bench.group.node.raft.raft_log.committed;
        bench.group.applied(last);
    }
    assert_eq!(bench.group.node.store().in_memory(), 0);
}

/// A fault of the crate's published version made a leader that had compacted everything it had panic with "next
/// index must exceed match index" when it was elected again; the smallest form is an election on an
/// empty log behind a marker.
#[test]
fn an_election_right_behind_the_marker_goes_through() {
    let mut bench = Bench::new(behind_marker(&Membership::of_voters([1])));
    bench.turn();
    let outputs = bench.sync();
    assert!(
        matches!(outputs.last(), Some(Output::Led { term: 6 })),
        "{outputs:?}"
    );
    assert_eq!(bench.group.propose(Bytes::from_static(b"a")), Ok(11));
}

fn other() -> Identity {
    Identity {
        server: ServerId(2),
        journal: 2,
    }
}

impl Bench {
    /// A group of this server alone, which leads and has everything on disk.
    fn leading() -> Bench {
        let mut bench = Bench::new(Remembered::default());
        bench.settle();
        bench
    }

    /// All that was proposed is committed and applied.
    fn settle(&mut self) {
        self.turn();
        self.sync();
        let last = self.group.committed_index();
        self.group.applied(last);
    }
}

#[test]
fn who_is_invited_becomes_a_learner_and_nobody_else() {
    let mut bench = Bench::leading();
    assert_eq!(bench.admit(false), Ok(Admission::Stranger));
    assert_eq!(bench.admit(true), Ok(Admission::Joining));
    let busy = Err(Unchanged::Busy(GroupId(1)));
    assert_eq!(bench.admit(true), busy);
    bench.settle();
    let members = bench.group.membership();
    assert_eq!(
        (&members.voters[..], &members.learners[..]),
        (&[1][..], &[2][..])
    );
    assert_ne!(members.ensemble, 0, "from now on it is no group of one");
    assert_eq!(bench.admit(false), Ok(Admission::CatchingUp));
    assert!(!bench.group.is_replicating(2), "it has not answered");
}

#[test]
fn who_is_dismissed_is_out_when_that_is_committed_and_the_leader_stays() {
    let mut bench = Bench::leading();
    assert_eq!(
        bench.group.dismiss(ServerId(2)),
        Ok(true),
        "it never was in"
    );
    bench.admit(true).expect("it leads");
    bench.settle();
    assert_eq!(bench.group.dismiss(ServerId(2)), Ok(false));
    bench.settle();
    assert_eq!(bench.group.dismiss(ServerId(2)), Ok(true));
    assert_eq!(bench.group.membership().members(), [1]);
    let leader = Err(Unchanged::Leader(GroupId(1)));
    assert_eq!(bench.group.dismiss(ServerId(1)), leader);
    assert_eq!(bench.admit(true), Ok(Admission::Joining));
    bench.settle();
    assert_eq!(
        bench.group.membership().learners,
        [3],
        "no number is given twice"
    );
}

#[test]
fn an_observer_stays_one_whatever_it_has_and_is_one_again_without_its_memory() {
    let mut bench = Bench::leading();
    assert_eq!(bench.observe(other()), Ok(Admission::Joining));
    bench.settle();
    bench.acknowledge(2);
    assert_eq!(bench.admit(false), Ok(Admission::Observes));
    bench.settle();
    let members = bench.group.membership();
    assert_eq!(members.voters, [1]);
    assert_eq!(
        (&members.learners[..], &members.observers[..]),
        (&[2][..], &[2][..])
    );
    assert!(!bench.group.is_alone(), "somebody else is to be told");

    let wiped = Identity {
        journal: 9,
        ..other()
    };
    let up_to = bench.group.committed_index();
    assert_eq!(
        bench.group.admit(wiped, None, up_to),
        Ok(Admission::Joining)
    );
    bench.settle();
    bench.acknowledge(3);
    assert_eq!(
        bench.group.admit(wiped, None, up_to),
        Ok(Admission::Observes)
    );
    bench.settle();
    let members = bench.group.membership();
    assert_eq!(
        (&members.learners[..], &members.observers[..]),
        (&[3][..], &[3][..])
    );
    assert_eq!(members.voters, [1]);

    // An operator may want it to vote after all.
    let voter = Some(Seat::Voter);
    assert_eq!(
        bench.group.admit(wiped, voter, up_to),
        Ok(Admission::Promoted)
    );
    bench.settle();
    bench.acknowledge(3);
    let members = bench.group.membership();
    assert_eq!(
        (&members.voters[..], &members.observers[..]),
        (&[1, 3][..], &[][..])
    );
}

#[test]
fn a_vote_moves_when_the_taker_has_everything_and_a_leader_that_gives_it_hands_over() {
    let mut bench = Bench::leading();
    let own = options().identity.server;
    let stranger = Err(Unchanged::NoMember(GroupId(1)));
    assert_eq!(bench.group.move_vote(own, other(), 0), stranger);
    assert_eq!(bench.observe(other()), Ok(Admission::Joining));
    bench.settle();
    let up_to = bench.group.committed_index();
    let catching_up = Ok(Moving::CatchingUp);
    assert_eq!(bench.group.move_vote(own, other(), up_to), catching_up);
    bench.acknowledge(2);
    let no_vote = Err(Unchanged::NoVoter(GroupId(1)));
    assert_eq!(bench.group.move_vote(ServerId(7), other(), up_to), no_vote);
    assert_eq!(bench.group.end_move(), Ok(Ending::Nothing));
    assert_eq!(
        bench.group.move_vote(own, other(), up_to),
        Ok(Moving::Proposed)
    );
    assert_eq!(
        bench.group.end_move(),
        Ok(Ending::Nothing),
        "it is not applied"
    );
    bench.settle();

    let members = bench.group.membership();
    assert_eq!(
        (&members.voters[..], &members.outgoing[..]),
        (&[2][..], &[1][..])
    );
    assert!(members.gives_vote(1) && members.takes_vote(2));
    assert!(
        !members.leaves,
        "only a leader that votes afterwards ends it"
    );
    let bytes = members.encode();
    assert_eq!(Membership::decode(&bytes).as_ref(), Ok(members));
    assert_eq!(
        bench.group.move_vote(own, other(), up_to),
        Ok(Moving::Moves)
    );
    assert_eq!(bench.group.end_move(), Ok(Ending::HandsOver));
    // What is written meanwhile needs both.
    let index = bench
        .group
        .propose(Bytes::from_static(b"a"))
        .expect("it leads");
    bench.settle();
    assert!(bench.group.committed_index() < index);
    bench.acknowledge(2);
    assert_eq!(bench.group.committed_index(), index);
}

/// A group of three in a joint configuration, led by one that votes in both halves.
#[test]
fn whoever_leads_next_ends_the_joint_configuration() {
    let members = Membership {
        voters: vec![1, 3],
        outgoing: vec![1, 2],
        learners_next: vec![2],
        observers: vec![2],
        ..Membership::founded_by(
            &[1, 2, 3].map(|it| Identity {
                server: ServerId(it),
                journal: u128::from(it),
            }),
            5,
        )
    };
    let mut bench = Bench::new(behind_marker(&members));
    (0..30).for_each(|_| bench.group.tick());
    bench.settle();
    for pre in [true, false] {
        let term = bench.group.term() + u64::from(pre);
        for from in [2, 3] {
            bench.group.step(Message {
                from,
                to: 1,
                term,
                body: Body::Voted {
                    pre,
                    refused: false,
                    commit: 0,
                    commit_term: 0,
                },
            });
        }
        bench.settle();
    }
    for member in [2, 3] {
        bench.acknowledge(member);
    }
    assert!(matches!(bench.group.role(), Role::Leads { .. }));
    assert_eq!(bench.group.end_move(), Ok(Ending::Proposed));
    assert_eq!(bench.group.end_move(), Ok(Ending::Nothing), "once");
    bench.settle();
    for member in [2, 3] {
        bench.acknowledge(member);
    }
    let members = bench.group.membership();
    assert_eq!(
        (&members.voters[..], &members.outgoing[..]),
        (&[1, 3][..], &[][..])
    );
    assert_eq!(
        (&members.learners[..], &members.observers[..]),
        (&[2][..], &[2][..])
    );
    assert_eq!(bench.group.end_move(), Ok(Ending::Nothing));
}

#[test]
fn who_was_taken_out_takes_another_number_and_what_it_remembers() {
    let mut members = Membership::founded_by(&[other()], 5);
    members.identities.insert(1, other());
    members.next = 3;
    members.voters = vec![2];
    let remembered = behind_marker(&members);
    let mut bench = Bench::new(remembered);
    assert!(bench.group.is_removed());
    bench.group.renumber(3);
    assert_eq!(
        (bench.group.member(), bench.group.committed_index()),
        (3, 9)
    );
    assert_eq!(bench.group.leader(), None);
    (0..100).for_each(|_| bench.group.tick());
    assert!(
        bench.turn().is_empty(),
        "it stands for nothing before it is a member"
    );
}

#[test]
fn a_level_is_raised_when_every_member_supports_it() {
    let mut bench = Bench::leading();
    let support = |member, level| BTreeMap::from([(member, FeatureLevel(level))]);
    let unsupported = Err(Unchanged::Unsupported(GroupId(1)));
    assert_eq!(bench.group.raise(FeatureLevel(2)), unsupported);
    assert_eq!(bench.group.note_support(&support(1, 2)), Ok(true));
    bench.settle();
    assert_eq!(bench.group.note_support(&support(1, 2)), Ok(false));
    assert_eq!(bench.admit(true), Ok(Admission::Joining));
    bench.settle();
    let learner = "a learner counts as well";
    assert_eq!(bench.group.raise(FeatureLevel(2)), unsupported, "{learner}");
    assert_eq!(bench.group.note_support(&support(2, 3)), Ok(true));
    bench.settle();
    // This one does not support what it is about to commit: in its place another release would go on.
    bench.group.options.levels.highest = FeatureLevel(2);
    assert_eq!(bench.group.raise(FeatureLevel(2)), Ok(()));
    bench.settle();
    assert_eq!(bench.group.level(), FeatureLevel(2));
    let index = bench.group.applied_index();
    let marker = bench.group.marker_at(index).expect("it is the last");
    let old = Group::members(GroupId(1), &marker, Levels::FIRST);
    assert!(old.is_err_and(|why| why.is_newer()), "an older release");
    let members = Membership::decode(&marker.state).expect("it is readable");
    assert_eq!(members.highest_of(2), FeatureLevel(3));
}

/// What is recovered holds what the former ensemble wrote behind a raise, and the marker may be from before it.
#[test]
fn an_ensemble_that_was_recovered_keeps_the_level_and_no_members() {
    let mut bench = Bench::leading();
    let newer = Levels {
        highest: FeatureLevel(2),
        ..Levels::FIRST
    };
    bench.group.options.levels = newer;
    let support = BTreeMap::from([(1, FeatureLevel(2))]);
    assert_eq!(bench.group.note_support(&support), Ok(true));
    bench.settle();
    assert_eq!(bench.group.raise(FeatureLevel(2)), Ok(()));
    bench.settle();
    assert_eq!(bench.admit(true), Ok(Admission::Joining));
    bench.settle();
    let mut remembered = bench.remembered((0, 0));
    let former = Membership::of_voters([1]);
    let members = former.recovered_by(options().identity, 9, remembered.last_index());
    remembered.recover(&members);
    for levels in [newer, Levels::FIRST] {
        let options = Options {
            member: members.voters[0],
            levels,
            ..options()
        };
        let group = Group::new(options, remembered.clone(), Seed(7)).expect("the state is sound");
        let mut bench = Bench {
            group,
            journal: Vec::new(),
            durable: 0,
        };
        let mut outputs = bench.turn();
        for _ in 0..4 {
            outputs.extend(bench.sync());
        }
        let is_halted = outputs.iter().any(|it| matches!(it, Output::Halted { .. }));
        assert_eq!(is_halted, levels == Levels::FIRST, "{outputs:?}");
        let now = bench.group.membership();
        assert_eq!(now.level, levels.highest);
        assert_eq!(
            now.members(),
            members.voters,
            "those of the former are void"
        );
        assert_eq!(now.recovered, members.recovered);
    }
}

#[test]
fn nothing_behind_an_entry_that_cannot_be_followed_is_given_out() {
    let mut bench = Bench::leading();
    let support = BTreeMap::from([(1, FeatureLevel(2))]);
    assert_eq!(bench.group.note_support(&support), Ok(true));
    bench.settle();
    let before = bench.group.applied_index();
    assert_eq!(bench.group.raise(FeatureLevel(2)), Ok(()));
    let behind = bench.group.propose(Bytes::from_static(b"behind"));
    behind.expect("it leads");
    bench.turn();
    let outputs = bench.sync();
    assert!(committed(&outputs).is_empty(), "{outputs:?}");
    let index = before + 1;
    assert!(
        matches!(outputs[..], [Output::Halted { index: at, why: Halt::Unsupported(_) }] if at == index),
        "{outputs:?}"
    );
    assert_eq!(bench.sync(), [], "nor later");
    assert_eq!(bench.group.level(), FeatureLevel::FIRST);
}

#[test]
fn a_torn_write_commits_no_entry_of_another_leader() {
    let entry = |term| Entry {
        index: 10,
        term,
        kind: EntryKind::Normal,
        data: Bytes::from_static(b"a"),
    };
    let remembered = Remembered {
        hard_state: HardState {
            term: 5,
            vote: 0,
            commit: 9,
        },
        marker: Marker {
            index: 9,
            term: 5,
            state: Membership::of_voters([1, 2, 3]).encode(),
        },
        entries: vec![entry(5)],
        ..Remembered::default()
    };
    let mut bench = Bench::new(remembered);
    bench.group.step(Message {
        from: 2,
        to: 1,
        term: 6,
        body: Body::Append {
            index: 9,
            log_term: 5,
            commit: 10,
            entries: vec![entry(6)],
        },
    });
    bench.turn();
    let state = HardState {
        term: 6,
        vote: 0,
        commit: 9,
    };
    let records = [Record::HardState(state), Record::Entry(entry(6))];
    assert_eq!(bench.journal, records);
}

#[test]
fn a_change_for_which_there_was_no_room_is_not_pending() {
    let mut bench = Bench::leading();
    let big = Bytes::from(vec![1; 990]);
    bench.group.propose(big).expect("there is room");
    let last = bench.group.node.raft.raft_log.last_index();
    let busy = Err(Unchanged::Busy(GroupId(1)));
    assert_eq!(bench.admit(true), busy);
    assert_eq!(bench.group.node.raft.raft_log.last_index(), last);
    bench.settle();
    assert_eq!(bench.admit(true), Ok(Admission::Joining));
}

/// An empty append that overtakes entries is refused, and the crate put the entries that were sent again into the next empty
/// append, which stood behind them. The receiver took each for the one after it, and two servers had two histories.
#[test]
fn entries_are_sent_with_the_place_they_have() {
    let entry = |index| eraftpb::Entry {
        index,
        term: 4,
        ..eraftpb::Entry::default()
    };
    let append = |index, entries: Vec<eraftpb::Entry>| {
        let mut message = eraftpb::Message {
            index,
            log_term: 5,
            ..eraftpb::Message::default()
        };
        message.set_msg_type(MessageType::MsgAppend);
        message.set_entries(entries.into());
        message
    };
    let place = |message| {
        let placed = at_its_place(message, |index| (index > 60).then_some(3));
        placed.map(|it| (it.index, it.log_term))
    };
    let two = || vec![entry(63), entry(64)];
    assert_eq!(place(append(63, two())), Some((62, 3)), "it stood behind");
    assert_eq!(place(append(61, two())), Some((62, 3)), "or in front");
    assert_eq!(place(append(62, two())), Some((62, 5)), "it is right");
    assert_eq!(place(append(63, Vec::new())), Some((63, 5)));
    assert_eq!(place(append(63, vec![entry(60)])), None, "nobody knows");
}

/// It never stands for election, so that nothing else would make it doubt.
#[test]
fn a_learner_does_not_hold_to_a_leader_that_is_silent() {
    let members = Membership {
        learners: vec![1],
        ..Membership::of_voters([2])
    };
    let mut bench = Bench::new(behind_marker(&members));
    let heartbeat = || Message {
        from: 2,
        to: 1,
        term: 5,
        body: Body::Heartbeat {
            commit: 9,
            round: None,
        },
    };
    bench.group.step(heartbeat());
    assert_eq!(bench.group.leader(), Some(2));
    for _ in 0..100 {
        bench.group.tick();
        bench.turn();
        bench.group.step(heartbeat());
    }
    assert_eq!(bench.group.leader(), Some(2));
    for _ in 0..2 * options().election_ticks {
        bench.group.tick();
        bench.turn();
    }
    assert_eq!(bench.group.leader(), None);
    bench.group.step(heartbeat());
    assert_eq!(bench.group.leader(), Some(2));
}

/// The library would end the process.
#[test]
fn a_member_whose_older_state_was_put_back_finds_out_and_says_nothing_more() {
    let members = Membership::of_voters([1, 2, 3]);
    let mut bench = Bench::new(behind_marker(&members));
    let heartbeat = |term, commit| Message {
        from: 2,
        to: 1,
        term,
        body: Body::Heartbeat {
            commit,
            round: None,
        },
    };
    // Of a leader that was, as it may come late.
    bench.group.step(heartbeat(4, 12));
    bench.group.step(heartbeat(5, 9));
    let forgot = |output: &Output| matches!(output, Output::Forgot { .. });
    assert!(!bench.turn().iter().any(forgot));
    bench.group.step(heartbeat(5, 12));
    let (acknowledged, last) = (12, 9);
    for _ in 0..100 {
        assert_eq!(bench.sync(), [Output::Forgot { acknowledged, last }]);
        bench.group.tick();
        bench.group.step(Message {
            from: 3,
            to: 1,
            term: 6,
            body: Body::Vote {
                pre: false,
                index: 99,
                log_term: 5,
                commit: 9,
                commit_term: 5,
                transfer: false,
            },
        });
    }
}
