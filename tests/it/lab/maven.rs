//! The Java project under `tests/conformance/java`: our scenarios, the real MetaQ client, and the jars of
//! the original broker.

use super::{assets, fetch, fingerprint, made_once};
use std::path::PathBuf;
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

/// The built project.
pub(crate) struct JavaProject {
    folder: PathBuf,
}

impl JavaProject {
    /// Builds the project, or finds it built.
    pub(crate) fn get() -> JavaProject {
        let source = assets().join("java");
        let folder = made_once(&format!("java-{}", fingerprint(&source)), |draft| {
            fetch(
                Command::new("mvn")
                    .args(["-q", "-B", "package", "dependency:copy-dependencies"])
                    .arg(format!("-Dbuild.folder={}", draft.display()))
                    .current_dir(&source),
                "build tests/conformance/java with Maven (a JDK of 11 or later is needed too)",
            );
        });
        JavaProject { folder }
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
}
