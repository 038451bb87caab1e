//! What is said of topics.

use std::time::Duration;

use super::{DeletePolicy, Schedule};

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_delete_policy_is_read_and_written_alike() {
    let check = |text: &str, policy: DeletePolicy| {
        assert_eq!(text.parse(), Ok(policy), "{text}");
        assert_eq!(policy.to_string(), text);
    };
    check(
        "delete,168",
        DeletePolicy::Delete {
            older_than: 168 * HOUR,
        },
    );
    check(
        "delete,90m",
        DeletePolicy::Delete {
            older_than: HOUR * 3 / 2,
        },
    );
    check(
        "delete,45s",
        DeletePolicy::Delete {
            older_than: Duration::from_secs(45),
        },
    );
    check(
        "archive,7",
        DeletePolicy::Archive {
            older_than: 7 * HOUR,
            compress: false,
        },
    );
    check(
        "archive,7,true",
        DeletePolicy::Archive {
            older_than: 7 * HOUR,
            compress: true,
        },
    );
    assert_eq!(
        "delete, 7h".parse(),
        Ok(DeletePolicy::Delete {
            older_than: 7 * HOUR
        })
    );
    assert_eq!(
        "archive,7,false".parse(),
        Ok(DeletePolicy::Archive {
            older_than: 7 * HOUR,
            compress: false
        })
    );
}

#[test]
fn what_is_no_delete_policy_is_refused() {
    for text in [
        "",
        "delete",
        "delete,",
        "delete,0",
        "delete,-1",
        "delete,+1",
        "delete,1d",
        "delete,1,true",
        "delete,m",
        "archive,1,yes",
        "archive,1,true,x",
        "remove,1",
        "delete,99999999999999999999",
        "delete,9999999h",
        "delete,\u{e4}",
    ] {
        assert!(text.parse::<DeletePolicy>().is_err(), "{text}");
    }
}

#[test]
fn a_schedule_has_quartz_notation() {
    for text in [
        "0 0 6,18 * * ?",
        "0 0/10 * * * ?",
        "0 15 10 ? * MON-FRI",
        "0 0 12 1/5 * ? 2030",
    ] {
        assert!(text.parse::<Schedule>().is_ok(), "{text}");
    }
    for text in ["", "every day", "0 0 6", "99 0 6 * * ?"] {
        assert!(text.parse::<Schedule>().is_err(), "{text}");
    }
}

#[test]
fn a_schedule_keeps_quartz_numbers_of_weekdays() {
    use chrono::{Datelike as _, TimeZone as _, Utc, Weekday};
    // To Quartz, 1 is Sunday.
    let schedule: Schedule = "0 0 0 ? * 1".parse().expect("it is a schedule");
    let start = Utc
        .with_ymd_and_hms(2026, 1, 1, 0, 0, 0)
        .single()
        .expect("it is a date");
    let next = schedule
        .cron()
        .after(&start)
        .next()
        .expect("there is a next Sunday");
    assert_eq!(next.weekday(), Weekday::Sun);
}
