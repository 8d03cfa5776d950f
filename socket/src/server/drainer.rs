//! Drain.Worker: the process that takes a server through the phases of its drain.
//!
//! It is the last child of Server.Sup, so it is the first that a shutdown stops, while everything that it
//! drains still lives.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use riot_actor::{
    Exit, Pid, Reason, call,
    call::{CallRequest, ReplyTo},
    mailbox::{Message, select},
    now,
    process::{contain, is_alive, yield_now},
    runtime::{self, ShutdownSignal},
    sleep, telemetry, this,
    time::{TimedOut, sleep_until},
    timeout,
};

use super::{
    accept_error::AcceptErrorKind,
    acceptor::{self, Accepted, Client, PAUSE},
    connections::AnnounceDrain,
    drain::{DrainPhase, DrainReport, Schedule, ServerPhase, later},
    info::CutConnection,
    state::Shared,
};
use crate::transport::{AcceptQueue, Listen};

/// Asks Drain.Worker to drain the server.
pub(super) struct DrainServer {
    pub(super) timeout: Duration,
}

/// The time in which a client whose connection was being set up can enter a queue that is being closed:
/// 100 ms.
const ACCEPT_QUIET_TIMEOUT: Duration = Duration::from_millis(100);

struct Drainer {
    shared: Arc<Shared>,
    parent: Pid,
    /// Processes that wait for the report.
    callers: Vec<ReplyTo<DrainReport>>,
    /// `None` once the shutdown of the runtime has begun.
    shutdown: Option<ShutdownSignal>,
    /// Server.Sup has asked for the end.
    ending: bool,
}

/// An event that a Drain.Worker reacts to.
enum Woken {
    Requested(CallRequest<DrainServer, DrainReport>),
    EndRequested,
    ShutdownBegan,
}

/// The body of a Drain.Worker.
pub(super) async fn run(shared: Arc<Shared>, parent: Pid) -> Reason {
    shared.set_drainer(this());
    let shutdown = Some(runtime::shutdown_signal());
    let mut drainer = Drainer { shared, parent, callers: Vec::new(), shutdown, ending: false };
    // One that replaces a Drain.Worker that was killed goes on with the drain.
    while drainer.shared.schedule().and_then(|schedule| schedule.deadline()).is_none() {
        let woken = drainer.wait().await;
        if !drainer.handle(woken) {
            return Reason::Shutdown;
        }
    }
    if let Some(report) = drainer.drain().await {
        drainer.report(report);
        while !drainer.ending {
            let woken = drainer.wait().await;
            if !drainer.handle(woken) {
                break;
            }
            drainer.report(DrainReport::default());
        }
    }
    Reason::Shutdown
}

impl Drainer {
    /// Waits for something that concerns the drain.
    async fn wait(&mut self) -> Woken {
        let parent = self.parent;
        let concerns = |message: &Message| {
            let from_above = |exit: &Exit| exit.from == parent || exit.from.is_system();
            message.is::<CallRequest<DrainServer, DrainReport>>()
                || message.downcast_ref::<Exit>().is_some_and(from_above)
        };
        let mut message = pin!(select(concerns));
        poll_fn(|cx| {
            if let Some(shutdown) = &mut self.shutdown
                && Pin::new(shutdown).poll(cx).is_ready()
            {
                self.shutdown = None;
                return Poll::Ready(Woken::ShutdownBegan);
            }
            message.as_mut().poll(cx).map(|message| match message.downcast() {
                Ok(request) => Woken::Requested(request),
                Err(_exit) => Woken::EndRequested,
            })
        })
        .await
    }

