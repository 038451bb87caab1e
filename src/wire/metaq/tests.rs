//! Golden bytes. Each file in `tests/golden/metaq` is a list of streams: a comment that says what it is,
//! hex with a comment a field, dashes, and what a decoder makes of it. `request_*` is decoded as the broker
//! does, `reply_*` as a client does. `UPDATE=1` rewrites what stands below the dashes.

use std::fmt::Write as _;

use bytes::{Bytes, BytesMut};

use super::reply::{Answer, Content};
use super::request::Asked;
use super::{DecodeError, Decoded, Limits, reply, request};
use crate::broker::{Name, Request, TransactionStep};
use crate::tests::transcript::scripts;

scripts! {
    "tests/golden/metaq":
    reply_result, reply_value => |file| replay(file, show_answers);
    request_get, request_put, request_refused, request_stray_replies, request_sync,
    request_transaction, request_version_stats_quit => |file| replay(file, show_requests);
}

fn replay(file: &str, show: fn(BytesMut) -> String) -> String {
    let mut blocks = Vec::new();
    for block in file.split("\n\n") {
        let given: Vec<&str> = block.lines().take_while(|line| *line != "----").collect();
        let mut bytes = BytesMut::new();
        for line in given.iter().filter(|line| !line.starts_with('#')) {
            let hex = line
                .split('#')
                .next()
                .expect("splitting gives at least one part");
            bytes.extend_from_slice(&from_hex(hex));
        }
        let given = given.join("\n");
        if bytes.is_empty() {
            blocks.push(given);
        } else {
            blocks.push(format!("{given}\n----\n{}", show(bytes).trim_end()));
        }
    }
    blocks.join("\n\n").trim_end().to_string() + "\n"
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    let byte = |pair: &[char]| {
        u8::from_str_radix(&pair.iter().collect::<String>(), 16).expect("two hex digits")
    };
    digits.chunks(2).map(byte).collect()
}

fn show_requests(mut stream: BytesMut) -> String {
    let whole = stream.clone();
    let mut again = BytesMut::new();
    let mut shown = String::new();
    show_stream(
        &mut stream,
        &mut shown,
        request::decode,
        |shown, asked| match asked {
            Some(asked) => {
                request::encode(&mut again, asked.opaque, &asked.request);
                show_asked(shown, &asked);
            }
            None => shown.push_str("ignored"),
        },
    );
    show_again(&mut shown, &whole, &stream, &again);
    shown
}

fn show_answers(mut stream: BytesMut) -> String {
    let whole = stream.clone();
    let mut again = BytesMut::new();
    let mut shown = String::new();
    show_stream(&mut stream, &mut shown, reply::decode, |shown, answer| {
        match &answer.content {
            Content::Result { code, text } => {
                reply::encode_result(&mut again, *code, answer.opaque, text);
            }
            Content::Value(records) => {
                reply::encode_value_header(&mut again, answer.opaque, records.len());
                again.extend_from_slice(records);
            }
        }
        show_answer(shown, &answer);
    });
    show_again(&mut shown, &whole, &stream, &again);
    shown
}

/// Decodes until nothing is left, a frame is not whole, or the stream is not the protocol.
fn show_stream<T>(
    stream: &mut BytesMut,
    shown: &mut String,
    decode: fn(&mut BytesMut, &Limits) -> Result<Decoded<T>, DecodeError>,
    mut show: impl FnMut(&mut String, T),
) {
    while !stream.is_empty() {
        match decode(stream, &Limits::DEFAULT) {
            Ok(Decoded::Frame(frame)) => show(shown, frame),
            Ok(Decoded::TooLarge { frame, body }) => {
                show(shown, frame);
                write!(shown, "; too large, {body} bytes to throw away").expect("strings grow");
            }
            Ok(Decoded::NotYet { need }) => {
                writeln!(shown, "not yet: {} of {need} bytes", stream.len()).expect("strings grow");
                break;
            }
            Err(error) => {
                writeln!(shown, "close: {error}").expect("strings grow");
                break;
            }
        }
        shown.push('\n');
    }
}

/// What was understood must be written as it came, unless there is a newer way to write it.
fn show_again(shown: &mut String, whole: &BytesMut, left: &BytesMut, again: &BytesMut) {
    let understood = &whole[..whole.len() - left.len()];
    if understood != again && !shown.contains("close: ") {
        writeln!(shown, "written as: {}", text(again)).expect("strings grow");
    }
}

fn show_asked(shown: &mut String, asked: &Asked) {
    let opaque = asked.opaque;
    let line = match &asked.request {
        Request::Put(put) => format!(
            "put topic={} partition={} flag={} checksum={} transaction={} data={} opaque={opaque}",
            name(&put.topic),
            put.partition,
            put.flag,
            put.checksum,
            put.transaction.as_ref().map_or("none".to_string(), name),
            text(&put.data),
        ),
        Request::Sync(sync) => format!(
            "sync topic={} partition={} flag={} id={} checksum={} data={} opaque={opaque}",
            name(&sync.topic),
            sync.partition,
            sync.flag,
            sync.message_id,
            sync.checksum,
            text(&sync.data),
        ),
        Request::Get(get) => format!(
            "get topic={} group={} partition={} offset={} max={} opaque={opaque}",
            name(&get.topic),
            name(&get.group),
            get.partition,
            get.offset,
            get.max_size,
        ),
        Request::Offset(query) => format!(
            "offset topic={} group={} partition={} offset={} opaque={opaque}",
            name(&query.topic),
            name(&query.group),
            query.partition,
            query.offset,
        ),
        Request::Version => format!("version opaque={opaque}"),
        Request::Stats { item } => format!("stats item={} opaque={opaque}", name(item)),
        Request::Transaction(transaction) => format!(
            "transaction key={} session={} step={} timeout={} qualifier={} opaque={opaque}",
            name(&transaction.key),
            name(&transaction.session),
            step(transaction.step),
            transaction
                .timeout_s
                .map_or("none".to_string(), |timeout| timeout.to_string()),
            transaction
                .unique_qualifier
                .as_ref()
                .map_or("none".to_string(), name),
        ),
        Request::Quit => "quit".to_string(),
    };
    shown.push_str(&line);
}

fn show_answer(shown: &mut String, answer: &Answer) {
    let line = match &answer.content {
        Content::Result { code, text: reason } => {
            format!(
                "result code={code} text={} opaque={}",
                text(reason),
                answer.opaque
            )
        }
        Content::Value(records) => {
            format!("value records={} opaque={}", text(records), answer.opaque)
        }
    };
    shown.push_str(&line);
}

fn step(step: TransactionStep) -> &'static str {
    match step {
        TransactionStep::Begin => "begin",
        TransactionStep::Prepare => "prepare",
        TransactionStep::CommitOnePhase => "commit-one-phase",
        TransactionStep::CommitTwoPhase => "commit-two-phase",
        TransactionStep::Rollback => "rollback",
        TransactionStep::Recover => "recover",
        TransactionStep::Forget => "forget",
        TransactionStep::End => "end",
    }
}

fn name(name: &Name) -> String {
    text(name.as_bytes())
}

fn text(bytes: &[u8]) -> String {
    format!("\"{}\"", Bytes::copy_from_slice(bytes).escape_ascii())
}
