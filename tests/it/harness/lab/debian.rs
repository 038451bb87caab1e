//! Programs out of Debian's packages: unpacked under the target folder, or, where they have to be part of
//! the system (file system tools), installed.

use super::{fetch, is_root, made_once, run};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// ZooKeeper 3.8 and the libraries its jar's manifest names, without a Java of their own.
const ZOOKEEPER: [&str; 12] = [
    "zookeeper",
    "libzookeeper-java",
    "libcommons-cli-java",
    "libcommons-io-java",
    "libdropwizard-metrics-java",
    "libfindbugs-annotations-java",
    "libjackson2-annotations-java",
    "libjackson2-core-java",
    "libjackson2-databind-java",
    "libnetty-java",
    "libslf4j-java",
    "libsnappy-java",
];

/// Its folder after `dpkg -x`, with `usr/share/java` and `usr/share/zookeeper/bin` in it.
pub(crate) fn zookeeper() -> PathBuf {
    made_once("debian-zookeeper", |draft| unpack(&ZOOKEEPER, draft))
}

/// What ZooKeeper's jar names in its manifest, and a place for its log lines.
const JARS: [&str; 15] = [
    "zookeeper",
    "zookeeper-jute",
    "commons-cli",
    "commons-io",
    "findbugs-annotations",
    "jackson-annotations",
    "jackson-core",
    "jackson-databind",
    "metrics-core",
    "netty-all",
    "netty-transport-native-epoll",
    "netty-transport-native-unix-common",
    "slf4j-api",
    "slf4j-simple",
    "snappy-java",
];

/// The class path of the unpacked ZooKeeper.
pub(crate) fn zookeeper_class_path() -> String {
    let folder = zookeeper().join("usr/share/java");
    JARS.map(|jar| folder.join(format!("{jar}.jar")).display().to_string())
        .join(":")
}

pub(super) fn unpack(packages: &[&str], into: &Path) {
    let download = || {
        Command::new("apt-get")
            .args(["download", "-qq"])
            .args(packages)
            .current_dir(into)
            .output()
            .unwrap_or_else(|error| {
                panic!(
                    "cannot fetch {packages:?}: apt-get does not start: {error}. These tests need a Debian, or \
                     CHRYSALIS_TESTS=offline"
                )
            })
    };
    if !download().status.success() {
        // A machine that was just made has no package lists.
        run(
            Command::new("apt-get").args(["update", "-qq"]),
            "read the package lists (as root)",
        );
        let second = download();
        assert!(
            second.status.success(),
            "cannot fetch {packages:?}: {}",
            String::from_utf8_lossy(&second.stderr)
        );
    }
    for entry in fs::read_dir(into).expect("list the packages") {
        let package = entry.expect("list the packages").path();
        if package.extension().is_some_and(|e| e == "deb") {
            run(
                Command::new("dpkg").arg("-x").arg(&package).arg(into),
                "unpack a Debian package",
            );
            fs::remove_file(&package).expect("remove an unpacked package");
        }
    }
}

/// Unpacks a source package as it was published, without Debian's changes, into a new folder.
pub(super) fn source(package: &str, into: &Path) {
    let folder = into.with_extension("packed");
    let (lists, state) = (folder.join("sources"), folder.join("lists/partial"));
    fs::create_dir_all(&lists).expect("make a folder");
    fs::create_dir_all(&state).expect("make a folder");
    // Where the machine has its packages from, their sources are, too; it may not have been told to look.
    let mut places = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(more) = fs::read_dir("/etc/apt/sources.list.d") {
        places.extend(more.filter_map(|entry| Some(entry.ok()?.path())));
    }
    for place in places {
        let text = fs::read_to_string(&place).unwrap_or_default();
        if !text.contains("debian.org") {
            continue;
        }
        let lines = text.lines().map(|line| {
            match line.strip_prefix("deb ").or(line.strip_prefix("Types:")) {
                Some(_) if line.starts_with("Types:") => "Types: deb-src".to_owned(),
                Some(rest) => format!("deb-src {rest}"),
                None => line.to_owned(),
            }
        });
        let lines: Vec<String> = lines.collect();
        let name = place.file_name().expect("it is a file");
        fs::write(lists.join(name), lines.join("\n") + "\n").expect("write a list");
    }
    let apt_get = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command
            .args(["-qq", "-o", "Dir::Etc::sourcelist=-"])
            .args(["-o", &format!("Dir::Etc::sourceparts={}", lists.display())])
            .args([
                "-o",
                &format!("Dir::State::lists={}", folder.join("lists").display()),
            ])
            .args(arguments)
            .current_dir(&folder);
        fetch(&mut command, "fetch a source package with apt-get");
    };
    apt_get(&["update"]);
    apt_get(&["source", "--download-only", package]);
    let files = fs::read_dir(&folder).expect("list what was fetched");
    let packed = files
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.to_string_lossy().ends_with(".orig.tar.gz"))
        .expect("a source package has an archive");
    fs::create_dir(into).expect("make a folder");
    run(
        Command::new("tar")
            .args(["--strip-components=1", "-xf"])
            .arg(packed)
            .arg("-C")
            .arg(into),
        "unpack a source package",
    );
    fs::remove_dir_all(folder).expect("remove what was unpacked");
}

/// Makes sure that a system tool is there, by installing its package if we may.
///
/// # Panics
/// It is missing and cannot be installed; the message names the package.
pub(crate) fn need(tool: &str, package: &str) {
    let found = || {
        ["/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/bin"]
            .iter()
            .any(|folder| Path::new(folder).join(tool).exists())
    };
    if found() {
        return;
    }
    assert!(
        is_root(),
        "this test needs {tool}: install the package {package}"
    );
    made_once(&format!("installed-{package}"), |_| {
        let install = || {
            Command::new("apt-get")
                .args(["install", "-y", "-qq", "--no-install-recommends", package])
                .env("DEBIAN_FRONTEND", "noninteractive")
                .output()
                .expect("apt-get starts on a Debian")
        };
        if !install().status.success() {
            run(
                Command::new("apt-get").args(["update", "-qq"]),
                "read the package lists",
            );
            assert!(
                install().status.success(),
                "this test needs {tool}: install the package {package}"
            );
        }
    });
    assert!(
        found(),
        "the package {package} was installed before but {tool} is not there: install it again"
    );
}
