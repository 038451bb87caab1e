//! What `promtool check metrics` complains of, for machines without `promtool`: each of its rules, and that samples
//! belong to what is described above them.

use std::collections::{BTreeMap, BTreeSet};

/// Units in which Prometheus wants its numbers.
const BASE_UNITS: [&str; 10] = [
    "amperes", "bytes", "celsius", "grams", "joules", "kelvin", "meters", "metres", "seconds",
    "volts",
];
/// Units that are to be told in others.
const OTHER_UNITS: [&str; 14] = [
    "minutes",
    "hours",
    "days",
    "weeks",
    "kelvins",
    "fahrenheit",
    "rankine",
    "inches",
    "yards",
    "miles",
    "bits",
    "calories",
    "pounds",
    "ounces",
];
const PREFIXES: [&str; 18] = [
    "pico", "nano", "micro", "milli", "centi", "deci", "deca", "hecto", "kilo", "kibi", "mega",
    "mibi", "giga", "gibi", "tera", "tebi", "peta", "pebi",
];
const ABBREVIATIONS: [&str; 14] = [
    "s", "ms", "us", "ns", "sec", "b", "kb", "mb", "gb", "tb", "pb", "m", "h", "d",
];
const KINDS: [&str; 5] = [
    "counter",
    "gauge",
    "summary",
    "histogram",
    "gauge_histogram",
];

/// What is described, and the samples below it.
#[derive(Default)]
struct Family<'a> {
    name: &'a str,
    help: &'a str,
    kind: &'a str,
    samples: Vec<&'a str>,
}

/// Everything that is wrong with a text in Prometheus' own form.
pub(super) fn faults(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut names = BTreeSet::new();
    let mut samples = BTreeMap::<&str, u32>::new();
    for family in families(text) {
        if !names.insert(family.name) {
            faults.push(format!("{}: described twice", family.name));
        }
        faults.extend(
            family
                .faults()
                .map(|fault| format!("{}: {fault}", family.name)),
        );
        for sample in &family.samples {
            let (series, value) = sample.rsplit_once(' ').unwrap_or((sample, ""));
            if value.parse::<f64>().is_err() {
                faults.push(format!("{sample}: no number"));
            }
            *samples.entry(series).or_default() += 1;
        }
    }
    let twice = samples.iter().filter(|(_, times)| **times > 1);
    faults.extend(twice.map(|(series, _)| format!("{series}: told twice")));
    faults
}

fn families(text: &str) -> Vec<Family<'_>> {
    let mut families: Vec<Family<'_>> = Vec::new();
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').unwrap_or((help, ""));
            families.push(Family {
                name,
                help,
                ..Family::default()
            });
            continue;
        }
        if families.is_empty() {
            families.push(Family::default());
        }
        let family = families.last_mut().expect("one was put there");
        match line.strip_prefix("# TYPE ") {
            Some(kind) => match kind.split_once(' ') {
                Some((name, kind)) if name == family.name => family.kind = kind,
                _ => family.samples.push(line),
            },
            None => family.samples.push(line),
        }
    }
    families
}

impl Family<'_> {
    fn faults(&self) -> impl Iterator<Item = String> {
        let (name, kind) = (self.name, self.kind);
        let words: Vec<&str> = name.split('_').collect();
        let has = |word: &str| {
            let lower = name.to_ascii_lowercase();
            lower.contains(&format!("_{word}_")) || lower.ends_with(&format!("_{word}"))
        };
        let is_histogram = kind == "histogram";
        let labels = self.labels();
        let with_camel = std::iter::once(name).chain(labels.iter().copied());
        let of_unit = words.iter().find(|word| is_other_unit(word));
        let rules = [
            (self.help.trim().is_empty(), "no help text"),
            (!KINDS.contains(&kind), "no type"),
            (self.samples.is_empty(), "no samples"),
            (
                of_unit.is_some(),
                "a unit that is told in Prometheus' base units",
            ),
            (
                (kind == "counter") != name.ends_with("_total"),
                "counters end in _total, and nothing else does",
            ),
            (
                !is_histogram && name.ends_with("_bucket"),
                "_bucket is a histogram's",
            ),
            (
                !is_histogram && (name.ends_with("_count") || name.ends_with("_sum")),
                "_count and _sum are a histogram's",
            ),
            (
                !is_histogram && labels.contains("le"),
                "the label le is a histogram's",
            ),
            (labels.contains("quantile"), "quantile is a summary's"),
            (
                KINDS.iter().any(|kind| has(kind)),
                "its type is in its name",
            ),
            (name.contains(':'), "colons are for rules"),
            (with_camel.into_iter().any(is_camel), "camelCase"),
            (
                ABBREVIATIONS.iter().any(|unit| has(unit)),
                "an abbreviated unit",
            ),
            (
                !self.samples.iter().all(|sample| self.describes(sample)),
                "a sample that is not of it",
            ),
            (
                is_histogram && !self.samples.iter().any(|it| it.contains("le=\"+Inf\"")),
                "a histogram without its last bucket",
            ),
        ];
        let broken = rules.into_iter().filter(|(is_broken, _)| *is_broken);
        broken.map(|(_, rule)| rule.to_owned())
    }

    /// The names of its samples' labels.
    fn labels(&self) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        for sample in &self.samples {
            let mut is_value = false;
            // Between the values: every second part.
            for part in sample.replace("\\\"", "").split('"') {
                if !is_value && let Some(name) = part.strip_suffix('=') {
                    let start = name.rfind(['{', ',']).map_or(0, |at| at + 1);
                    let length = name.len() - start;
                    let at = sample.find(&format!("{}=\"", &name[start..]));
                    names.extend(at.map(|at| &sample[at..at + length]));
                }
                is_value = !is_value;
            }
        }
        names
    }

    fn describes(&self, sample: &str) -> bool {
        let name = sample.split(['{', ' ']).next().unwrap_or_default();
        match (name.strip_prefix(self.name), self.kind) {
            (Some(ending), "histogram") => matches!(ending, "_bucket" | "_sum" | "_count"),
            (ending, _) => ending == Some(""),
        }
    }
}

