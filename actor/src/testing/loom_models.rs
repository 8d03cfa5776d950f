//! Loom models of the code that keeps a wake-up from being lost: `RUSTFLAGS="--cfg riot_loom" cargo test -p
//! riot-actor --lib models`.
//!
//! Each tries every order in which its threads can run, up to a number of preemptions that
//! `LOOM_MAX_PREEMPTIONS` overrides.

use std::num::NonZeroU32;

use loom::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use crate::{
    messages::{alias::AliasState, mailbox::Position, message::Message},
    process::{pid::Pid, reason::Reason},
    runtime::{
        driver::{Driver, Unpark},
        kernel::{
            in_place::CloseWait,
            lifecycle::AfterPoll,
            process::{Process, Runnable},
            record::{Core, Slot},
            table::SlotPtr,
        },
        parker::Parker,
        scheduler::{Idle, Seeker, WakeAnother, queue::RunQueue},
    },
    sync::{Mutex, lock, spin_lock::RawSpin},
};

fn model(preemptions: usize, threads: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(preemptions));
    builder.check(threads);
}

/// A process and its slot, and what its body does in a poll.
struct Model {
    slot: Slot,
    body: Box<dyn Fn(&Slot, &mut Process) -> Polled + Send + Sync>,
    ended: AtomicUsize,
}

enum Polled {
    Pending,
    Done,
}

impl Model {
    /// Makes a scheduled process, which the caller owns.
    fn new(
        body: impl Fn(&Slot, &mut Process) -> Polled + Send + Sync + 'static,
    ) -> (Arc<Self>, Box<Process>) {
        let slot = Slot::scheduled();
        let pid = Pid::new(NonZeroU32::MIN, 0, 0);
        let slot_ptr = SlotPtr::of(&slot);
        let model = Self { slot, body: Box::new(body), ended: AtomicUsize::new(0) };
        (Arc::new(model), Process::new(std::sync::Weak::new(), pid, slot_ptr))
    }

    /// Does what a worker does with a runnable process: runs poll slices until it waits or has exited.
    fn run(&self, mut process: Box<Process>) {
        let slot = &self.slot;
        'slice: loop {
            if slot.is_condemned() {
                return self.end();
            }
            slot.begin_poll();
            process.reductions = 10;
            process.wants_messages = false;
            loop {
                let polled = (self.body)(slot, &mut process);
                let mut core = slot.lock();
                if let Polled::Done = polled {
                    drop(slot.condemn(&mut core, Reason::Normal, false).refused());
                }
                if !core.is_live() {
                    drop(core);
                    return self.end();
                }
                match slot.after_poll(&mut core, &mut process) {
                    AfterPoll::Again => {
                        drop(core);
                        slot.begin_poll();
                    }
                    AfterPoll::Queue => continue 'slice,
                    AfterPoll::Park => return slot.park(&mut core, process),
                }
            }
        }
    }

    fn end(&self) {
        let exiting = self.slot.begin_exit(&mut self.slot.lock(), None);
        drop(exiting);
        assert_eq!(self.ended.fetch_add(1, Ordering::Relaxed), 0, "a process ends once");
    }

    /// Acts on the process, and runs it if that made it runnable.
    fn act(&self, act: impl FnOnce(&Slot, &mut Core) -> Option<Runnable>) {
        let runnable = act(&self.slot, &mut self.slot.lock());
        if let Some(Runnable(process)) = runnable {
            self.run(process);
        }
    }

    fn send(&self, number: u32) {
        self.act(|slot, core| core.is_live().then(|| slot.accept(core, Message::new(number))).flatten());
    }
}

fn is_number(message: &Message) -> bool {
    message.is::<u32>()
}

/// Loom reports a race on the guarded value if two threads could hold the lock at once, or one could miss
/// what another has written.
#[test]
fn a_spin_lock_has_one_holder_at_a_time() {
    // Without a bound on preemptions: a waiting thread has to be preempted as often as it tries.
    loom::model(|| {
        let both = Arc::new((RawSpin::new(), loom::cell::UnsafeCell::new(0)));
        let count = |(spin, number): &(RawSpin, loom::cell::UnsafeCell<u32>)| {
            spin.lock();
            #[expect(unsafe_code, reason = "the model checks that this is sound")]
            // SAFETY: this thread holds the lock; loom reports a race if it does not.
            number.with_mut(|number| unsafe { *number += 1 });
            spin.unlock();
        };
        let other = {
            let both = both.clone();
            thread::spawn(move || count(&both))
        };
        count(&both);
        other.join().unwrap();
        both.0.lock();
        #[expect(unsafe_code, reason = "as above")]
        // SAFETY: this thread holds the lock.
        let counted = both.1.with(|number| unsafe { *number });
        both.0.unlock();
        assert_eq!(counted, 2);
    });
}

