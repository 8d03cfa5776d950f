//! Alarms of the program and of the system monitor (OB-3).
mod common;

use std::{
    future::pending,
    panic::catch_unwind,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use common::*;
use riot_actor::{
    Pid, Reason,
    alarm::{AlarmCleared, AlarmRaised, SystemMonitor, SystemMonitorRuns, alarms, clear_alarm, set_alarm},
    call, exit, now,
    process::{SpawnOptions, wait, yield_now},
    receive,
    runtime::{Handle, blocking},
    send,
    simulation::Simulation,
    sleep, spawn,
    telemetry::{NamedEvent, attach},
    this,
};

/// The events of alarms: the milliseconds since the start, the verb, the name.
type Log = Arc<Mutex<Vec<(u128, &'static str, String)>>>;

fn logged(start: Instant) -> Log {
    let log = Log::default();
    let (raised, cleared) = (log.clone(), log.clone());
    let at = move || (now() - start).as_millis();
    attach(move |event: &AlarmRaised| {
        raised.lock().unwrap().push((at(), "raised", event.alarm.name.clone().into_owned()));
    });
    attach(move |event: &AlarmCleared| {
        cleared.lock().unwrap().push((at(), "cleared", event.alarm.name.clone().into_owned()));
    });
    log
}

fn taken(log: &Log) -> Vec<(u128, &'static str, String)> {
    std::mem::take(&mut log.lock().unwrap())
}

fn in_simulation<F: Future<Output = ()> + Send + 'static>(program: impl FnOnce() -> F) {
    assert_eq!(Simulation::new(1).run(program()), Reason::Normal);
}

async fn seconds(seconds: u64) {
    sleep(Duration::from_secs(seconds)).await;
}

/// A process that takes as many messages as it is told, and waits for more orders.
fn clerk() -> Pid {
    spawn(async {
        loop {
            let Take(count) = receive().await;
            for _ in 0..count {
                receive::<u8>().await;
            }
        }
    })
}

struct Take(usize);

#[test]
fn ob03_a_program_sets_and_clears_alarms() {
    everywhere(|| async {
        let log = logged(now());
        assert!(!clear_alarm("disk"));
        assert!(set_alarm("disk", "1 % left\nof all"));
        assert!(!set_alarm("disk", "0 % left\nof all"), "it stands");
        let [alarm] = &alarms()[..] else { panic!("one alarm stands") };
        assert_eq!((&*alarm.name, &*alarm.text, alarm.pid), ("disk", "0 % left\\nof all", None));
        assert_eq!(Handle::current().alarms(), alarms());
        assert!(clear_alarm("disk") && !clear_alarm("disk"));
        assert!(alarms().is_empty());
        let verbs: Vec<_> = taken(&log).into_iter().map(|(_, verb, _)| verb).collect();
        assert_eq!(verbs, ["raised", "cleared"]);
        assert_eq!((AlarmRaised::NAME, AlarmCleared::NAME), ("alarm.raised", "alarm.cleared"));
    });
}

#[test]
fn ob03_a_burst_of_ten_thousand_alarms_has_eleven_events_and_an_exact_list() {
    in_simulation(|| async {
        let (events, left_out) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (counted, summed) = (events.clone(), left_out.clone());
        attach(move |event: &AlarmRaised| {
            counted.fetch_add(1, Relaxed);
            summed.fetch_add(event.left_out, Relaxed);
        });
        for nth in 0..10_000 {
            assert!(set_alarm(format!("alarm {nth}"), "x"));
        }
        assert!(!set_alarm("one more", "x"), "so many stand at once");
        assert_eq!((events.load(Relaxed), alarms().len()), (10, 10_000));
        seconds(2).await;
        assert_eq!(events.load(Relaxed), 11);
        assert_eq!(events.load(Relaxed) + left_out.load(Relaxed), 10_000, "none is forgotten");
        // After that, each has its event again.
        assert!(clear_alarm("alarm 7") && set_alarm("alarm 7", "x"));
        assert_eq!(events.load(Relaxed), 12);
    });
}

#[test]
fn ob03_a_long_mailbox_is_raised_and_cleared_at_its_second_and_does_not_flap() {
    in_simulation(|| async {
        let log = logged(now());
        SystemMonitor::new().long_mailbox(100, 10).start_link().await.unwrap();
        let clerk = clerk();
        (0..99_u8).for_each(|number| send(clerk, number));
        seconds(3).await;
        assert_eq!(taken(&log), [], "one is missing");
        send(clerk, 0_u8);
        seconds(1).await;
        assert_eq!(taken(&log), [(3_500, "raised", "long_mailbox".to_owned())]);
        assert_eq!(alarms()[0].pid, Some(clerk));
        assert!(alarms()[0].text.contains("100 messages wait"), "{}", alarms()[0].text);
        // Between the two bounds it stays, however often they are looked at.
        for _ in 0..5 {
            send(clerk, Take(89));
            seconds(1).await;
            (0..89_u8).for_each(|number| send(clerk, number));
            seconds(1).await;
        }
        assert_eq!(taken(&log), []);
        send(clerk, Take(90));
        seconds(1).await;
        let [(at, "cleared", _)] = &taken(&log)[..] else { panic!("it is cleared once") };
        assert_eq!(*at, 14_500);
        (0..20_u8).for_each(|number| send(clerk, number));
        seconds(1).await;
        assert_eq!(taken(&log), [], "30 are fewer than it is raised at");
        // An exit clears, too.
        (0..100_u8).for_each(|number| send(clerk, number));
        seconds(1).await;
        exit(clerk, Reason::Kill);
        seconds(1).await;
        let verbs: Vec<_> = taken(&log).into_iter().map(|(_, verb, _)| verb).collect();
        assert_eq!(verbs, ["raised", "cleared"]);
    });
}

#[test]
fn ob03_a_long_call_is_raised_after_its_time_and_cleared_at_its_end() {
    in_simulation(|| async {
        let log = logged(now());
        SystemMonitor::new().start_link().await.unwrap();
        let server = spawn(pending::<()>());
        let caller = SpawnOptions::new().label("shop\n").spawn(async move {
            _ = call::call::<u8, ()>(server, 7, Some(Duration::from_millis(5_900))).await;
            pending::<()>().await;
        });
        seconds(10).await;
        let call = |at, verb| (at, verb, "long_call".to_owned());
        // The call began a moment after the start.
        assert_eq!(taken(&log), [call(5_500, "raised"), call(6_000, "cleared")]);
        exit(caller, Reason::Kill);
    });
}

#[test]
fn ob03_one_monitor_runs_and_its_alarms_go_with_it() {
    everywhere(|| async {
        let first = SystemMonitor::new().start_link().await.unwrap();
        let again = SystemMonitor::default().start_link().await;
        assert_eq!(again, Err(SystemMonitorRuns(first)));
        riot_actor::unlink(first);
        let end = wait(first);
        exit(first, Reason::Kill);
        end.await;
        let always = |alarms: &mut riot_actor::alarm::CheckedAlarms<'_>| alarms.raise("always", "", "on");
        let second = SystemMonitor::new().check(always).start_link().await.unwrap();
        set_alarm("own", "of the program");
        while alarms().len() < 2 {
            yield_now().await;
        }
        riot_actor::unlink(second);
        let end = wait(second);
        exit(second, Reason::Kill);
        end.await;
        let names: Vec<_> = alarms().into_iter().map(|alarm| alarm.name).collect();
        assert_eq!(names, ["own"]);
    });
}

#[test]
fn ob03_checks_raise_and_clear_and_one_that_panics_harms_none() {
    in_simulation(|| async {
        let log = logged(now());
        let level = Arc::new(AtomicU64::new(0));
        let read = level.clone();
        let monitor = SystemMonitor::new().check(|_| panic!("a broken check")).check(move |alarms| {
            let percent = read.load(Relaxed);
            if percent >= 90 || percent > 80 && alarms.stands("disk", "/var") {
                alarms.raise("disk", "/var", format!("{percent} %"));
            }
        });
        monitor.start_link().await.unwrap();
        for (percent, stands) in [(89, false), (90, true), (81, true), (80, false), (89, false)] {
            level.store(percent, Relaxed);
            seconds(1).await;
            assert_eq!(alarms().len(), usize::from(stands), "at {percent} %");
        }
        assert_eq!(taken(&log).len(), 2);
    });
}

#[test]
fn ob03_bad_values_panic_in_the_builder() {
    assert!(catch_unwind(|| SystemMonitor::new().long_mailbox(10, 10)).is_err());
    assert!(catch_unwind(|| SystemMonitor::new().long_mailbox(0, 0)).is_err());
    assert!(catch_unwind(|| SystemMonitor::new().long_call(Duration::ZERO)).is_err());
    drop(SystemMonitor::new().long_mailbox(1, 0).long_call(Duration::MAX));
}

struct Reserve;

fn shop(name: &'static str, timeout: Option<Duration>) -> Pid {
    SpawnOptions::new().label(name).spawn(async move {
        let to: Pid = receive().await;
        _ = call::call::<Reserve, ()>(to, Reserve, timeout).await;
        pending::<()>().await;
    })
}

#[test]
fn ob04_the_monitor_reports_a_ring_within_a_second() {
    in_simulation(|| async {
        let log = logged(now());
        SystemMonitor::new().start_link().await.unwrap();
        let (a, b) = (shop("shop", None), shop("bank", Some(Duration::from_millis(3_200))));
        send(a, b);
        seconds(1).await;
        assert_eq!(taken(&log), [], "a call is no ring");
        send(b, a);
        seconds(4).await;
        let deadlock = |at, verb| (at, verb, "deadlock".to_owned());
        assert_eq!(taken(&log), [deadlock(1_500, "raised"), deadlock(4_500, "cleared")]);
    });
}

#[test]
fn ob04_the_alarm_names_the_processes_the_labels_and_the_requests() {
    threaded(|| async {
        SystemMonitor::new().start_link().await.unwrap();
        let (a, b) = (shop("shop", None), shop("bank", None));
        send(a, b);
        send(b, a);
        let handle = Handle::current();
        let alarm = blocking(move || {
            let find = || handle.alarms().into_iter().find(|alarm| alarm.name == "deadlock");
            loop {
                if let Some(alarm) = find() {
                    return alarm;
                }
                std::thread::yield_now();
            }
        })
        .await;
        for part in [&a.to_string(), &b.to_string(), " shop ", " bank ", "alarms::Reserve"] {
            assert!(alarm.text.contains(part), "{part} in {}", alarm.text);
        }
    });
}

#[test]
fn ob03_a_long_schedule_is_raised_while_it_lasts_and_cleared_when_it_has_ended() {
    threaded(|| async {
        let main = this();
        let (raised, cleared) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (seen, over) = (raised.clone(), cleared.clone());
        attach(move |event: &AlarmRaised| {
            if event.alarm.name == "long_schedule" {
                seen.fetch_add(1, Relaxed);
            }
        });
        attach(move |event: &AlarmCleared| {
            if event.alarm.name == "long_schedule" {
                over.fetch_add(1, Relaxed);
                send(main, event.alarm.pid);
            }
        });
        SystemMonitor::new().start_link().await.unwrap();
        let watched = raised.clone();
        // It does not give way until its alarm has been raised.
        let greedy = spawn(async move {
            while watched.load(Relaxed) == 0 {
                std::hint::spin_loop();
            }
        });
        assert_eq!(receive::<Option<Pid>>().await, Some(greedy));
        assert_eq!((raised.load(Relaxed), cleared.load(Relaxed)), (1, 1));
    });
}
