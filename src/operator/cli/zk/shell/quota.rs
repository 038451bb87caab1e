//! Quotas, which are znodes below `/zookeeper/quota`: one with the limits, one with what is there.

use std::io::{self, Write};

use bytes::Bytes;

use super::commands::call;
use super::{Failure, text};
use crate::client::zookeeper::Client;
use crate::coordinator::{Acl, Create, CreateMode, Delete, Refusal, Reply, Request, SetData};

const ROOT: &str = "/zookeeper/quota";
const LIMITS: &str = "zookeeper_limits";
const STATS: &str = "zookeeper_stats";

/// What a subtree may hold; -1 where there is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) count: i64,
    pub(super) bytes: i64,
}

impl Limits {
    const NONE: Limits = Limits {
        count: -1,
        bytes: -1,
    };

    pub(super) fn parse(text: &str) -> Limits {
        let value = |name: &str| {
            let found = text
                .split(',')
                .find_map(|part| part.strip_prefix(name)?.parse().ok());
            found.unwrap_or(-1)
        };
        Limits {
            count: value("count="),
            bytes: value("bytes="),
        }
    }

    fn text(self) -> String {
        format!("count={},bytes={}", self.count, self.bytes)
    }
}

/// Sets one or both limits of a subtree, and leaves the other as it is.
pub(super) async fn set(
    client: &mut Client,
    path: &Bytes,
    count: Option<i64>,
    bytes: Option<i64>,
) -> Result<(), Failure> {
    if count.is_none() && bytes.is_none() {
        return Err(Failure::Words("setquota -n|-b val path".to_owned()));
    }
    let subtree = text(path).into_owned();
    call(
        client,
        path,
        &Request::Exists {
            path: path.clone(),
            watch: false,
        },
    )
    .await?;
    // A change counts for one quota alone.
    for above in folders(&subtree).filter(|above| *above != subtree) {
        if data(client, &format!("{ROOT}{above}/{LIMITS}"))
            .await?
            .is_some()
        {
            let told = format!("{subtree} has a parent {above} which has a quota");
            return Err(Failure::Words(told));
        }
    }
    let place = format!("{ROOT}{subtree}");
    let below = children(client, &place).await?;
    if let Some(below) = below
        .iter()
        .find(|name| ![LIMITS, STATS].contains(&name.as_str()))
    {
        let told = format!("{subtree} has a child {below} with a quota, or with one below it");
        return Err(Failure::Words(told));
    }
    let limits_at = format!("{place}/{LIMITS}");
    let held = data(client, &limits_at).await?;
    let mut limits = held.as_deref().map_or(Limits::NONE, Limits::parse);
    limits.count = count.unwrap_or(limits.count);
    limits.bytes = bytes.unwrap_or(limits.bytes);
    if held.is_some() {
        return put(client, &limits_at, limits).await;
    }
    for folder in folders(&subtree) {
        make(client, &format!("{ROOT}{folder}"), String::new()).await?;
    }
    make(client, &limits_at, limits.text()).await?;
    make(
        client,
        &format!("{place}/{STATS}"),
        "count=0,bytes=0".to_owned(),
    )
    .await
}

/// Tells the limits of a subtree and what is in it.
pub(super) async fn list(
    client: &mut Client,
    path: &Bytes,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let subtree = text(path);
    let limits_at = format!("{ROOT}{subtree}/{LIMITS}");
    writeln!(io::stderr(), "absolute path is {limits_at}")?;
    let Some(limits) = data(client, &limits_at).await? else {
        return Ok(writeln!(
            io::stderr(),
            "quota for {subtree} does not exist."
        )?);
    };
    let held = data(client, &format!("{ROOT}{subtree}/{STATS}")).await?;
    writeln!(out, "Output quota for {subtree} {limits}")?;
    writeln!(
        out,
        "Output stat for {subtree} {}",
        held.unwrap_or_default()
    )?;
    Ok(())
}

