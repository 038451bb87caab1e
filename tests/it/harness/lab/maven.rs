//! The Java projects under `tests/conformance`: our scenarios with the real MetaQ client and the jars of the original
//! broker, and those with Curator and the real ZooKeeper client.

use super::{assets, fetch, fingerprint, made_once};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Without these the client and the broker of 2013 do not run on a JDK of today.
pub(crate) const JVM_FLAGS: [&str; 5] = [
    // Strings are turned into bytes by the platform default, which before Java 18 came from the locale.
    "-Dfile.encoding=UTF-8",
    "--add-opens",
    "java.base/java.lang=ALL-UNNAMED",
    "--add-opens",
    "java.base/java.util=ALL-UNNAMED",
];

/// The client and the broker that all is measured by: the last ones that were published.
const NEWEST: &str = "1.4.6.2";

/// A client that was published before, and what has to be left out of the scenarios because it cannot do it.
pub(crate) struct OldClient {
    pub(crate) version: &'static str,
    /// Source files, and the scenario in each.
    lacks: &'static [(&'static str, &'static str)],
}

const BROWSING: (&str, &str) = ("Browsing.java", "topic-browser");
const FILTERING: (&str, &str) = ("Filtering.java", "client-filter");

/// All of them. Up to 1.4.5.1 a client hands a message that it gets twice to its listener twice.
pub(crate) const OLD_CLIENTS: [OldClient; 4] = [
    OldClient {
        version: "1.4.4",
        lacks: &[BROWSING, FILTERING],
    },
    OldClient {
        version: "1.4.5",
        lacks: &[FILTERING],
    },
    OldClient {
        version: "1.4.5.1",
        lacks: &[FILTERING],
    },
    OldClient {
        version: "1.4.6",
        lacks: &[],
    },
];

impl OldClient {
    /// True if it has what the scenario needs.
    pub(crate) fn can(&self, scenario: &str) -> bool {
        self.lacks.iter().all(|(_, lacked)| *lacked != scenario)
    }
}

/// The built project.
pub(crate) struct JavaProject {
    folder: PathBuf,
    /// The class that runs scenarios.
    main: &'static str,
}

impl JavaProject {
    /// Builds the project, or finds it built.
    pub(crate) fn get() -> JavaProject {
        JavaProject::build(NEWEST, &[])
    }

    /// The same with another client, and without the broker.
    pub(crate) fn with(client: &OldClient) -> JavaProject {
        let mut left_out = vec!["-P!broker".to_owned()];
        for ((file, _), property) in client.lacks.iter().zip(["left.out", "left.out.too"]) {
            left_out.push(format!("-D{property}=**/{file}"));
        }
        JavaProject::build(client.version, &left_out)
    }

    fn build(version: &str, more: &[String]) -> JavaProject {
        let version = ("metamorphosis.version", version);
        JavaProject::build_from("java", "conformance.Main", version, more)
    }

    /// Curator's recipes on ZooKeeper's own client of this version.
    pub(crate) fn curator(zookeeper: &str) -> JavaProject {
        let version = ("zookeeper.version", zookeeper);
        JavaProject::build_from("curator", "recipes.Main", version, &[])
    }

    fn build_from(
        project: &str,
        main: &'static str,
        (property, version): (&str, &str),
        more: &[String],
    ) -> JavaProject {
        let source = assets().join(project);
        let name = format!("{project}-{version}-{}", fingerprint(&source));
        let purpose = format!(
            "build tests/conformance/{project} with Maven (a JDK of 11 or later is needed too)"
        );
        let folder = made_once(&name, |draft| {
            fetch(
                Command::new("mvn")
                    .args(["-q", "-B", "package", "dependency:copy-dependencies"])
                    .arg(format!("-Dbuild.folder={}", draft.display()))
                    .arg(format!("-D{property}={version}"))
                    .args(more)
                    .current_dir(&source),
                &purpose,
            );
        });
        JavaProject { folder, main }
    }

    /// The jars the project depends on: client, broker, ZooKeeper 3.4 and what they need.
    pub(crate) fn libraries(&self) -> String {
        format!("{}/*", self.folder.join("dependency").display())
    }

    /// Our classes and the jars.
    pub(crate) fn class_path(&self) -> String {
        format!(
            "{}:{}",
            self.folder.join("classes").display(),
            self.libraries()
        )
    }

    /// The command that runs scenarios in a JVM, with these flags and `home` for what the client keeps; the
    /// program's arguments follow.
    pub(crate) fn command(&self, home: &Path, jvm: &[&str]) -> Command {
        let mut command = Command::new("java");
        command
            .args(JVM_FLAGS)
            .args(jvm)
            .arg(format!("-Duser.home={}", home.display()))
            .args(["-cp", &self.class_path(), self.main])
            .current_dir(home);
        command
    }
}
