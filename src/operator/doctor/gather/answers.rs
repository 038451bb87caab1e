//! What the server says of itself, who answers where its clients are sent, and when it was registered.

use std::fmt::Display;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::appliance::cluster::ClusterStatus;
use crate::appliance::control::{self, CallError, Request, Response};
use crate::appliance::limits;
use crate::appliance::status::{Registration, ServerState, ServerStatus};
use crate::client::zookeeper::{Client, Options};
use crate::config::{Broker, Config, ServerFolder, ZookeeperAt};
use crate::coordinator::{Reply, Request as Ask};
use crate::net::listener::reachable;
use crate::net::resolve;
use crate::operator::doctor::facts::{
    Answering, Known, Process, Registered, Running, Unknown, hidden,
};

/// How long the server may take to say how it is doing.
const STATUS_MAX: Duration = Duration::from_secs(2);
/// How long anybody may take for one step over the network.
const STEP_MAX: Duration = Duration::from_secs(1);
/// Threads that are needed for that.
const THREADS: usize = 5;
/// The longest answer that is read of a broker.
const ANSWER_BYTES: u64 = 4096;

/// What was answered.
pub(super) struct Answers {
    pub(super) process: Process,
    /// Of a server that runs.
    pub(super) pid: Option<u32>,
    pub(super) status: Known<ServerStatus>,
    pub(super) cluster: Known<ClusterStatus>,
    pub(super) advertised: Known<Answering>,
    pub(super) registered: Known<Registered>,
}

impl Answers {
    /// Nothing, for this reason.
    fn none(process: Process, why: &Unknown) -> Answers {
        Answers {
            process,
            pid: None,
            status: Err(why.clone()),
            cluster: Err(why.clone()),
            advertised: Err(why.clone()),
            registered: Err(why.clone()),
        }
    }
}

/// Asks the server of `folder`, if it runs.
pub(super) fn of(folder: &ServerFolder, process: &Process, config: Option<&Config>) -> Answers {
    let Process::Running(running) = process else {
        return Answers::none(process.clone(), &Unknown::DoesNotApply);
    };
    let silent = |silent: Option<String>, why: &str| {
        let process = Process::Running(Running {
            silent,
            ..running.clone()
        });
        let answers = Answers::none(process, &Unknown::Because(why.to_owned()));
        Answers {
            pid: running.pid,
            ..answers
        }
    };
    if running.suspended {
        return silent(None, "the server is suspended");
    }
    let status = match ask(folder, &Request::Status) {
        Ok(Response::Status(status)) => *status,
        Ok(_) | Err(CallError::NotAnAnswer(_)) => {
            return silent(
                None,
                "the server runs another version, and answers in its own words",
            );
        }
        Err(CallError::NotPermitted(_)) => {
            return silent(None, "only the server's user and root may ask it");
        }
        Err(error) => {
            let why = crate::report::chain(&error);
            return silent(Some(why), "the server does not answer");
        }
    };
    let (advertised, registered) = match (status.state, config.and_then(|it| it.broker.as_ref())) {
        (ServerState::Serving, Some(broker)) if status.broker.is_some() => {
            from_outside(&status, broker)
        }
        _ => (Err(Unknown::DoesNotApply), Err(Unknown::DoesNotApply)),
    };
    Answers {
        process: process.clone(),
        pid: running.pid,
        cluster: cluster(folder, &status),
        status: Ok(status),
        advertised,
        registered,
    }
}

fn ask(folder: &ServerFolder, request: &Request) -> Result<Response, CallError> {
    control::call(&folder.control_socket(), request, STATUS_MAX)
}

fn cluster(folder: &ServerFolder, status: &ServerStatus) -> Known<ClusterStatus> {
    if status.coordinator.is_none() {
        return Err(Unknown::DoesNotApply);
    }
    match ask(folder, &Request::ClusterStatus) {
        Ok(Response::Cluster(cluster)) => Ok(*cluster),
        Ok(Response::Refused { text, .. }) => hidden(text),
        Ok(_) => hidden("the server runs another version, and answers in its own words"),
        Err(error) => hidden(format!(
            "the server says nothing of its ensemble: {}",
            crate::report::chain(&error)
        )),
    }
}

/// What a client meets, on this host.
fn from_outside(status: &ServerStatus, broker: &Broker) -> (Known<Answering>, Known<Registered>) {
    let runtime = limits::find_threads(THREADS).and_then(|()| {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().build()
    });
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let why = format!("start the threads for it: {error}");
            return (hidden(&why), hidden(why));
        }
    };
    let answers =
        runtime.block_on(async { (advertised(status).await, registered(status, broker).await) });
    // A name that nobody answers for is looked up no longer.
    runtime.shutdown_background();
    answers
}

/// What is done in time.
async fn in_time<T, E: Display>(what: impl Future<Output = Result<T, E>>) -> Result<T, String> {
    match timeout(STEP_MAX, what).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", STEP_MAX.as_secs())),
    }
}

