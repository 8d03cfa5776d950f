//! Requests, replies, tasks, timers and applications, several or by name: rule OU14.

mod common;

use std::time::Duration;

use common::{leaks::leaves_nothing, *};
use riot_actor::{
    Pid, Reason,
    call::{CallError, ReplyTo},
    exit,
    gen_server::{Call, GenServer, GenServerRef, PendingReply, Stop, multi_call, select_reply},
    mailbox::receive_timeout,
    monitor,
    name::{Name, unregister},
    now,
    process::{join, spawn_monitor, wait, yield_now},
    receive, register,
    runtime::{Application, Config, Handle, which_applications},
    simulation::Simulation,
    sleep, spawn, spawn_link,
    task::{Task, TaskError},
    this,
    time::{Timeout, ZeroPeriod, send_interval, start_timer},
};

/// A server that answers after the time that it is asked for, ends, or never answers.
struct Slow(u32);

#[derive(Clone)]
enum Ask {
    After(Duration),
    Never,
    End,
    /// Only the server with this number answers at once.
    Only(u32),
}

impl GenServer for Slow {
    type Args = u32;
    async fn init(number: u32) -> Result<Self, Stop> {
        Ok(Self(number))
    }
}

impl Call<Ask> for Slow {
    type Reply = u32;
    async fn handle_call(&mut self, ask: Ask, reply: ReplyTo<u32>) {
        let number = self.0;
        match ask {
            Ask::After(delay) => {
                spawn_link(async move {
                    sleep(delay).await;
                    reply.send(number);
                });
            }
            Ask::Only(only) if only == number => reply.send(number),
            Ask::Never | Ask::Only(_) => {
                // The right to reply lives on.
                spawn_link(async move {
                    let _reply = reply;
                    std::future::pending::<()>().await;
                });
            }
            Ask::End => exit(this(), Reason::other("asked to")),
        }
    }
}

async fn servers(count: u32) -> Vec<GenServerRef<Slow>> {
    let mut servers = Vec::new();
    for number in 0..count {
        servers.push(Slow::start(number).await.expect("it starts"));
    }
    servers
}

/// Ends the servers, and with them what they have spawned.
async fn end(servers: Vec<GenServerRef<Slow>>) {
    for server in servers {
        exit(server.pid(), Reason::Shutdown);
        wait(server.pid()).await;
    }
}

#[test]
fn ou14_the_replies_of_several_requests_come_in_the_order_of_time() {
    leaves_nothing(|| async {
        let servers = servers(4).await;
        let ask = |nth: usize, ask| servers[nth].send_request(ask).expect("it lives");
        let mut pending = vec![
            ask(0, Ask::After(millis(30))),
            ask(1, Ask::Never),
            ask(2, Ask::Only(2)),
            ask(3, Ask::End),
            ask(2, Ask::After(millis(10))),
        ];
        let mut labels = vec!["30 ms", "never", "at once", "end", "10 ms"];
        let mut seen = Vec::new();
        while pending.len() > 1 {
            let (at, reply) = select_reply(&mut pending, None).await.expect("one comes");
            seen.push((labels.remove(at), reply));
        }
        // A busy machine may have them in any order; below, the clock is that of a simulation.
        seen.sort_unstable_by_key(|(label, _)| *label);
        let ended = Err(CallError::Exit(Reason::other("asked to")));
        assert_eq!(seen, [("10 ms", Ok(2)), ("30 ms", Ok(0)), ("at once", Ok(2)), ("end", ended)]);
        assert_eq!(labels, ["never"]);

        assert_eq!(select_reply(&mut pending, Some(Duration::ZERO)).await, None);
        assert_eq!(select_reply(&mut pending, Some(millis(5))).await, None);
        assert_eq!(pending.len(), 1, "it can still be waited for");
        exit(servers[1].pid(), Reason::Kill);
        let ended = select_reply(&mut pending, Some(secs(60))).await;
        assert_eq!(ended, Some((0, Err(CallError::Exit(Reason::Killed)))));
        let mut none: Vec<PendingReply<u32>> = Vec::new();
        assert_eq!(select_reply(&mut none, None).await, None);
        end(servers).await;
    });
    simulated(|| async {
        let servers = servers(3).await;
        let delays = [20, 30, 10];
        let ask = |nth: usize| servers[nth].send_request(Ask::After(millis(delays[nth]))).expect("it lives");
        let mut pending: Vec<_> = (0..3).map(ask).collect();
        let mut seen = Vec::new();
        while let Some((at, reply)) = select_reply(&mut pending, None).await {
            seen.push((at, reply.expect("they live")));
        }
        assert_eq!(seen, [(2, 2), (0, 0), (0, 1)]);
        end(servers).await;
    });
}

