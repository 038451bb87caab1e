//! What a suite said of its tests, as pytest, `go test`, Rust's test runner and CppUnit say it.

use std::collections::BTreeMap;

/// Tests that are not asked for: one by name, or all whose names begin so if it ends in `*`, and why.
pub(super) type LeftOut = (&'static str, &'static str);

/// Whether each test passed, and all that was said.
#[derive(Debug, Default)]
pub(super) struct Verdicts {
    tests: BTreeMap<String, bool>,
    pub(super) said: String,
}

impl Verdicts {
    /// `PASSED file::class::test` or `FAILED file::class::test - why`, as `pytest -rA` sums up; `ERROR` before or after a test.
    pub(super) fn of_pytest(said: String) -> Verdicts {
        let lines = said.lines().filter_map(|line| {
            let (verdict, rest) = line.split_once(' ')?;
            let name = rest.split(" - ").next()?;
            name.contains("::").then_some(())?;
            match verdict {
                "PASSED" => Some((name, true)),
                "FAILED" | "ERROR" => Some((name, false)),
                _ => None,
            }
        });
        Verdicts::new(lines.map(|(name, passed)| (name.to_owned(), passed)), &said)
    }

    /// `--- PASS: test (1.00s)`, further in for a test within a test, as `go test -v` says it.
    pub(super) fn of_go(said: String) -> Verdicts {
        let lines = said.lines().filter_map(|line| {
            let (verdict, rest) = line.trim_start().strip_prefix("--- ")?.split_once(": ")?;
            let name = rest.split(' ').next()?;
            match verdict {
                "PASS" => Some((name, true)),
                "FAIL" => Some((name, false)),
                _ => None,
            }
        });
        Verdicts::new(lines.map(|(name, passed)| (name.to_owned(), passed)), &said)
    }

    /// `test name ... ok`. What the test itself writes may stand between.
    pub(super) fn of_rust(said: String) -> Verdicts {
        let mut tests = BTreeMap::new();
        let mut last = None;
        for line in said.lines() {
            if let Some((name, _)) = line
                .strip_prefix("test ")
                .and_then(|rest| rest.split_once(" ... "))
            {
                let name = name.trim_end_matches(" - should panic").to_owned();
                tests.insert(name.clone(), false);
                last = Some(name);
            }
            let passed = line == "ok" || line.ends_with(" ... ok");
            if passed && let Some(name) = &last {
                tests.insert(name.clone(), true);
            }
        }
        Verdicts::new(tests, &said)
    }

    /// `suite::test : elapsed 12 : OK`, and what the test itself writes in between, perhaps over several lines.
    pub(super) fn of_cppunit(said: String, suite: &str) -> Verdicts {
        let mut tests = BTreeMap::new();
        let mut last: Option<String> = None;
        for line in said.lines() {
            if let Some(rest) = line.strip_prefix(&format!("{suite}::")) {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                let name = format!("{suite}::{}", &rest[..end.unwrap_or(rest.len())]);
                tests.entry(name.clone()).or_insert(false);
                last = Some(name);
            }
            if line.ends_with(": OK")
                && let Some(name) = &last
            {
                tests.insert(name.clone(), true);
            }
        }
        Verdicts::new(tests, &said)
    }

    fn new(tests: impl IntoIterator<Item = (String, bool)>, said: &str) -> Verdicts {
        let mut verdicts = Verdicts {
            said: said.to_owned(),
            ..Verdicts::default()
        };
        for (name, passed) in tests {
            // One that passed and could not be cleaned up after has not passed.
            let all = verdicts.tests.entry(name).or_insert(true);
            *all &= passed;
        }
        verdicts
    }

    /// Adds those of other tests.
    pub(super) fn add(&mut self, other: Verdicts) {
        self.tests.extend(other.tests);
        self.said.push_str(&other.said);
    }

    /// Those of a second try count.
    pub(super) fn replace(&mut self, second: Verdicts) {
        self.add(second);
    }

    pub(super) fn passed(&self) -> usize {
        self.tests.values().filter(|passed| **passed).count()
    }

    /// Those that should have passed.
    pub(super) fn failed(&self, left_out: &[LeftOut]) -> Vec<String> {
        let failed = self.tests.iter().filter(|(name, passed)| {
            let is_left_out = left_out.iter().any(|(left_out, _)| {
                left_out
                    .strip_suffix('*')
                    .map_or(*left_out == *name, |begin| name.starts_with(begin))
            });
            !**passed && !is_left_out
        });
        failed.map(|(name, _)| name.clone()).collect()
    }

    /// What is wrong, if anything is.
    pub(super) fn complaint(&self, left_out: &[LeftOut], floor: usize) -> Option<String> {
        let (failed, passed) = (self.failed(left_out), self.passed());
        let fewer = passed < floor;
        (fewer || !failed.is_empty())
            .then(|| format!("{passed} passed, {floor} are needed; failed: {failed:#?}"))
    }
}

#[test]
fn what_each_runner_says_is_understood() {
    let pytest = "PASSED a/test_x.py::X::test_1\nFAILED a/test_x.py::X::test_2 - AssertionError: no\n\
                  PASSED a/test_x.py::test_3\nERROR a/test_x.py::test_3 - NoNode\n\
                  ERROR    kazoo.client:client.py:545 Error in a listener\nSKIPPED [1] a/test_x.py:3: old\n";
    let go = "=== RUN   TestA\n=== RUN   TestA/one\n--- FAIL: TestA (1.0s)\n    --- PASS: TestA/one (0.00s)\n\
              --- SKIP: TestB (0.00s)\n";
    let rust = "test a::one ... ok\ntest two ... [ERROR] it says something\nand more\nok\ntest three ... FAILED\n\
                test four - should panic ... ok\n";
    let cppunit = "S::testA : elapsed 1 : OK\nS::testB server started\nmore : elapsed 9 : OK\nS::testC : assertion : elapsed 3\n";
    let seen = [
        Verdicts::of_pytest(pytest.to_owned()),
        Verdicts::of_go(go.to_owned()),
        Verdicts::of_rust(rust.to_owned()),
        Verdicts::of_cppunit(cppunit.to_owned(), "S"),
    ];
    let told = seen.map(|it| (it.passed(), it.failed(&[]).join(" ")));
    let told = told.each_ref().map(|(passed, failed)| (*passed, &**failed));
    let expected = [
        (1, "a/test_x.py::X::test_2 a/test_x.py::test_3"),
        (1, "TestA"),
        (3, "three"),
        (2, "S::testC"),
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_test_that_fails_or_is_missing_is_told_and_one_that_is_left_out_is_not() {
    let verdicts = || Verdicts::of_go("--- PASS: A\n--- FAIL: B\n--- FAIL: C/d\n".to_owned());
    let left_out = [("B", "newer"), ("C/*", "newer")];
    assert_eq!(verdicts().complaint(&left_out, 1), None);
    assert!(
        verdicts().complaint(&left_out, 2).is_some(),
        "one is missing"
    );
    assert!(
        verdicts().complaint(&left_out[..1], 1).is_some(),
        "one failed"
    );
    let mut again = verdicts();
    again.replace(Verdicts::of_go("--- PASS: B\n--- PASS: C/d\n".to_owned()));
    assert_eq!(again.complaint(&[], 3), None);
}
