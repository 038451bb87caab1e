//! Local commands over the socket.

use std::os::unix::fs::PermissionsExt as _;
use std::thread;

use tempfile::TempDir;

use super::*;

const WAIT: Duration = Duration::from_secs(20);

/// Answers one call with `line`, whatever is asked, and gives back what was.
fn answer_once(listener: UnixListener, line: String) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        listener.set_nonblocking(false).expect("block");
        let (stream, _) = listener.accept().expect("accept");
        let mut request = String::new();
        BufReader::new(&stream)
            .read_line(&mut request)
            .expect("read the request");
        // The caller may have gone away: that is what some tests are about.
        let _written = (&stream).write_all(line.as_bytes());
        request
    })
}

#[test]
fn a_request_is_a_line_and_so_is_its_response() {
    let home = TempDir::new().expect("make a folder");
    let socket = home.path().join("control.sock");
    let listener = listen(&socket).expect("listen");
    let response = Response::Done {
        text: "closed \"1\"\nof 2".to_owned(),
    };
    let server = answer_once(
        listener,
        serde_json::to_string(&response).expect("plain data") + "\n",
    );
    let request = Request::PartitionClose {
        topic: "a b".to_owned(),
        start: 0,
        end: 1,
    };
    assert_eq!(call(&socket, &request, WAIT).expect("an answer"), response);
    let line = server.join().expect("the server ends");
    assert_eq!(
        line,
        "{\"request\":\"partition_close\",\"topic\":\"a b\",\"start\":0,\"end\":1}\n"
    );
    assert_eq!(
        serde_json::from_str::<Request>(&line).expect("it is a request"),
        request
    );
}

#[test]
fn every_response_survives_the_way() {
    let status = ServerStatus {
        name: "server1".to_owned(),
        ..ServerStatus::default()
    };
    for response in [
        Response::Status(Box::new(status)),
        Response::Topics {
            topics: vec![TopicSummary::default()],
            patterns: Vec::new(),
        },
        Response::Topic(Box::default()),
        Response::Reloaded(Box::new(Reloaded {
            added: vec!["a".to_owned()],
            ..Reloaded::default()
        })),
        Response::Done {
            text: String::new(),
        },
        Response::Refused {
            code: "E0303".to_owned(),
            text: "no such topic".to_owned(),
        },
    ] {
        let line = serde_json::to_string(&response).expect("plain data");
        assert!(!line.contains('\n'), "{line}");
        assert_eq!(
            serde_json::from_str::<Response>(&line).expect("it is read back"),
            response
        );
    }
}

#[test]
fn only_the_owner_may_open_the_socket() {
    let home = TempDir::new().expect("make a folder");
    let socket = home.path().join("control.sock");
    let _listener = listen(&socket).expect("listen");
    let mode = std::fs::metadata(&socket)
        .expect("it is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_socket_that_was_left_behind_is_replaced() {
    let home = TempDir::new().expect("make a folder");
    let socket = home.path().join("control.sock");
    drop(listen(&socket).expect("listen"));
    assert!(matches!(
        call(&socket, &Request::Status, WAIT),
        Err(CallError::NotListening(_))
    ));
    listen(&socket).expect("listen again");
}

#[test]
fn a_folder_may_lie_deeper_than_a_socket_address_is_long() {
    let home = TempDir::new().expect("make a folder");
    let deep = home.path().join("d".repeat(120)).join("e".repeat(120));
    std::fs::create_dir_all(&deep).expect("make folders");
    let socket = deep.join("control.sock");
    let listener = listen(&socket).expect("listen");
    let server = answer_once(
        listener,
        "{\"response\":\"done\",\"text\":\"x\"}\n".to_owned(),
    );
    let response = call(&socket, &Request::Status, WAIT).expect("an answer");
    assert_eq!(
        response,
        Response::Done {
            text: "x".to_owned()
        }
    );
    server.join().expect("the server ends");
}

#[test]
fn nobody_listening_and_nonsense_are_told_apart() {
    let home = TempDir::new().expect("make a folder");
    let socket = home.path().join("control.sock");
    assert!(matches!(
        call(&socket, &Request::Status, WAIT),
        Err(CallError::NotListening(_))
    ));
    for (answer, is_broken) in [
        ("", true),
        ("nonsense\n", false),
        ("{\"response\":\"unheard of\"}\n", false),
    ] {
        let server = answer_once(listen(&socket).expect("listen"), answer.to_owned());
        let error = call(&socket, &Request::Status, WAIT).expect_err("it is no answer");
        assert_eq!(matches!(error, CallError::Broken(_)), is_broken, "{answer}");
        server.join().expect("the server ends");
    }
}

/// A stopped process has its listener still: the kernel takes connections for it until there is no more room.
#[test]
fn who_does_not_answer_is_not_waited_for() {
    let home = TempDir::new().expect("make a folder");
    let socket = home.path().join("control.sock");
    let _listener = listen(&socket).expect("listen");
    let short = Duration::from_millis(50);
    let mut waiting = Vec::new();
    let began = std::time::Instant::now();
    for _ in 0..2 * WAITING_MAX {
        waiting.extend(connect(&socket, short));
        let error = call(&socket, &Request::Status, short).expect_err("nobody answers");
        assert!(matches!(error, CallError::Late(_)), "{error}");
        assert_eq!(error.to_string(), "no answer within 0 seconds");
        if waiting.len() > usize::try_from(WAITING_MAX).expect("it is small") {
            break;
        }
    }
    assert!(began.elapsed() < WAIT);
}
