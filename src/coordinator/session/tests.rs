use super::{SessionIds, password};
use crate::units::{ServerId, WallTime};

#[test]
fn a_password_is_what_java_would_have_drawn() {
    // java.util.Random seeded with 0: the constant takes itself out.
    let hex = |session| password(session).map(|byte| format!("{byte:02x}")).concat();
    assert_eq!(hex(0xb341_5c00), "60b420bb3851d9d47acb933dbe70399b");
    assert_ne!(password(1), password(2));
    assert_ne!(password(-1), [0; 16]);
}

#[test]
fn ids_begin_with_server_and_time_and_never_come_back() {
    let wall = WallTime(0x18b_cfe5_6800);
    let mut ids = SessionIds::new(ServerId(3));
    assert_eq!(ids.next(wall, None), 0x038b_cfe5_6800_0000);
    assert_eq!(ids.next(WallTime(0), None), 0x038b_cfe5_6800_0001);

    // The clock was set back while the server was down.
    let mut ids = SessionIds::new(ServerId(3));
    let last = 0x038b_cfe5_6800_0007;
    assert_eq!(ids.next(WallTime(5), Some(last)), 0x038b_cfe5_6800_0008);

    let mut ids = SessionIds::new(ServerId(254));
    assert!(
        ids.next(wall, None) < 0,
        "a large server number makes negative ids"
    );

    // No id is 0 or the one that is reserved.
    assert_eq!(SessionIds::new(ServerId(0)).next(WallTime(0), None), 1);
    assert_eq!(
        SessionIds::new(ServerId(128)).next(WallTime(0), None),
        i64::MIN + 1
    );
    let last = i64::from_be_bytes([128, 255, 255, 255, 255, 255, 255, 255]);
    assert_eq!(
        SessionIds::new(ServerId(128)).next(WallTime(0), Some(last)),
        i64::MIN + 1
    );
}
