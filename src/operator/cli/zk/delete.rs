//! `chrysalis zk delete`: one znode, or all below it as well. What cannot be brought back has to be meant, and what
//! went is told whatever comes in between.

use std::collections::BTreeSet;
use std::io::Write;

use bytes::Bytes;

use super::answer::json_line;
use super::server::{Server, cure, explain, reason};
use super::{below, is, text};
use crate::client::zookeeper::{Client, Error, Refused};
use crate::coordinator::{self, Refusal, Request};
use crate::operator::cli::place::word;
use crate::report::{self, Code};
use crate::units::counted;

/// More znodes than this go only where that is confirmed.
const UNCONFIRMED_MAX: usize = 100;
/// Znodes that are deleted before it is looked whether one was refused.
const AT_A_TIME: usize = 256;
/// What the coordinator itself needs.
const KEPT: [&[u8]; 4] = [
    b"/",
    b"/zookeeper",
    b"/zookeeper/quota",
    b"/zookeeper/config",
];

/// What is to go.
pub(super) struct Delete {
    pub(super) path: Bytes,
    pub(super) version: i32,
    pub(super) recursive: bool,
    pub(super) yes: bool,
}

/// Where it is to go from.
pub(super) struct From<'a> {
    pub(super) server: &'a Server,
    /// How the command line names that server, for a command that is to be pasted.
    pub(super) flags: &'a str,
}

impl Delete {
    pub(super) async fn run(
        self,
        client: &mut Client,
        from: &From<'_>,
        json: bool,
        out: &mut dyn Write,
    ) -> anyhow::Result<()> {
        let path = text(&self.path).into_owned();
        if KEPT.contains(&self.path.as_ref()) {
            let what = format!("{path} is never deleted: a coordinator does not work without it");
            let look = format!("chrysalis zk ls {path}{}", from.flags);
            return Err(report::Error::new(Code::E0309, what)
                .means("Nothing was deleted.")
                .cure(format!(
                    "Name what is below it, one by one: {look} shows that"
                ))
                .into());
        }
        if !self.recursive {
            client.call(&self.request(self.path.clone())).await?;
            return Ok(());
        }
        let mut paths = below(client, &self.path).await?;
        paths.insert(0, self.path.clone());
        let survey = Survey::of(&paths);
        if !self.yes && survey.wants_to_be_confirmed() {
            let what = format!(
                "delete {path} and all below it on {}: {survey}",
                from.server
            );
            let again = format!("chrysalis zk delete -R {} --yes{}", word(&path), from.flags);
            return Err(report::Error::new(Code::E0309, what)
                .means("Nothing was deleted.")
                .cure(format!("If you mean it: {again}"))
                .into());
        }
        paths.reverse();
        let deleted = self.delete_all(client, from, &paths).await?;
        match json {
            true => json_line(
                out,
                &serde_json::json!({ "path": path, "deleted": deleted }),
            )?,
            false => writeln!(out, "deleted {}", counted(deleted, "znodes"))?,
        }
        Ok(())
    }

    fn request(&self, path: Bytes) -> Request {
        let version = self.version;
        Request::Delete(coordinator::Delete { path, version })
    }

    /// Deletes these, in this order, and says how many went.
    async fn delete_all(
        &self,
        client: &mut Client,
        from: &From<'_>,
        paths: &[Bytes],
    ) -> Result<usize, report::Error> {
        let mut deleted = 0;
        for paths_now in paths.chunks(AT_A_TIME) {
            let requests: Vec<Request> = paths_now
                .iter()
                .map(|path| self.request(path.clone()))
                .collect();
            let mut answers = Vec::new();
            let asked = client.call_each(&requests, &mut answers).await;
            deleted += answers.iter().filter(|answer| answer.is_ok()).count();
            // Somebody else may have deleted one meanwhile.
            let refused = paths_now
                .iter()
                .zip(&answers)
                .find_map(|(path, answer)| match answer {
                    Err(refused) if !is(refused.number, Refusal::NoNode) => Some((path, *refused)),
                    _ => None,
                });
            if let Some((path, refused)) = refused {
                return Err(stopped(from, path, refused, deleted, paths.len()));
            }
            asked.map_err(|error| self.lost(from, error, deleted, paths.len()))?;
        }
        Ok(deleted)
    }

    /// What is told when the connection was lost in between.
    fn lost(&self, from: &From<'_>, error: Error, deleted: usize, all: usize) -> report::Error {
        let path = text(&self.path);
        let look = format!("chrysalis zk ls -R {}{}", word(&path), from.flags);
        explain(
            error,
            from.server,
            &format!("delete {path} and all below it"),
        )
        .means(format!(
            "At least {deleted} of {} are deleted; whether more are is not known.",
            counted(all, "znodes")
        ))
        .cure(format!("Look at what is left: {look}"))
    }
}

