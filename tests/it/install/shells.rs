//! install.sh and the scripts with the old names in surroundings as they are met: other shells, odd folders, and what
//! a caller's shell brings along.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::{Release, port_options, repository};
use crate::harness::lab;
use crate::harness::lab::debian::need;
use crate::harness::server::Ports;

/// Every file that a shell runs, by its name or its first line.
fn shell_scripts() -> Vec<PathBuf> {
    let listed = lab::run(
        Command::new("git")
            .args(["ls-files", "--cached", "--others", "--exclude-standard"])
            .current_dir(repository()),
        "list the repository",
    );
    let is_shell = |path: &Path| {
        let text = fs::read(path).unwrap_or_default();
        let first = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let first = String::from_utf8_lossy(first);
        path.extension().is_some_and(|extension| extension == "sh")
            || (first.starts_with("#!") && first.ends_with("sh"))
    };
    let files = listed.lines().map(|file| repository().join(file));
    files.filter(|path| is_shell(path)).collect()
}

#[test]
fn every_shell_script_passes_shellcheck() {
    need("shellcheck", "shellcheck");
    let scripts = shell_scripts();
    for known in ["install.sh", "tests/run", "packaging/server-bin/zkCli.sh"] {
        assert!(
            scripts.contains(&repository().join(known)),
            "{known} is not looked at"
        );
    }
    let mut shellcheck = Command::new("shellcheck");
    shellcheck
        .arg("--external-sources")
        .args(&scripts)
        .current_dir(repository());
    lab::run(&mut shellcheck, "check the shell scripts");
}

#[test]
fn what_a_user_gets_is_for_any_shell() {
    need("dash", "dash");
    let scripts = ["env.sh", "metaServer.sh", "zkServer.sh", "zkCli.sh"]
        .map(|name| repository().join("packaging/server-bin").join(name));
    for script in scripts.iter().chain([&repository().join("install.sh")]) {
        for shell in ["dash", "bash"] {
            let mut parsed = Command::new(shell);
            lab::run(parsed.arg("-n").arg(script), "parse a script");
        }
    }
}

/// Runs a script of the release or of the server, by a shell, in a bare environment with odd things in it.
fn oddly(release: &Release, shell: &str, script: &Path, arguments: &[&str]) -> Output {
    let aliases = release.home.path().join("aliases");
    fs::write(
        &aliases,
        "shopt -s expand_aliases 2>/dev/null\nalias cp='cp -i' mv='mv -i' ls='ls --color' sed='false' mkdir='false'\n",
    )
    .expect("write a file");
    let mut command = Command::new(shell);
    command
        .arg("-c")
        .arg("umask 077; exec \"$@\"")
        .arg("sh")
        .arg(shell)
        .arg(script)
        .args(arguments);
    let kept: BTreeMap<&str, &str> = BTreeMap::from([("PATH", "/usr/local/bin:/usr/bin:/bin")]);
    release
        .as_user(&mut command)
        .env_clear()
        .envs(kept)
        .env("BASH_ENV", &aliases)
        .env("ENV", &aliases)
        .env("CDPATH", "/tmp:.:/")
        .env("IFS", "/")
        .stdin(Stdio::null())
        .output()
        .expect("the shell starts")
}

#[track_caller]
fn ok(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "it failed:\n{said}{complained}");
    said
}

/// Under each shell: a release and a prefix with blanks, quotes and dollars, called through a link, without a home.
#[test]
fn any_shell_installs_anywhere_whatever_its_caller_brings_along() {
    need("dash", "dash");
    for shell in ["dash", "bash"] {
        let release = Release::stand_in("1.0.0");
        let odd = release.home.path().join("my $HOME & it's");
        fs::rename(release.home.path().join("release"), &odd).expect("rename a folder");
        symlink(
            "my $HOME & it's/install.sh",
            release.home.path().join("link.sh"),
        )
        .expect("make a link");
        let prefix = release.home.path().join("in here \"too\"");
        let ports = port_options(&Ports::free());
        let run = |arguments: &[&str]| {
            let prefix = format!("--prefix={}", prefix.display());
            let arguments = [&[prefix.as_str()], arguments].concat();
            ok(&oddly(&release, shell, Path::new("link.sh"), &arguments))
        };
        let ports = ports.each_ref().map(String::as_str);
        let said = run(&ports);
        assert!(
            said.contains("received: hello from install.sh"),
            "{shell}: {said}"
        );
        let server = prefix.join("server1");
        assert!(server.join("data/running").exists());
        assert!(run(&[]).contains("nothing to do"));
        // Called by another name, from another folder.
        let link = release.home.path().join("meta");
        symlink(server.join("bin/metaServer.sh"), &link).expect("make a link");
        ok(&oddly(&release, shell, &link, &["stop"]));
        assert!(!server.join("data/running").exists());
        ok(&oddly(&release, shell, &link, &["start", "local"]));
        assert!(run(&["--uninstall"]).contains("stop server1"));
        assert!(!prefix.exists(), "something is left");
        fs::rename(&odd, release.home.path().join("release")).expect("rename a folder");
    }
}

