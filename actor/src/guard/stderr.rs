//! Lines for the standard error that no caller waits for.
//!
//! A thread, `riot-log`, writes them from a bounded queue. It starts with the first line and serves the whole
//! program. A standard error that is full, or that fails, costs lines and nothing else.

use std::{
    collections::VecDeque,
    io,
    sync::{Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::sync::lock::lock;

/// Lines that wait at most; more are dropped and counted.
const MAX_QUEUED: usize = 1024;

/// Lines of the runtime in one [`WINDOW`] at most, so that a crash loop does not fill a disk; more are
/// counted.
const MAX_LINES_PER_WINDOW: u32 = 10;

/// How long the end of a runtime waits for its last lines to be written.
pub(crate) const LOG_FLUSH_TIMEOUT: Duration = Duration::from_millis(100);

const WINDOW: Duration = Duration::from_secs(1);

/// Whether a line counts against the rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rate {
    /// At most 10 lines a second are written.
    Limited,
    /// Every line is written, as far as the queue has room.
    Unlimited,
}

static LOG: (Mutex<State>, Condvar) = (Mutex::new(State::new()), Condvar::new());

struct State {
    queue: VecDeque<String>,
    has_thread: bool,
    /// Whether the thread is writing lines that it has taken.
    writing: bool,
    /// Lines that found the queue full.
    dropped: u64,
    /// Lines of which the standard error took no or not every byte, and that no line has told of.
    lost: u64,
    limit: RateLimit,
}

impl State {
    const fn new() -> Self {
        Self {
            queue: VecDeque::new(),
            has_thread: false,
            writing: false,
            dropped: 0,
            lost: 0,
            limit: RateLimit { window_began: None, lines: 0, suppressed: 0 },
        }
    }

    fn push(&mut self, line: String) {
        if self.queue.len() < MAX_QUEUED {
            self.queue.push_back(line);
        } else {
            self.dropped += 1;
        }
    }

    /// Takes what is to be written now. Lines that were lost are told of with the next ones: a line of their
    /// own could be lost again, and so on without an end.
    fn take(&mut self, now: Instant) -> String {
        let mut text: String = self.queue.drain(..).collect();
        if self.lost > 0 && !text.is_empty() {
            text.insert_str(0, &lost_line(self.lost));
        }
        if let Some(suppressed) = self.limit.take_suppressed(now) {
            text += &suppressed_line(suppressed);
        }
        if self.dropped > 0 {
            text += &format!("riot WARN  {} lines were dropped\n", std::mem::take(&mut self.dropped));
        }
        text
    }

    /// Starts the thread that writes, unless there is one. If the system refuses it the lines wait, and the
    /// next line or [`flush`] tries again.
    fn start_thread(&mut self) {
        if !self.has_thread {
            self.has_thread = std::thread::Builder::new().name("riot-log".into()).spawn(serve).is_ok();
        }
    }

    /// Counts the lines of a text that could not be written. `told` of those before are told of in it.
    fn wrote(&mut self, text: &str, told: u64, is_written: bool) {
        if is_written {
            self.lost -= told;
        } else {
            self.lost += text.lines().count() as u64 - u64::from(told > 0);
        }
    }
}

fn lost_line(lines: u64) -> String {
    format!("riot WARN  {lines} lines were lost: they could not be written\n")
}

fn suppressed_line(lines: u64) -> String {
    format!("riot WARN  {lines} lines were suppressed (more than 10 in a second)\n")
}

/// A limit of lines in a window of time.
struct RateLimit {
    window_began: Option<Instant>,
    lines: u32,
    suppressed: u64,
}

impl RateLimit {
    /// Counts a line. Returns whether it may be written.
    fn admit(&mut self, now: Instant) -> bool {
        let is_new = self.window_began.is_none_or(|began| now.saturating_duration_since(began) >= WINDOW);
        if is_new {
            (self.window_began, self.lines) = (Some(now), 0);
        }
        self.lines = self.lines.saturating_add(1);
        let is_admitted = self.lines <= MAX_LINES_PER_WINDOW;
        self.suppressed += u64::from(!is_admitted);
        is_admitted
    }

    /// Returns the number of suppressed lines once their window is over, if there are any.
    fn take_suppressed(&mut self, now: Instant) -> Option<u64> {
        let is_over = self.left(now).is_none_or(|left| left.is_zero());
        (self.suppressed > 0 && is_over).then(|| std::mem::take(&mut self.suppressed))
    }

    /// Returns how long the window of suppressed lines lasts.
    fn left(&self, now: Instant) -> Option<Duration> {
        let began = self.window_began.filter(|_| self.suppressed > 0)?;
        Some(WINDOW.saturating_sub(now.saturating_duration_since(began)))
    }
}

/// Hands a line, without its newline, to the thread that writes. It never waits.
pub(crate) fn write_line(line: &str, rate: Rate) {
    let (state, changed) = &LOG;
    let mut log = lock(state);
    if rate == Rate::Unlimited || log.limit.admit(Instant::now()) {
        log.push(format!("{line}\n"));
    }
    log.start_thread();
    drop(log);
    changed.notify_all();
}

/// Waits until all lines are written, for `timeout` at most. The number of suppressed lines is written now:
/// the program may end before their second does.
pub(crate) fn flush(timeout: Duration) {
    let (state, changed) = &LOG;
    let began = Instant::now();
    let mut log = lock(state);
    let suppressed = std::mem::take(&mut log.limit.suppressed);
    if suppressed > 0 {
        log.queue.push_back(suppressed_line(suppressed));
        changed.notify_all();
    }
    if !log.queue.is_empty() {
        log.start_thread();
    }
    while log.has_thread && (log.writing || !log.queue.is_empty()) {
        let left = timeout.saturating_sub(began.elapsed());
        if left.is_zero() {
            return;
        }
        log = changed.wait_timeout(log, left).unwrap_or_else(PoisonError::into_inner).0;
    }
}

/// How long a writer that takes nothing at the moment is left alone.
const WRITE_PAUSE: Duration = Duration::from_millis(10);

/// Writes all bytes. A writer in non-blocking mode is waited for: the mode of a pipe or terminal belongs to
/// all programs that share it, so another one may have set it. Must not be called on a worker.
pub(crate) fn write_all_waiting(out: &mut impl io::Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match out.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(WRITE_PAUSE),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn serve() {
    let (state, changed) = &LOG;
    let mut log = lock(state);
    loop {
        let lost = log.lost;
        let text = log.take(Instant::now());
        if text.is_empty() {
            log = match log.limit.left(Instant::now()) {
                Some(left) => changed.wait_timeout(log, left).unwrap_or_else(PoisonError::into_inner).0,
                None => changed.wait(log).unwrap_or_else(PoisonError::into_inner),
            };
            continue;
        }
        log.writing = true;
        drop(log);
        let written = write_all_waiting(&mut io::stderr(), text.as_bytes());
        log = lock(state);
        log.writing = false;
        log.wrote(&text, lost, written.is_ok());
        changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_lines_a_second_are_written_and_the_others_counted() {
        let mut state = State::new();
        let began = Instant::now();
        for at in 0..25 {
            if state.limit.admit(began + Duration::from_millis(at)) {
                state.push(format!("{at}\n"));
            }
        }
        assert_eq!(state.take(began + Duration::from_millis(30)).lines().count(), 10);
        assert_eq!(state.limit.left(began), Some(WINDOW));
        let later = began + WINDOW;
        assert!(state.take(later).contains(" 15 lines were suppressed"));
        assert_eq!(state.take(later), "");
        assert!(state.limit.admit(later), "the next second has lines of its own");
    }

    #[test]
    fn lines_that_could_not_be_written_are_told_of_with_the_next_ones() {
        let mut state = State::new();
        let now = Instant::now();
        let mut try_to_write = |lines: &[&str], works: bool| {
            lines.iter().for_each(|line| state.push(format!("{line}\n")));
            let lost = state.lost;
            let text = state.take(now);
            if !text.is_empty() {
                state.wrote(&text, lost, works);
            }
            text
        };
        assert_eq!(try_to_write(&["one", "two"], false), "one\ntwo\n");
        assert_eq!(try_to_write(&[], true), "", "nothing is written for the sake of the count");
        try_to_write(&["three"], false);
        let told = "riot WARN  3 lines were lost: they could not be written\nfour\n";
        assert_eq!(try_to_write(&["four"], true), told);
        assert_eq!(try_to_write(&["five"], true), "five\n");
    }

    /// Takes a byte at a time, and in between cannot.
    struct Reluctant(Vec<u8>, bool);

    impl io::Write for Reluctant {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.0.push(bytes[0]);
            Ok(1)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_writer_in_non_blocking_mode_gets_every_byte() {
        let mut out = Reluctant(Vec::new(), false);
        write_all_waiting(&mut out, b"a line\n").expect("it takes them in the end");
        assert_eq!(out.0, b"a line\n");
    }

    #[test]
    fn a_queue_that_is_full_drops_lines_and_says_how_many() {
        let mut state = State::new();
        (0..MAX_QUEUED + 7).for_each(|_| state.push("line\n".into()));
        assert!(state.take(Instant::now()).ends_with("riot WARN  7 lines were dropped\n"));
    }
}
