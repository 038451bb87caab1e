//! How servers with empty folders become one group, and how one with an empty folder finds the group that is there.
//!
//! A server that belongs to nothing founds nothing before it has heard from every server of its list, and each of them
//! belongs to nothing, too, and has the same list; one that has forgotten what it belonged to does not count. Then the first of the list that is to vote founds, alone, and the others
//! learn of it and join. Observers of the list are waited for as the others are, once in a group's life, because by then one may
//! have got the vote of another server, or be the last that remembers; they are taken in when there is a group. So
//! two halves never found two groups, and a wiped server never founds one beside the group that
//! it has forgotten: somebody who remembers is on the list, and whoever remembers is not heard as one that belongs to nothing.
//!
//! What was founded and reached nobody else's disk may be lost with the founder's: nothing was promised by it.

use std::collections::BTreeMap;

use super::membership::{Identity, Membership};
use crate::units::ServerId;
use crate::units::feature::{FeatureLevel, Levels, Release};

/// What a server says of itself to another that it meets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Who it is.
    pub identity: Identity,
    /// The feature levels that it supports.
    pub levels: Levels,
    /// The servers that it was told of, itself among them, in order.
    pub servers: Vec<ServerId>,
    /// Those of them that are to be observers, in order.
    pub observers: Vec<ServerId>,
    /// It belonged to a group, and has lost by itself what it remembered of it: the others of that group are to take it in, and
    /// nothing is founded with it.
    pub forgot: bool,
    /// The members of its group, as it knows them; `None` for one that belongs to nothing. Of members that a later release
    /// wrote there is the level alone.
    pub members: Option<Membership>,
}

/// What a server that belongs to nothing has come to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It founds the group, of these members.
    Founds(Box<Membership>),
    /// It belongs to a group, as this member, and has promised nothing in it yet.
    Joins {
        /// Its number.
        number: u64,
    },
    /// It was a member before it lost its memory: it waits to be admitted under another number.
    Forgot,
    /// There is a group, and it is on its own list as an observer: it waits to be taken in.
    Observes,
    /// There is a group, and it is not on its list.
    Stranger,
    /// This server has another list: one of the two has to be corrected.
    Disagrees(ServerId),
}

/// A server that belongs to nothing yet.
#[derive(Clone, Debug)]
pub struct Founding {
    own: Identity,
    levels: Levels,
    /// All of the list.
    servers: Vec<ServerId>,
    /// Those of them that are to have no vote.
    observers: Vec<ServerId>,
    /// See [`Hello::forgot`].
    forgot: bool,
    /// Those of the list that are there, belong to nothing and have the same list.
    heard: BTreeMap<ServerId, (Identity, Levels)>,
}

impl Founding {
    /// A server with this list of servers, itself among them, some of which are to be observers.
    pub fn new(
        own: Identity,
        mut servers: Vec<ServerId>,
        mut observers: Vec<ServerId>,
        levels: Levels,
    ) -> Founding {
        servers.sort_unstable();
        servers.dedup();
        observers.sort_unstable();
        observers.retain(|server| servers.contains(server));
        Founding {
            heard: BTreeMap::from([(own.server, (own, levels))]),
            own,
            levels,
            servers,
            observers,
            forgot: false,
        }
    }

    /// The same server, which has lost what it remembered; see [`Hello::forgot`].
    #[must_use]
    pub fn forgotten(mut self, forgot: bool) -> Founding {
        self.forgot = forgot;
        self
    }

    /// What it says of itself.
    pub fn hello(&self) -> Hello {
        Hello {
            identity: self.own,
            levels: self.levels,
            servers: self.servers.clone(),
            observers: self.observers.clone(),
            forgot: self.forgot,
            members: None,
        }
    }

    /// Who founds: the first that is to vote.
    fn founder(&self) -> Option<ServerId> {
        let votes = |server: &&ServerId| !self.observers.contains(server);
        self.servers.iter().find(votes).copied()
    }

    /// Of whom on the list, observers among them, it has not heard yet that they belong to nothing.
    pub fn missing(&self) -> impl Iterator<Item = ServerId> {
        let missing = |server: &&ServerId| !self.heard.contains_key(server);
        self.servers.iter().filter(missing).copied()
    }

