//! Partitioned supervisors: S30.
mod common;

use std::collections::HashSet;

use common::*;
use riot_actor::{Reason, exit, process::wait, whereis};
use riot_supervisor::{Partitioned, Supervisor, SupervisorStartError};

#[test]
fn s30_a_key_leads_to_the_same_partition_for_ever() {
    everywhere(|| async {
        let pools = Partitioned::new("pools", 4, Supervisor::dynamic).start_link().await.unwrap();
        assert_eq!((whereis("pools"), pools.count()), (Some(pools.top().pid()), 4));
        let of = |key: usize| pools.by_number(key).unwrap().pid();
        assert_eq!((0..4).map(of).collect::<HashSet<_>>().len(), 4);
        assert!((0..100).all(|key| of(key) == of(key % 4)));
        let by_hash: HashSet<_> =
            (0..100).map(|key| pools.by_hash(format!("key {key}")).unwrap().pid()).collect();
        assert_eq!(by_hash.len(), 4, "all of them are used");
        assert_eq!(pools.by_hash("a").unwrap().pid(), pools.clone().by_hash("a").unwrap().pid());

        // A restarted partition is another process under the same number; the others stay the same.
        let (first, others) = (of(1), [of(0), of(2), of(3)]);
        exit(first, Reason::Kill);
        wait(first).await;
        assert_eq!(pools.top().count_children().await.unwrap().active, 4);
        assert_ne!(of(1), first);
        assert_eq!([of(0), of(2), of(3)], others);
        pools.by_number(1).unwrap().start_child(child("a")).await.unwrap();

        let again = Partitioned::new("pools", 2, Supervisor::dynamic).start_link().await;
        assert_eq!(again.unwrap_err(), SupervisorStartError::AlreadyStarted(pools.top().pid()));
    });
}
