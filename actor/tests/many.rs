//! A million short processes leave no memory behind; `cargo xtask soak` runs ten million. (In a program of
//! its own, because the memory is that of all threads.)
#![cfg(target_os = "linux")]

use riot_actor::{
    Reason, exit, link, monitor,
    process::{SpawnOptions, processes, yield_now},
    receive, register,
    runtime::Config,
    send, spawn,
    stats::scheduler_stats,
    this,
    time::send_after,
};

/// Runs one batch of processes, with every way in which a short one can exit.
async fn batch(size: usize) {
    let main = this();
    for nth in 0..size {
        match nth % 8 {
            1 => {
                let pid = spawn(async { receive::<()>().await });
                send(pid, "never received");
                exit(pid, Reason::Kill);
                send(main, ());
            }
            2 => {
                let pid = SpawnOptions::new().spawn(async move { send(main, ()) });
                monitor(pid).down().await;
            }
            3 => {
                spawn(async move {
                    register(format!("{nth}"), this()).expect("it is free");
                    riot_actor::group::join_group("all", this());
                    send_after(std::time::Duration::from_secs(3600), this(), "too late");
                    send(main, ());
                });
            }
            4 => {
                let pid = spawn(async { receive::<()>().await });
                spawn(async move {
                    link(pid);
                    send(main, ());
                    Reason::Shutdown
                });
            }
            _ => {
                spawn(async move { send(main, ()) });
            }
        }
    }
    for _ in 0..size {
        receive::<()>().await;
    }
    while processes() != [main] {
        yield_now().await;
    }
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: usize =
        statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("a number of pages");
    pages * 4096
}

#[test]
fn millions_of_short_processes_give_all_memory_back() {
    const BATCH: usize = 1_000;
    let total = if std::env::var_os("RIOT_SOAK").is_some() { 10_000_000 } else { 1_000_000 };
    let reason = Config::new().workers(2).on_crash(|_| {}).run(async move {
        for _ in 0..100 {
            batch(BATCH).await;
        }
        let before = resident_bytes();
        for _ in 100..total / BATCH {
            batch(BATCH).await;
        }
        let grown = resident_bytes().saturating_sub(before);
        assert!(grown < 8 << 20, "{grown} bytes more after {total} processes than after the first");
        let stats = scheduler_stats();
        assert_eq!((stats.processes, stats.timers), (1, 0));
        assert!(stats.spawned as usize >= total);
        assert_eq!(riot_actor::group::members("all"), []);
    });
    assert_eq!(reason.unwrap(), Reason::Normal);
}