#[test]
fn ou14_a_selection_that_is_given_up_loses_no_reply() {
    leaves_nothing(|| async {
        let servers = servers(3).await;
        let ask =
            |server: &GenServerRef<Slow>| server.send_request(Ask::After(millis(20))).expect("it lives");
        let mut pending: Vec<_> = servers.iter().map(ask).collect();
        for _ in 0..5 {
            let given_up = riot_actor::timeout(millis(1), select_reply(&mut pending, None)).await;
            assert!(given_up.is_err() || pending.len() < 3);
        }
        let mut replies = Vec::new();
        while let Some((_, reply)) = select_reply(&mut pending, None).await {
            replies.push(reply.expect("they live"));
        }
        // On a slow machine some have come above.
        assert!(replies.len() <= 3 && pending.is_empty());
        end(servers).await;
    });
    simulated(|| async {
        let servers = servers(200).await;
        let ask =
            |server: &GenServerRef<Slow>| server.send_request(Ask::After(millis(20))).expect("it lives");
        let mut pending: Vec<_> = servers.iter().map(ask).collect();
        assert!(riot_actor::timeout(millis(1), select_reply(&mut pending, None)).await.is_err());
        let mut sum = 0;
        while let Some((_, reply)) = select_reply(&mut pending, None).await {
            sum += reply.expect("they live");
        }
        assert_eq!(sum, (0..200).sum());
        end(servers).await;
    });
}

#[test]
fn ou14_more_requests_than_a_poll_slice_has_reductions_are_looked_at() {
    everywhere_few(|| async {
        let servers = servers(1).await;
        let ask = |ask| servers[0].send_request(ask).expect("it lives");
        let mut pending: Vec<_> = (0..2_500).map(|_| ask(Ask::Never)).collect();
        pending.push(ask(Ask::Only(0)));
        let first = riot_actor::timeout(secs(60), select_reply(&mut pending, None)).await;
        assert_eq!(first, Ok(Some((2_500, Ok(0)))));
        assert_eq!(select_reply(&mut pending, Some(millis(1))).await, None);
        end(servers).await;
    });
}

#[test]
fn ou14_a_call_of_many_servers_has_a_result_for_each() {
    leaves_nothing(|| async {
        let servers = servers(3).await;
        let all = multi_call(&servers, Ask::After(millis(3)), None).await;
        assert_eq!(all, [Ok(0), Ok(1), Ok(2)]);
        let only = multi_call(&servers, Ask::Only(1), Some(millis(20))).await;
        assert_eq!(only, [Err(CallError::Timeout), Ok(1), Err(CallError::Timeout)]);
        assert_eq!(multi_call(&servers[..0], Ask::Never, None).await, []);
        let ended = Err(CallError::Exit(Reason::other("asked to")));
        assert_eq!(multi_call(&servers, Ask::End, None).await, [ended.clone(), ended.clone(), ended]);
        join(&servers.iter().map(|server| server.pid()).collect::<Vec<Pid>>()).await;
        let gone = multi_call(&servers, Ask::Never, None).await;
        assert_eq!(gone, [Err(CallError::NoProc), Err(CallError::NoProc), Err(CallError::NoProc)]);
        assert_eq!(riot_actor::process::info(this()).expect("it runs").mailbox, 0);
    });
    simulated(|| async {
        let servers = servers(3).await;
        let start = now();
        let late = multi_call(&servers, Ask::Never, Some(secs(5))).await;
        assert_eq!(late, [Err(CallError::Timeout), Err(CallError::Timeout), Err(CallError::Timeout)]);
        assert_eq!((now() - start).as_secs(), 5, "one timeout for all");
        let now_or_never = multi_call(&servers, Ask::Only(1), Some(Duration::ZERO)).await;
        assert!(now_or_never.iter().all(|reply| *reply == Err(CallError::Timeout)));
        end(servers).await;
    });
}

