//! A new certificate for this server when the last third of the present one's life begins, where the authority's key is here. Where it
//! is not, and when it fails, that is told once a day until somebody has helped.

use std::rc::Rc;
use std::time::Duration;

use tracing::{info, warn};

use super::event_loop::Shell;
use crate::authority::{Authority, Certificates, Error, day};
use crate::report::throttle::Throttle;
use crate::units::WallTime;

/// How often it is looked, at least: the time of day may be set.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// And at most.
const LOOK_EVERY_MIN: Duration = Duration::from_millis(100);
/// How often it is told that there is no new one.
const TOLD_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// Renews the certificate until it is dropped.
pub(super) async fn keep(shell: Rc<Shell>, certificates: Rc<Certificates>) {
    let mut told = Throttle::new(TOLD_EVERY);
    loop {
        let due = certificates.own().renewed_from();
        let left = until(due, shell.clock.wall());
        if left.is_zero() {
            renew(&shell, &certificates, &mut told).await;
        }
        let pause = match left.is_zero() {
            true => LOOK_EVERY,
            false => left.clamp(LOOK_EVERY_MIN, LOOK_EVERY),
        };
        tokio::time::sleep(pause).await;
    }
}

/// How long it is until then.
fn until(at: WallTime, now: WallTime) -> Duration {
    Duration::from_millis(u64::try_from(at.0.saturating_sub(now.0)).unwrap_or(0))
}

async fn renew(shell: &Shell, certificates: &Certificates, told: &mut Throttle) {
    let renewed = match issue(certificates).await {
        Ok(()) => certificates.load_again(),
        Err(error) => Err(error),
    };
    let ends = day(certificates.own().ends());
    let why = renewed.err().map(|error| error.to_string());
    match &why {
        None => info!(until = ends, "this server has a new certificate"),
        Some(why) if told.is_due(shell.clock.now()) => warn!(
            until = ends,
            why,
            "this server has no new certificate: when this one has expired, the other servers refuse it"
        ),
        Some(_) => {}
    }
    *shell.security.unrenewed.borrow_mut() = why;
}

/// On a thread of its own, because it waits for the disk.
async fn issue(certificates: &Certificates) -> Result<(), Error> {
    let (folder, server) = (certificates.folder().to_path_buf(), certificates.server());
    let issued = tokio::task::spawn_blocking(move || {
        let authority = Authority::open(&folder)?;
        authority.issue(server, &folder).map(drop)
    });
    issued
        .await
        .unwrap_or_else(|_| Err(Error::interrupted(certificates.folder())))
}
