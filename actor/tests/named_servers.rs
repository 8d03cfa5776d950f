//! References by name, and requests about a server: OU1, OU6.
mod common;

use common::{leaks::leaves_nothing, secs, simulated, talker::*};
use riot_actor::{
    Message, Reason,
    call::{CALL_TIMEOUT, CallError},
    exit, gen_server,
    gen_server::{Call, Cast, GenServer, GenServerOptions, GenServerRef, GenServerStopError, Stop},
    mailbox::{Addr, receive_timeout},
    now,
    process::{SpawnOptions, info, is_alive, join, wait},
    receive, register,
    runtime::Handle,
    send, sleep, spawn, spawn_link,
    state_machine::{First, Input, MachineRef, StateMachine, Step},
    this, trap_exit, whereis,
};

/// A server with a number.
struct Till(u32);
struct Get;
struct Add(u32);

impl GenServer for Till {
    type Args = u32;
    async fn init(number: u32) -> Result<Self, Stop> {
        Ok(Till(number))
    }
    async fn handle_info(&mut self, _: Message) {}
    async fn handle_timeout(&mut self) {
        self.0 += 100;
    }
    fn format_status(&self) -> String {
        format!("{} euros", self.0)
    }
}
impl Call<Get> for Till {
    type Reply = u32;
    async fn call(&mut self, _: Get) -> u32 {
        self.0
    }
}
impl Cast<Add> for Till {
    async fn cast(&mut self, Add(number): Add) {
        self.0 += number;
    }
}
struct WaitFor(u64);
impl Cast<WaitFor> for Till {
    async fn cast(&mut self, WaitFor(seconds): WaitFor) {
        gen_server::idle_timeout(secs(seconds));
    }
}

struct Work(u64);
impl Cast<Work> for Till {
    async fn cast(&mut self, Work(seconds): Work) {
        sleep(secs(seconds)).await;
    }
}

async fn named_till(number: u32) -> GenServerRef<Till> {
    GenServerOptions::new().name("till").start::<Till>(number).await.expect("it starts")
}

#[test]
fn ou01_a_named_reference_finds_whatever_server_holds_the_name() {
    leaves_nothing(|| async {
        let named = GenServerRef::<Till>::named("till");
        assert_eq!(named.call(Get).await, Err(CallError::NoProc));
        assert_eq!(named.send_request(Get).err(), Some(CallError::NoProc));
        assert_eq!(named.stop(Reason::Normal, None).await, Err(GenServerStopError::NoProc));
        assert_eq!(named.suspend().await, Err(CallError::NoProc));
        named.cast(Add(1));
        // The name is looked up when the call is polled.
        let early = named.call(Get);
        let first = named_till(1).await;
        assert_eq!(early.await, Ok(1));
        assert_eq!(named.server(), Ok(first));
        named.cast(Add(1));
        let mut request = named.send_request(Get).expect("it lives");
        assert_eq!(request.wait(None).await, Ok(2));
        named.suspend().await.expect("it lives");
        assert_eq!(named.get_state(|till| till.0).await, Ok(2));
        named.resume().await.expect("it lives");
        assert_eq!(named.clone().call_timeout(Get, None).await, Ok(2));
        named.stop(Reason::Normal, None).await.expect("it stops");
        named_till(7).await;
        assert_eq!(named.call(Get).await, Ok(7));
        named.stop(Reason::Normal, None).await.expect("it stops");
    });
}

#[test]
fn ou01_a_server_of_another_type_is_refused_at_once() {
    leaves_nothing(|| async {
        let till = named_till(1).await;
        let wrong = GenServerRef::<Talker>::named("till");
        let refused = wrong.call(Log).await.unwrap_err();
        let CallError::WrongServer { expected, found } = refused else { panic!("{refused:?}") };
        assert!(expected.ends_with("Talker") && found.ends_with("Till"), "{expected} {found}");
        wrong.cast(Note("to nothing"));
        assert_eq!(wrong.stop(Reason::Normal, None).await, Err(GenServerStopError::NoProc));
        assert!(matches!(
            Handle::current().call_server(&wrong, Log).await,
            Err(CallError::WrongServer { .. })
        ));
        assert_eq!(till.statistics().await.expect("it lives").infos, 0, "it was sent nothing");
        // Of a name that was given otherwise nothing is known; the request is dropped.
        register("other", till.pid()).expect("it is free");
        assert_eq!(GenServerRef::<Talker>::named("other").call(Log).await, Err(CallError::Dropped));
        assert_eq!(GenServerRef::<Till>::named("other").call(Get).await, Ok(1));
        till.stop(Reason::Normal, None).await.expect("it stops");
    });
}

