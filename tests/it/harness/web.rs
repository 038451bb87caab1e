//! What the web port answers.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// The metrics.
pub(crate) fn scrape(address: SocketAddr) -> String {
    ask(address, "/metrics", "")
}

/// What the web port answers, with these lines in the request.
pub(crate) fn ask(address: SocketAddr, path: &str, lines: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("the web port serves");
    let request = format!("GET {path} HTTP/1.0\r\n{lines}\r\n");
    stream.write_all(request.as_bytes()).expect("ask");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    text
}

/// The value of the line that begins with this name and these labels.
pub(crate) fn value(scrape: &str, name: &str) -> u64 {
    let line = scrape
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let line = line.unwrap_or_else(|| panic!("no {name} in\n{scrape}"));
    line.parse().expect("a whole number")
}
