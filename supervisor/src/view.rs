//! The supervision tree as it is shown: each supervisor keeps a view of itself in shared memory, so that it
//! can be read without a message, also while the supervisor is busy or stuck.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use riot_actor::{Pid, now, process, runtime::extension, this};

use crate::{
    child_id::ChildId,
    child_spec::{ChildKind, ChildSpec, Restart},
    reference::ChildState,
};

/// Bounds the children of one supervisor that are listed at once; 200.
pub const MAX_LISTED_CHILDREN: usize = 200;

/// Bounds the ids of a path; 32. Those nearest to the root are left out.
const MAX_PATH: usize = 32;

/// A supervisor as it was at one moment; see [`supervision_tree`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SupervisorNode {
    /// The supervisor.
    pub pid: Pid,
    /// The ids of the children on the way to it, from the top; of the last 32 of them. Empty at the top.
    pub path: Vec<ChildId>,
    /// The number of supervisors above it.
    pub depth: usize,
    /// The label of its process.
    pub label: Option<Cow<'static, str>>,
    /// The strategy: `one_for_one`, `one_for_all`, `rest_for_one` or `dynamic`.
    pub strategy: &'static str,
    /// The number of restarts in the period until now.
    pub restarts_used: usize,
    /// The number of restarts that there may be in the period.
    pub max_restarts: usize,
    /// The period.
    pub period: Duration,
    /// Whether it is [suspended](crate::SupervisorRef::suspend).
    pub is_suspended: bool,
    /// The number of its children, those without a process included.
    pub child_count: usize,
    /// The first [`MAX_LISTED_CHILDREN`] of its children, in the order of their starts; see
    /// [`children_of`] for the others.
    pub children: Vec<ChildNode>,
}

/// A child of a supervisor as it was at one moment; see [`supervision_tree`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ChildNode {
    /// The id.
    pub id: ChildId,
    /// Whether it runs.
    pub state: ChildState,
    /// The kind.
    pub kind: ChildKind,
    /// The condition on which it is restarted.
    pub restart: Restart,
    /// How often it was restarted.
    pub restarts: u64,
}

impl ChildNode {
    /// Returns the process of the child, if it has one.
    #[must_use]
    pub fn pid(&self) -> Option<Pid> {
        match self.state {
            ChildState::Running(pid) => Some(pid),
            ChildState::Restarting | ChildState::Stopped => None,
        }
    }
}

/// Returns all supervisors of the runtime, those above before those below, each with what it manages. Sends
/// no message, and works while a supervisor is busy or stuck. A tree that changes meanwhile may be shown half
/// before and half after the change.
///
/// It takes one poll slice, some microseconds a supervisor. On a plain thread it is called inside
/// [`Handle::enter`](riot_actor::runtime::Handle::enter).
///
/// ```
/// use riot_supervisor::{Supervisor, process, supervision_tree, supervisor};
///
/// # let reason = riot_actor::run(async {
/// let clock = process("clock", std::future::pending::<()>);
/// let pool = supervisor("pool", || Supervisor::dynamic().start_link());
/// let top = Supervisor::one_for_one().child(clock).child(pool).start_link().await?;
/// let tree = supervision_tree();
/// assert_eq!((tree[0].pid, tree[0].strategy, tree[0].child_count), (top.pid(), "one_for_one", 2));
/// assert_eq!((tree[1].path[0].to_string(), tree[1].strategy, tree[1].depth), ("pool".into(), "dynamic", 1));
/// # Ok::<_, riot_actor::Reason>(())
/// # });
/// # assert_eq!(reason, riot_actor::Reason::Normal);
/// ```
///
/// # Panics
/// Panics outside a process.
#[must_use]
pub fn supervision_tree() -> Vec<SupervisorNode> {
    let mut views = extension::<Views>().all();
    views.sort_unstable_by_key(|(_, view)| view.nth);
    let mut nodes: HashMap<Pid, SupervisorNode> =
        views.iter().map(|(pid, view)| (*pid, view.node(*pid))).collect();
    let mut below: HashMap<Pid, (Pid, ChildId)> = HashMap::new();
    for (pid, view) in &views {
        below.extend(view.supervisors().into_iter().map(|(child, id)| (child, (*pid, id))));
    }
    let mut under: HashMap<Pid, Vec<Pid>> = HashMap::new();
    let mut waiting: Vec<Pid> = Vec::new();
    for (pid, _) in views {
        match below.get(&pid).filter(|(above, _)| nodes.contains_key(above)) {
            Some((above, _)) => under.entry(*above).or_default().push(pid),
            None => waiting.push(pid),
        }
    }
    waiting.reverse();
    // A supervisor is taken from the end, before those below it: a chain of them is as long as it likes.
    let mut tree: Vec<SupervisorNode> = Vec::with_capacity(nodes.len());
    let mut places: HashMap<Pid, usize> = HashMap::new();
    while let Some(pid) = waiting.pop() {
        let Some(mut node) = nodes.remove(&pid) else { continue };
        if let Some((above, id)) = below.get(&pid)
            && let Some(above) = places.get(above).map(|place| &tree[*place])
        {
            node.depth = above.depth + 1;
            let skipped = above.path.len().saturating_sub(MAX_PATH - 1);
            node.path = above.path[skipped..].iter().chain([id]).cloned().collect();
        }
        waiting.extend(under.remove(&pid).unwrap_or_default().into_iter().rev());
        places.insert(pid, tree.len());
        tree.push(node);
    }
    tree
}

