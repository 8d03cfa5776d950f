//! State machines against a model of gen_statem's rules: G24, OU5.
mod common;

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use common::{millis, secs};
use proptest::prelude::*;
use riot_actor::{
    Pid, Reason,
    gen_server::Stop,
    mailbox::receive_timeout,
    now, send,
    simulation::Simulation,
    sleep,
    state_machine::{Enter, First, Input, StateMachine, Step},
    this,
};

/// An event, and what the machine does when it handles it.
#[derive(Clone, Debug)]
struct Order {
    number: u32,
    /// The event is postponed in states below this one.
    postponed_below: u8,
    to: Option<u8>,
    timers: Vec<TimerOrder>,
    inserts: Vec<Order>,
}

#[derive(Clone, Debug)]
enum TimerOrder {
    State(u64),
    Event(u64),
    Named(&'static str, u64, Option<u32>),
    Update(&'static str, u32),
    Cancel(&'static str),
}

impl Order {
    fn plain(number: u32) -> Self {
        Self { number, postponed_below: 0, to: None, timers: Vec::new(), inserts: Vec::new() }
    }
}

/// The orders of a state that begins.
fn orders_of_enter(state: u8) -> (Vec<TimerOrder>, Vec<Order>) {
    match state {
        1 => (vec![TimerOrder::State(31)], vec![]),
        2 => (vec![TimerOrder::Named("entered", 5, None)], vec![Order::plain(902)]),
        _ => (vec![], vec![]),
    }
}

/// The machine under test: it does what its events order, and reports everything to an observer.
struct Obedient {
    observer: Pid,
}

#[derive(Debug, PartialEq)]
struct Noted(String);

macro_rules! apply {
    ($decision:expr, $timers:expr, $inserts:expr) => {{
        let mut decision = $decision;
        for timer in $timers {
            decision = match timer {
                TimerOrder::State(delay) => decision.state_timeout(millis(delay)),
                TimerOrder::Event(delay) => decision.event_timeout(millis(delay)),
                TimerOrder::Named(name, delay, None) => decision.timeout(name, millis(delay)),
                TimerOrder::Named(name, delay, Some(number)) => {
                    decision.timeout_with(name, millis(delay), Order::plain(number))
                }
                TimerOrder::Update(name, number) => decision.update_timeout(name, Order::plain(number)),
                TimerOrder::Cancel(name) => decision.cancel_timeout(name),
            };
        }
        for order in $inserts {
            decision = decision.insert(order);
        }
        decision
    }};
}

impl StateMachine for Obedient {
    type Args = Pid;
    type State = u8;
    type Event = Order;

    async fn init(observer: Pid) -> Result<First<Self>, Stop> {
        Ok(First::new(Self { observer }, 0).insert(Order::plain(900)).state_timeout(millis(41)))
    }

    async fn enter(&mut self, old: Option<&u8>, state: &u8) -> Enter<Self> {
        send(self.observer, Noted(format!("enter {state} from {old:?}")));
        let (timers, inserts) = orders_of_enter(*state);
        apply!(Enter::new(), timers, inserts)
    }

    async fn handle(&mut self, state: &u8, input: Input<Order>) -> Step<Self> {
        let postpones = |order: &Order| *state < order.postponed_below;
        let (kind, order) = match input {
            Input::Event(order) if postpones(&order) => return Step::stay().postpone(Input::Event(order)),
            Input::Internal(order) if postpones(&order) => {
                return Step::stay().postpone(Input::Internal(order));
            }
            Input::Event(order) => ("event", order),
            Input::Internal(order) => ("internal", order),
            Input::StateTimeout => {
                send(self.observer, Noted(format!("{state}: state timeout")));
                // The end of a time is a change of state.
                return Step::to((*state + 1) % 4);
            }
            Input::EventTimeout => {
                send(self.observer, Noted(format!("{state}: event timeout")));
                return Step::stay();
            }
            Input::Timeout(name, order) => {
                let number = order.map(|order| order.number);
                send(self.observer, Noted(format!("{state}: timeout {name} {number:?}")));
                return Step::stay();
            }
            Input::Info(message) => panic!("{message:?}"),
        };
        send(self.observer, Noted(format!("{state}: {kind} {}", order.number)));
        let step = order.to.map_or_else(Step::stay, Step::to);
        apply!(step, order.timers, order.inserts)
    }
}

/// The rules of gen_statem, on paper: what is handled, in which order.
#[derive(Default)]
struct Model {
    now: u64,
    state: u8,
    /// The inputs before anything in the mailbox.
    queue: VecDeque<(&'static str, Order)>,
    postponed: VecDeque<(&'static str, Order)>,
    /// The running timers by name: when they fire, in which order they were started, with which event, when.
    timers: BTreeMap<&'static str, (u64, u64, Option<u32>, u64)>,
    /// The timeouts of no time, in their order: they come behind the queue and before the mailbox.
    zero: VecDeque<(&'static str, Option<u32>)>,
    started: u64,
    /// Whether two timers that were started at different times, or a timer and a cast, have had nearly one
    /// time. Each timer may be late by a tick of the clock, so they come in any order.
    has_tie: bool,
    log: Vec<String>,
}

impl Model {
    fn new() -> Self {
        let mut model = Self::default();
        model.act(vec![TimerOrder::State(41)], vec![]);
        let first = Order::plain(900);
        model.enter(None, vec![], vec![first]);
        model.run();
        model
    }

    fn start(&mut self, name: &'static str, delay: u64, event: Option<u32>) {
        self.cancel(name);
        if delay == 0 {
            return self.zero.push_back((name, event));
        }
        let at = self.now + delay;
        let is_near = |timer: &(u64, u64, Option<u32>, u64)| timer.3 != self.now && timer.0.abs_diff(at) < 20;
        self.has_tie |= (at + 20) % 1_000 <= 20 || self.timers.values().any(is_near);
        self.started += 1;
        self.timers.insert(name, (at, self.started, event, self.now));
    }

    fn cancel(&mut self, name: &str) {
        self.timers.remove(name);
        self.zero.retain(|(other, _)| *other != name);
    }

    /// Gives a timeout another event. Returns false if there is none.
    fn update(&mut self, name: &str, event: u32) -> bool {
        let running = self.timers.get_mut(name).map(|timer| &mut timer.2);
        let zero = self.zero.iter_mut().find(|(other, _)| *other == name).map(|zero| &mut zero.1);
        running.or(zero).map(|before| *before = Some(event)).is_some()
    }

    fn act(&mut self, timers: Vec<TimerOrder>, inserts: Vec<Order>) {
        for (at, order) in inserts.into_iter().enumerate() {
            self.queue.insert(at, ("internal", order));
        }
        for timer in timers {
            match timer {
                TimerOrder::State(delay) => self.start("state", delay, None),
                TimerOrder::Event(delay) => self.start("event", delay, None),
                TimerOrder::Named(name, delay, event) => self.start(name, delay, event),
                TimerOrder::Update(name, event) if self.update(name, event) => {}
                TimerOrder::Update(name, event) => self.start(name, 0, Some(event)),
                TimerOrder::Cancel(name) => self.cancel(name),
            }
        }
    }

    /// Enters the state, after which what the step has ordered is done, and then what the state orders.
    fn enter(&mut self, old: Option<u8>, mut timers: Vec<TimerOrder>, mut inserts: Vec<Order>) {
        self.log.push(format!("enter {} from {old:?}", self.state));
        let (more_timers, more_inserts) = orders_of_enter(self.state);
        timers.extend(more_timers);
        inserts.extend(more_inserts);
        self.act(timers, inserts);
    }

    fn step(&mut self, to: Option<u8>, timers: Vec<TimerOrder>, inserts: Vec<Order>) {
        match to.filter(|to| *to != self.state) {
            None => self.act(timers, inserts),
            Some(to) => {
                let old = std::mem::replace(&mut self.state, to);
                self.cancel("state");
                while let Some(postponed) = self.postponed.pop_back() {
                    self.queue.push_front(postponed);
                }
                self.enter(Some(old), timers, inserts);
            }
        }
    }

    fn handle(&mut self, kind: &'static str, order: Order) {
        self.cancel("event");
        if self.state < order.postponed_below {
            return self.postponed.push_back((kind, order));
        }
        self.log.push(format!("{}: {kind} {}", self.state, order.number));
        self.step(order.to, order.timers, order.inserts);
    }

    /// Handles everything that is due now.
    fn run(&mut self) {
        loop {
            if let Some((kind, order)) = self.queue.pop_front() {
                self.handle(kind, order);
                continue;
            }
            let due = self.timers.iter().filter(|(_, timer)| timer.0 <= self.now);
            let due = due.min_by_key(|(_, timer)| (timer.0, timer.1)).map(|(name, timer)| (*name, timer.2));
            let Some((name, event)) = self.zero.front().copied().or(due) else { return };
            self.cancel(name);
            self.cancel("event");
            match name {
                "state" => {
                    self.log.push(format!("{}: state timeout", self.state));
                    self.step(Some((self.state + 1) % 4), vec![], vec![]);
                }
                "event" => self.log.push(format!("{}: event timeout", self.state)),
                name => self.log.push(format!("{}: timeout {name} {event:?}", self.state)),
            }
        }
    }

    fn wait_until(&mut self, time: u64) {
        while let Some(next) = self.timers.values().map(|timer| timer.0).filter(|at| *at <= time).min() {
            self.now = next.max(self.now);
            self.run();
        }
        self.now = time;
    }

    fn cast(&mut self, order: Order) {
        self.handle("event", order);
        self.run();
    }
}

fn timers() -> impl Strategy<Value = Vec<TimerOrder>> {
    // Events are cast at multiples of 1 000, and no two timers fire at a time: each kind has a digit.
    let name = || prop_oneof![Just("a"), Just("b")];
    let delay = |name: &'static str| if name == "a" { 3 } else { 4 };
    // A fourth of them have no time.
    let time = |digit| (0..60_u64).prop_map(move |tens| if tens < 15 { 0 } else { tens * 100 + digit });
    let timer = prop_oneof![
        time(1).prop_map(TimerOrder::State),
        time(2).prop_map(TimerOrder::Event),
        (name(), 0..60_u64, proptest::option::of(1..9_u32)).prop_map(move |(name, tens, event)| {
            TimerOrder::Named(name, if tens < 15 { 0 } else { tens * 100 + delay(name) }, event)
        }),
        (name(), 10..19_u32).prop_map(|(name, event)| TimerOrder::Update(name, event)),
        name().prop_map(TimerOrder::Cancel),
    ];
    proptest::collection::vec(timer, 0..3)
}

fn order() -> impl Strategy<Value = Order> {
    let one = |inserts: Vec<Order>| {
        (20..99_u32, 0..4_u8, proptest::option::of(0..4_u8), timers()).prop_map(
            move |(number, postponed_below, to, timers)| Order {
                number,
                postponed_below,
                to,
                timers,
                inserts: inserts.clone(),
            },
        )
    };
    proptest::collection::vec(one(vec![]), 0..3).prop_flat_map(one)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn g24_ou05_a_machine_equals_a_model_of_gen_statem(
        orders in proptest::collection::vec((0..5_u64, proptest::collection::vec(order(), 1..4)), 1..12),
    ) {
        let mut model = Model::new();
        for (pause, orders) in &orders {
            let time = (model.now / 1_000 + pause + 1) * 1_000;
            model.wait_until(time);
            orders.iter().for_each(|order| model.cast(order.clone()));
        }
        model.wait_until(model.now + 100_000);
        prop_assume!(!model.has_tie);
        let expected = model.log;
        let reason = Simulation::new(0).run(async move {
            let start = now();
            let machine = Obedient::start_link(this()).await.expect("it starts");
            let mut thousands = 0;
            for (pause, orders) in orders {
                thousands += pause + 1;
                sleep((start + millis(thousands * 1_000)) - now()).await;
                // All are in the mailbox before the first is handled.
                orders.into_iter().for_each(|order| machine.cast(order));
            }
            sleep(secs(100)).await;
            let mut log = Vec::new();
            while let Ok(Noted(text)) = receive_timeout(Duration::ZERO).await {
                log.push(text);
            }
            assert_eq!(log, expected);
        });
        prop_assert_eq!(reason, Reason::Normal);
    }
}
