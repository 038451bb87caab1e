//! A request that is sent over and over, of which only the numbers change.

use bytes::{Bytes, BytesMut};

use super::Operation;
use crate::coordinator::{Acl, Create, CreateMode, Request, SetData};
use crate::wire::zookeeper::request;

/// Digits of a created znode's number.
const DIGITS: usize = 10;
/// Where the xid is: behind the frame's length.
const XID_AT: usize = 4;
/// Where the path is: behind the frame's length, the xid, the opcode, and its own length.
const PATH_AT: usize = 16;

/// A whole frame, and where its numbers are.
#[derive(Clone, Debug)]
pub(super) struct Template {
    frame: Vec<u8>,
    /// Where the number of the created znode is.
    digits_at: Option<usize>,
}

/// The path of the znode that request `number` of a connection creates.
pub(super) fn created(path: &str, number: u64) -> String {
    format!("{path}-{number:010}")
}

impl Template {
    /// A request for the znode at `path`.
    pub(super) fn new(operation: Operation, path: &str, data: Bytes) -> Template {
        let request = match operation {
            Operation::Set => Request::SetData(SetData {
                path: path.to_owned().into(),
                data: Some(data),
                version: -1,
            }),
            Operation::Get => Request::GetData {
                path: path.to_owned().into(),
                watch: false,
            },
            Operation::Create => Request::Create(Create {
                path: created(path, 0).into(),
                data: Some(data),
                acl: vec![Acl::open()],
                mode: CreateMode::Persistent,
            }),
        };
        let mut frame = BytesMut::new();
        request::encode(0, &request, &mut frame).expect("a size within the option's range fits");
        Template {
            frame: frame.to_vec(),
            digits_at: (operation == Operation::Create).then(|| PATH_AT + path.len() + 1),
        }
    }

    /// Appends request `number`, counted from 0.
    #[inline]
    pub(super) fn put(&self, number: u64, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.frame);
        // The server only echoes it; replies come in the order of the requests.
        let xid = (number & 0x7fff_ffff) as u32;
        patch(out, start + XID_AT, &xid.to_be_bytes());
        if let Some(at) = self.digits_at {
            let mut digits = [b'0'; DIGITS];
            let mut rest = number;
            for digit in digits.iter_mut().rev() {
                *digit = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
            patch(out, start + at, &digits);
        }
    }
}

#[inline]
fn patch(out: &mut [u8], at: usize, with: &[u8]) {
    out.get_mut(at..at + with.len())
        .expect("the numbers lie inside the frame")
        .copy_from_slice(with);
}

#[cfg(test)]
mod tests;
