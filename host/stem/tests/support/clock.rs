//! Virtual time that says when somebody goes to sleep.

use rusty_genius_cortex::{BoxFuture, Clock, VirtualClock};
use std::time::Duration;

/// Reports the deadline of every sleep, so that a test moves the time only when the loop
/// has set its timer.
#[derive(Debug)]
pub(crate) struct SignalClock {
    time: VirtualClock,
    sleeps: async_channel::Sender<Duration>,
}

impl SignalClock {
    pub(crate) fn new(time: VirtualClock, sleeps: async_channel::Sender<Duration>) -> Self {
        Self { time, sleeps }
    }
}

impl Clock for SignalClock {
    fn now(&self) -> Duration {
        self.time.now()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let sleep = self.time.sleep(duration);
        let _ = self.sleeps.try_send(self.time.now() + duration);
        sleep
    }
}
