//! The part of a process that observers see: counters, the last message, and the wait it has parked in.
//!
//! The process alone writes, by plain stores; others read the counters at any time, and the wait under the
//! lock of the record, while the process is parked. Nothing here decides anything.
//!
//! The kind of the wait stands in a cell of the thread until the process parks, because an await of a socket
//! has no slot at hand, and one store is all that it may cost.
#![expect(unsafe_code, reason = "see the proofs")]

use std::{
    any::type_name,
    cell::Cell,
    future::Future,
    marker::PhantomData,
    panic::Location,
    ptr,
    sync::atomic::{AtomicPtr, AtomicU64, Ordering::Relaxed},
};

use super::{process::Body, record::Slot};
use crate::{
    messages::message::MessageKind,
    process::{
        pid::{Peer, Pid},
        reason::Reason,
    },
    runtime::context,
};

/// The kind of await that a poll of a process met last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum WaitKind {
    /// An await of something that this project does not know.
    Foreign,
    Receive,
    Call,
    Timer,
    Read,
    Write,
    Join,
    Blocking,
}

impl WaitKind {
    pub(super) fn from_bits(bits: u8) -> Self {
        use WaitKind::{Blocking, Call, Foreign, Join, Read, Receive, Timer, Write};
        let all = [Foreign, Receive, Call, Timer, Read, Write, Join, Blocking];
        all.into_iter().find(|&kind| kind as u8 == bits).unwrap_or(Foreign)
    }
}

thread_local! {
    /// The last await of the poll that runs on this thread.
    static WAIT_KIND: Cell<WaitKind> = const { Cell::new(WaitKind::Foreign) };
}

/// Notes the kind of an await that is pending.
#[inline]
pub(crate) fn note_wait(kind: WaitKind) {
    WAIT_KIND.set(kind);
}

/// Notes that the process waits until it can read from a socket.
#[inline]
pub fn note_read_wait() {
    note_wait(WaitKind::Read);
}

/// Notes that the process waits until it can write to a socket.
#[inline]
pub fn note_write_wait() {
    note_wait(WaitKind::Write);
}

/// Returns the kind of the last pending await of this poll.
#[inline]
pub(crate) fn noted_wait() -> WaitKind {
    WAIT_KIND.get()
}

/// Notes that the running process waits until a time, in nanoseconds of the runtime's clock; the maximum is
/// never.
pub(crate) fn note_timer(until: u64) {
    context::with_local(|local| {
        let noted = local?.with_running(|slot, _| slot.observed.until_or_callee.store(until, Relaxed));
        noted.map(|()| note_wait(WaitKind::Timer))
    });
}

/// A reference to a constant, which is exchanged as a whole.
struct AtomicConstant<T: 'static>(AtomicPtr<T>, PhantomData<&'static T>);

// SAFETY: only shared references to a `T` are stored and given out, on any thread, which `T: Sync` allows.
unsafe impl<T: Sync + 'static> Sync for AtomicConstant<T> {}
// SAFETY: as above.
unsafe impl<T: Sync + 'static> Send for AtomicConstant<T> {}

impl<T> AtomicConstant<T> {
    const fn none() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()), PhantomData)
    }

    #[inline]
    fn set(&self, constant: &'static T) {
        self.0.store(ptr::from_ref(constant).cast_mut(), Relaxed);
    }

    fn clear(&self) {
        self.0.store(ptr::null_mut(), Relaxed);
    }

    fn get(&self) -> Option<&'static T> {
        // SAFETY:
        // 1. The pointer is null or was made from a `&'static T` by `set`, so it is valid for reads for ever.
        // 2. Nothing is written through it.
        unsafe { self.0.load(Relaxed).as_ref() }
    }
}

/// The type of a request of a call.
pub(crate) struct RequestType {
    name: fn() -> &'static str,
}

impl RequestType {
    pub(crate) const fn of<Q>() -> &'static Self {
        const { &Self { name: type_name::<Q> } }
    }
}

/// The place of a receive, or the type of a request: a wait has one of them, so they share a word.
struct WaitSite(AtomicPtr<()>);