/// Lifts one limit of a subtree, or the quota altogether.
pub(super) async fn delete(
    client: &mut Client,
    path: &Bytes,
    count: bool,
    bytes: bool,
) -> Result<(), Failure> {
    let subtree = text(path).into_owned();
    let limits_at = format!("{ROOT}{subtree}/{LIMITS}");
    let Some(held) = data(client, &limits_at).await? else {
        return Ok(writeln!(
            io::stderr(),
            "quota for {subtree} does not exist."
        )?);
    };
    let mut limits = Limits::parse(&held);
    if count != bytes {
        match count {
            true => limits.count = -1,
            false => limits.bytes = -1,
        }
        return put(client, &limits_at, limits).await;
    }
    for name in [LIMITS, STATS] {
        remove(client, &format!("{ROOT}{subtree}/{name}")).await?;
    }
    // What was made above them for them alone.
    let mut above: Vec<&str> = folders(&subtree).collect();
    above.reverse();
    for folder in above {
        let place = format!("{ROOT}{folder}");
        if !children(client, &place).await?.is_empty() {
            break;
        }
        remove(client, &place).await?;
    }
    Ok(())
}

/// `/a` and `/a/b` of `/a/b`; nothing of the root.
pub(super) fn folders(path: &str) -> impl Iterator<Item = &str> {
    let ends = path.match_indices('/').map(|(at, _)| at).skip(1);
    let whole = (path.len() > 1).then_some(path.len());
    ends.chain(whole).map(|end| &path[..end])
}

async fn data(client: &mut Client, place: &str) -> Result<Option<String>, Failure> {
    let path: Bytes = place.to_owned().into();
    let request = Request::GetData {
        path: path.clone(),
        watch: false,
    };
    match call(client, &path, &request).await {
        Ok(Reply::Data { data, .. }) => {
            Ok(Some(text(data.as_deref().unwrap_or_default()).into_owned()))
        }
        Ok(_) => unreachable!("the reply is decoded as what answers the request"),
        Err(failure) => missing(failure).map(|()| None),
    }
}

async fn children(client: &mut Client, place: &str) -> Result<Vec<String>, Failure> {
    let path: Bytes = place.to_owned().into();
    let request = Request::GetChildren {
        path: path.clone(),
        watch: false,
    };
    match call(client, &path, &request).await {
        Ok(Reply::Children(names)) => {
            Ok(names.iter().map(|name| text(name).into_owned()).collect())
        }
        Ok(_) => unreachable!("the reply is decoded as what answers the request"),
        Err(failure) => missing(failure).map(|()| Vec::new()),
    }
}

async fn put(client: &mut Client, place: &str, limits: Limits) -> Result<(), Failure> {
    let path: Bytes = place.to_owned().into();
    let request = Request::SetData(SetData {
        path: path.clone(),
        data: Some(limits.text().into()),
        version: -1,
    });
    call(client, &path, &request).await.map(drop)
}

async fn make(client: &mut Client, place: &str, data: String) -> Result<(), Failure> {
    let path: Bytes = place.to_owned().into();
    let request = Request::Create(Create {
        path: path.clone(),
        data: Some(data.into()),
        acl: vec![Acl::open()],
        mode: CreateMode::Persistent,
    });
    match call(client, &path, &request).await {
        Err(failure) if !is(&failure, Refusal::NodeExists) => Err(failure),
        _ => Ok(()),
    }
}

async fn remove(client: &mut Client, place: &str) -> Result<(), Failure> {
    let path: Bytes = place.to_owned().into();
    let request = Request::Delete(Delete {
        path: path.clone(),
        version: -1,
    });
    match call(client, &path, &request).await {
        Err(failure) => missing(failure),
        Ok(_) => Ok(()),
    }
}

/// That a znode is missing is an answer.
fn missing(failure: Failure) -> Result<(), Failure> {
    match is(&failure, Refusal::NoNode) {
        true => Ok(()),
        false => Err(failure),
    }
}

fn is(failure: &Failure, refusal: Refusal) -> bool {
    matches!(failure, Failure::Refused(refused, _) if super::super::is(refused.number, refusal))
}
