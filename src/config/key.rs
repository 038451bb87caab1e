//! What a key of the configuration is: its name, its type, what it permits, what it means.
//!
//! The keys themselves stand in `explain.rs`, one block each. A key's type is its Rust type: a
//! reader that asks for [`Key<u16>`] gets a `u16` within the key's range or a mistake with its
//! place, so nothing after this module handles a number that was not checked.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A part of the configuration. To add one, add a variant: the compiler names the other places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// What both halves share.
    Server,
    /// The servers that work together.
    Cluster,
    /// The ZooKeeper-compatible half.
    Coordinator,
    /// The MetaQ-compatible half.
    Broker,
    /// How the broker finds and uses ZooKeeper.
    Zookeeper,
    /// One topic, or all that a wildcard matches.
    Topics,
    /// What connections may cost.
    Network,
    /// The journal.
    Journal,
    /// The disk beneath everything.
    Disk,
    /// The web port.
    Web,
    /// Lines for people.
    Log,
}

impl Section {
    /// Every section, in the order of the documentation.
    pub const ALL: [Section; 11] = [
        Section::Server,
        Section::Cluster,
        Section::Coordinator,
        Section::Broker,
        Section::Zookeeper,
        Section::Topics,
        Section::Network,
        Section::Journal,
        Section::Disk,
        Section::Web,
        Section::Log,
    ];

    /// Its name in `server.toml`.
    pub fn name(self) -> &'static str {
        match self {
            Section::Server => "server",
            Section::Cluster => "cluster",
            Section::Coordinator => "coordinator",
            Section::Broker => "broker",
            Section::Zookeeper => "zookeeper",
            Section::Topics => "topics",
            Section::Network => "network",
            Section::Journal => "journal",
            Section::Disk => "disk",
            Section::Web => "web",
            Section::Log => "log",
        }
    }

    /// What it is about, in a sentence or two.
    pub fn help(self) -> &'static str {
        match self {
            Section::Server => "The server as a whole.",
            Section::Cluster => {
                "The servers whose coordinators work together: each has the whole tree, and they serve while more than half of \
                 them run and reach each other. Without `servers` this server is alone."
            }
            Section::Coordinator => {
                "The coordinator: what ZooKeeper's clients talk to. Without `enabled` there is none, and the \
                 broker uses the ZooKeeper that `zookeeper.connect` names."
            }
            Section::Broker => {
                "The broker: what MetaQ's clients talk to. From `num_partitions` to `statistics` the values hold for \
                 every topic whose own section says nothing else."
            }
            Section::Zookeeper => "Where the broker registers itself, so that clients find it.",
            Section::Topics => {
                "One section for each topic, `[topics.NAME]`. The broker accepts only topics named here. `*` in a \
                 name stands for any characters (`[topics.\"order-*\"]`); the settings of such a section hold \
                 for every topic it matches that has no section of its own. `chrysalis reload` reads this part again; \
                 everything else takes effect at the next start."
            }
            Section::Network => {
                "What the connections of both protocols may cost this server. A client that reaches a limit waits or is \
                 disconnected; the server serves the others."
            }
            Section::Journal => {
                "The journal: every write is in it before it is acknowledged. It takes at most `file_bytes` x `files_max` on \
                 disk."
            }
            Section::Disk => "The disk, and what happens when it fills up.",
            Section::Web => "The web port: `/health`, `/ready` and `/metrics`.",
            Section::Log => "Lines for people.",
        }
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A value as it was written, before anybody asked what it should be.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `true` or `false`.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// Characters.
    Text(String),
    /// Several values.
    List(Vec<Value>),
    /// What no key takes (a date, a fraction, a table), with a name for it.
    Other(&'static str),
}

/// What a key is when nothing was written.
#[derive(Clone, Copy, Debug)]
pub enum Preset<P> {
    /// This value.
    Value(P),
    /// It follows from other keys or from the machine, as this sentence says.
    Derived(&'static str),
}

/// One key of the configuration: everything there is to know of it in one place.
#[derive(Debug)]
pub struct Key<T: Form> {
    /// The section it belongs to.
    pub section: Section,
    /// Its name in that section; the unit is its last word.
    pub name: &'static str,
    /// The unit of a number, in a word; empty where there is none.
    pub unit: &'static str,
    /// What it is when nothing was written.
    pub default: Preset<T::Preset>,
    /// What it may be.
    pub permitted: T::Permitted,
    /// What it does, for an operator.
    pub help: &'static str,
    /// The keys of the originals that it replaces; empty where there is none.
    pub replaces: &'static str,
}

/// What a value is, before anybody asks whether it is permitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A whole number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// Characters.
    Text,
    /// Several texts.
    List,
}

/// A type that a key may have.
pub trait Form: Sized + 'static {
    /// What its values are.
    const KIND: Kind;

    /// What limits it, written down in a `static`.
    type Permitted: Sync;
    /// How a default is written down in a `static`.
    type Preset: Copy + Sync;

    /// The checked value, or nothing if it is not permitted.
    fn read(value: &Value, permitted: &Self::Permitted) -> Option<Self>;

    /// What is permitted, to be read after "must be".
    fn describe(permitted: &Self::Permitted) -> String;

    /// The least and the greatest number that is permitted, of a number.
    fn bounds(_permitted: &Self::Permitted) -> Option<(i64, i64)> {
        None
    }

    /// The default as a value.
    fn from_preset(preset: Self::Preset) -> Self;

    /// The value as `server.toml` would have it.
    fn to_toml(&self) -> String;
}