/// Its commands as they are: an interactive zsh takes a comment for words, and dash knows little.
#[test]
fn the_readmes_first_minute_can_be_pasted_into_any_shell() {
    need("dash", "dash");
    need("zsh", "zsh");
    let readme = fs::read_to_string(repository().join("README.md")).expect("read README.md");
    let (_, after) = readme
        .split_once("## The first minute")
        .expect("README has it");
    let (_, block) = after.split_once("```console\n").expect("it has a block");
    let (block, _) = block.split_once("```").expect("the block ends");
    let commands: Vec<&str> = block
        .lines()
        .filter_map(|line| line.strip_prefix("$ "))
        .collect();
    let block = commands.join("\n");
    let release = Release::real();
    let [coordinator, broker, web] = port_options(&Ports::free());
    let prefix = release.home.path().join("chrysalis");
    let prefix_option = format!("--prefix={}", prefix.display());
    let installed = release.install_sh(&[&prefix_option, &coordinator, &broker, &web]);
    installed.ok();
    for shell in ["bash", "dash", "zsh"] {
        // Each makes a topic of its own.
        let block = block.replace("orders", &format!("orders-{shell}"));
        let mut command = Command::new(shell);
        release
            .as_user(&mut command)
            .arg("-i")
            .stdin(Stdio::piped());
        let mut pasting = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the shell starts");
        let mut terminal = pasting.stdin.take().expect("it is a pipe");
        terminal
            .write_all(format!("set -e\n{block}\necho all of it\n").as_bytes())
            .expect("the shell reads");
        drop(terminal);
        let output = pasting.wait_with_output().expect("the shell ends");
        let said = both(&output);
        for expected in ["hello", "orders-", "all of it"] {
            assert!(
                said.contains(expected),
                "{shell} does not come to `{expected}`:\n{said}"
            );
        }
    }
    release.install_sh(&[&prefix_option, "--uninstall"]).ok();
}

#[test]
fn only_what_was_named_is_taken_away() {
    let release = Release::stand_in("1.0.0");
    for id in ["1", "2", "3"] {
        let [coordinator, broker, web] = port_options(&Ports::free());
        release
            .install(&["--id", id, &coordinator, &broker, &web])
            .ok();
    }
    let data = |name: &str| release.prefix().join(name).join("data");
    let running = |name: &str| data(name).join("running").exists();
    // Somebody's copy of a server is not a server.
    let copy = release.prefix().join("server1.bak/data/journal");
    let mut make = Command::new("mkdir");
    lab::run(release.as_user(make.arg("-p").arg(&copy)), "make a folder");
    fs::write(copy.join("journal.id"), "1").expect("write a file");

    let said = release
        .install(&["--plan", "--id", "2", "--uninstall"])
        .ok();
    assert!(
        said.contains("would stop server2") && !said.contains("server1/"),
        "{said}"
    );
    let said = release.install(&["--id", "02", "--uninstall"]).ok();
    assert!(said.contains("the other servers stay"), "{said}");
    assert!(!release.prefix().join("server2").exists());
    assert!(running("server1") && running("server3"));
    assert!(release.prefix().join("bin/chrysalis").exists());

    let said = release
        .install(&["--id", "3", "--uninstall", "--keep-data"])
        .ok();
    assert!(said.contains("kept"), "{said}");
    assert!(data("server3").exists() && !running("server3") && running("server1"));
    let said = release.install(&["--id", "7", "--uninstall"]).ok();
    assert!(said.contains("nothing of Chrysalis is here"), "{said}");
    assert!(running("server1"));

    release.install(&["--uninstall"]).ok();
    assert!(!data("server1").exists() && !release.prefix().join("bin").exists());
    assert!(copy.join("journal.id").exists(), "a copy was taken away");
}