    /// Returns the output of `work`, and handles meanwhile whatever concerns the drain; `None` if this
    /// process is to be replaced.
    async fn wait_with<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        loop {
            let woken = {
                let mut wait = pin!(self.wait());
                poll_fn(|cx| match work.as_mut().poll(cx) {
                    Poll::Ready(output) => Poll::Ready(Err(output)),
                    Poll::Pending => wait.as_mut().poll(cx).map(Ok),
                })
                .await
            };
            match woken {
                Err(output) => return Some(output),
                Ok(woken) => {
                    if !self.handle(woken) {
                        return None;
                    }
                }
            }
        }
    }

    /// Handles what concerns the drain. Returns whether this process is still needed.
    fn handle(&mut self, woken: Woken) -> bool {
        match woken {
            Woken::Requested(request) => {
                self.callers.push(request.reply);
                self.request_stop(request.query.timeout);
            }
            // Server.Sup was killed, or replaces this process because a child before it has ended.
            Woken::EndRequested if !is_alive(self.parent) || !self.shared.is_whole() => return false,
            Woken::EndRequested => {
                self.ending = true;
                self.request_stop(self.shared.shutdown_timeout());
            }
            Woken::ShutdownBegan => {
                if !self.shared.lame_duck_timeout().is_zero() {
                    self.begin();
                }
            }
        }
        true
    }

    /// Begins the drain, if it has not begun: responses say from now on that they are the last.
    fn begin(&self) {
        let shared = &self.shared;
        let lame_duck = shared.lame_duck_timeout();
        if shared.begin_schedule(Schedule::new(now(), lame_duck)) && !lame_duck.is_zero() {
            self.emit();
            shared.table.tell_supervisors(AnnounceDrain);
        }
    }

    fn request_stop(&self, timeout: Duration) {
        self.begin();
        let is_earlier = self.shared.change_schedule(|schedule| schedule.stop(now(), timeout));
        if is_earlier == Some(true) && self.schedule().phase() >= DrainPhase::Closing {
            self.shared.table.tell_supervisors(self.shared.drain_request());
        }
    }

    fn schedule(&self) -> Schedule {
        self.shared.schedule().expect("the drain has begun")
    }

    fn deadline(&self) -> Instant {
        self.schedule().deadline().expect("the stop was requested")
    }

    fn emit(&self) {
        let schedule = self.schedule();
        let (address, phase) = (self.shared.address(), schedule.phase());
        telemetry::emit(&ServerPhase { address, phase, deadline: schedule.deadline() });
    }

    fn enter(&self, phase: DrainPhase) {
        self.shared.change_schedule(|schedule| schedule.enter(phase));
        self.emit();
    }

    /// Takes the server through the phases; `None` if this process is to be replaced.
    async fn drain(&mut self) -> Option<DrainReport> {
        let shared = self.shared.clone();
        let name = shared.address().map_or_else(String::new, |address| format!("{address} "));
        self.wait_with(sleep_until(self.schedule().lame_duck_until())).await?;
        shared.drain_counters.begin();
        self.enter(DrainPhase::Closing);
        self.wait_with(close(&shared)).await?;
        self.enter(DrainPhase::Draining);
        let cut = self.drain_connections().await?;
        let report = shared.drain_counters.report(cut, self.schedule().took(now()));
        if report.cut.is_empty() {
            riot_actor::log_event!(INFO, "riot::socket", "{name}{report}");
        } else {
            riot_actor::log_event!(WARN, "riot::socket", "{name}{report}");
        }
        Some(report)
    }

    /// Lets the connections finish. Returns those that were cut; `None` if this process is to be replaced.
    async fn drain_connections(&mut self) -> Option<Vec<CutConnection>> {
        let (deadline, request) = (self.deadline(), self.shared.drain_request());
        // All supervisors are asked before any answer is awaited.
        let drains = self.shared.table.supervisors().into_iter().map(|pid| {
            Box::pin(
                async move { call::<_, Vec<CutConnection>>(pid, request, None).await.unwrap_or_default() },
            )
        });
        let mut drains = pin!(join_all(drains.collect()));
        let left = deadline.saturating_duration_since(now());
        let cut = match self.wait_with(timeout(left, drains.as_mut())).await? {
            Ok(cut) => cut.concat(),
            Err(TimedOut) => {
                self.enter(DrainPhase::Killing);
                return Some(self.wait_with(drains).await?.concat());
            }
        };
        if !cut.is_empty() {
            // The deadline was moved forward.
            self.enter(DrainPhase::Killing);
        }
        Some(cut)
    }

    /// Gives the report to the first process that waits for it. The others learn that the drain is done.
    fn report(&mut self, report: DrainReport) {
        let mut report = Some(report);
        for caller in self.callers.drain(..) {
            caller.send(report.take().unwrap_or_default());
        }
    }
}