/// Returns children of a supervisor in the order of their starts: those behind the first `skip`, at most
/// `limit` and [`MAX_LISTED_CHILDREN`] of them. None if it is no supervisor, or has ended.
///
/// ```
/// use riot_supervisor::{Supervisor, children_of, process};
///
/// # let reason = riot_actor::run(async {
/// let pool = Supervisor::dynamic().start_link().await?;
/// for number in 0..5 {
///     pool.start_child(process(number, std::future::pending::<()>)).await?;
/// }
/// let page = children_of(pool.pid(), 3, 10).expect("it is a supervisor");
/// assert_eq!(page.iter().map(|child| child.id.to_string()).collect::<Vec<_>>(), ["3", "4"]);
/// # Ok::<_, riot_actor::Reason>(())
/// # });
/// # assert_eq!(reason, riot_actor::Reason::Normal);
/// ```
///
/// # Panics
/// Panics outside a process.
#[must_use]
pub fn children_of(supervisor: Pid, skip: usize, limit: usize) -> Option<Vec<ChildNode>> {
    let view = extension::<Views>().find(supervisor)?;
    let state = view.lock();
    Some(state.children.values().skip(skip).take(limit.min(MAX_LISTED_CHILDREN)).cloned().collect())
}

/// The views of the supervisors of a runtime.
#[derive(Default)]
struct Views(Mutex<HashMap<Pid, Weak<View>>>);

impl Views {
    fn lock(&self) -> MutexGuard<'_, HashMap<Pid, Weak<View>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn all(&self) -> Vec<(Pid, Arc<View>)> {
        self.lock().iter().filter_map(|(pid, view)| Some((*pid, view.upgrade()?))).collect()
    }

    fn find(&self, supervisor: Pid) -> Option<Arc<View>> {
        self.lock().get(&supervisor)?.upgrade()
    }
}

/// The view of one supervisor. Its lock is held for a few instructions, or for the copy of a page.
struct View {
    /// How many processes the runtime had spawned before the supervisor, by which they are shown in order.
    nth: u64,
    state: Mutex<ViewState>,
}

struct ViewState {
    strategy: &'static str,
    max_restarts: usize,
    period: Duration,
    /// The instants of the last restarts, as far as they were counted.
    recent: Vec<Instant>,
    is_suspended: bool,
    /// The children, by the number of children before them.
    children: BTreeMap<u64, ChildNode>,
}

impl View {
    fn lock(&self) -> MutexGuard<'_, ViewState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn node(&self, pid: Pid) -> SupervisorNode {
        let label = process::info(pid).and_then(|info| info.label);
        let now = now();
        let state = self.lock();
        let is_recent = |at: &&Instant| now.saturating_duration_since(**at) <= state.period;
        SupervisorNode {
            pid,
            path: Vec::new(),
            depth: 0,
            label,
            strategy: state.strategy,
            restarts_used: state.recent.iter().filter(is_recent).count(),
            max_restarts: state.max_restarts,
            period: state.period,
            is_suspended: state.is_suspended,
            child_count: state.children.len(),
            children: state.children.values().take(MAX_LISTED_CHILDREN).cloned().collect(),
        }
    }

    /// Returns the children that are supervisors.
    fn supervisors(&self) -> Vec<(Pid, ChildId)> {
        let state = self.lock();
        let supervisors = state.children.values().filter(|child| child.kind == ChildKind::Supervisor);
        supervisors.filter_map(|child| Some((child.pid()?, child.id.clone()))).collect()
    }
}

/// The right of a supervisor to change its view, which is there for as long as it holds this.
pub(crate) struct Publisher {
    view: Arc<View>,
    views: Arc<Views>,
    pid: Pid,
    children: u64,
}

impl Publisher {
    /// Publishes the running supervisor.
    pub(crate) fn new(strategy: &'static str, max_restarts: usize, period: Duration) -> Self {
        let pid = this();
        let nth = process::info(pid).map_or(0, |info| info.nth);
        let state = ViewState {
            strategy,
            max_restarts,
            period,
            recent: Vec::new(),
            is_suspended: false,
            children: BTreeMap::new(),
        };
        let view = Arc::new(View { nth, state: Mutex::new(state) });
        let views = extension::<Views>();
        views.lock().insert(pid, Arc::downgrade(&view));
        Self { view, views, pid, children: 0 }
    }

    /// Adds a child behind all others, and returns its number.
    pub(crate) fn add(&mut self, spec: &ChildSpec, state: ChildState) -> u64 {
        let number = self.children;
        self.children += 1;
        let (id, kind, restart) = (spec.id.clone(), spec.kind, spec.restart);
        self.view.lock().children.insert(number, ChildNode { id, state, kind, restart, restarts: 0 });
        number
    }

    pub(crate) fn set_state(&self, number: u64, state: ChildState) {
        if let Some(child) = self.view.lock().children.get_mut(&number) {
            child.state = state;
        }
    }

    pub(crate) fn count_restart(&self, number: u64) {
        if let Some(child) = self.view.lock().children.get_mut(&number) {
            child.restarts += 1;
        }
    }

    pub(crate) fn remove(&self, number: u64) {
        let removed = self.view.lock().children.remove(&number);
        drop(removed);
    }

    pub(crate) fn set_recent(&self, recent: impl Iterator<Item = Instant>) {
        let recent: Vec<Instant> = recent.collect();
        let before = std::mem::replace(&mut self.view.lock().recent, recent);
        drop(before);
    }

    pub(crate) fn set_bounds(&self, max_restarts: usize, period: Duration) {
        let mut state = self.view.lock();
        (state.max_restarts, state.period) = (max_restarts, period);
    }

    pub(crate) fn set_suspended(&self, is_suspended: bool) {
        self.view.lock().is_suspended = is_suspended;
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.views.lock().remove(&self.pid);
    }
}
