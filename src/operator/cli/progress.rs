//! A bar or a turning wheel where something takes long; on a terminal, and nowhere else.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

/// How often a wheel turns on.
const TURN: Duration = Duration::from_millis(120);

/// A wheel beside `what`, which is what is being waited for. It is gone when dropped.
pub fn wheel(what: impl Into<String>) -> Progress {
    let bar = ProgressBar::new_spinner().with_message(what.into());
    turn(&bar);
    Progress { bar }
}

/// A wheel beside `what`, which takes `time`, and how much of that is left.
pub fn countdown(what: impl Into<String>, time: Duration) -> Progress {
    let left = move |state: &ProgressState, text: &mut dyn std::fmt::Write| {
        let left = time.saturating_sub(state.elapsed()).as_secs();
        let _written = match left {
            0 => text.write_str("soon done"),
            left => write!(text, "{left} s left"),
        };
    };
    let style = ProgressStyle::with_template("{spinner} {msg}, {left}")
        .expect("the template is a constant, and a test shows it")
        .with_key("left", left);
    let bar = ProgressBar::new_spinner()
        .with_style(style)
        .with_message(what.into());
    turn(&bar);
    Progress { bar }
}

/// Has a wheel turn where somebody sees it. The library takes it for a bug of its caller's if there is no thread for that.
fn turn(bar: &ProgressBar) {
    let one_more = || std::thread::Builder::new().spawn(|| {});
    if !bar.is_hidden() && one_more().is_ok_and(|thread| thread.join().is_ok()) {
        bar.enable_steady_tick(TURN);
    }
}

/// A bar that is full at `total` steps. It is gone when dropped.
pub fn bar(what: impl Into<String>, total: u64) -> Progress {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {percent:>3} % {eta:>4} left")
        .expect("the template is a constant, and a test shows it");
    Progress {
        bar: ProgressBar::new(total)
            .with_style(style)
            .with_message(what.into()),
    }
}

/// What is shown while something takes long.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// So many steps are done.
    pub fn done(&self, steps: u64) {
        self.bar.set_position(steps);
    }

    /// What is being done now.
    pub fn say(&self, what: impl Into<String>) {
        self.bar.set_message(what.into());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
