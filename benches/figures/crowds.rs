//! Many of a kind at three coordinators: sessions that connect at once, watches that fire at once, znodes.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::alone::{mega, processor_time, written_bytes};
use crate::harness::cluster::Cluster;
use crate::harness::originals::{Jvm, ZooKeepers};
use crate::harness::server::set_key;
use crate::harness::zookeeper_wire::{Body, hello, op};
use crate::rounds::{from_environment, median, rounds};

/// What a server is given to answer; nothing takes longer unless it hangs.
const PATIENCE: Duration = Duration::from_secs(120);
const SESSION_MS: i32 = 10_000;
const PING: i32 = -2;
const EVENT: i32 = -1;

/// A session of which only the frames are looked at.
struct Client {
    socket: TcpStream,
}

impl Client {
    async fn connect(address: SocketAddr, timeout_ms: i32) -> io::Result<Client> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        let mut client = Client { socket };
        client.socket.write_all(&hello(timeout_ms)).await?;
        let welcome = client.frame().await?;
        // The protocol's version, then the time-out, which is 0 for a session that is not granted.
        let granted = welcome.get(4..8).is_some_and(|bytes| bytes != [0; 4]);
        granted
            .then_some(client)
            .ok_or_else(|| io::Error::other("no session was granted"))
    }

    async fn frame(&mut self) -> io::Result<Vec<u8>> {
        let mut length = [0; 4];
        self.socket.read_exact(&mut length).await?;
        let length = usize::try_from(i32::from_be_bytes(length)).map_err(io::Error::other)?;
        let mut frame = vec![0; length];
        self.socket.read_exact(&mut frame).await?;
        Ok(frame)
    }

    /// Sends all of these, and reads frames until as many have come that are no notification; none may be an error.
    async fn ask(&mut self, requests: &[Vec<u8>]) -> io::Result<()> {
        self.socket.write_all(&requests.concat()).await?;
        for _ in requests {
            let reply = self.frame().await?;
            if reply.get(12..16) != Some(&[0; 4]) {
                return Err(io::Error::other("a request was refused"));
            }
        }
        Ok(())
    }
}

/// A request's whole frame.
fn request(xid: i32, opcode: i32, body: Body) -> Vec<u8> {
    let payload = Body::new().int(xid).int(opcode).raw(&body.0);
    Body::new().bytes(&payload.0).0
}

fn create(path: &str, data: &[u8]) -> Vec<u8> {
    let body = Body::new().string(path).bytes(data).open_acl().int(0);
    request(1, op::CREATE, body)
}

fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

/// Thousands of sockets, here and in each server.
fn raise_limit() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("there is a limit");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("up to the hard one anybody may");
}

fn ours() -> Cluster {
    Cluster::start_with(3, &[], |config| {
        // All come from one address.
        set_key(config, "coordinator", "connections_per_address_max", "0");
        // The broker has nothing to do with it.
        set_key(config, "broker", "enabled", "false");
    })
}

/// Waits for all of them.
async fn all<T: Send + 'static>(mut tasks: JoinSet<io::Result<T>>) -> Vec<T> {
    let mut results = Vec::with_capacity(tasks.len());
    while let Some(result) = tasks.join_next().await {
        let result = result.expect("no task panics");
        results.push(result.expect("the servers answer"));
    }
    results
}

/// What one run says to its seconds.
fn tell(sides: [Vec<f64>; 2]) {
    let [ours, original] = sides.map(median);
    println!(
        "  ours {ours:.2} s, the original {original:.2} s: {:.1}x as fast",
        original / ours
    );
}

/// `SESSIONS` (10,000) clients connect at once to three servers; then they are held for two time-outs.
pub(crate) fn sessions() {
    raise_limit();
    let count = from_environment("SESSIONS", 10_000);
    let ours = ours();
    let originals = ZooKeepers::start(Jvm::Fast);
    let sides = [ours.addresses(), originals.addresses()];
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..rounds() {
        for (side, addresses) in sides.iter().enumerate() {
            let (seconds, lost) = runtime().block_on(connect_all(addresses, count));
            println!(
                "  {}: {count} sessions in {seconds:.2} s; {lost} lost in two time-outs",
                ["ours", "the original"][side]
            );
            times[side].push(seconds);
        }
    }
    tell(times);
}

