//! What the starter hears.

use std::io::Cursor;

use super::*;

const WAIT: Duration = Duration::from_secs(20);

fn heard(said: &str) -> Outcome {
    hear(Cursor::new(said.to_owned()), WAIT).expect("a thread")
}

#[test]
fn the_starter_hears_how_it_went() {
    let ports = Ports {
        broker: Some(([127, 0, 0, 1], 8123).into()),
        ..Ports::default()
    };
    let obstacles = vec!["the disk is full".to_owned()];
    let said = Progress::Serving {
        ports,
        obstacles: obstacles.clone(),
    };
    let serving = serde_json::to_string(&said).expect("plain data");
    let outcome = Outcome::Serving { ports, obstacles };
    assert_eq!(heard(&format!("{serving}\n")), outcome);
    assert_eq!(heard(&format!("chatter\n{{}}\n{serving}\nmore\n")), outcome);

    let failed = Progress::Failed {
        message: "E0101 port 8123\nis taken".to_owned(),
        exit_code: 13,
    };
    let failed = serde_json::to_string(&failed).expect("plain data");
    let outcome = Outcome::Failed {
        message: "E0101 port 8123\nis taken".to_owned(),
        exit_code: 13,
    };
    assert_eq!(heard(&format!("{failed}\n")), outcome);
}

#[test]
fn silence_is_death() {
    assert_eq!(heard(""), Outcome::Died);
    assert_eq!(heard("chatter\nand no more"), Outcome::Died);
}

#[test]
fn who_says_nothing_and_lives_is_still_starting() {
    let (reader, _writer) = io::pipe().expect("make a pipe");
    assert_eq!(
        hear(BufReader::new(reader), Duration::ZERO).expect("a thread"),
        Outcome::StillStarting
    );
}

#[test]
fn ports_read_as_one_line() {
    let ports = Ports {
        coordinator: Some(([127, 0, 0, 1], 2181).into()),
        broker: None,
        web: Some((std::net::Ipv6Addr::LOCALHOST, 8120).into()),
    };
    assert_eq!(
        ports.to_string(),
        "coordinator 127.0.0.1:2181, web [::1]:8120"
    );
    assert_eq!(Ports::default().to_string(), "");
}
