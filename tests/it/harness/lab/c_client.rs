//! ZooKeeper's C client and its tests, of Debian's source package, built as they are.

use super::debian::{self, need};
use super::{made_once, run};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const CLIENT: &str = "zookeeper-client/zookeeper-client-c";

const LIBRARY: [&str; 9] = [
    "src/hashtable/hashtable_itr.c",
    "src/hashtable/hashtable.c",
    "src/zookeeper.c",
    "src/recordio.c",
    "generated/zookeeper.jute.c",
    "src/zk_log.c",
    "src/zk_hashtable.c",
    "src/addrvec.c",
    "src/mt_adaptor.c",
];

const TESTS: [&str; 20] = [
    "TestDriver",
    "LibCMocks",
    "LibCSymTable",
    "MocksBase",
    "ZKMocks",
    "Util",
    "ThreadingUtil",
    "TestZookeeperInit",
    "TestZookeeperClose",
    "TestReconfig",
    "TestReconfigServer",
    "TestClientRetry",
    "TestOperations",
    "TestMulti",
    "TestWatchers",
    "TestClient",
    "ZooKeeperQuorumServer",
    "TestReadOnlyClient",
    "TestLogClientEnv",
    "PthreadMocks",
];

/// A folder with the test program, `zktest`, and the source. See [`lay`].
pub(crate) fn tests() -> PathBuf {
    made_once("c-client-3.8.0", |draft| {
        need("g++", "g++");
        need("make", "make");
        debian::source("zookeeper", &draft.join("source"));
        let cppunit = draft.join("cppunit");
        fs::create_dir(&cppunit).expect("make a folder");
        debian::unpack(&["libcppunit-dev"], &cppunit);
        let client = draft.join("source").join(CLIENT);
        let jute = debian::zookeeper().join("usr/share/java/zookeeper-jute.jar");
        let generated = client.join("generated");
        fs::create_dir_all(&generated).expect("make a folder");
        run(
            Command::new("java")
                .arg("-cp")
                .arg(jute)
                .args(["org.apache.jute.compiler.generated.Rcc", "-l", "c"])
                .arg(draft.join("source/zookeeper-jute/src/main/resources/zookeeper.jute"))
                .current_dir(&generated),
            "generate what the C client sends",
        );
        let config = fs::read_to_string(client.join("cmake_config.h.in")).expect("it is there");
        let config = config.replace("#cmakedefine", "#define");
        fs::write(client.join("config.h"), config).expect("write config.h");
        // `make`, so that it is built on all cores.
        fs::write(client.join("Makefile.tests"), makefile(&client, &cppunit))
            .expect("write a makefile");
        run(
            Command::new("make")
                .args(["-s", "-j2", "-f", "Makefile.tests", "zktest"])
                .current_dir(&client),
            "build the C client's tests",
        );
        fs::rename(client.join("zktest"), draft.join("zktest")).expect("it was built");
    })
}

fn makefile(client: &Path, cppunit: &Path) -> String {
    let wrappers: Vec<String> = ["wrappers.opt", "wrappers-mt.opt"]
        .map(|name| fs::read_to_string(client.join("tests").join(name)).expect("it is there"))
        .iter()
        .map(|text| text.replace('\n', " "))
        .collect();
    let object = |path: &str| format!("{}.o", path.trim_end_matches(".c"));
    let objects: Vec<String> = LIBRARY
        .iter()
        .map(|path| object(path))
        .chain(TESTS.iter().map(|name| format!("tests/{name}.o")))
        .collect();
    format!(
        "FLAGS = -O1 -g -w -include time.h -DUSE_STATIC_LIB -DTHREADED -I. -Iinclude -Igenerated -Isrc -I{0}/usr/include\n\
         CFLAGS = $(FLAGS)\n\
         CXXFLAGS = $(FLAGS) -std=gnu++11 '-DZKSERVER_CMD=\"./tests/zkServer.sh\"'\n\
         zktest: {1}\n\
         \tg++ -o $@ $^ {2} {0}/usr/lib/*/libcppunit.a -ldl -lpthread -lrt -lm\n",
        cppunit.display(),
        objects.join(" "),
        wrappers.join(" ")
    )
}

/// Lays out what the tests' own script looks for around it, below a fresh `base`.
pub(crate) fn lay(built: &Path, base: &Path) {
    let folder = folder_in(base);
    fs::create_dir_all(base.join("build/tmp")).expect("make a folder");
    fs::create_dir_all(folder.join("ssl")).expect("make a folder");
    run(
        Command::new("cp")
            .arg("-r")
            .arg(built.join("source").join(CLIENT).join("tests"))
            .arg(&folder),
        "copy the C client's tests",
    );
    // The script makes certificates with it at every start; nothing that runs here wants them.
    let certificates = folder.join("ssl/gencerts.sh");
    fs::write(&certificates, "#!/bin/sh\n").expect("write a script");
    run(
        Command::new("chmod").arg("755").arg(certificates),
        "let a script be run",
    );
}

/// Where the tests run.
pub(crate) fn folder_in(base: &Path) -> PathBuf {
    base.join(CLIENT)
}