#[test]
fn ou14_the_results_of_many_tasks_are_awaited_together() {
    leaves_nothing(|| async {
        let mut tasks: Vec<Task<u64>> = (0..5)
            .map(|nth| {
                Task::spawn(async move {
                    sleep(millis(nth)).await;
                    assert_ne!(nth, 3, "one fails");
                    nth
                })
            })
            .collect();
        let results = Task::await_many(&mut tasks, None).await;
        for (nth, result) in results.iter().enumerate() {
            match nth {
                3 => assert!(matches!(result, Err(TaskError::Exit(Reason::Panic(_)))), "{result:?}"),
                _ => assert_eq!(*result, Ok(nth as u64)),
            }
        }
        let again = Task::await_many(&mut tasks, None).await;
        assert!(again.iter().all(|result| *result == Err(TaskError::Taken)));
        assert_eq!(Task::<()>::await_many(&mut [], None).await, []);
        join(&tasks.iter().map(Task::pid).collect::<Vec<Pid>>()).await;
    });
    simulated(|| async {
        let (start, main) = (now(), this());
        let mut tasks: Vec<Task<u64>> = [1, 20, 2, 20]
            .map(|time| {
                Task::spawn(async move {
                    sleep(secs(time)).await;
                    time
                })
            })
            .into();
        let late = Err(TaskError::Timeout);
        let results = Task::await_many(&mut tasks, Some(secs(10))).await;
        assert_eq!(results, [Ok(1), late.clone(), Ok(2), late]);
        assert_eq!((now() - start).as_secs(), 10, "one timeout for all");
        let (_, stranger) = spawn_monitor(async move {
            let mut tasks = tasks;
            let results = Task::await_many(&mut tasks[1..], None).await;
            assert!(results.iter().all(|result| *result == Err(TaskError::NotOwner)), "{results:?}");
            riot_actor::send(main, tasks);
        });
        assert_eq!(stranger.down().await.reason, Reason::Normal);
        let mut tasks: Vec<Task<u64>> = receive().await;
        assert_eq!(Task::await_many(&mut tasks[1..], None).await[..1], [Ok(20)]);
    });
}

#[test]
fn ou14_timers_are_aimed_at_names() {
    leaves_nothing(|| async {
        register("clock", this()).expect("it is free");
        let once = start_timer(millis(1), "clock", 'x');
        assert_eq!(receive::<Timeout<char>>().await, Timeout { timer: once, value: 'x' });
        let ticks = send_interval(millis(2), "clock", 1_u8).expect("it is longer than nothing");
        assert_eq!((receive::<u8>().await, receive::<u8>().await), (1, 1));
        assert!(ticks.cancel().is_some());
        while receive_timeout::<u8>(Duration::ZERO).await.is_ok() {}
        assert_eq!(send_interval(Duration::ZERO, "clock", ()), Err(ZeroPeriod));
        let named = send_interval(millis(1), Name::from("clock"), 2_u8).expect("it is longer than nothing");
        assert_eq!(receive::<u8>().await, 2);
        named.cancel();
    });
    simulated(|| async {
        // The name is looked up each time; while no process holds it, messages are dropped.
        let ticks = send_interval(secs(10), "clock", 7_u8).expect("it is longer than nothing");
        sleep(secs(15)).await;
        register("clock", this()).expect("it is free");
        sleep(secs(10)).await;
        unregister("clock").expect("it is held");
        sleep(secs(10)).await;
        let other = spawn(async {
            register("clock", this()).expect("it is free");
            assert_eq!(receive::<u8>().await, 7);
        });
        let end = monitor(other);
        assert_eq!(end.down().await.reason, Reason::Normal);
        register("clock", this()).expect("it is free again");
        sleep(secs(10)).await;
        assert!(ticks.read().is_some(), "it has outlived a holder");
        ticks.cancel();
        let mut count = 0;
        while receive_timeout::<u8>(Duration::ZERO).await.is_ok() {
            count += 1;
        }
        assert_eq!(count, 2, "in the times when this process held the name");
    });
}

fn idle(name: &'static str) -> Application {
    Application::new(name, || async { Ok::<_, Reason>(spawn_link(std::future::pending::<()>())) })
}

#[test]
fn ou14_running_applications_are_listed() {
    let config = || {
        let watching = Application::new("watching", || async {
            assert_eq!(names(), ["first", "second"], "those that have started");
            Ok::<_, Reason>(spawn_link(std::future::pending::<()>()))
        });
        Config::new().application(idle("first")).application(idle("second").temporary()).application(watching)
    };
    fn names() -> Vec<String> {
        which_applications().into_iter().map(|application| application.name.into_owned()).collect()
    }
    let program = || async {
        assert_eq!(names(), ["first", "second", "watching"]);
        let handle = Handle::current();
        assert_eq!(handle.which_applications(), which_applications());
        let second = which_applications()[1].top;
        exit(second, Reason::Kill);
        wait(second).await;
        assert_eq!(names(), ["first", "watching"]);
        yield_now().await;
    };
    for seed in 0..50 {
        assert_eq!(Simulation::new(seed).config(config()).run(program()), Reason::Normal, "seed {seed}");
    }
    for workers in [1, 2, 8] {
        let reason = config().workers(workers).run(program()).expect("it runs");
        assert_eq!(reason, Reason::Normal, "on {workers} workers");
    }
    leaves_nothing(|| async { assert_eq!(which_applications(), []) });
}

#[test]
fn ou14_a_wait_for_a_process_that_ended_before_is_told_of_none() {
    leaves_nothing(|| async {
        let (pid, end) = spawn_monitor(async { Reason::other("done") });
        assert_eq!(end.down().await.reason, Reason::other("done"), "a monitor from the beginning");
        assert_eq!(wait(pid).await, Reason::NoProc);
    });
}