#[test]
fn a_message_that_is_accepted_is_received() {
    model(3, || {
        let received = Arc::new(AtomicUsize::new(0));
        let counted = received.clone();
        let (process, owned) = Model::new(move |slot, process| {
            let mut from = Position::start();
            while slot.take(process, &mut from, is_number).is_some() {
                if counted.fetch_add(1, Ordering::Relaxed) == 1 {
                    return Polled::Done;
                }
            }
            Polled::Pending
        });
        let senders: Vec<_> = (0..2)
            .map(|number| {
                let process = process.clone();
                thread::spawn(move || process.send(number))
            })
            .collect();
        process.run(owned);
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        assert_eq!(received.load(Ordering::Relaxed), 2);
        assert_eq!(process.ended.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_wake_up_is_answered_by_a_poll_that_sees_what_it_is_for() {
    model(3, || {
        let flags = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
        let seen = flags.clone();
        let (process, owned) = Model::new(move |_, _| {
            // Relaxed, because the wake-up itself must order the flags.
            let all = seen.iter().all(|flag| flag.load(Ordering::Relaxed));
            if all { Polled::Done } else { Polled::Pending }
        });
        let wakers: Vec<_> = (0..2)
            .map(|number| {
                let (process, flags) = (process.clone(), flags.clone());
                thread::spawn(move || {
                    flags[number].store(true, Ordering::Relaxed);
                    process.act(Slot::wake);
                })
            })
            .collect();
        process.run(owned);
        wakers.into_iter().for_each(|waker| waker.join().unwrap());
        assert_eq!(process.ended.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_condemned_process_receives_nothing_sent_before_or_after() {
    model(3, || {
        let killed = Arc::new(AtomicBool::new(false));
        let seen = killed.clone();
        let (process, owned) = Model::new(move |slot, process| {
            let killed_before = seen.load(Ordering::Acquire);
            let mut from = Position::start();
            // As a receive does, checks condemnation after it has taken.
            if let Some(message) = slot.take(process, &mut from, is_number)
                && !slot.is_condemned()
            {
                assert!(!killed_before && message.take::<u32>() == 1);
            }
            Polled::Pending
        });
        assert!(
            process.slot.accept(&mut process.slot.lock(), Message::new(1_u32)).is_none(),
            "it is scheduled"
        );
        let killer = {
            let process = process.clone();
            thread::spawn(move || {
                process.act(|slot, core| slot.end_by_signal(core, Reason::Killed));
                killed.store(true, Ordering::Release);
                process.send(2);
            })
        };
        process.run(owned);
        killer.join().unwrap();
        assert_eq!(process.ended.load(Ordering::Relaxed), 1, "it is released, whatever it did");
    });
}

/// A holder finds what was accepted in its mailbox once it has taken its alias back, and nothing comes later.
#[test]
fn nothing_comes_once_an_alias_is_taken_back() {
    model(3, || {
        let (process, mut owned) = Model::new(|_, _| Polled::Pending);
        let alias = Arc::new(AliasState::new(owned.pid));
        let sender = {
            let (process, alias) = (process.clone(), alias.clone());
            thread::spawn(move || alias.deliver(&process.slot, Message::new(1_u32), 0).is_ok())
        };
        assert!(alias.take_back(&process.slot, 0));
        let mut heard =
            || process.slot.take(&mut owned, &mut Position::start(), is_number).map(Message::take::<u32>);
        let before = heard();
        let is_accepted = sender.join().unwrap();
        assert_eq!((heard(), before.is_some()), (None, is_accepted));
    });
}

#[test]
fn a_one_shot_alias_takes_one_message_of_two_senders() {
    model(3, || {
        let (process, owned) = Model::new(|_, _| Polled::Pending);
        let alias = Arc::new(AliasState::new(owned.pid));
        alias.set_one_shot();
        let other = {
            let (process, alias) = (process.clone(), alias.clone());
            thread::spawn(move || alias.deliver(&process.slot, Message::new(1_u32), 0).is_ok())
        };
        let is_first = alias.deliver(&process.slot, Message::new(2_u32), 0).is_ok();
        assert_ne!(other.join().unwrap(), is_first, "one of them");
    });
}

/// Loom reports a race if an answer could be written while it is read, or into a wait that was closed.
#[test]
fn an_answer_is_written_into_an_open_call_and_read_out_of_a_closed_one() {
    for gives_up in [false, true] {
        model(3, move || {
            let called = Arc::new((Slot::new(), loom::cell::UnsafeCell::new(None)));
            let number = called.0.open_wait().expect("none is open");
            let settles: Vec<_> = (0..2)
                .map(|answer| {
                    let called = called.clone();
                    thread::spawn(move || {
                        #[expect(unsafe_code, reason = "the model checks that this is sound")]
                        // SAFETY: `settle_wait` calls this under the lock while the wait is open; loom
                        // reports a race if not.
                        let write = |answer| called.1.with_mut(|place| unsafe { *place = Some(answer) });
                        called.0.settle_wait(number, answer, write).is_some()
                    })
                })
                .collect();
            let closed = gives_up && {
                let _core = called.0.lock();
                called.0.close_wait(number) == CloseWait::Closed
            };
            while called.0.is_wait_open(number) {
                thread::yield_now();
            }
            #[expect(unsafe_code, reason = "as above")]
            // SAFETY: the wait was seen closed, so no writer writes any more.
            let answer = called.1.with_mut(|place| unsafe { (*place).take() });
            let next = called.0.open_wait().expect("the last one is closed");
            assert_eq!(answer.is_none(), closed);
            let settled: Vec<bool> = settles.into_iter().map(|settle| settle.join().unwrap()).collect();
            assert_eq!(settled.iter().filter(|settled| **settled).count(), usize::from(!closed));
            assert!(called.0.is_wait_open(next), "a late answer is for the call it is for");
        });
    }
}

/// Each item in a run queue is popped or stolen once.
#[test]
fn a_queued_process_runs_once_on_one_worker() {
    model(3, || {
        let queue = RunQueue::new();
        let stealer = queue.stealer();
        let thief = thread::spawn(move || {
            let mine = RunQueue::new();
            let mut taken: Vec<u32> = stealer.steal_lifo().into_iter().map(|number| *number).collect();
            taken.extend(stealer.steal(&mine).map(|number| *number));
            taken.extend(std::iter::from_fn(|| mine.pop()).map(|number| *number));
            taken
        });
        let mut run = Vec::new();
        queue.push_lifo(Box::new(1));
        queue.push_lifo(Box::new(2));
        run.extend(queue.pop().map(|number| *number));
        queue.push_lifo(Box::new(3));
        run.extend(std::iter::from_fn(|| queue.pop()).map(|number| *number));
        run.extend(thief.join().unwrap());
        // The thief puts nothing back: an item is in one of the two queues.
        run.extend(std::iter::from_fn(|| queue.pop()).map(|number| *number));
        run.sort_unstable();
        assert_eq!(run, [1, 2, 3]);
    });
}

#[test]
fn a_parker_that_was_unparked_does_not_sleep() {
    model(3, || {
        let mut parker = Parker::default();
        let unpark = parker.unparker();
        let other = thread::spawn(move || unpark.unpark());
        parker.park(None);
        other.join().unwrap();
    });
}

/// Workers with one queue for all of them.
struct Workers {
    idle: Idle,
    queue: Mutex<Vec<u32>>,
    unparkers: Vec<std::sync::Arc<dyn Unpark>>,
    done: AtomicUsize,
    todo: usize,
}

struct ModelWorker<'a> {
    shared: &'a Workers,
    parker: Mutex<&'a mut Parker>,
}

impl Seeker for ModelWorker<'_> {
    type Work = u32;
    type Parked<'a>
        = ()
    where
        Self: 'a;

    fn workers(&self) -> usize {
        self.shared.unparkers.len()
    }
    fn search(&self) -> Option<u32> {
        lock(&self.shared.queue).pop()
    }
    fn any_work(&self) -> bool {
        !lock(&self.shared.queue).is_empty() || self.shared.is_done()
    }
    fn park(&self, stay_awake: bool) {
        if !stay_awake {
            lock(&self.parker).park(None);
        }
    }
    fn wake_up(&self, (): ()) {}
}

impl Workers {
    fn is_done(&self) -> bool {
        self.done.load(Ordering::SeqCst) == self.todo
    }

    fn push(&self, work: u32) {
        lock(&self.queue).push(work);
        self.wake_one();
    }

    fn wake_one(&self) {
        if let Some(worker) = self.idle.wake_one() {
            self.unparkers[worker].unpark();
        }
    }

    fn work(&self, worker: usize, parker: &mut Parker) {
        let seeker = ModelWorker { shared: self, parker: Mutex::new(parker) };
        let mut searching = false;
        while !self.is_done() {
            if self.idle.find_work(worker, &seeker, &mut searching).is_none() {
                // It stays awake for what another worker is about to do.
                thread::yield_now();
                continue;
            }
            if self.idle.found(&seeker, &mut searching) == WakeAnother::Yes {
                self.wake_one();
            }
            if self.done.fetch_add(1, Ordering::SeqCst) + 1 == self.todo {
                self.unparkers.iter().for_each(|unpark| unpark.unpark());
            }
        }
    }
}

/// Checks that all work is done, whichever worker sleeps: else loom reports a deadlock.
fn workers(count: usize, todo: usize, preemptions: usize) {
    model(preemptions, move || {
        let mut parkers: Vec<Parker> = (0..count).map(|_| Parker::default()).collect();
        let workers = Arc::new(Workers {
            idle: Idle::new(count),
            queue: Mutex::new(Vec::new()),
            unparkers: parkers.iter().map(Driver::unparker).collect(),
            done: AtomicUsize::new(0),
            todo,
        });
        let mut last = parkers.pop().expect("there is one at least");
        let threads: Vec<_> = parkers
            .into_iter()
            .enumerate()
            .map(|(worker, mut parker)| {
                let workers = workers.clone();
                thread::spawn(move || workers.work(worker, &mut parker))
            })
            .collect();
        let pushing = {
            let workers = workers.clone();
            thread::spawn(move || (0..todo as u32).for_each(|work| workers.push(work)))
        };
        workers.work(count - 1, &mut last);
        pushing.join().unwrap();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn no_push_is_missed_by_one_worker() {
    workers(1, 2, 3);
}

#[test]
fn no_push_is_missed_by_two_workers() {
    workers(2, 1, 2);
}