/// The bit that tells a request from a place.
const REQUEST: usize = 1;
const _: () = assert!(align_of::<Location<'static>>() > REQUEST && align_of::<RequestType>() > REQUEST);

/// The value of a [`WaitSite`].
enum Site {
    None,
    Place(&'static Location<'static>),
    Request(&'static RequestType),
}

impl WaitSite {
    #[inline]
    fn set_place(&self, place: &'static Location<'static>) {
        self.0.store(ptr::from_ref(place).cast_mut().cast(), Relaxed);
    }

    #[inline]
    fn set_request(&self, request: &'static RequestType) {
        let tagged = ptr::from_ref(request).cast_mut().cast::<()>().map_addr(|address| address | REQUEST);
        self.0.store(tagged, Relaxed);
    }

    fn get(&self) -> Site {
        let site = self.0.load(Relaxed);
        let is_request = site.addr() & REQUEST != 0;
        let site = site.map_addr(|address| address & !REQUEST);
        if is_request {
            // SAFETY: a pointer with the tag was made from a `&'static RequestType`, by `set_request`.
            unsafe { site.cast::<RequestType>().as_ref() }.map_or(Site::None, Site::Request)
        } else {
            // SAFETY: a pointer without the tag is null or was made from a `&'static Location` by
            // `set_place`: both types are aligned to more than the tag.
            unsafe { site.cast::<Location<'static>>().as_ref() }.map_or(Site::None, Site::Place)
        }
    }
}

/// The part of a record that its process writes without the lock. Together with the two constants at the end
/// of the core it fills the third cache line of a slot.
pub(crate) struct Observed {
    /// Poll slices that the process has begun.
    slices: AtomicU64,
    /// Messages that it has taken.
    received: AtomicU64,
    last_message: AtomicConstant<MessageKind>,
    site: WaitSite,
    /// The time until which it sleeps, or the process it has called.
    until_or_callee: AtomicU64,
    /// When the call was made.
    since: AtomicU64,
}

/// The wait of a parked process.
pub(crate) enum ParkedWait {
    Receive(&'static Location<'static>),
    /// The process that was called, the type of the request, and when that was sent.
    Call(Pid, &'static str, u64),
    /// The time until which it sleeps; the maximum is never.
    Timer(u64),
    Other(WaitKind),
}

impl Observed {
    pub(super) const fn new() -> Self {
        Self {
            slices: AtomicU64::new(0),
            received: AtomicU64::new(0),
            last_message: AtomicConstant::none(),
            site: WaitSite(AtomicPtr::new(ptr::null_mut())),
            until_or_callee: AtomicU64::new(0),
            since: AtomicU64::new(0),
        }
    }

    pub(super) fn reset(&self) {
        self.slices.store(0, Relaxed);
        self.received.store(0, Relaxed);
        self.last_message.clear();
    }

    /// Counts a poll slice. Called by the process itself, as all that follow.
    #[inline]
    pub(super) fn count_slice(&self) {
        self.slices.store(self.slices.load(Relaxed) + 1, Relaxed);
    }

    /// Counts a message that was taken.
    #[inline]
    pub(crate) fn note_received(&self, kind: &'static MessageKind) {
        self.received.store(self.received.load(Relaxed) + 1, Relaxed);
        self.last_message.set(kind);
    }

    /// Notes that the process waits for a message.
    #[inline]
    pub(crate) fn note_receive(&self, place: &'static Location<'static>) {
        self.site.set_place(place);
        note_wait(WaitKind::Receive);
    }

    /// Notes that the process waits for the reply of a call that it has made `since`.
    #[inline]
    pub(crate) fn note_call(&self, to: Pid, request: &'static RequestType, since: u64) {
        self.site.set_request(request);
        self.until_or_callee.store(Peer::new(Some(to)).bits(), Relaxed);
        self.since.store(since, Relaxed);
        note_wait(WaitKind::Call);
    }

    pub(crate) fn slices(&self) -> u64 {
        self.slices.load(Relaxed)
    }

    pub(crate) fn received(&self) -> u64 {
        self.received.load(Relaxed)
    }

    /// Returns the type of the message that the process took last.
    pub(crate) fn last_message(&self) -> Option<&'static str> {
        self.last_message.get().map(MessageKind::name)
    }
}

impl Slot {
    /// Returns the wait that `pid` is parked in. The caller holds the lock, and the process waits.
    pub(crate) fn parked_wait(&self, pid: Pid) -> ParkedWait {
        let observed = &self.observed;
        match (self.parked_in(), observed.site.get()) {
            (WaitKind::Receive, Site::Place(place)) => ParkedWait::Receive(place),
            (WaitKind::Call, Site::Request(request)) => {
                let to = Peer::from_bits(observed.until_or_callee.load(Relaxed)).in_runtime_of(pid);
                let since = observed.since.load(Relaxed);
                to.map_or(ParkedWait::Other(WaitKind::Foreign), |to| {
                    ParkedWait::Call(to, (request.name)(), since)
                })
            }
            (WaitKind::Timer, _) => ParkedWait::Timer(observed.until_or_callee.load(Relaxed)),
            (kind, _) => ParkedWait::Other(kind),
        }
    }
}

/// The type of the future that a process was spawned with.
#[derive(Debug)]
pub(crate) struct FutureType {
    pub(crate) bytes: usize,
    pub(crate) name: fn() -> &'static str,
}

impl FutureType {
    const fn of<F>() -> &'static Self {
        const { &Self { bytes: size_of::<F>(), name: type_name::<F> } }
    }
}

/// A body, and the type of the future that it was made of.
pub(crate) struct TypedBody {
    pub(crate) body: Body,
    pub(crate) future: &'static FutureType,
}

impl TypedBody {
    pub(crate) fn new<F: Future<Output = Reason> + Send + 'static>(future: F) -> Self {
        Self::made_of::<F>(Box::pin(future))
    }

    /// Wraps a body that was made of an `F`.
    #[inline]
    pub(crate) fn made_of<F>(body: Body) -> Self {
        Self { body, future: FutureType::of::<F>() }
    }
}

#[cfg(all(test, not(riot_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_place_and_a_request_share_a_word_and_are_told_apart() {
        let site = WaitSite(AtomicPtr::new(ptr::null_mut()));
        assert!(matches!(site.get(), Site::None));
        let here = Location::caller();
        site.set_place(here);
        assert!(matches!(site.get(), Site::Place(place) if ptr::eq(place, here)));
        site.set_request(RequestType::of::<u8>());
        assert!(matches!(site.get(), Site::Request(request) if (request.name)() == "u8"));
    }

    #[test]
    fn the_kind_of_a_wait_survives_as_a_byte() {
        for bits in 0..=u8::MAX {
            let kind = WaitKind::from_bits(bits);
            assert!(kind as u8 == bits || kind == WaitKind::Foreign && bits > WaitKind::Blocking as u8);
        }
    }
}
