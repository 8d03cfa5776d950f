//! Which descriptors the program has open, and that none is left.

use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

/// The descriptors that were open when it was made, each with what it leads to.
pub(crate) struct Descriptors(BTreeSet<(PathBuf, PathBuf)>);

impl Descriptors {
    pub(crate) fn open() -> Self {
        let list = fs::canonicalize("/proc/self/fd").expect("Linux");
        let open = fs::read_dir(&list).expect("Linux").flatten().map(|entry| entry.path());
        let leads_to = |path: PathBuf| Some((path.clone(), fs::read_link(path).ok()?));
        Self(open.filter_map(leads_to).filter(|(_, end)| *end != list).collect())
    }

    /// No other ones are open now. The C library opens a file of its own for a moment now and then, in any thread (its
    /// allocator does so the first time that it gives memory back): what goes by itself was not left behind.
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