async fn connect_all(addresses: &[SocketAddr], count: usize) -> (f64, usize) {
    let began = Instant::now();
    let mut connecting = JoinSet::new();
    for address in addresses.iter().copied().cycle().take(count) {
        connecting.spawn(async move {
            let connected = timeout(PATIENCE, Client::connect(address, SESSION_MS)).await;
            connected.map_err(io::Error::other)?
        });
    }
    let clients = all(connecting).await;
    let seconds = began.elapsed().as_secs_f64();
    let mut holding = JoinSet::new();
    for client in clients {
        holding.spawn(hold(client));
    }
    let held = holding.join_all().await;
    (seconds, held.iter().filter(|held| held.is_err()).count())
}

/// Pings as a client does, a third of its time-out apart.
async fn hold(mut client: Client) -> io::Result<()> {
    let third = Duration::from_millis(u64::from(SESSION_MS.unsigned_abs()) / 3);
    let ping = request(PING, op::PING, Body::new());
    for _ in 0..6 {
        sleep(third).await;
        client.ask(std::slice::from_ref(&ping)).await?;
    }
    let close = request(1, op::CLOSE, Body::new());
    client.ask(&[close]).await
}

/// 1,000 clients watch the same 100 znodes; all are changed.
pub(crate) fn watches() {
    raise_limit();
    let mut ours = ours();
    let originals = ZooKeepers::start(Jvm::Fast);
    let sides = [ours.addresses(), originals.addresses()];
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..rounds() {
        for (side, addresses) in sides.iter().enumerate() {
            let resident: Option<u64> = (side == 0).then(|| resident(&mut ours));
            runtime().block_on(async {
                let mut crowd = Crowd::gather(addresses, &format!("/watched-{round}")).await;
                let connected = resident.map(|_| self::resident(&mut ours));
                crowd.watch().await;
                if let Some(connected) = connected {
                    let watching = self::resident(&mut ours);
                    let each = watching.saturating_sub(connected) / (CROWD * SHARED) as u64;
                    println!("  ours: {each} B resident for each watch in round {round}");
                }
                times[side].push(crowd.change_all().await);
            });
        }
    }
    tell(times);
}

const CROWD: usize = 1_000;
const SHARED: usize = 100;

struct Crowd {
    clients: Vec<Client>,
    writer: Client,
    paths: Vec<String>,
}

impl Crowd {
    async fn gather(addresses: &[SocketAddr], root: &str) -> Crowd {
        let connect = Client::connect(addresses[0], SESSION_MS * 6);
        let mut writer = connect.await.expect("the servers answer");
        let paths: Vec<String> = (0..SHARED).map(|i| format!("{root}/{i}")).collect();
        let made = [root].into_iter().chain(paths.iter().map(String::as_str));
        let made: Vec<Vec<u8>> = made.map(|path| create(path, &[7; 100])).collect();
        writer.ask(&made).await.expect("nobody made them");
        let mut connecting = JoinSet::new();
        for address in addresses.iter().copied().cycle().take(CROWD) {
            connecting.spawn(async move {
                let mut client = Client::connect(address, SESSION_MS * 6).await?;
                // What was just made is there.
                let sync = request(1, op::SYNC, Body::new().string("/"));
                client.ask(&[sync]).await.map(|()| client)
            });
        }
        let clients = all(connecting).await;
        Crowd {
            clients,
            writer,
            paths,
        }
    }

    async fn watch(&mut self) {
        let get = |path: &String| request(1, op::GET_DATA, Body::new().string(path).bool(true));
        let requests: Vec<Vec<u8>> = self.paths.iter().map(get).collect();
        for client in &mut self.clients {
            client.ask(&requests).await.expect("they are there");
        }
    }

