//! State machines: G24, OU5.
mod common;

use common::{leaks::leaves_nothing, *};
use riot_actor::{
    Down, Message, Pid, Reason,
    call::ReplyTo,
    exit, gen_server,
    gen_server::{GenServerOptions, Stop},
    mailbox::receive_timeout,
    monitor, now, receive, send, sleep, spawn,
    state_machine::{Enter, First, Input, Machine, MachineRef, StateMachine, Step},
    this,
    time::{TimedOut, Timeout},
    trap_exit,
};

/// A machine that reports what it handles, and in which state, and does what it is told.
struct Scribe {
    observer: Pid,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Busy,
    Free,
}

enum Event {
    /// An event that is handled in `Free` and postponed in `Busy`.
    Work(u32),
    Go(State),
    Insert(Vec<u32>),
    Now(u32),
    InState(u64),
    IfNothing(u64),
    After(&'static str, u64),
    Cancel(&'static str),
    Ask(ReplyTo<State>),
    Stop,
}

#[derive(Debug, PartialEq)]
struct Noted(String);

impl StateMachine for Scribe {
    type Args = Pid;
    type State = State;
    type Event = Event;

    async fn init(observer: Pid) -> Result<First<Self>, Stop> {
        Ok((Self { observer }, State::Busy).into())
    }

    async fn handle(&mut self, state: &State, input: Input<Event>) -> Step<Self> {
        let event = match input {
            Input::Event(Event::Work(number)) if *state == State::Busy => {
                return Step::stay().postpone(Input::Event(Event::Work(number)));
            }
            Input::Event(event) | Input::Internal(event) => event,
            Input::Info(message) => {
                self.note(message.type_name());
                return Step::stay();
            }
            Input::StateTimeout => return self.report("state timeout"),
            Input::EventTimeout => return self.report("event timeout"),
            Input::Timeout(name, _) => return self.report(name),
        };
        match event {
            Event::Work(number) => {
                self.note(format!("work {number}"));
                Step::stay()
            }
            Event::Go(state) => Step::to(state),
            Event::Insert(numbers) => {
                numbers.into_iter().fold(Step::stay(), |step, number| step.insert(Event::Now(number)))
            }
            Event::Now(number) => self.report(format!("now {number}")),
            Event::InState(limit) => Step::stay().state_timeout(millis(limit)),
            Event::IfNothing(limit) => Step::stay().event_timeout(millis(limit)),
            Event::After(name, delay) => Step::stay().timeout(name, millis(delay)),
            Event::Cancel(name) => Step::stay().cancel_timeout(name),
            Event::Ask(reply) => {
                reply.send(*state);
                Step::stay()
            }
            Event::Stop => {
                gen_server::stop(Reason::other("stop"));
                Step::stay()
            }
        }
    }

    async fn terminate(&mut self, state: &State, reason: &Reason) {
        self.note(format!("ends {state:?}: {reason}"));
    }
}

impl Scribe {
    fn note(&self, text: impl Into<String>) {
        send(self.observer, Noted(text.into()));
    }
    fn report(&self, text: impl Into<String>) -> Step<Self> {
        self.note(text);
        Step::stay()
    }
}

async fn scribe() -> MachineRef<Scribe> {
    Scribe::start_link(this()).await.expect("it starts")
}

#[track_caller]
fn expect_reports(expected: &[&str]) -> impl Future<Output = ()> {
    let here = std::panic::Location::caller();
    let expected: Vec<String> = expected.iter().map(|text| (*text).to_owned()).collect();
    async move {
        let mut heard = Vec::new();
        for _ in &expected {
            heard.extend(receive_timeout::<Noted>(secs(600)).await.map(|Noted(text)| text));
        }
        assert_eq!(heard, expected, "at {here}");
    }
}

async fn nothing_more(machine: MachineRef<Scribe>) {
    machine.ask(Event::Ask).await.expect("it answers");
    assert_eq!(receive_timeout::<Noted>(std::time::Duration::ZERO).await, Err(TimedOut));
}

#[test]
fn ou05_a_timeout_of_zero_comes_before_what_is_in_the_mailbox() {
    everywhere(|| async {
        let machine = scribe().await;
        machine.cast(Event::Go(State::Free));
        machine.cast(Event::InState(0));
        (1..=2).for_each(|number| machine.cast(Event::Now(number)));
        expect_reports(&["state timeout", "now 1", "now 2"]).await;
        machine.cast(Event::After("zero", 0));
        machine.cast(Event::IfNothing(0));
        machine.cast(Event::Now(3));
        expect_reports(&["zero", "event timeout", "now 3"]).await;
        nothing_more(machine).await;
    });
}

/// A machine that never comes to its mailbox.
struct Restless(Counter);

impl StateMachine for Restless {
    type Args = Counter;
    type State = ();
    type Event = ();
    async fn init(turns: Counter) -> Result<First<Self>, Stop> {
        Ok(First::new(Self(turns), ()).timeout("again", std::time::Duration::ZERO))
    }
    async fn handle(&mut self, (): &(), _: Input<()>) -> Step<Self> {
        self.0.add();
        Step::stay().timeout("again", std::time::Duration::ZERO)
    }
}

#[test]
fn ou05_a_machine_that_always_has_a_timeout_of_zero_gives_way_and_can_be_ended() {
    on_one_worker(|| async {
        let turns = Counter::default();
        let machine = Restless::start(turns.clone()).await.expect("it starts");
        while turns.get() < 10_000 {
            riot_actor::process::yield_now().await;
        }
        let end = riot_actor::process::wait(machine.pid());
        exit(machine.pid(), Reason::Kill);
        assert_eq!(end.await, Reason::Killed);
    });
}

#[test]
fn g24_postponed_events_return_in_their_order_when_the_state_changes() {
    everywhere(|| async {
        let machine = scribe().await;
        (1..=3).for_each(|number| machine.cast(Event::Work(number)));
        machine.cast(Event::Go(State::Busy));
        nothing_more(machine).await; // The same state is no change.
        machine.cast(Event::Go(State::Free));
        machine.cast(Event::Work(4));
        expect_reports(&["work 1", "work 2", "work 3", "work 4"]).await;
        machine.cast(Event::Go(State::Busy));
        machine.cast(Event::Work(5));
        nothing_more(machine).await;
    });
}

#[test]
fn g24_inserted_events_run_before_queued_and_returned_ones() {
    everywhere(|| async {
        let machine = scribe().await;
        machine.suspend().await.unwrap();
        machine.cast(Event::Insert(vec![1, 2]));
        machine.cast(Event::Now(3));
        machine.resume().await.unwrap();
        expect_reports(&["now 1", "now 2", "now 3"]).await;
    });
}

#[test]
fn g24_a_state_timeout_is_cancelled_by_a_change_of_state_only() {
    simulated(|| async {
        let machine = scribe().await;
        machine.cast(Event::InState(10));
        machine.cast(Event::Now(1));
        expect_reports(&["now 1", "state timeout"]).await;
        machine.cast(Event::InState(10));
        machine.cast(Event::Go(State::Free));
        sleep(secs(1)).await;
        nothing_more(machine).await;
        // A new timeout replaces the old one.
        let start = now();
        machine.cast(Event::InState(10));
        machine.cast(Event::InState(500));
        expect_reports(&["state timeout"]).await;
        assert!(now() - start >= millis(500));
        sleep(secs(1)).await;
        nothing_more(machine).await;
    });
}

#[test]
fn g24_an_event_timeout_is_cancelled_by_any_event() {
    simulated(|| async {
        let machine = scribe().await;
        machine.cast(Event::IfNothing(10));
        expect_reports(&["event timeout"]).await;
        for event in [Event::Now(1), Event::Go(State::Busy)] {
            machine.cast(Event::IfNothing(10));
            machine.cast(event);
            sleep(secs(1)).await;
        }
        expect_reports(&["now 1"]).await;
        nothing_more(machine).await;
        machine.cast(Event::IfNothing(10));
        send(machine.pid(), Message::new(0));
        sleep(secs(1)).await;
        assert!(receive::<Noted>().await.0.ends_with("Message"));
        nothing_more(machine).await;
    });
}

#[test]
fn g24_a_named_timeout_is_cancelled_by_neither() {
    simulated(|| async {
        let machine = scribe().await;
        machine.cast(Event::After("tea", 10));
        machine.cast(Event::After("cake", 20));
        machine.cast(Event::After("bread", 15));
        machine.cast(Event::Go(State::Free));
        machine.cast(Event::Now(1));
        machine.cast(Event::Cancel("bread"));
        expect_reports(&["now 1", "tea", "cake"]).await;
        nothing_more(machine).await;
    });
}

#[test]
fn g24_a_machine_is_a_server_like_others() {
    everywhere(|| async {
        trap_exit(true);
        let machine =
            GenServerOptions::new().name("scribe").start_link::<Machine<Scribe>>(this()).await.unwrap();
        assert_eq!(riot_actor::process::info(machine.pid()).unwrap().label.as_deref(), Some("Scribe"));
        assert_eq!(machine.ask(Event::Ask).await, Ok(State::Busy));
        assert_eq!(machine.get_state(|machine| *machine.state()).await, Ok(State::Busy));
        let watched = spawn(async {});
        send(machine.pid(), watched);
        assert!(receive::<Noted>().await.0.ends_with("Pid"));
        machine.cast(Event::Stop);
        expect_reports(&["ends Busy: \"stop\""]).await;
        riot_actor::process::wait(machine.pid()).await;
        assert_eq!(riot_actor::whereis("scribe"), None);

        let other = Scribe::start(this()).await.unwrap();
        let end = riot_actor::monitor(other.pid());
        exit(other.pid(), Reason::Kill);
        let Down { reason, .. } = end.down().await;
        assert_eq!(reason, Reason::Killed);
    });
}

#[test]
fn g24_a_stale_timeout_is_told_from_a_current_one() {
    simulated(|| async {
        let machine = scribe().await;
        machine.suspend().await.unwrap();
        machine.cast(Event::InState(5));
        machine.resume().await.unwrap();
        machine.ask(Event::Ask).await.unwrap();
        machine.suspend().await.unwrap();
        // Its message is in the mailbox, behind a change of state that cancels it.
        machine.cast(Event::Go(State::Free));
        sleep(millis(50)).await;
        machine.resume().await.unwrap();
        nothing_more(machine).await;
        assert_eq!(receive_timeout::<Timeout<()>>(std::time::Duration::ZERO).await, Err(TimedOut));
    });
}

/// A lock that closes by itself, is stopped by a wrong code, and remembers by named timeouts.
struct Lock {
    observer: Pid,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Door {
    Closed,
    Open,
    Broken,
}

#[derive(Debug)]
enum Code {
    Right,
    Wrong,
    Break,
    Remind(String, std::time::Instant),
    #[expect(dead_code, reason = "the number is printed")]
    Kept(u32),
    Keep(u64, u32),
    Change(u32),
}

impl StateMachine for Lock {
    type Args = Pid;
    type State = Door;
    type Event = Code;

    async fn init(observer: Pid) -> Result<First<Self>, Stop> {
        gen_server::continue_with("from init");
        Ok(First::new(Self { observer }, Door::Open).state_timeout(secs(60)).timeout("day", secs(86_400)))
    }

    async fn enter(&mut self, old: Option<&Door>, state: &Door) -> Enter<Self> {
        send(self.observer, Noted(format!("{old:?} -> {state:?}")));
        match state {
            Door::Closed => Enter::new(),
            Door::Open => Enter::new().event_timeout(secs(10)),
            Door::Broken => panic!("it breaks"),
        }
    }

    async fn handle(&mut self, state: &Door, input: Input<Code>) -> Step<Self> {
        send(self.observer, Noted(format!("{state:?}: {}", described(&input))));
        match input {
            Input::Event(Code::Right) => Step::to(Door::Open),
            Input::Event(Code::Wrong) => {
                gen_server::stop(Reason::other("alarm"));
                Step::to(Door::Open)
            }
            Input::Event(Code::Break) => Step::to(Door::Broken),
            Input::Event(Code::Remind(name, at)) => Step::stay().timeout_at(name, at),
            Input::Event(Code::Keep(delay, number)) => {
                Step::stay().timeout_with("kept", secs(delay), Code::Kept(number))
            }
            Input::Event(Code::Change(number)) => Step::stay().update_timeout("kept", Code::Kept(number)),
            Input::StateTimeout | Input::EventTimeout => Step::to(Door::Closed),
            _ => Step::stay(),
        }
    }
}

fn described(input: &Input<Code>) -> String {
    match input {
        Input::Info(message) => format!("info {}", message.downcast_ref::<&str>().expect("a text")),
        Input::Timeout(name, event) => format!("timeout {name} {event:?}"),
        Input::Event(Code::Remind(name, _)) => format!("remind {name}"),
        other => format!("{other:?}"),
    }
}

#[test]
fn ou05_the_first_state_is_entered_and_may_time_out() {
    leaves_nothing(|| async {
        let lock = Lock::start(this()).await.expect("it starts");
        // What `init` continues with comes after the state was entered, and is an input.
        expect_reports(&["None -> Open", "Open: info from init"]).await;
        lock.stop(Reason::Normal, None).await.expect("it stops");
    });
    simulated(|| async {
        let lock = Lock::start(this()).await.expect("it starts");
        expect_reports(&["None -> Open", "Open: info from init"]).await;
        // The input has ended the event timeout of `enter`; the state timeout of `init` is left.
        let start = now();
        expect_reports(&["Open: StateTimeout", "Some(Open) -> Closed"]).await;
        assert_eq!((now() - start).as_secs(), 60);
        lock.cast(Code::Right);
        expect_reports(&["Closed: Event(Right)", "Some(Closed) -> Open"]).await;
        lock.cast(Code::Right);
        expect_reports(&["Open: Event(Right)"]).await;
        sleep(secs(11)).await;
        let state = lock.get_state(|machine| *machine.state()).await;
        assert_eq!(
            state,
            Ok(Door::Open),
            "the same state is not entered again, and its event timeout is over"
        );
        lock.stop(Reason::Normal, None).await.expect("it stops");
    });
}

#[test]
fn ou05_a_machine_that_is_stopped_enters_no_other_state_and_enter_may_panic() {
    leaves_nothing(|| async {
        let lock = Lock::start(this()).await.expect("it starts");
        expect_reports(&["None -> Open", "Open: info from init"]).await;
        let down = monitor(lock.pid());
        lock.cast(Code::Wrong);
        expect_reports(&["Open: Event(Wrong)"]).await;
        assert_eq!(down.down().await.reason, Reason::other("alarm"));
        let lock = Lock::start(this()).await.expect("it starts");
        let down = monitor(lock.pid());
        lock.cast(Code::Break);
        assert!(matches!(down.down().await.reason, Reason::Panic(_)));
        expect_reports(&[
            "None -> Open",
            "Open: info from init",
            "Open: Event(Break)",
            "Some(Open) -> Broken",
        ])
        .await;
    });
}

#[test]
fn ou05_named_timeouts_have_any_name_an_event_and_an_absolute_time() {
    simulated(|| async {
        let lock = Lock::start(this()).await.expect("it starts");
        expect_reports(&["None -> Open", "Open: info from init"]).await;
        let start = now();
        lock.cast(Code::Remind("at 7".to_owned() + " s", start + secs(7)));
        lock.cast(Code::Keep(5, 1));
        lock.cast(Code::Change(2));
        expect_reports(&[
            "Open: remind at 7 s",
            "Open: Event(Keep(5, 1))",
            "Open: Event(Change(2))",
            "Open: timeout kept Some(Kept(2))",
            "Open: timeout at 7 s None",
        ])
        .await;
        assert_eq!((now() - start).as_secs(), 7);
        // An absolute time that has passed comes at once, and so does a change of what is not there.
        lock.cast(Code::Remind("past".into(), start));
        expect_reports(&["Open: remind past", "Open: timeout past None"]).await;
        lock.cast(Code::Change(3));
        expect_reports(&["Open: Event(Change(3))", "Open: timeout kept Some(Kept(3))"]).await;
        assert_eq!((now() - start).as_secs(), 7);
        lock.stop(Reason::Normal, None).await.expect("it stops");
    });
}
