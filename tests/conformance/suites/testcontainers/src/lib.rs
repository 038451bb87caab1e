//! Stands in for the crate of this name in the tests of zookeeper-client, which start ZooKeeper in containers with it: as
//! much of it as they call. A container is a process of `ZKSERVER`, our `zkServer.sh`. It asks for any ZooKeeper and gets
//! ours.

use std::collections::HashMap;
use std::fs;
use std::io::{Read, Write};
use std::marker::PhantomData;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{self, Child, Command};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a server may take to serve.
const START_LIMIT: Duration = Duration::from_secs(60);

pub mod clients {
    pub use super::Cli;
}

pub mod images {
    pub mod generic {
        pub use crate::GenericImage;
    }
}

pub mod core {
    pub use super::{Container, Healthcheck, LogStream, RunnableImage, WaitFor};
}

/// When a container counts as started: always when it serves.
#[derive(Clone, Debug, Default)]
pub struct Healthcheck;

impl Healthcheck {
    pub fn with_cmd<T>(self, _command: T) -> Healthcheck {
        self
    }

    pub fn with_interval(self, _interval: Duration) -> Healthcheck {
        self
    }

    pub fn with_retries(self, _retries: u32) -> Healthcheck {
        self
    }
}

#[derive(Clone, Copy, Debug)]
pub enum WaitFor {
    Healthcheck,
}

/// What is to run.
#[derive(Clone, Debug, Default)]
pub struct GenericImage {
    environment: HashMap<String, String>,
    volumes: HashMap<String, PathBuf>,
}

impl GenericImage {
    pub fn new(_name: &str, _tag: &str) -> GenericImage {
        GenericImage::default()
    }

    pub fn with_env_var(mut self, name: &str, value: String) -> GenericImage {
        self.environment.insert(name.to_owned(), value);
        self
    }

    pub fn with_healthcheck(self, _check: Healthcheck) -> GenericImage {
        self
    }

    pub fn with_wait_for(self, _what: WaitFor) -> GenericImage {
        self
    }
}

#[derive(Clone, Debug)]
pub struct RunnableImage<I>(I);

impl From<GenericImage> for RunnableImage<GenericImage> {
    fn from(image: GenericImage) -> Self {
        RunnableImage(image)
    }
}

impl RunnableImage<GenericImage> {
    pub fn with_volume(mut self, (source, destination): (&str, &str)) -> Self {
        self.0.volumes.insert(destination.to_owned(), source.into());
        self
    }

    pub fn with_network(self, _network: &str) -> Self {
        self
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Cli;

impl Cli {
    pub fn run(&self, image: RunnableImage<GenericImage>) -> Container<'_, GenericImage> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(10_000 + 100 * number).expect("there are not so many tests");
        let folder = std::env::temp_dir().join(format!("container-{}-{port}", process::id()));
        fs::create_dir_all(&folder).expect("make a folder");
        let given = image.0.volumes.get("/conf/zoo.cfg");
        let given = given.map(|path| fs::read_to_string(path).expect("it was written before"));
        // What is in it counts for the container's own world; of a key that stands twice the last one counts.
        let config = format!(
            "tickTime=2000\n{}\nclientPort={port}\ndataDir={}\n",
            given.unwrap_or_default(),
            folder.display()
        );
        fs::write(folder.join("zoo.cfg"), config).expect("write zoo.cfg");
        let container = Container {
            port,
            folder,
            environment: image.0.environment,
            process: Mutex::new(None),
            client: PhantomData,
        };
        container.start();
        container
    }
}

#[derive(Debug)]
pub struct Container<'d, I> {
    port: u16,
    folder: PathBuf,
    environment: HashMap<String, String>,
    process: Mutex<Option<Child>>,
    client: PhantomData<(&'d Cli, I)>,
}

impl<I> Container<'_, I> {
    pub fn start(&self) {
        let script = std::env::var_os("ZKSERVER").expect("ZKSERVER names our zkServer.sh");
        let child = Command::new(script)
            .arg("start-foreground")
            .arg(self.folder.join("zoo.cfg"))
            .envs(&self.environment)
            .spawn()
            .expect("it starts");
        *self.process.lock().expect("nobody panics with it") = Some(child);
        let end = Instant::now() + START_LIMIT;
        while !self.serves() {
            assert!(Instant::now() < end, "it does not serve");
            sleep(Duration::from_millis(20));
        }
    }

    pub fn stop(&self) {
        if let Some(mut child) = self.process.lock().expect("nobody panics with it").take() {
            child.kill().expect("it is our child");
            child.wait().expect("it is our child");
        }
    }

    pub fn stdout(&self) -> LogStream {
        LogStream
    }

    pub fn get_host_port(&self, _port: u16) -> u16 {
        self.port
    }

    fn serves(&self) -> bool {
        let ask = || {
            let mut socket = TcpStream::connect(("127.0.0.1", self.port))?;
            socket.write_all(b"srvr")?;
            let mut said = String::new();
            socket.read_to_string(&mut said)?;
            std::io::Result::Ok(said)
        };
        ask().is_ok_and(|said| said.contains("Mode: "))
    }
}

impl<I> Drop for Container<'_, I> {
    fn drop(&mut self) {
        self.stop();
        // What cannot be removed lies in a folder that is.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// What the container wrote. Only tests of read-only servers look at it.
#[derive(Clone, Copy, Debug)]
pub struct LogStream;

impl LogStream {
    pub fn wait_for_message(self, message: &str) -> Result<(), String> {
        Err(format!("nobody says: {message}"))
    }
}