    /// What a server said of itself may not be so any more.
    pub fn forget(&mut self, server: ServerId) {
        if server != self.own.server {
            self.heard.remove(&server);
        }
    }

    /// Takes what another server says. `ensemble` is the id of a group that would be founded now: fresh random bits.
    pub fn hear(&mut self, hello: &Hello, ensemble: u128) -> Option<Decision> {
        let said = hello.identity.server;
        if let Some(members) = &hello.members {
            self.heard.remove(&said);
            let observes = self.observers.contains(&self.own.server);
            return Some(match members.number_of(self.own) {
                Some(number) => Decision::Joins { number },
                None if !members.former(self.own).is_empty() => Decision::Forgot,
                None if observes => Decision::Observes,
                None => Decision::Stranger,
            });
        }
        if (&hello.servers, &hello.observers) != (&self.servers, &self.observers) {
            self.heard.remove(&said);
            return Some(Decision::Disagrees(said));
        }
        if hello.forgot {
            self.heard.remove(&said);
        } else if said != self.own.server && self.servers.contains(&said) {
            self.heard.insert(said, (hello.identity, hello.levels));
        }
        let founds = self.founder() == Some(self.own.server) && !self.forgot;
        if !founds || self.missing().next().is_some() {
            return None;
        }
        Some(Decision::Founds(Box::new(self.founded(ensemble))))
    }

