//! How servers with empty folders become one group, and how one with an empty folder finds the group that is there.
//!
//! A server that belongs to nothing founds nothing before it has heard from every server of its list, and each of them
//! belongs to nothing, too, and has the same list. Then the first of the list founds, alone, and the others
//! learn of it and join. So two halves never found two groups, and a wiped server never founds one beside the group that
//! it has forgotten: somebody who remembers is on the list, and whoever remembers says so.
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
    servers: Vec<ServerId>,
    heard: BTreeMap<ServerId, (Identity, Levels)>,
}

impl Founding {
    /// A server with this list of servers, itself among them.
    pub fn new(own: Identity, mut servers: Vec<ServerId>, levels: Levels) -> Founding {
        servers.sort_unstable();
        servers.dedup();
        Founding {
            heard: BTreeMap::from([(own.server, (own, levels))]),
            own,
            levels,
            servers,
        }
    }

    /// What it says of itself.
    pub fn hello(&self) -> Hello {
        Hello {
            identity: self.own,
            levels: self.levels,
            servers: self.servers.clone(),
            members: None,
        }
    }

    /// Whom it has not heard of yet.
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
        if let Some(members) = &hello.members {
            return Some(match members.number_of(self.own) {
                Some(number) => Decision::Joins { number },
                None if members.former(self.own).is_empty() => Decision::Stranger,
                None => Decision::Forgot,
            });
        }
        let said = hello.identity.server;
        if hello.servers != self.servers {
            self.heard.remove(&said);
            return Some(Decision::Disagrees(said));
        }
        if said != self.own.server && self.servers.contains(&said) {
            self.heard.insert(said, (hello.identity, hello.levels));
        }
        let founds = self.servers.first() == Some(&self.own.server);
        if !founds || self.missing().next().is_some() {
            return None;
        }
        Some(Decision::Founds(Box::new(self.founded(ensemble))))
    }

    /// The group of all that were heard, at the highest level that they support.
    fn founded(&self, ensemble: u128) -> Membership {
        let founders: Vec<Identity> = self.heard.values().map(|(identity, _)| *identity).collect();
        let mut founded = Membership::founded_by(&founders, ensemble);
        for (identity, levels) in self.heard.values() {
            let number = founded.number_of(*identity);
            if let Some(number) = number.filter(|_| levels.highest != FeatureLevel::FIRST) {
                founded.highest.insert(number, levels.highest);
            }
        }
        founded.level = founded.possible_level();
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
            Founding::new(own, list(&[1, 2, 3]), levels)
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
            members: Some(Membership::founded_by(&founders, 9)),
        };
        let mut wiped = Founding::new(identity(1, 77), list(&[1, 2, 3]), Levels::FIRST);
        assert_eq!(wiped.hear(&empty(3).hello(), 5), None);
        assert_eq!(wiped.hear(&hello, 5), Some(Decision::Forgot));
        let mut known = Founding::new(founders[2], list(&[1, 2, 3]), Levels::FIRST);
        let joins = Decision::Joins { number: 3 };
        assert_eq!(known.hear(&hello, 5), Some(joins));
        let mut fourth = Founding::new(identity(4, 4), list(&[1, 2, 3, 4]), Levels::FIRST);
        assert_eq!(fourth.hear(&hello, 5), Some(Decision::Stranger));
    }

    #[test]
    fn who_has_another_list_keeps_all_from_founding() {
        let mut first = empty(1);
        first.hear(&empty(2).hello(), 9);
        let mut other = Founding::new(identity(3, 3), list(&[1, 3]), Levels::FIRST);
        let disagrees = Some(Decision::Disagrees(ServerId(3)));
        assert_eq!(first.hear(&other.hello(), 9), disagrees);
        let disagrees = Some(Decision::Disagrees(ServerId(1)));
        assert_eq!(other.hear(&first.hello(), 9), disagrees);
    }
}
