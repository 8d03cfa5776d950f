//! The open descriptors of the program, and the check that none is left.

use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

/// The descriptors that were open when this was made, each with the file it refers to.
pub(crate) struct Descriptors(BTreeSet<(PathBuf, PathBuf)>);

impl Descriptors {
    pub(crate) fn open() -> Self {
        let list = fs::canonicalize("/proc/self/fd").expect("Linux");
        let open = fs::read_dir(&list).expect("Linux").flatten().map(|entry| entry.path());
        let leads_to = |path: PathBuf| Some((path.clone(), fs::read_link(path).ok()?));
        Self(open.filter_map(leads_to).filter(|(_, end)| *end != list).collect())
    }

    /// Checks that no other descriptors are open now. The C library opens a file for a short time now and
    /// then, in any thread (its allocator does so when it first returns memory), so descriptors that
    /// disappear are no leak.
    pub(crate) fn none_left(&self) {
        let limit = Instant::now() + Duration::from_secs(10);
        loop {
            let open = Self::open();
            let left: Vec<_> = open.0.difference(&self.0).collect();
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < limit, "descriptors are left open: {left:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
