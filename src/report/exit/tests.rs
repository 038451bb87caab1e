//! The numbers the program ends with.

use super::ExitCode;

#[test]
fn a_number_means_one_thing() {
    let mut numbers: Vec<u8> = ExitCode::ALL.iter().map(|code| code.number()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), ExitCode::ALL.len());
    for code in ExitCode::ALL {
        assert_eq!(ExitCode::from_number(code.number()), code);
        assert!(!code.meaning().is_empty());
    }
    assert_eq!(ExitCode::from_number(99), ExitCode::Failed);
}

#[test]
fn the_numbers_that_a_restart_does_not_cure_are_known_to_the_unit() {
    let listed: Vec<u8> = ExitCode::ALL
        .iter()
        .filter(|code| !code.restart_may_help())
        .map(|code| code.number())
        .collect();
    // RestartPreventExitStatus= of the systemd unit; 0 is no failure and needs no line there.
    assert_eq!(listed, [0, 2, 3, 10, 11, 14, 15, 16]);
}
