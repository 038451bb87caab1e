//! Programs out of Debian's packages: unpacked under the target folder, or, where they have to be part of
//! the system (file system tools), installed.

use super::{is_root, made_once, run};
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

fn unpack(packages: &[&str], into: &Path) {
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
