use super::*;
use crate::wire::zookeeper::frame;

fn sent(operation: Operation, number: u64) -> (i32, Request) {
    let template = Template::new(operation, "/bench/7", Bytes::from_static(b"xx"));
    let mut out = b"before".to_vec();
    template.put(number, &mut out);
    let mut frames = BytesMut::from(&out[6..]);
    let payload = frame::take(&mut frames, 1000)
        .expect("a good length")
        .expect("a whole frame");
    assert!(frames.is_empty());
    request::decode(&payload).expect("a request")
}

#[test]
fn only_the_numbers_of_a_request_change() {
    let (xid, request) = sent(Operation::Set, 5);
    assert_eq!(xid, 5);
    assert!(matches!(request, Request::SetData(set) if set.path == "/bench/7"));
    let (xid, request) = sent(Operation::Get, 0x1_0000_0000);
    assert_eq!(xid, 0);
    assert!(matches!(request, Request::GetData { path, .. } if path == "/bench/7"));
}

#[test]
fn each_create_has_a_path_of_its_own() {
    for number in [0, 1, 42, 1_234_567_890] {
        let (_, request) = sent(Operation::Create, number);
        let Request::Create(create) = request else {
            panic!("{request:?}");
        };
        assert_eq!(create.path, created("/bench/7", number));
    }
}
