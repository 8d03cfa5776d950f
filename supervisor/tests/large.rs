//! A supervisor with very many children gives way while it goes through them: C14 of processes.

mod common;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use riot_actor::{Reason, exit, process::yield_now, runtime::Config, spawn};
use riot_supervisor::{Supervisor, process};

const MANY: usize = 20_000;

#[test]
fn lists_of_many_children_and_their_end_give_way() {
    let reason = Config::new().workers(1).run(async {
        let pool = Supervisor::dynamic().start_link().await.expect("it starts");
        for _ in 0..MANY {
            let child = process("job", std::future::pending::<()>).temporary();
            pool.start_child(child).await.expect("it starts");
        }
        let ticks = Arc::new(AtomicUsize::new(0));
        let counted = ticks.clone();
        let ticker = spawn(async move {
            loop {
                counted.fetch_add(1, Ordering::SeqCst);
                yield_now().await;
            }
        });
        let ran_since = |before: usize| ticks.load(Ordering::SeqCst) - before;
        let before = ran_since(0);
        assert_eq!(pool.which_children().await.expect("it answers").len(), MANY);
        assert!(ran_since(before) >= MANY / 1_000, "the list: {}", ran_since(before));
        let before = ran_since(0);
        assert_eq!(pool.count_children().await.expect("it answers").active, MANY);
        assert!(ran_since(before) >= MANY / 1_000, "the counts: {}", ran_since(before));
        let before = ran_since(0);
        pool.stop(Reason::Normal).await.expect("it stops");
        assert!(ran_since(before) >= MANY / 500, "the end: {}", ran_since(before));
        exit(ticker, Reason::Kill);
    });
    assert_eq!(reason.expect("it runs"), Reason::Normal);
}
