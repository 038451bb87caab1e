//! The originals: Debian's ZooKeeper 3.8, or another one's jars, and the Java MetaQ broker 1.4.6.2, each with a folder of
//! its own, on the loopback.

use super::deployment::{Deployment, START_LIMIT, STOP_LIMIT, Topic};
use super::lab::debian;
use super::lab::maven::{JVM_FLAGS, JavaProject};
use super::process::{Process, eventually};
use super::socket::{free_address, free_port, is_listening};
use super::zookeeper_wire::four_letter_word;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// The root the Java broker registers under, and its clients look below.
pub(crate) const ZK_ROOT: &str = "/meta";

/// What a JVM is started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Jvm {
    /// To be there soon and to be small: few of its instructions will run often.
    Quick,
    /// To be measured: as its own scripts start it, with the memory that it asks for.
    #[allow(dead_code, reason = "benches/figures measures")]
    Fast,
}

impl Jvm {
    fn flags(self) -> &'static [&'static str] {
        match self {
            Jvm::Quick => &["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"],
            Jvm::Fast => &["-Xmx2g"],
        }
    }
}

/// A ZooKeeper, standalone unless it is one of several.
pub(crate) struct ZooKeeper {
    folder: TempDir,
    class_path: String,
    jvm: Jvm,
    /// Flags of the JVM that `zoo.cfg` has no place for.
    properties: &'static [&'static str],
    address: SocketAddr,
    process: Option<Process>,
}

impl ZooKeeper {
    /// Starts one with an empty tree.
    pub(crate) fn start() -> ZooKeeper {
        ZooKeeper::start_with(Jvm::Quick)
    }

    /// The same in such a JVM.
    pub(crate) fn start_with(jvm: Jvm) -> ZooKeeper {
        let address = free_address();
        let folder = TempDir::new().expect("make a folder");
        ZooKeeper::configure(folder.path(), address);
        let mut server = ZooKeeper {
            folder,
            class_path: debian::zookeeper_class_path(),
            jvm,
            properties: &[],
            address,
            process: None,
        };
        server.resume();
        server
    }

    /// Writes the configuration of one that listens on `address`.
    pub(crate) fn configure(folder: &Path, address: SocketAddr) {
        let config = format!(
            "tickTime=2000\ndataDir={}\nclientPort={}\nclientPortAddress={}\nadmin.enableServer=false\n\
             4lw.commands.whitelist=*\nmaxClientCnxns=0\n\
             DigestAuthenticationProvider.superDigest={SUPER_DIGEST}\n",
            folder.join("data").display(),
            address.port(),
            address.ip()
        );
        fs::write(folder.join("zoo.cfg"), config).expect("write zoo.cfg");
    }

    /// The command that runs one in the foreground with the configuration in `folder`.
    pub(crate) fn command(folder: &Path, jvm: Jvm) -> Command {
        ZooKeeper::command_of(&debian::zookeeper_class_path(), folder, jvm, &[])
    }

    fn command_of(class_path: &str, folder: &Path, jvm: Jvm, properties: &[&str]) -> Command {
        let mut command = Command::new("java");
        command
            .args(jvm.flags())
            .args(properties)
            .args(["-cp", class_path])
            .arg("org.apache.zookeeper.server.quorum.QuorumPeerMain")
            .arg(folder.join("zoo.cfg"));
        command
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("the server was started")
    }

    /// Starts it again on what it has.
    pub(crate) fn resume(&mut self) {
        self.begin();
        self.wait_until_serves();
    }

    pub(crate) fn wait_until_serves(&mut self) {
        let address = self.address;
        let process = self.process();
        let serves = || mode(address).is_some_and(|mode| mode != "read-only");
        process.wait_until("serving", START_LIMIT, serves);
    }

    /// Starts it and waits for nothing.
    fn begin(&mut self) {
        let folder = self.folder.path();
        let mut command =
            ZooKeeper::command_of(&self.class_path, folder, self.jvm, self.properties);
        let log = folder.join("zookeeper.log");
        self.process = Some(Process::start("ZooKeeper", &mut command, &log));
    }

    pub(crate) fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.terminate(STOP_LIMIT);
        }
    }

    /// One that does not run forgets everything.
    pub(crate) fn wipe(&mut self) {
        let data = self.folder.path().join("data/version-2");
        fs::remove_dir_all(data).expect("there is data");
    }
}

/// Three servers, one ensemble.
pub(crate) struct ZooKeepers {
    servers: Vec<ZooKeeper>,
}

impl ZooKeepers {
    /// Starts three of Debian's with an empty tree.
    pub(crate) fn start(jvm: Jvm) -> ZooKeepers {
        ZooKeepers::start_from(&debian::zookeeper_class_path(), jvm)
    }

