//! Feature levels: what servers of several releases may write and say, so that all of them understand it.
//!
//! A release supports a range of levels. The servers of an ensemble have one level at a time, which is a part of what they
//! agree on: nothing goes into its log, its snapshots and its members' state that a release of that level cannot read. It
//! is raised when every member supports a higher one and an operator says so, and never lowered.
//!
//! | level | release | what may be written and said from then on |
//! | --- | --- | --- |
//! | 1 | 0.1.0 | all that the first release has, observers among it |
//!
//! To add a level: a line here, [`Levels::OWN`], and what is new asks for the level before it is written.

use std::fmt;

/// What the servers of an ensemble may write and say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeatureLevel(pub u16);

impl FeatureLevel {
    /// The first one. Bytes that name no level are of this one.
    pub const FIRST: FeatureLevel = FeatureLevel(1);
}

impl Default for FeatureLevel {
    fn default() -> FeatureLevel {
        FeatureLevel::FIRST
    }
}

impl fmt::Display for FeatureLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A release of this program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Release {
    /// Changes with what is incompatible.
    pub major: u16,
    /// Changes with what is new.
    pub minor: u16,
    /// Changes with what is mended.
    pub patch: u16,
}

impl Release {
    /// This one.
    pub const OWN: Release = Release {
        major: number(env!("CARGO_PKG_VERSION_MAJOR")),
        minor: number(env!("CARGO_PKG_VERSION_MINOR")),
        patch: number(env!("CARGO_PKG_VERSION_PATCH")),
    };
}

/// Of a part of the version in Cargo.toml.
const fn number(text: &str) -> u16 {
    match u16::from_str_radix(text, 10) {
        Ok(number) => number,
        Err(_) => panic!("a part of a version is a small number"),
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// The levels that a server supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Levels {
    /// The lowest.
    pub lowest: FeatureLevel,
    /// The highest.
    pub highest: FeatureLevel,
}

impl Levels {
    /// Those of this release.
    pub const OWN: Levels = Levels {
        lowest: FeatureLevel::FIRST,
        highest: FeatureLevel(1),
    };

    /// The first level and no other: that is what a server supports that says nothing of levels.
    pub const FIRST: Levels = Levels {
        lowest: FeatureLevel::FIRST,
        highest: FeatureLevel::FIRST,
    };

    /// Whether this level is one of them.
    pub fn contains(self, level: FeatureLevel) -> bool {
        self.lowest <= level && level <= self.highest
    }

    /// The highest level of both; `None` where they have none in common.
    pub fn common(self, other: Levels) -> Option<FeatureLevel> {
        let highest = self.highest.min(other.highest);
        (self.lowest.max(other.lowest) <= highest).then_some(highest)
    }

    /// Whether a server that supports these may take part at this level.
    ///
    /// # Errors
    /// [`Unsupported`]. `release` is one that supports the level.
    pub fn check(self, level: FeatureLevel, release: Release) -> Result<(), Unsupported> {
        match self.contains(level) {
            true => Ok(()),
            false => Err(Unsupported {
                level,
                release,
                levels: self,
            }),
        }
    }
}

impl fmt::Display for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.lowest == self.highest {
            true => write!(f, "level {}", self.lowest),
            false => write!(f, "levels {} to {}", self.lowest, self.highest),
        }
    }
}

/// A level that a server does not support.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// The level.
    pub level: FeatureLevel,
    /// A release that supports it.
    pub release: Release,
    /// What the server supports.
    pub levels: Levels,
}

impl std::error::Error for Unsupported {}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (level, own, levels) = (self.level, Release::OWN, self.levels);
        write!(
            f,
            "feature level {level} is in force, and this release, {own}, supports {levels}"
        )?;
        match level > levels.highest {
            true => write!(f, ": release {} or a later one is needed", self.release),
            // It was raised by none that could be named.
            false => write!(
                f,
                ": a release is needed that supports both, to raise the level first"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(lowest: u16, highest: u16) -> Levels {
        Levels {
            lowest: FeatureLevel(lowest),
            highest: FeatureLevel(highest),
        }
    }

    #[test]
    fn two_have_the_highest_level_of_both_in_common() {
        assert_eq!(levels(1, 3).common(levels(2, 5)), Some(FeatureLevel(3)));
        assert_eq!(levels(4, 5).common(levels(1, 4)), Some(FeatureLevel(4)));
        assert_eq!(levels(1, 2).common(levels(3, 4)), None);
        assert_eq!(levels(3, 4).common(levels(1, 2)), None);
    }

    #[test]
    fn who_does_not_support_a_level_is_told_the_release_that_does() {
        let release = Release {
            major: 2,
            minor: 1,
            patch: 0,
        };
        assert_eq!(levels(1, 2).check(FeatureLevel(2), release), Ok(()));
        let told = |levels: Levels, level| {
            let refused = levels.check(FeatureLevel(level), release);
            refused.expect_err("it does not").to_string()
        };
        let high = told(levels(1, 2), 3);
        assert!(
            high.contains("supports levels 1 to 2: release 2.1.0 or a later one"),
            "{high}"
        );
        let low = told(levels(2, 2), 1);
        assert!(
            low.contains("supports level 2: a release is needed that supports both"),
            "{low}"
        );
    }

    #[test]
    fn a_release_supports_its_own_levels_and_says_its_version() {
        assert!(Levels::OWN.lowest <= Levels::OWN.highest);
        assert_eq!(Release::OWN.to_string(), env!("CARGO_PKG_VERSION"));
    }
}
