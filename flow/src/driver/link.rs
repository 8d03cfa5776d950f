//! The state that the three processes of a connection share.

use std::{ops::Deref, sync::Arc, task::Waker, time::Instant};

use parking_lot::{MappedMutexGuard, Mutex, MutexGuard};
use riot_actor::now;
use riot_socket::{Control, Meter, Status, Transport};

use super::{WakeFlags, inbound::Inbound, outbound::Outbound, wake_flags::Due};
use crate::{Activity, Flow, defer};

/// A connection as its Connector, Reader and Writer see it: the flow with its two directions behind one lock,
/// the transport, and the flags by which the processes wake each other.
pub(super) struct Link<F> {
    pub(super) state: Mutex<LinkState<F>>,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) wakes: Arc<WakeFlags>,
    /// Notifies [`Due::READ`].
    pub(super) read_waker: Waker,
    /// Notifies [`Due::WRITE`].
    pub(super) write_waker: Waker,
    pub(super) meter: Meter,
}

/// The flow, and the state of both directions.
pub(super) struct LinkState<F> {
    pub(super) flow: F,
    pub(super) inbound: Inbound,
    pub(super) outbound: Outbound,
}

impl<F: Flow> Link<F> {
    /// Creates a link; `unread` was read from the transport before the flow existed.
    pub(super) fn new(flow: F, transport: Arc<dyn Transport>, unread: Vec<u8>, meter: Meter) -> Arc<Self> {
        let wakes = WakeFlags::new();
        let (inbound, outbound) = (Inbound::new(unread), Outbound::new(transport.is_buffered()));
        Arc::new(Self {
            state: Mutex::new(LinkState { flow, inbound, outbound }),
            transport,
            read_waker: wakes.waker::<{ Due::READ.bits() }>(),
            write_waker: wakes.waker::<{ Due::WRITE.bits() }>(),
            wakes,
            meter,
        })
    }

    pub(super) fn lock_flow(&self) -> MappedMutexGuard<'_, F> {
        MutexGuard::map(self.state.lock(), |state| &mut state.flow)
    }

    /// Changes the flow from outside the loop, and wakes Reader and Writer so that they ask it again.
    pub(super) fn change(&self, change: impl FnOnce(&mut F)) {
        let _until_unlocked = defer();
        change(&mut self.lock_flow());
        self.wakes.wake_reader();
        self.wakes.wake_writer();
    }
}

impl<F: Flow + Send> Control for Link<F> {
    fn announce_drain(&self) {
        self.change(F::announce_shutdown);
    }

    fn drain(&self, deadline: Option<Instant>) {
        self.change(|flow| flow.shutdown_gracefully(deadline, now()));
    }

    fn cut(&self) {
        self.transport.reset_on_close();
    }

    fn drains_fresh_connections(&self) -> bool {
        self.lock_flow().drains_fresh_connections()
    }

    fn status(&self) -> Status {
        let Activity { state, requests } = self.lock_flow().activity();
        Status { state, requests }
    }

    fn idle_since(&self) -> Option<Instant> {
        self.lock_flow().idle_since()
    }
}

/// The hold that the Reader or the Writer has on the link. Once both are dropped the Connector holds the link
/// alone.
pub(super) struct Side<F> {
    // Dropped in this order: the Connector is told when the link has been released.
    link: Arc<Link<F>>,
    _ended: SideEnded,
}

struct SideEnded(Arc<WakeFlags>);

impl<F> Side<F> {
    pub(super) fn new(link: &Arc<Link<F>>) -> Self {
        Self { link: link.clone(), _ended: SideEnded(link.wakes.clone()) }
    }
}

impl<F> Deref for Side<F> {
    type Target = Link<F>;

    fn deref(&self) -> &Link<F> {
        &self.link
    }
}

impl Drop for SideEnded {
    fn drop(&mut self) {
        self.0.side_ended();
    }
}