    /// Starts three out of these jars with an empty tree.
    pub(crate) fn start_from(class_path: &str, jvm: Jvm) -> ZooKeepers {
        ZooKeepers::start_with(class_path, jvm, &[])
    }

    /// The same, that may be read while nobody leads.
    pub(crate) fn start_read_only(class_path: &str, jvm: Jvm) -> ZooKeepers {
        ZooKeepers::start_with(class_path, jvm, &["-Dreadonlymode.enabled=true"])
    }

    fn start_with(class_path: &str, jvm: Jvm, properties: &'static [&'static str]) -> ZooKeepers {
        let addresses: Vec<SocketAddr> = (0..3).map(|_| free_address()).collect();
        let lines: String = (1..=3)
            .map(|id| format!("server.{id}=127.0.0.1:{}:{}\n", free_port(), free_port()))
            .collect();
        let begin = |(id, address): (usize, &SocketAddr)| {
            let folder = TempDir::new().expect("make a folder");
            ZooKeeper::configure(folder.path(), *address);
            let config = folder.path().join("zoo.cfg");
            let own = fs::read_to_string(&config).expect("it was just written");
            let text = format!("{own}initLimit=10\nsyncLimit=5\n{lines}");
            fs::write(&config, text).expect("write zoo.cfg");
            let data = folder.path().join("data");
            fs::create_dir_all(&data).expect("make a folder");
            fs::write(data.join("myid"), (id + 1).to_string()).expect("write myid");
            let mut server = ZooKeeper {
                folder,
                class_path: class_path.to_owned(),
                jvm,
                properties,
                address: *address,
                process: None,
            };
            server.begin();
            server
        };
        let mut servers: Vec<ZooKeeper> = addresses.iter().enumerate().map(begin).collect();
        servers.iter_mut().for_each(ZooKeeper::wait_until_serves);
        ZooKeepers { servers }
    }

    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.servers.iter().map(ZooKeeper::address).collect()
    }

    /// One of them.
    pub(crate) fn server(&mut self, i: usize) -> &mut ZooKeeper {
        &mut self.servers[i]
    }

    /// The one that leads, once there is one.
    pub(crate) fn leader(&self) -> usize {
        let leads = |server: &ZooKeeper| mode(server.address).as_deref() == Some("leader");
        let mut leader = None;
        eventually("a server leads", START_LIMIT, || {
            leader = self.servers.iter().position(leads);
            leader.is_some()
        });
        leader.expect("waited for")
    }
}

/// What a server of an ensemble is, once it is something.
fn mode(address: SocketAddr) -> Option<String> {
    let text = four_letter_word(address, "srvr")?;
    let mode = text.lines().find_map(|line| line.strip_prefix("Mode: "))?;
    Some(mode.to_owned())
}

/// `super:test`, as the digest scheme writes it: the user that may do everything.
pub(crate) const SUPER_DIGEST: &str = "super:D/InIHSb7yEEbrWz8b9l71RjZJU=";

/// Small, so that tests see more than one segment.
pub(crate) const SEGMENT_BYTES: u32 = 64 << 10;

/// The Java broker, in group-commit mode, registered in a ZooKeeper.
pub(crate) struct JavaBroker {
    folder: TempDir,
    jvm: Jvm,
    data: PathBuf,
    address: SocketAddr,
    zookeeper: SocketAddr,
    id: u16,
    topics: Vec<Topic>,
    process: Option<Process>,
}

impl JavaBroker {
    /// Starts one with broker id `id` and empty data.
    pub(crate) fn start(zookeeper: SocketAddr, id: u16, topics: &[Topic]) -> JavaBroker {
        let mut broker = JavaBroker::prepare(zookeeper, id, topics, None);
        broker.resume();
        broker
    }

    /// Writes its configuration and starts nothing. Its partitions will be in `data`, or in a folder of its own.
    pub(crate) fn prepare(
        zookeeper: SocketAddr,
        id: u16,
        topics: &[Topic],
        data: Option<&Path>,
    ) -> JavaBroker {
        JavaBroker::prepare_with(zookeeper, id, topics, data, (Jvm::Quick, SEGMENT_BYTES))
    }