/// What is told when the coordinator refused to delete one of many.
fn stopped(
    from: &From<'_>,
    path: &[u8],
    refused: Refused,
    deleted: usize,
    all: usize,
) -> report::Error {
    let (path, server) = (text(path), from.server);
    let what = format!("delete {path} on {server}: {}", reason(refused));
    let means = match deleted {
        0 => "Nothing was deleted.".to_owned(),
        _ => format!(
            "{deleted} of {} are deleted; the others are still there.",
            counted(all, "znodes")
        ),
    };
    let cure = match is(refused.number, Refusal::NotEmpty) {
        true => "Somebody made a znode there meanwhile: try again.".to_owned(),
        false => cure(refused.number, from.flags),
    };
    report::Error::new(Code::E0402, what)
        .means(means)
        .cure(cure)
}

/// What there is in a subtree.
#[derive(Debug, Default, PartialEq, Eq)]
struct Survey {
    znodes: usize,
    /// Consumer groups with positions or members there.
    groups: BTreeSet<String>,
    /// Brokers are registered there.
    brokers: bool,
}

impl Survey {
    fn of(paths: &[Bytes]) -> Survey {
        let mut survey = Survey {
            znodes: paths.len(),
            ..Survey::default()
        };
        for path in paths {
            let names: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
            survey.brokers |= names
                .windows(2)
                .any(|names| names == [b"brokers" as &[u8], b"ids"]);
            let group = names.windows(3).find_map(|names| match names {
                [b"consumers", group, b"offsets" | b"owners" | b"ids"] => Some(text(group)),
                _ => None,
            });
            survey
                .groups
                .extend(group.map(std::borrow::Cow::into_owned));
        }
        survey
    }

    fn wants_to_be_confirmed(&self) -> bool {
        self.brokers || !self.groups.is_empty() || self.znodes > UNCONFIRMED_MAX
    }
}

impl std::fmt::Display for Survey {
    /// `57 znodes would go, among them the positions and members of 2 groups (a, b) and where brokers register`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const NAMED_MAX: usize = 5;
        write!(f, "{} would go", counted(self.znodes, "znodes"))?;
        let mut separator = ", among them ";
        if !self.groups.is_empty() {
            let count = self.groups.len();
            let ending = if count == 1 { "" } else { "s" };
            let named: Vec<&str> = self
                .groups
                .iter()
                .map(String::as_str)
                .take(NAMED_MAX)
                .collect();
            let more = if count > NAMED_MAX { ", …" } else { "" };
            let named = named.join(", ");
            write!(
                f,
                "{separator}positions and members of {count} group{ending} ({named}{more})"
            )?;
            separator = " and ";
        }
        if self.brokers {
            write!(f, "{separator}the place where brokers register")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn survey(paths: &[&str]) -> Survey {
        let paths: Vec<Bytes> = paths.iter().map(|path| path.to_string().into()).collect();
        Survey::of(&paths)
    }

    #[test]
    fn what_brokers_and_groups_need_is_known_wherever_it_lies() {
        for (paths, told) in [
            (
                &[
                    "/x/meta",
                    "/x/meta/consumers",
                    "/x/meta/consumers/g/offsets",
                ][..],
                "3 znodes would go, among them positions and members of 1 group (g)",
            ),
            (
                &["/meta/consumers/g/offsets/t/1-0"],
                "1 znode would go, among them positions and members of 1 group (g)",
            ),
            (
                &[
                    "/meta/brokers/ids",
                    "/meta/consumers/a/ids",
                    "/meta/consumers/b/owners",
                ],
                "3 znodes would go, among them positions and members of 2 groups (a, b) and the place where brokers register",
            ),
        ] {
            let survey = survey(paths);
            assert!(survey.wants_to_be_confirmed(), "{paths:?}");
            assert_eq!(survey.to_string(), told);
        }
        let harmless = survey(&["/config", "/config/consumers", "/config/ids"]);
        assert!(!harmless.wants_to_be_confirmed());
    }

    #[test]
    fn many_znodes_want_to_be_confirmed() {
        let paths: Vec<Bytes> = (0..=100).map(|n| Bytes::from(format!("/a/{n}"))).collect();
        assert!(Survey::of(&paths).wants_to_be_confirmed());
        assert!(!Survey::of(&paths[1..]).wants_to_be_confirmed());
    }
}