/// A key without its type, for everything that only tells about keys.
pub trait Described: Sync {
    /// Its section.
    fn section(&self) -> Section;
    /// Its name.
    fn name(&self) -> &'static str;
    /// Its unit.
    fn unit(&self) -> &'static str;
    /// What its values are.
    fn kind(&self) -> Kind;
    /// Its default as `server.toml` would have it, or the sentence that says what it follows from.
    fn default(&self) -> Preset<String>;
    /// What it may be.
    fn permitted(&self) -> String;
    /// Its least and its greatest value, if it is a number.
    fn bounds(&self) -> Option<(i64, i64)>;
    /// What it does.
    fn help(&self) -> &'static str;
    /// What it replaces.
    fn replaces(&self) -> &'static str;
}

impl<T: Form> Described for Key<T>
where
    Key<T>: Sync,
{
    fn section(&self) -> Section {
        self.section
    }

    fn name(&self) -> &'static str {
        self.name
    }

    fn unit(&self) -> &'static str {
        self.unit
    }

    fn kind(&self) -> Kind {
        T::KIND
    }

    fn default(&self) -> Preset<String> {
        match self.default {
            Preset::Value(preset) => Preset::Value(T::from_preset(preset).to_toml()),
            Preset::Derived(sentence) => Preset::Derived(sentence),
        }
    }

    fn permitted(&self) -> String {
        T::describe(&self.permitted)
    }

    fn bounds(&self) -> Option<(i64, i64)> {
        T::bounds(&self.permitted)
    }

    fn help(&self) -> &'static str {
        self.help
    }

    fn replaces(&self) -> &'static str {
        self.replaces
    }
}

/// A whole number's range, both ends permitted.
#[derive(Clone, Copy, Debug)]
pub struct Range<N> {
    /// The least.
    pub min: N,
    /// The greatest.
    pub max: N,
}

macro_rules! whole_number {
    ($($number:ty),*) => {$(
        impl Form for $number {
            const KIND: Kind = Kind::Number;
            type Permitted = Range<$number>;
            type Preset = $number;

            fn read(value: &Value, permitted: &Range<$number>) -> Option<$number> {
                let Value::Integer(integer) = value else { return None };
                let number = <$number>::try_from(*integer).ok()?;
                (permitted.min <= number && number <= permitted.max).then_some(number)
            }

            fn describe(permitted: &Range<$number>) -> String {
                format!("a whole number from {} to {}", permitted.min, permitted.max)
            }

            fn bounds(permitted: &Range<$number>) -> Option<(i64, i64)> {
                let bound = |number| i64::try_from(number).unwrap_or(i64::MAX);
                Some((bound(permitted.min), bound(permitted.max)))
            }

            fn from_preset(preset: $number) -> $number {
                preset
            }

            fn to_toml(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

whole_number!(u16, u32, u64);

impl Form for bool {
    const KIND: Kind = Kind::Boolean;
    type Permitted = ();
    type Preset = bool;

    fn read(value: &Value, (): &()) -> Option<bool> {
        match value {
            Value::Boolean(boolean) => Some(*boolean),
            _ => None,
        }
    }

    fn describe((): &()) -> String {
        "true or false".to_owned()
    }

    fn from_preset(preset: bool) -> bool {
        preset
    }

    fn to_toml(&self) -> String {
        self.to_string()
    }
}

/// What a text may be.
#[derive(Debug)]
pub struct TextRule {
    /// In words, to be read after "must be".
    pub words: &'static str,
    /// The same for the program.
    pub accepts: fn(&str) -> bool,
}

impl Form for String {
    const KIND: Kind = Kind::Text;
    type Permitted = TextRule;
    type Preset = &'static str;

    fn read(value: &Value, permitted: &TextRule) -> Option<String> {
        match value {
            Value::Text(text) if (permitted.accepts)(text) => Some(text.clone()),
            _ => None,
        }
    }

    fn describe(permitted: &TextRule) -> String {
        permitted.words.to_owned()
    }

    fn from_preset(preset: &'static str) -> String {
        preset.to_owned()
    }

    fn to_toml(&self) -> String {
        quote(self)
    }
}

impl Form for Vec<String> {
    const KIND: Kind = Kind::List;
    type Permitted = TextRule;
    type Preset = &'static [&'static str];

    fn read(value: &Value, permitted: &TextRule) -> Option<Vec<String>> {
        let Value::List(values) = value else {
            return None;
        };
        values
            .iter()
            .map(|value| String::read(value, permitted))
            .collect()
    }

    fn describe(permitted: &TextRule) -> String {
        permitted.words.to_owned()
    }

    fn from_preset(preset: &'static [&'static str]) -> Vec<String> {
        preset.iter().map(|word| (*word).to_owned()).collect()
    }

    fn to_toml(&self) -> String {
        let quoted: Vec<String> = self.iter().map(|word| quote(word)).collect();
        format!("[{}]", quoted.join(", "))
    }
}

/// A type that is written as one text and knows what it permits.
pub trait Written: FromStr + fmt::Display + 'static {
    /// What it may be, to be read after "must be".
    const WORDS: &'static str;
}

impl<T: Written> Form for T {
    const KIND: Kind = Kind::Text;
    type Permitted = ();
    type Preset = &'static str;

    fn read(value: &Value, (): &()) -> Option<T> {
        match value {
            Value::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    fn describe((): &()) -> String {
        T::WORDS.to_owned()
    }

    fn from_preset(preset: &'static str) -> T {
        preset
            .parse()
            .ok()
            .expect("a default is permitted: the test of the documented file reads each one")
    }

    fn to_toml(&self) -> String {
        quote(&self.to_string())
    }
}

impl Written for IpAddr {
    const WORDS: &'static str = "an IP address in quotes, such as \"127.0.0.1\" or \"0.0.0.0\"";
}

/// A text as TOML writes it.
pub fn quote(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