#[test]
fn ou01_calls_during_restarts_have_an_answer_or_say_that_there_was_none() {
    leaves_nothing(|| async {
        trap_exit(true);
        let keeper = spawn_link(async {
            for number in 0..100 {
                let till = named_till(number).await;
                sleep(std::time::Duration::from_micros(100)).await;
                exit(till.pid(), Reason::Kill);
                wait(till.pid()).await;
            }
        });
        let callers: Vec<_> = (0..10)
            .map(|_| {
                spawn(async move {
                    let named = GenServerRef::<Till>::named("till");
                    for _ in 0..100 {
                        match named.call_timeout(Get, None).await {
                            Ok(_) | Err(CallError::NoProc | CallError::Exit(Reason::Killed)) => {}
                            other => panic!("{other:?}"),
                        }
                        sleep(std::time::Duration::from_micros(70)).await;
                    }
                })
            })
            .collect();
        for caller in callers {
            assert!(matches!(wait(caller).await, Reason::Normal | Reason::NoProc));
        }
        join(&[keeper]).await;
        assert_eq!(receive::<riot_actor::Exit>().await.reason, Reason::Normal);
    });
}

#[test]
fn ou01_threads_call_by_name() {
    leaves_nothing(|| async {
        let named = GenServerRef::<Till>::named("till");
        let handle = Handle::current();
        assert_eq!(handle.call_server(&named, Get).await, Err(CallError::NoProc));
        handle.cast(&named, Add(1));
        named_till(3).await;
        handle.cast(&named, Add(1));
        assert_eq!(handle.call_server(&named, Get).await, Ok(4));
        named.stop(Reason::Normal, None).await.expect("it stops");
    });
}

/// A machine that counts.
struct Turns;
impl StateMachine for Turns {
    type Args = ();
    type State = u32;
    type Event = riot_actor::call::ReplyTo<u32>;
    async fn init((): ()) -> Result<First<Self>, Stop> {
        Ok((Turns, 0).into())
    }
    async fn handle(&mut self, turns: &u32, input: Input<Self::Event>) -> Step<Self> {
        if let Input::Event(reply) = input {
            reply.send(*turns);
        }
        Step::to(turns + 1)
    }
    fn format_status(&self, turns: &u32) -> String {
        format!("turn {turns}")
    }
}

#[test]
fn ou01_machines_and_addresses_have_names_too() {
    leaves_nothing(|| async {
        let turns = MachineRef::<Turns>::named("turns");
        assert_eq!(turns.ask(|reply| reply).await, Err(CallError::NoProc));
        let options = GenServerOptions::new().name("turns");
        options.start::<riot_actor::state_machine::Machine<Turns>>(()).await.expect("it starts");
        assert_eq!(turns.ask(|reply| reply).await, Ok(0));
        assert_eq!(turns.ask_timeout(|reply| reply, Some(CALL_TIMEOUT)).await, Ok(1));
        assert_eq!(turns.get_status().await.expect("it lives").state, "turn 2");
        turns.stop(Reason::Normal, None).await.expect("it stops");

        let adder = Addr::<u32>::named("adder");
        assert_eq!(adder.send(1).map_err(|undelivered| undelivered.message), Err(1));
        assert_eq!(adder.addr(), None);
        let main = this();
        let options = SpawnOptions::new().name("adder");
        let pid = Addr::spawn_with(options, move |inbox| async move {
            let sum: u32 = inbox.receive().await + inbox.receive().await;
            send(main, sum);
        });
        assert_eq!(adder.addr(), Some(pid));
        adder.send(1).expect("it is there");
        adder.clone().send(2).expect("it is there");
        assert_eq!(receive::<u32>().await, 3);
    });
}