    /// The same in such a JVM, with segments of so many bytes.
    fn prepare_with(
        zookeeper: SocketAddr,
        id: u16,
        topics: &[Topic],
        data: Option<&Path>,
        (jvm, segment_bytes): (Jvm, u32),
    ) -> JavaBroker {
        let folder = TempDir::new().expect("make a folder");
        // The broker makes only the last level itself, and wants two folders above its configuration.
        let data = data.map_or_else(|| folder.path().join("server/data"), Path::to_owned);
        let transactions = folder.path().join("server/log");
        let conf = folder.path().join("server/conf");
        fs::create_dir_all(&data).expect("make the data folder");
        fs::create_dir_all(&transactions).expect("make the transactions' folder");
        fs::create_dir_all(&conf).expect("make the configuration's folder");
        let address = free_address();
        let web = free_address();
        let mut ini = format!(
            "[system]\nbrokerId={id}\nhostName=127.0.0.1\nserverPort={}\ndashboardHttpPort={}\nnumPartitions=1\n\
             dataPath={}\ndataLogPath={}\nunflushThreshold=0\nunflushInterval=10000\nmaxSegmentSize={segment_bytes}\n\
             maxTransferSize=1024*1024\nstat=true\nupdateConsumerOffsets=true\n\
             [zookeeper]\nzk.zkConnect={zookeeper}\nzk.zkSessionTimeoutMs=30000\nzk.zkConnectionTimeoutMs=30000\n\
             zk.zkSyncTimeMs=5000\n",
            address.port(),
            web.port(),
            data.display(),
            // Beside the partitions it would make the broker forget the last of them at its start (bug 8).
            transactions.display()
        );
        for (topic, partitions) in topics {
            write!(ini, "\n[topic={topic}]\nnumPartitions={partitions}\n").expect("strings grow");
        }
        fs::write(conf.join("server.ini"), ini).expect("write server.ini");
        JavaBroker {
            folder,
            jvm,
            data,
            address,
            zookeeper,
            id,
            topics: topics.to_vec(),
            process: None,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    #[allow(dead_code, reason = "benches/figures measures")]
    pub(crate) fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("the broker was started")
    }

    /// Where its partitions are.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// Its `server.ini`.
    pub(crate) fn configuration(&self) -> PathBuf {
        self.folder.path().join("server/conf/server.ini")
    }

    /// Starts it again on what it has. After a kill its registration has to expire first, or the start fails
    /// (bug 19 of the original).
    pub(crate) fn resume(&mut self) {
        let java = JavaProject::get();
        let log = self.folder.path().join("broker.log");
        let mut process = Process::start(
            "the Java broker",
            Command::new("java")
                .args(JVM_FLAGS)
                .args(self.jvm.flags())
                .arg(format!("-Duser.home={}", self.folder.path().display()))
                .args(["-cp", &java.libraries()])
                .args(["com.taobao.metamorphosis.server.MetamorphosisStartup", "-f"])
                .arg(self.configuration()),
            &log,
        );
        let address = self.address;
        process.wait_until("listening", START_LIMIT, || is_listening(address));
        process.wait_until("registered", START_LIMIT, || self.is_registered());
        self.process = Some(process);
    }

    /// True if all its topics are in ZooKeeper.
    fn is_registered(&self) -> bool {
        let dump = four_letter_word(self.zookeeper, "dump").unwrap_or_default();
        self.topics
            .iter()
            .all(|(topic, _)| dump.contains(&format!("/brokers/topics-sub/{topic}/{}-m", self.id)))
    }

    pub(crate) fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.terminate(STOP_LIMIT);
        }
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }
}

/// Both originals, the broker registered in the ZooKeeper.
pub(crate) struct Originals {
    pub(crate) broker: JavaBroker,
    pub(crate) zookeeper: ZooKeeper,
}

impl Originals {
    pub(crate) fn start(topics: &[Topic]) -> Originals {
        let zookeeper = ZooKeeper::start();
        let broker = JavaBroker::start(zookeeper.address(), 0, topics);
        Originals { broker, zookeeper }
    }

    /// As an operator would run them, to be measured: the sizes that are theirs by default.
    #[allow(dead_code, reason = "benches/figures measures")]
    pub(crate) fn start_fast(topics: &[Topic]) -> Originals {
        const DEFAULT_SEGMENT_BYTES: u32 = 1 << 30;
        let zookeeper = ZooKeeper::start_with(Jvm::Fast);
        let sizes = (Jvm::Fast, DEFAULT_SEGMENT_BYTES);
        let mut broker = JavaBroker::prepare_with(zookeeper.address(), 0, topics, None, sizes);
        broker.resume();
        Originals { broker, zookeeper }
    }
}

impl Deployment for Originals {
    fn name(&self) -> &'static str {
        "original"
    }

    fn coordinator(&self) -> SocketAddr {
        self.zookeeper.address()
    }

    fn broker(&self) -> SocketAddr {
        self.broker.address()
    }

    fn restart(&mut self) {
        self.broker.stop();
        self.zookeeper.stop();
        self.zookeeper.resume();
        self.broker.resume();
    }

    fn kill_and_restart(&mut self) {
        self.broker.kill();
        let zookeeper = self.zookeeper.address();
        eventually("the killed broker's session expires", START_LIMIT, || {
            !four_letter_word(zookeeper, "dump")
                .unwrap_or_default()
                .contains("/brokers/ids/")
        });
        self.broker.resume();
    }
}
