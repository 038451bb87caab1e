//! A bar or a turning wheel where something takes long; on a terminal, and nowhere else.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// How often a wheel turns on.
const TURN: Duration = Duration::from_millis(120);

/// A wheel beside `what`, which is what is being waited for. It is gone when dropped.
pub fn wheel(what: impl Into<String>) -> Progress {
    let bar = ProgressBar::new_spinner().with_message(what.into());
    bar.enable_steady_tick(TURN);
    Progress { bar }
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