#[test]
fn ou06_a_server_shows_and_changes_its_state_also_while_it_is_suspended() {
    leaves_nothing(|| async {
        let till = named_till(5).await;
        till.suspend().await.expect("it lives");
        till.cast(Add(1));
        assert_eq!(till.replace_state(|till| std::mem::replace(&mut till.0, 50)).await, Ok(5));
        let status = till.get_status().await.expect("it lives");
        assert_eq!((status.pid, status.parent), (till.pid(), Some(this())));
        assert_eq!((status.state.as_str(), status.is_suspended, status.mailbox), ("50 euros", true, 1));
        assert!(status.server.ends_with("Till"), "{}", status.server);
        assert_eq!(status.names.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["till"]);
        till.resume().await.expect("it lives");
        assert_eq!(till.call(Get).await, Ok(51));
        assert!(!till.get_status().await.expect("it lives").is_suspended);
        // What is not printed by itself is not printed.
        let talker = Talker::start((this(), Init::Fine)).await.expect("it starts");
        assert_eq!(talker.get_status().await.expect("it lives").state, "Talker { .. }");
        talker.stop(Reason::Normal, None).await.expect("it stops");
        assert_eq!(next_report().await, "terminate normal");
        till.stop(Reason::Normal, None).await.expect("it stops");
        assert_eq!(till.get_status().await.map(|_| ()), Err(CallError::NoProc));
    });
}

#[test]
fn ou06_a_panic_in_a_change_of_the_state_ends_the_server() {
    leaves_nothing(|| async {
        let till = named_till(5).await;
        let answer = till.replace_state(|_| -> u32 { panic!("as asked") }).await;
        assert!(matches!(answer, Err(CallError::Exit(Reason::Panic(_)))), "{answer:?}");
        assert!(!is_alive(till.pid()) && whereis("till").is_none());
    });
}

#[test]
fn ou06_statistics_count_what_a_server_does() {
    simulated(|| async {
        let till = named_till(0).await;
        till.cast(Add(1));
        till.cast(WaitFor(3));
        // Neither a request about the server nor its answer is a message that ends the idle time.
        till.get_status().await.expect("it lives");
        sleep(secs(4)).await;
        send(till.pid(), "info");
        assert_eq!(till.call(Get).await, Ok(101));
        let statistics = till.statistics().await.expect("it lives");
        assert_eq!((statistics.requests, statistics.infos, statistics.timeouts), (3, 1, 1));
        assert_eq!(statistics.uptime.as_secs(), 4);
        assert_eq!(info(till.pid()).expect("it lives").mailbox, 0);
        till.stop(Reason::Normal, None).await.expect("it stops");
        assert!(receive_timeout::<u8>(secs(1)).await.is_err());
    });
}

/// A machine that is busy for so many seconds.
struct Sleeps;
impl StateMachine for Sleeps {
    type Args = ();
    type State = ();
    type Event = u64;
    async fn init((): ()) -> Result<First<Self>, Stop> {
        Ok((Sleeps, ()).into())
    }
    async fn handle(&mut self, (): &(), input: Input<u64>) -> Step<Self> {
        if let Input::Event(seconds) = input {
            sleep(secs(seconds)).await;
        }
        Step::stay()
    }
}

#[test]
fn ou06_a_request_about_a_server_that_is_busy_ends_after_five_seconds() {
    async fn asked<S: GenServer>(server: GenServerRef<S>) {
        let start = now();
        let late = CallError::Timeout;
        assert_eq!(server.suspend().await, Err(late.clone()));
        assert_eq!((now() - start).as_secs(), 5);
        assert_eq!(server.resume().await, Err(late.clone()));
        assert_eq!(server.get_state(|_| ()).await, Err(late.clone()));
        assert_eq!(server.replace_state(|_| ()).await, Err(late.clone()));
        assert_eq!(server.get_status().await.map(drop), Err(late.clone()));
        assert_eq!(server.statistics().await.map(drop), Err(late));
        assert_eq!((now() - start).as_secs(), 30);
        sleep(secs(90)).await;
        assert_eq!(server.get_state(|_| ()).await, Ok(()), "it has time again");
    }
    simulated(|| async {
        let till = named_till(1).await;
        till.cast(Work(100));
        asked(till).await;
        let machine = Sleeps::start(()).await.expect("it starts");
        machine.cast(100);
        asked(machine).await;
    });
}