/// Stops accepting, and accepts the clients that have connected before.
async fn close(shared: &Arc<Shared>) {
    let deadline = shared.schedule().and_then(|schedule| schedule.deadline());
    let bounded = |time| deadline.map_or(time, |deadline| deadline.min(time));
    let patience = bounded(later(now(), shared.drain_first_timeout));
    let mut waiting = Waiting { shared, patience, number: 0, drains: false };
    let (mut queues, mut unserved) = (Vec::new(), Vec::new());
    for listener in shared.stop_accepting() {
        if let Some((listener, client)) = listener.take_over().await {
            let queue = listener.close_queue();
            queues.push((listener, queue));
            unserved.extend(client);
        }
    }
    queues.retain(|(_, queue)| *queue != AcceptQueue::Shared);
    for client in unserved {
        waiting.serve(client).await;
    }
    waiting.accept(&queues).await;
    queues.retain(|(_, queue)| *queue == AcceptQueue::Open);
    if !queues.is_empty() {
        sleep_until(bounded(later(now(), ACCEPT_QUIET_TIMEOUT))).await;
        waiting.accept(&queues).await;
    }
    shared.clear_address();
}

/// Bounds the clients that are taken out of one queue after the deadline, which may come at once; 4 096, the
/// usual length of a queue. One that cannot be closed may never run empty.
const MAX_LATE: usize = 4096;

/// The clients that have connected before the server closed.
struct Waiting<'a> {
    shared: &'a Arc<Shared>,
    /// Those for whom no place becomes free until then are refused.
    patience: Instant,
    /// The number of clients that were served or refused.
    number: usize,
    /// The connections have been asked to finish, because there was no place for another one.
    drains: bool,
}

impl Waiting<'_> {
    /// Accepts the clients in the queues.
    async fn accept(&mut self, queues: &[(Arc<dyn Listen>, AcceptQueue)]) {
        let shared = self.shared;
        for (listener, _) in queues {
            let mut late = 0;
            loop {
                // With a whole budget, an accept that is not ready means that the queue is empty.
                yield_now().await;
                late += usize::from(shared.schedule().is_some_and(|schedule| schedule.is_over(now())));
                if late > MAX_LATE {
                    break;
                }
                // A listener may be a user's: one that panics is done.
                let accepted = poll_fn(|cx| match contain(|| listener.poll_accept(cx)) {
                    Some(Poll::Ready(accepted)) => Poll::Ready(Some(accepted)),
                    Some(Poll::Pending) | None => Poll::Ready(None),
                });
                let error = match accepted.await {
                    Some(Ok(client)) => {
                        self.serve(client).await;
                        continue;
                    }
                    Some(Err(error)) => error,
                    None => break,
                };
                match shared.accept_failed(&error) {
                    AcceptErrorKind::Connection => {}
                    AcceptErrorKind::Exhausted => {
                        if now() < self.patience {
                            self.make_room();
                            sleep(PAUSE).await;
                        } else if acceptor::send_away(&**listener, shared).await == 0 {
                            break;
                        }
                    }
                    AcceptErrorKind::Listener => {
                        riot_actor::log_event!(
                            WARN,
                            "riot::socket",
                            "accepting ended before its time: {error}"
                        );
                        break;
                    }
                }
            }
        }
    }

    /// Serves a client, or refuses it if no place becomes free in time.
    async fn serve(&mut self, (transport, peer): Accepted) {
        let shared = self.shared;
        let permit = match shared.permits.try_acquire() {
            Some(permit) => Some(permit),
            None => {
                self.make_room();
                let left = self.patience.saturating_duration_since(now());
                timeout(left, shared.permits.acquire()).await.ok()
            }
        };
        self.number += 1;
        if let Some(start) = acceptor::start(shared, self.number, Client { transport, peer, permit }) {
            acceptor::hand_over(shared, self.number, start).await;
        }
    }

    /// Asks the connections to finish.
    fn make_room(&mut self) {
        if !std::mem::replace(&mut self.drains, true) {
            self.shared.table.tell_supervisors(self.shared.drain_request());
        }
    }
}

/// Awaits several futures concurrently.
async fn join_all<F: Future + Unpin>(mut futures: Vec<F>) -> Vec<F::Output> {
    let mut done: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    poll_fn(|cx| {
        for (future, done) in futures.iter_mut().zip(&mut done) {
            if done.is_none()
                && let Poll::Ready(output) = Pin::new(future).poll(cx)
            {
                *done = Some(output);
            }
        }
        if done.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}
