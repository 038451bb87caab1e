//! A MetaQ client of the tests' own: lines and bodies over a socket, sharing no code with the server.

use super::socket::{self, connect};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// What the broker says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// `result CODE LENGTH OPAQUE`, and the text.
    Result {
        code: i32,
        opaque: i32,
        text: String,
    },
    /// `value LENGTH OPAQUE`, and the records.
    Value { opaque: i32, bytes: Vec<u8> },
}

/// Where a message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) id: i64,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
}

/// A message as it is in a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) id: i64,
    pub(crate) flag: i32,
    pub(crate) data: Vec<u8>,
    /// False if the checksum is not that of the data.
    pub(crate) sound: bool,
}

/// The checksum that clients send and brokers store.
pub(crate) fn checksum(data: &[u8]) -> i32 {
    i32::try_from(crc32fast::hash(data) & 0x7fff_ffff).expect("the top bit is clear")
}

/// The whole records at the front of `bytes`, and the length of what they take.
pub(crate) fn records(bytes: &[u8]) -> (Vec<Record>, usize) {
    let mut records = Vec::new();
    let mut at = 0;
    while bytes.len() - at >= 20 {
        let int = |from: usize| {
            i32::from_be_bytes(
                bytes[at + from..at + from + 4]
                    .try_into()
                    .expect("four bytes"),
            )
        };
        let Ok(length) = usize::try_from(int(0)) else {
            break;
        };
        if bytes.len() - at - 20 < length {
            break;
        }
        let data = bytes[at + 20..at + 20 + length].to_vec();
        records.push(Record {
            id: i64::from_be_bytes(bytes[at + 8..at + 16].try_into().expect("eight bytes")),
            flag: int(16),
            sound: int(4) == checksum(&data),
            data,
        });
        at += 20 + length;
    }
    (records, at)
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Client {
    reader: BufReader<TcpStream>,
    opaque: i32,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Client {
        Client::try_connect(address).expect("the broker accepts")
    }

    /// # Errors
    /// Nobody listens there.
    pub(crate) fn try_connect(address: SocketAddr) -> io::Result<Client> {
        let socket = connect(address)?;
        // The first opaque of a Java process is negative.
        Ok(Client {
            reader: BufReader::new(socket),
            opaque: i32::MIN,
        })
    }

    /// # Errors
    /// The server hung up.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.reader.get_mut().write_all(bytes)
    }

    pub(crate) fn next_opaque(&mut self) -> i32 {
        self.opaque += 1;
        self.opaque
    }

    /// The next answer.
    ///
    /// # Errors
    /// The server hung up, or said nothing in time.
    pub(crate) fn receive(&mut self) -> io::Result<Answer> {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let text = String::from_utf8(line).expect("a header is text");
        let header = text
            .strip_suffix("\r\n")
            .unwrap_or_else(|| panic!("a header without its end: {text:?}"));
        let words: Vec<&str> = header.split(' ').collect();
        let number = |index: usize| {
            words[index]
                .parse::<i32>()
                .unwrap_or_else(|_| panic!("no number in {header:?}"))
        };
        let mut body = |length: i32| {
            let mut bytes = vec![0; usize::try_from(length).expect("a length")];
            self.reader.read_exact(&mut bytes).map(|()| bytes)
        };
        match (words[0], words.len()) {
            ("result", 4) => {
                let text = String::from_utf8(body(number(2))?).expect("a result is text");
                Ok(Answer::Result {
                    code: number(1),
                    opaque: number(3),
                    text,
                })
            }
            ("value", 3) => Ok(Answer::Value {
                bytes: body(number(1))?,
                opaque: number(2),
            }),
            _ => panic!("no answer begins with {header:?}"),
        }
    }

    /// Sends a request line that ends with an opaque of ours, and its body, and returns the answer.
    ///
    /// # Errors
    /// The server hung up, or said nothing in time.
    pub(crate) fn try_call(&mut self, line: &str, body: &[u8]) -> io::Result<Answer> {
        let opaque = self.next_opaque();
        let mut bytes = format!("{line} {opaque}\r\n").into_bytes();
        bytes.extend_from_slice(body);
        self.send(&bytes)?;
        let answer = self.receive()?;
        let (Answer::Result { opaque: echoed, .. } | Answer::Value { opaque: echoed, .. }) =
            &answer;
        assert_eq!(*echoed, opaque, "the answer to another request: {answer:?}");
        Ok(answer)
    }

    pub(crate) fn call(&mut self, line: &str, body: &[u8]) -> Answer {
        self.try_call(line, body)
            .unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    /// Puts with a checksum.
    ///
    /// # Errors
    /// The code and the text of a refusal.
    pub(crate) fn put(
        &mut self,
        topic: &str,
        partition: i32,
        data: &[u8],
    ) -> Result<Stored, (i32, String)> {
        let line = format!(
            "put {topic} {partition} {} 0 {}",
            data.len(),
            checksum(data)
        );
        match self.call(&line, data) {
            Answer::Result {
                code: 200, text, ..
            } => Ok(stored(&text)),
            Answer::Result { code, text, .. } => Err((code, text)),
            Answer::Value { .. } => panic!("a value in answer to a put"),
        }
    }

    pub(crate) fn get(&mut self, topic: &str, partition: i32, offset: i64, max: i32) -> Answer {
        self.call(
            &format!("get {topic} raw-test-group {partition} {offset} {max}"),
            b"",
        )
    }

    /// Everything in a partition, from its first record on, with offsets.
    pub(crate) fn read_all(&mut self, topic: &str, partition: i32) -> Vec<(i64, Record)> {
        let mut all = Vec::new();
        let mut offset = 0;
        loop {
            match self.get(topic, partition, offset, 1024 * 1024) {
                Answer::Value { bytes, .. } => {
                    let (found, length) = records(&bytes);
                    assert!(
                        length > 0,
                        "{topic}-{partition} at {offset}: {} bytes and no record",
                        bytes.len()
                    );
                    for record in found {
                        let next =
                            offset + 20 + i64::try_from(record.data.len()).expect("a length");
                        all.push((offset, record));
                        offset = next;
                    }
                }
                Answer::Result {
                    code: 301, text, ..
                } => {
                    let moved: i64 = text.parse().expect("an offset");
                    assert!(
                        moved > offset,
                        "{topic}-{partition}: moved from {offset} to {moved}"
                    );
                    offset = moved;
                }
                Answer::Result { code: 404, .. } => return all,
                Answer::Result { code, text, .. } => {
                    panic!("{topic}-{partition} at {offset}: {code} {text}")
                }
            }
        }
    }

    /// True if the server has hung up, or does so soon.
    pub(crate) fn is_closed(&mut self) -> bool {
        socket::is_closed(&mut self.reader)
    }

    /// True if nothing comes for this long and the connection stays open.
    pub(crate) fn is_silent(&mut self, time: Duration) -> bool {
        self.reader.buffer().is_empty() && socket::is_silent(self.reader.get_ref(), time)
    }
}

/// The body of a successful put: `ID PARTITION OFFSET`.
pub(crate) fn stored(text: &str) -> Stored {
    let numbers: Vec<i64> = text
        .split(' ')
        .map(|word| word.parse().expect("a number"))
        .collect();
    let [id, partition, offset] = numbers[..] else {
        panic!("not three numbers: {text}")
    };
    Stored {
        id,
        partition: i32::try_from(partition).expect("a partition"),
        offset,
    }
}