    /// The seconds until every client was told of every change.
    async fn change_all(mut self) -> f64 {
        let mut listening = JoinSet::new();
        for mut client in self.clients {
            listening.spawn(async move {
                for _ in 0..SHARED {
                    let event = timeout(PATIENCE, client.frame()).await;
                    let event = event.map_err(io::Error::other)??;
                    if event.get(..4) != Some(&EVENT.to_be_bytes()) {
                        return Err(io::Error::other("it is no event"));
                    }
                }
                Ok(())
            });
        }
        let began = Instant::now();
        let set = |path: &String| {
            let body = Body::new().string(path).bytes(&[8; 100]).int(-1);
            request(1, op::SET_DATA, body)
        };
        let requests: Vec<Vec<u8>> = self.paths.iter().map(set).collect();
        self.writer.ask(&requests).await.expect("they are there");
        all(listening).await;
        began.elapsed().as_secs_f64()
    }
}

/// Bytes of all servers' memory.
fn resident(cluster: &mut Cluster) -> u64 {
    cluster.places().map(|i| cluster.resident_bytes(i)).sum()
}

/// A million znodes of 100 bytes, 1,000 in each of 1,000 directories: their memory, and how soon a server serves again.
pub(crate) fn million() {
    const DIRECTORIES: usize = 1_000;
    const EACH: usize = 1_000;
    const CONNECTIONS: usize = 16;
    let mut ours = ours();
    let before: Vec<u64> = ours.places().map(|i| ours.resident_bytes(i)).collect();
    let addresses = ours.addresses();
    let began = Instant::now();
    runtime().block_on(async {
        let mut making = JoinSet::new();
        for number in 0..CONNECTIONS {
            let address = addresses[number % addresses.len()];
            making.spawn(async move {
                let mut client = Client::connect(address, SESSION_MS * 6).await?;
                for directory in (number..DIRECTORIES).step_by(CONNECTIONS) {
                    let root = format!("/d{directory:04}");
                    client.ask(&[create(&root, b"")]).await?;
                    let names = (0..EACH).map(|i| create(&format!("{root}/n{i:04}"), &[7; 100]));
                    let requests: Vec<Vec<u8>> = names.collect();
                    for some in requests.chunks(64) {
                        client.ask(some).await?;
                    }
                }
                Ok(())
            });
        }
        all(making).await;
    });
    println!("  made in {:.1} s", began.elapsed().as_secs_f64());
    // Snapshots that were due are written.
    std::thread::sleep(Duration::from_secs(20));
    let leader = ours.leader();
    let tell = |ours: &mut Cluster, i: usize, what: &str| {
        let now = ours.resident_bytes(i);
        println!(
            "  {what}: {:.0} MB resident, {} B a znode",
            mega(now),
            now.saturating_sub(before[i]) / (DIRECTORIES * EACH) as u64
        );
    };
    tell(&mut ours, leader, "the leader");
    for follower in ours.followers() {
        tell(&mut ours, follower, "a follower");
    }
    let mut times = Vec::new();
    let follower = ours.followers()[0];
    for _ in 0..rounds() {
        ours.stop(follower);
        let began = Instant::now();
        ours.resume(follower);
        times.push(began.elapsed().as_secs_f64());
    }
    println!("  a follower serves {:.2} s after its start", median(times));
    tell(&mut ours, follower, "that follower");
    let mut times = Vec::new();
    for _ in 0..rounds() {
        ours.places().for_each(|i| ours.kill(i));
        let began = Instant::now();
        ours.begin_all();
        times.push(began.elapsed().as_secs_f64());
    }
    println!("  all serve {:.2} s after kill -9 of all", median(times));
}

/// A minute of nothing at three servers with a broker each, after they have come to rest.
pub(crate) fn idle() {
    const REST: Duration = Duration::from_secs(90);
    const MINUTE: Duration = Duration::from_secs(60);
    let mut cluster = Cluster::start_with(3, &[("figures", 4)], |_| {});
    std::thread::sleep(REST);
    let pids: Vec<_> = cluster.pids().collect();
    let used = || {
        pids.iter()
            .map(|pid| processor_time(*pid))
            .sum::<Duration>()
    };
    let written = || pids.iter().map(|pid| written_bytes(*pid)).sum::<u64>();
    let before = (used(), written());
    std::thread::sleep(MINUTE);
    let after = (used(), written());
    println!(
        "  all three: {:.1} MB resident, {:.2} % of a core, {} bytes written in {} s",
        mega(resident(&mut cluster)),
        (after.0 - before.0).as_secs_f64() / MINUTE.as_secs_f64() * 100.0,
        after.1 - before.1,
        MINUTE.as_secs()
    );
}