async fn advertised(status: &ServerStatus) -> Known<Answering> {
    let is_told = status
        .broker
        .as_ref()
        .is_some_and(|it| it.registration != Registration::Off);
    let Some(told) = status.advertised.as_deref().filter(|_| is_told) else {
        return Err(Unknown::DoesNotApply);
    };
    let addresses = match in_time(resolve::addresses(told)).await {
        Ok(addresses) => addresses,
        Err(why) => return Ok(Answering::Nobody(why)),
    };
    let mut failed = "its name has no address".to_owned();
    for address in addresses {
        match in_time(TcpStream::connect(address)).await {
            Ok(stream) => {
                let said = in_time(stats(stream)).await;
                return Ok(said.map_or_else(
                    |why| Answering::Another(format!("it is no MetaQ broker: {why}")),
                    |said| who(&said, status),
                ));
            }
            Err(why) => failed = format!("{address}: {why}"),
        }
    }
    Ok(Answering::Nobody(failed))
}

/// The beginning of what a broker counts.
async fn stats(mut stream: TcpStream) -> std::io::Result<String> {
    stream.write_all(b"stats\r\nquit\r\n").await?;
    let mut said = Vec::new();
    stream.take(ANSWER_BYTES).read_to_end(&mut said).await?;
    Ok(String::from_utf8_lossy(&said).into_owned())
}

/// Which broker says this of itself.
fn who(said: &str, status: &ServerStatus) -> Answering {
    let figure = |name: &str| {
        let mut lines = said.lines().filter_map(|line| line.trim().split_once(' '));
        let found = lines.find(|(it, _)| *it == name);
        found.and_then(|(_, number)| number.trim().parse::<u64>().ok())
    };
    match (figure("pid"), figure("broker_id")) {
        (Some(pid), Some(id)) if pid == u64::from(status.pid) && id == u64::from(status.id) => {
            Answering::Own
        }
        (Some(pid), Some(id)) => {
            Answering::Another(format!("it is broker {id}, process {pid} on its host"))
        }
        _ => Answering::Another("it does not say which broker it is, as brokers do".to_owned()),
    }
}

async fn registered(status: &ServerStatus, broker: &Broker) -> Known<Registered> {
    let is_registered = status
        .broker
        .as_ref()
        .is_some_and(|it| it.registration == Registration::Registered);
    if !is_registered {
        return hidden("the broker is not registered, and so nothing tells the coordinator's time");
    }
    let looked = look_at_registration(status, broker).await;
    looked.map_err(|why| {
        Unknown::Because(format!(
            "ask the coordinator when the broker was registered: {why}"
        ))
    })
}

async fn look_at_registration(
    status: &ServerStatus,
    broker: &Broker,
) -> Result<Registered, String> {
    let (address, chroot) = coordinator(status, broker).await?;
    let options = Options {
        patience: STEP_MAX,
        ..Options::default()
    };
    let mut client = in_time(Client::connect(address, options)).await?;
    let path = format!(
        "{chroot}{}/brokers/ids/{}/master",
        broker.zookeeper.root, status.id
    );
    let request = Ask::GetData {
        path: Bytes::from(path),
        watch: false,
    };
    let answered = in_time(client.call(&request)).await;
    // Its session ends by itself where this fails.
    let _closed = client.close().await;
    let Reply::Data { stat, .. } = answered? else {
        return Err("it answered something else".to_owned());
    };
    let now = SystemTime::now();
    let ms = |time: SystemTime| {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    };
    let began = now - Duration::from_secs(status.uptime_s);
    Ok(Registered {
        at_ms: stat.ctime,
        began_ms: ms(began),
        now_ms: ms(now),
    })
}

/// Where the broker is registered, and the path there that it takes for the root.
async fn coordinator(
    status: &ServerStatus,
    broker: &Broker,
) -> Result<(SocketAddr, String), String> {
    match &broker.zookeeper.at {
        ZookeeperAt::BuiltIn => {
            let own = status.ports.coordinator.map(reachable);
            let own = own.ok_or("it has none")?;
            Ok((own, String::new()))
        }
        ZookeeperAt::External(servers) => {
            let numeric = in_time(resolve::connect_string(servers)).await?;
            let (hosts, chroot) = match numeric.find('/') {
                Some(slash) => numeric.split_at(slash),
                None => (numeric.as_str(), ""),
            };
            let first = hosts.split(',').next().unwrap_or_default();
            let address = first
                .parse()
                .map_err(|_| format!("{servers} names no server"))?;
            Ok((address, chroot.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_is_known_by_its_process_and_its_id() {
        let status = ServerStatus {
            id: 7,
            pid: 4711,
            ..ServerStatus::default()
        };
        let said = |pid, id| format!("result 200 99 0\r\nSTATS\r\npid {pid}\r\nbroker_id {id}\r\n");
        assert_eq!(who(&said(4711, 7), &status), Answering::Own);
        assert!(matches!(
            who(&said(4711, 8), &status),
            Answering::Another(_)
        ));
        assert!(matches!(
            who(&said(4712, 7), &status),
            Answering::Another(_)
        ));
        assert!(matches!(
            who("220 mail ready", &status),
            Answering::Another(_)
        ));
    }
}
