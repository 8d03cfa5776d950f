//! Memory that a burst leaves behind is given back, except 196 bytes a process at the peak.
#![expect(unsafe_code, reason = "an allocator that counts")]

mod common;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::{Duration, Instant},
};

use common::{millis, secs};
use riot_actor::{
    Pid, Reason, exit, monitor,
    process::{info, wait},
    receive, register,
    runtime::Config,
    send, sleep, spawn, this,
    time::send_after,
};

struct Counting;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Relaxed);
        // SAFETY: the caller's promises are those of the system's allocator.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promises are those of the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Waits until at most `bytes` are allocated, for a minute.
async fn falls_to(bytes: usize) {
    let began = Instant::now();
    while ALLOCATED.load(Relaxed) > bytes {
        assert!(began.elapsed() < secs(60), "{} bytes, and not {bytes}", ALLOCATED.load(Relaxed));
        sleep(millis(100)).await;
    }
    eprintln!("{} bytes after {:?}", ALLOCATED.load(Relaxed), began.elapsed());
}

const MANY: usize = 100_000;

/// The bytes of a record, with its place among the free ones; and of pages that are begun.
const LEFT: usize = MANY * 204 + 200_000;

async fn burst() {
    let pids: Vec<Pid> = (0..MANY)
        .map(|nth| {
            let pid = spawn(async {
                receive::<()>().await;
            });
            register(format!("name {nth}"), pid).expect("it is free");
            monitor(pid);
            pid
        })
        .collect();
    // Timers that fire soon, are cancelled, or end with their process.
    for &pid in &pids {
        send_after(secs(3600), pid, ());
        send_after(secs(3600), pid, ()).cancel();
    }
    // A mailbox that was full, of a process that lives on.
    let hoarder = spawn(async move {
        for _ in 0..MANY {
            receive::<u64>().await;
        }
        send_after(Duration::MAX, this(), 0_u64);
        receive::<u64>().await;
    });
    (0..MANY as u64).for_each(|number| send(hoarder, number));
    pids.iter().for_each(|&pid| exit(pid, Reason::Kill));
    for &pid in &pids {
        wait(pid).await;
    }
    while info(hoarder).is_some_and(|info| info.mailbox > 0) {
        sleep(millis(1)).await;
    }
    // What the caller was told of the ends.
    for _ in 0..MANY {
        receive::<riot_actor::Down>().await;
    }
    exit(hoarder, Reason::Kill);
}

#[test]
fn a_burst_leaves_196_bytes_a_process_behind() {
    let reason = Config::new().workers(2).run(async {
        sleep(millis(10)).await;
        let before = ALLOCATED.load(Relaxed);
        burst().await;
        let after = ALLOCATED.load(Relaxed);
        assert!(after > before + LEFT, "there is something to give back: {}", after - before);
        falls_to(before + LEFT).await;
        // Another burst takes the same records again.
        burst().await;
    });
    assert_eq!(reason.expect("it runs"), Reason::Normal);
}