/// A real server with the scripts of the old names.
struct Old {
    release: Release,
}

impl Old {
    fn output(&self, script: &str, arguments: &[&str], typed: &str) -> Output {
        let mut command = Command::new(self.release.server().join("bin").join(script));
        self.release
            .as_user(&mut command)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the script starts");
        let mut input = child.stdin.take().expect("it is a pipe");
        // Who does not read has what it needs.
        let _written = input.write_all(typed.as_bytes());
        drop(input);
        child.wait_with_output().expect("the script ends")
    }

    /// What a script says that must go well, on both streams.
    #[track_caller]
    fn says(&self, script: &str, arguments: &[&str]) -> String {
        let output = self.output(script, arguments, "");
        ok(&output);
        both(&output)
    }

    /// What a script says that must fail with this code.
    #[track_caller]
    fn fails(&self, code: i32, script: &str, arguments: &[&str]) -> String {
        let output = self.output(script, arguments, "");
        assert_eq!(
            output.status.code(),
            Some(code),
            "{script} {arguments:?}: {}",
            both(&output)
        );
        both(&output)
    }
}

fn both(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

#[test]
fn the_old_names_do_the_old_things_or_say_what_to_use() {
    let release = Release::real();
    let [coordinator, broker, web] = port_options(&Ports::free());
    release
        .install(&["--topic=orders:4", &coordinator, &broker, &web])
        .ok();
    let old = Old { release };
    the_server_is_started_and_asked(&old);
    the_broker_is_asked_and_its_partitions_closed(&old);
    znodes_are_made_and_shown(&old);
    a_pipe_is_one_session(&old);
    what_there_is_not_is_told(&old);
}

fn the_server_is_started_and_asked(old: &Old) {
    let conf = old.release.server().join("conf");
    let [toml, cfg] = ["server.toml", "zoo.cfg"].map(|name| conf.join(name).display().to_string());
    assert!(
        old.says("zkServer.sh", &["status"])
            .contains("Mode: standalone")
    );
    assert!(old.says("zkServer.sh", &["start"]).contains("runs already"));
    old.says("zkServer.sh", &["restart"]);
    old.says("zkServer.sh", &["stop"]);
    let said = old.fails(1, "zkServer.sh", &["status"]);
    assert!(
        said.contains("Error contacting service. It is probably not running."),
        "{said}"
    );
    // The file that is read may be named, another one may not.
    let said = old.fails(2, "zkServer.sh", &["start", "/etc/passwd"]);
    assert!(said.contains("not by /etc/passwd"), "{said}");
    fs::write(&cfg, "clientPort=1\n").expect("write a file");
    let said = old.fails(2, "zkServer.sh", &["start", &cfg]);
    assert!(said.contains("goes first"), "{said}");
    fs::remove_file(&cfg).expect("it is there");
    old.says("zkServer.sh", &["start", &toml]);
    let printed = old.says("zkServer.sh", &["print-cmd"]);
    assert!(
        printed.contains(" run ") && printed.contains("/server1"),
        "{printed}"
    );
}

fn the_broker_is_asked_and_its_partitions_closed(old: &Old) {
    assert!(old.says("metaServer.sh", &["stats"]).contains("cmd_put"));
    assert!(
        old.says("metaServer.sh", &["stats", "-item", "topics"])
            .contains("orders")
    );
    old.says(
        "metaServer.sh",
        &[
            "close-partitions",
            "-topic",
            "orders",
            "-start",
            "1",
            "-end",
            "2",
        ],
    );
    old.says("metaServer.sh", &["open-partitions", "-topic", "orders"]);
    old.says("metaServer.sh", &["reload"]);
}

fn znodes_are_made_and_shown(old: &Old) {
    let hash = "bob:ZzCN4mUB0HPzTDnpR6Km1LWmoTg=";
    for (line, expected) in [
        ("create /a first", "Created /a"),
        ("get /a", "first\n"),
        ("get /a", "dataVersion = 0"),
        ("set /a second 0", "dataVersion = 1"),
        ("create -s /a/n- x", "Created /a/n-0000000000"),
        ("create -e -s /a/n- x", "Created /a/n-0000000001"),
        ("ls /a", "[n-0000000000]"),
        ("ls2 /a", "numChildren = 1"),
        ("ls -R /a", "/a\n/a/n-0000000000\n"),
        ("stat /a", "numChildren = 1"),
        ("getAcl /a", "'world,'anyone\n: cdrwa"),
        (
            &format!("setAcl /a digest:{hash}:r,world:anyone:cdrwa"),
            "aclVersion = 1",
        ),
        ("getAcl /a", "'digest,'bob:"),
        ("setquota -n 5 /a", ""),
        ("setquota -b 99 /a", ""),
        ("listquota /a", "Output quota for /a count=5,bytes=99"),
        ("listquota /a", "Output stat for /a count=2,"),
        ("delquota -b /a", ""),
        ("listquota /a", "count=5,bytes=-1"),
        ("delquota /a", ""),
        ("listquota /a", "quota for /a does not exist."),
        ("ls /zookeeper/quota", "[]"),
        ("sync /a", "Sync returned 0"),
        ("addauth digest bob:secret", ""),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let said = old.says("zkCli.sh", &words);
        assert!(said.contains(expected), "{line}: {said}");
    }
    for (line, expected) in [
        ("delete /a", "Node not empty: /a"),
        ("create /a again", "Node already exists: /a"),
        ("get /none", "Node does not exist: /none"),
        ("set /a third 7", "version No is not valid : /a"),
        (
            "setAcl /a nonsense",
            "does not have the form scheme:id:perm",
        ),
        ("create --ephemeral /b x", "unknown option --ephemeral"),
        ("frobnicate /a", "unknown command 'frobnicate'"),
        ("rmr /", "/ is never deleted"),
        ("rmr /zookeeper", "/zookeeper is never deleted"),
        (
            "delete /zookeeper/quota",
            "/zookeeper/quota is never deleted",
        ),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let said = old.fails(1, "zkCli.sh", &words);
        assert!(said.contains(expected), "{line}: {said}");
    }
    old.says("zkCli.sh", &["rmr", "/a"]);
    old.fails(1, "zkCli.sh", &["stat", "/a"]);
}

/// Ephemeral znodes, watches, identities and the history belong to the session.
fn a_pipe_is_one_session(old: &Old) {
    let typed = "create /p x\naddauth digest bob:secret\nsetAcl /p auth::rw\nget /p watch\n\
                 create -e /e 'two words'\nset /p y\nget /e\nhistory\nredo 6\nclose\nls /\nconnect\nls /\nquit\nls /never\n";
    let output = old.output("zkCli.sh", &[], typed);
    let said = both(&output);
    for expected in [
        "Created /e",
        "WatchedEvent state:SyncConnected type:NodeDataChanged path:/p",
        "5 - set /p y",
        "Not connected",
    ] {
        assert!(said.contains(expected), "it lacks `{expected}`:\n{said}");
    }
    assert_eq!(
        said.matches("two words").count(),
        3,
        "get, history and redo:\n{said}"
    );
    assert!(!said.contains("never"), "{said}");
    assert!(said.contains("1 of 14 lines failed"), "{said}");
    assert_eq!(output.status.code(), Some(1));
    old.fails(1, "zkCli.sh", &["stat", "/e"]);
    let said = old.fails(1, "zkCli.sh", &["get", "/p"]);
    assert!(said.contains("Authentication is not valid : /p"), "{said}");
    let piped = old.output("zkCli.sh", &[], "addauth digest bob:secret\ndelete /p\n");
    ok(&piped);
}

fn what_there_is_not_is_told(old: &Old) {
    for (script, verb, expected) in [
        ("metaServer.sh", "start slave", "replication"),
        ("metaServer.sh", "slave-status", "replication"),
        ("metaServer.sh", "query", "topic describe"),
        ("metaServer.sh", "move-partitions", "delete_policy"),
        (
            "metaServer.sh",
            "stats -verbose 1",
            "unknown option '-verbose'",
        ),
        ("metaServer.sh", "nonsense", "unknown command 'nonsense'"),
        ("zkServer.sh", "upgrade", "install.sh"),
        ("zkServer.sh", "nonsense", "unknown command 'nonsense'"),
    ] {
        let words: Vec<&str> = verb.split(' ').collect();
        let said = old.fails(2, script, &words);
        assert!(said.contains(expected), "{script} {verb}: {said}");
    }
}