    /// The group of all that were heard and are to vote, at the highest level that all support, also those that observe.
    fn founded(&self, ensemble: u128) -> Membership {
        let identities = self.heard.values().map(|(identity, _)| *identity);
        let voters = identities.filter(|it| !self.observers.contains(&it.server));
        let voters: Vec<Identity> = voters.collect();
        let mut founded = Membership::founded_by(&voters, ensemble);
        for (identity, levels) in self.heard.values() {
            let number = founded.number_of(*identity);
            if let Some(number) = number.filter(|_| levels.highest != FeatureLevel::FIRST) {
                founded.highest.insert(number, levels.highest);
            }
        }
        let highest = self.heard.values().map(|(_, levels)| levels.highest);
        founded.level = highest.min().unwrap_or_default();
        if founded.level != FeatureLevel::FIRST {
            founded.raised_by = Release::OWN;
        }
        founded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(server: u16, journal: u128) -> Identity {
        Identity {
            server: ServerId(server),
            journal,
        }
    }

    fn list(servers: &[u16]) -> Vec<ServerId> {
        servers.iter().map(|server| ServerId(*server)).collect()
    }

    fn empty(server: u16) -> Founding {
        Founding::new(
            identity(server, u128::from(server)),
            list(&[1, 2, 3]),
            Vec::new(),
            Levels::FIRST,
        )
    }

    /// 3 is to be an observer.
    fn empty_observed(server: u16) -> Founding {
        Founding::new(
            identity(server, u128::from(server)),
            list(&[1, 2, 3]),
            list(&[3]),
            Levels::FIRST,
        )
    }

    #[test]
    fn the_first_founds_when_all_are_there() {
        let mut first = empty(1);
        assert_eq!(first.hear(&empty(3).hello(), 9), None);
        let missing: Vec<ServerId> = first.missing().collect();
        assert_eq!(missing, list(&[2]));
        let Some(Decision::Founds(members)) = first.hear(&empty(2).hello(), 9) else {
            panic!("all are there");
        };
        assert_eq!((members.voters, members.ensemble), (vec![1, 2, 3], 9));
    }

    #[test]
    fn a_group_begins_at_the_highest_level_that_all_support() {
        let supporting = |server: u16, highest: u16| {
            let levels = Levels {
                highest: FeatureLevel(highest),
                ..Levels::FIRST
            };
            let own = identity(server, u128::from(server));
            Founding::new(own, list(&[1, 2, 3]), Vec::new(), levels)
        };
        for (third, level) in [(3, 2), (1, 1)] {
            let mut first = supporting(1, 3);
            first.hear(&supporting(2, 2).hello(), 9);
            let decision = first.hear(&supporting(3, third).hello(), 9);
            let Some(Decision::Founds(members)) = decision else {
                panic!("all are there");
            };
            assert_eq!(members.level, FeatureLevel(level));
            assert_eq!(members.highest_of(3), FeatureLevel(third));
        }
    }

    #[test]
    fn nobody_else_founds() {
        for server in [2, 3] {
            let mut other = empty(server);
            for said in [1, 2, 3] {
                assert_eq!(other.hear(&empty(said).hello(), 9), None);
            }
        }
    }

    #[test]
    fn a_wiped_server_finds_out_what_it_was() {
        let founders: Vec<Identity> = (1..=3).map(|it| identity(it, u128::from(it))).collect();
        let hello = Hello {
            identity: founders[1],
            levels: Levels::FIRST,
            servers: list(&[1, 2, 3]),
            observers: Vec::new(),
            forgot: false,
            members: Some(Membership::founded_by(&founders, 9)),
        };
        let new = |own, servers: &[u16]| Founding::new(own, list(servers), vec![], Levels::FIRST);
        let mut wiped = new(identity(1, 77), &[1, 2, 3]);
        assert_eq!(wiped.hear(&empty(3).hello(), 5), None);
        assert_eq!(wiped.hear(&hello, 5), Some(Decision::Forgot));
        let mut known = new(founders[2], &[1, 2, 3]);
        let joins = Decision::Joins { number: 3 };
        assert_eq!(known.hear(&hello, 5), Some(joins));
        let mut fourth = new(identity(4, 4), &[1, 2, 3, 4]);
        assert_eq!(fourth.hear(&hello, 5), Some(Decision::Stranger));
    }

    #[test]
    fn with_one_that_has_forgotten_nothing_is_founded() {
        // Whoever of the three it is.
        for forgot in 1..=3 {
            let server = |id| empty(id).forgotten(id == forgot);
            for own in 1..=3 {
                let mut one = server(own);
                for other in (1..=3).filter(|other| *other != own) {
                    assert_eq!(one.hear(&server(other).hello(), 9), None);
                }
            }
        }
        // Its operator has accepted that.
        let mut first = empty(1);
        first.hear(&empty(2).forgotten(true).hello(), 9);
        assert!(first.missing().eq([ServerId(2), ServerId(3)]));
        first.hear(&empty(2).hello(), 9);
        let founds = first.hear(&empty(3).hello(), 9);
        assert!(matches!(founds, Some(Decision::Founds(_))));
    }

    #[test]
    fn who_has_another_list_keeps_all_from_founding() {
        let mut first = empty(1);
        first.hear(&empty(2).hello(), 9);
        let mut other = Founding::new(identity(3, 3), list(&[1, 3]), vec![], Levels::FIRST);
        let disagrees = Some(Decision::Disagrees(ServerId(3)));
        assert_eq!(first.hear(&other.hello(), 9), disagrees);
        let disagrees = Some(Decision::Disagrees(ServerId(1)));
        assert_eq!(other.hear(&first.hello(), 9), disagrees);
    }

    #[test]
    fn an_observer_is_waited_for_and_gets_no_vote() {
        let mut first = empty_observed(1);
        assert_eq!(first.hear(&empty_observed(2).hello(), 9), None);
        let missing: Vec<ServerId> = first.missing().collect();
        assert_eq!(missing, list(&[3]));
        let Some(Decision::Founds(members)) = first.hear(&empty_observed(3).hello(), 9) else {
            panic!("all are there");
        };
        assert_eq!((members.voters.len(), members.identities.len()), (2, 2));
        let mut observer = empty_observed(3);
        for other in [1, 2] {
            assert_eq!(observer.hear(&empty_observed(other).hello(), 9), None);
        }
        let founded = Hello {
            members: Some(*members),
            ..empty_observed(1).hello()
        };
        assert_eq!(observer.hear(&founded, 9), Some(Decision::Observes));
    }

    #[test]
    fn an_observer_founds_nothing_though_it_is_the_first_of_the_list() {
        let listed = |server: u16| {
            let own = identity(server, u128::from(server));
            Founding::new(own, list(&[1, 2, 3]), list(&[1]), Levels::FIRST)
        };
        let (mut observer, mut voter) = (listed(1), listed(2));
        assert_eq!(observer.hear(&listed(2).hello(), 9), None);
        assert_eq!(observer.hear(&listed(3).hello(), 9), None);
        assert_eq!(voter.hear(&listed(1).hello(), 9), None);
        let founds = voter.hear(&listed(3).hello(), 9);
        assert!(matches!(founds, Some(Decision::Founds(_))));
    }

    #[test]
    fn a_group_begins_at_a_level_that_its_observers_support() {
        let supporting = |server: u16, highest: u16| {
            let levels = Levels {
                highest: FeatureLevel(highest),
                ..Levels::FIRST
            };
            let own = identity(server, u128::from(server));
            Founding::new(own, list(&[1, 2, 3]), list(&[3]), levels)
        };
        for (observer, level) in [(4, 3), (2, 2), (1, 1)] {
            let mut first = supporting(1, 3);
            first.hear(&supporting(2, 3).hello(), 9);
            let decision = first.hear(&supporting(3, observer).hello(), 9);
            let Some(Decision::Founds(members)) = decision else {
                panic!("all are there");
            };
            assert_eq!(members.level, FeatureLevel(level));
            assert_eq!(members.highest.len(), 2, "those of its members");
        }
    }

    /// What 3 says, listed as an observer, when it is the one that has not lost a group of 1, 2 and itself.
    fn observer_that_remembers() -> Hello {
        let members = [1, 2, 3].map(|it| identity(it, 70 + u128::from(it)));
        Hello {
            members: Some(Membership::founded_by(&members, 5)),
            ..empty_observed(3).hello()
        }
    }

    #[test]
    fn an_observer_that_remembers_keeps_all_from_founding_another_group() {
        let mut first = empty_observed(1);
        let forgot = Some(Decision::Forgot);
        assert_eq!(first.hear(&observer_that_remembers(), 9), forgot);
        assert_eq!(first.hear(&empty_observed(2).hello(), 9), None);
        // Nor is anything founded while it is away.
        first.forget(ServerId(3));
        assert_eq!(first.hear(&empty_observed(2).hello(), 9), None);
        // What it said before it was taken in does not count any more.
        let mut first = empty_observed(1);
        assert_eq!(first.hear(&empty_observed(3).hello(), 9), None);
        assert_eq!(first.hear(&observer_that_remembers(), 9), forgot);
        assert_eq!(first.hear(&empty_observed(2).hello(), 9), None);
    }

    #[test]
    fn nothing_is_founded_before_an_observer_that_remembers_is_heard() {
        let mut first = empty_observed(1);
        for _ in 0..2 {
            assert_eq!(first.hear(&empty_observed(2).hello(), 9), None);
        }
        let forgot = Some(Decision::Forgot);
        assert_eq!(first.hear(&observer_that_remembers(), 9), forgot);
        let missing: Vec<ServerId> = first.missing().collect();
        assert_eq!(missing, list(&[3]));
    }

    #[test]
    fn an_observer_with_another_list_keeps_all_from_founding() {
        let listed = |servers: &[u16], observers: &[u16]| {
            let (servers, observers) = (list(servers), list(observers));
            Founding::new(identity(3, 3), servers, observers, Levels::FIRST)
        };
        // It has a vote on its own list, or another one is to observe, or somebody is not on it.
        let others = [
            listed(&[1, 2, 3], &[]),
            listed(&[1, 2, 3], &[2, 3]),
            listed(&[1, 3], &[3]),
        ];
        for mut other in others {
            let mut first = empty_observed(1);
            let disagrees = Some(Decision::Disagrees(ServerId(3)));
            assert_eq!(first.hear(&other.hello(), 9), disagrees);
            assert_eq!(first.hear(&empty_observed(2).hello(), 9), None);
            let disagrees = Some(Decision::Disagrees(ServerId(1)));
            assert_eq!(other.hear(&first.hello(), 9), disagrees);
            // Corrected.
            let founds = first.hear(&empty_observed(3).hello(), 9);
            assert!(matches!(founds, Some(Decision::Founds(_))));
        }
    }
}
