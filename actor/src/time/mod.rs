//! Clocks, sleeping, timeouts, and messages sent later.
//!
//! All timers of a runtime wait in one wheel, so none depends on a worker. A timer is never early; it is late
//! by at most its tick of one millisecond and the time until a worker looks.
//!
//! ```
//! # use std::time::Duration;
//! # use riot_actor::{receive, run, this, time::{send_after, timeout}};
//! # run(async {
//! send_after(Duration::from_millis(1), this(), "now");
//! assert_eq!(timeout(Duration::from_secs(60), receive()).await, Ok("now"));
//! # });
//! ```

pub(crate) mod api;
pub(crate) mod call_timer;
pub(crate) mod clock;
mod listing;
pub(crate) mod timeout;
pub(crate) mod timer_ref;
pub(crate) mod timers;
mod wheel;

pub use self::{
    api::{
        Interval, MissedTicks, SendLater, Sleep, Timeout, ZeroPeriod, exit_after, interval, kill_after,
        send_after, send_interval, sleep, sleep_until, start_timer,
    },
    clock::{deadline_after, now, now_coarse},
    listing::{TimerEffect, TimerInfo, timers},
    timeout::{TimedOut, TimeoutFuture, timeout},
    timer_ref::TimerRef,
};