fn is_camel(name: &str) -> bool {
    let pairs = name.as_bytes().windows(2);
    let mut pairs = pairs.filter(|pair| pair[0].is_ascii_lowercase());
    pairs.any(|pair| pair[1].is_ascii_uppercase())
}

fn is_other_unit(word: &str) -> bool {
    let prefixed = |prefix: &&str| {
        let unit = word.strip_prefix(prefix).unwrap_or_default();
        BASE_UNITS.contains(&unit) || OTHER_UNITS.contains(&unit)
    };
    OTHER_UNITS.contains(&word) || PREFIXES.iter().any(prefixed)
}

/// A rule that finds nothing would pass whatever the server tells.
#[test]
fn each_rule_of_promtool_finds_what_it_is_about() {
    let right = "# HELP a_seconds How long.\n# TYPE a_seconds histogram\na_seconds_bucket{le=\"+Inf\"} 1\n\
                 a_seconds_sum 0.5\na_seconds_count 1\n# HELP b_total How many.\n# TYPE b_total counter\n\
                 b_total{topic=\"x=\\\"le=\",port=\"web\"} 2\n";
    assert_eq!(faults(right), Vec::<String>::new());
    for (wrong, rule) in [
        ("# HELP a\n# TYPE a gauge\na 1\n", "no help text"),
        ("# HELP a b\na 1\n", "no type"),
        ("# HELP a b\n# TYPE a gauge\n", "no samples"),
        ("# HELP a b\n# TYPE a gauge\na x\n", "no number"),
        ("a 1\n", "not of it"),
        ("# HELP a b\n# TYPE a gauge\nb 1\n", "not of it"),
        ("# HELP a b\n# TYPE a gauge\na 1\na 2\n", "told twice"),
        (
            "# HELP a b\n# TYPE a gauge\na 1\n# HELP a b\n# TYPE a gauge\n",
            "described twice",
        ),
        (
            "# HELP a_milliseconds b\n# TYPE a_milliseconds gauge\na_milliseconds 1\n",
            "base units",
        ),
        (
            "# HELP a_hours b\n# TYPE a_hours gauge\na_hours 1\n",
            "base units",
        ),
        (
            "# HELP a_kilobytes b\n# TYPE a_kilobytes gauge\na_kilobytes 1\n",
            "base units",
        ),
        ("# HELP a b\n# TYPE a counter\na 1\n", "_total"),
        (
            "# HELP a_total b\n# TYPE a_total gauge\na_total 1\n",
            "_total",
        ),
        (
            "# HELP a_bucket b\n# TYPE a_bucket gauge\na_bucket 1\n",
            "_bucket is",
        ),
        (
            "# HELP a_count b\n# TYPE a_count gauge\na_count 1\n",
            "_count and",
        ),
        ("# HELP a_sum b\n# TYPE a_sum gauge\na_sum 1\n", "_sum are"),
        (
            "# HELP a b\n# TYPE a gauge\na{port=\"x\",le=\"1\"} 1\n",
            "label le",
        ),
        (
            "# HELP a b\n# TYPE a gauge\na{quantile=\"1\"} 1\n",
            "quantile",
        ),
        (
            "# HELP a_gauge b\n# TYPE a_gauge gauge\na_gauge 1\n",
            "its type",
        ),
        ("# HELP a:b b\n# TYPE a:b gauge\na:b 1\n", "colons"),
        ("# HELP aB b\n# TYPE aB gauge\naB 1\n", "camelCase"),
        ("# HELP a b\n# TYPE a gauge\na{aB=\"x\"} 1\n", "camelCase"),
        (
            "# HELP a_ms_max b\n# TYPE a_ms_max gauge\na_ms_max 1\n",
            "abbreviated",
        ),
        (
            "# HELP a b\n# TYPE a histogram\na_sum 1\na_count 1\n",
            "last bucket",
        ),
    ] {
        let found = faults(wrong);
        assert!(
            found.iter().any(|fault| fault.contains(rule)),
            "{rule}: {found:?}"
        );
    }
}
