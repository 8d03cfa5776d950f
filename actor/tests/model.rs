//! Processes, links, monitors, traps and names beside a plain model of their rules, under random histories
//! and seeds.
//!
//! A history is a list of steps: either several acts of `main` at once, so that some of them find processes
//! that are condemned and not released yet, or one act of another process. After each step the system comes
//! to rest, and what can be seen of every process must be what the model says; a process that is told to
//! shows the messages it has.
mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::*;
use proptest::prelude::*;
use riot_actor::{
    Down, Exit, Message, Pid, Reason, demonitor, exit, link,
    mailbox::{receive_any, receive_timeout},
    monitor,
    name::{RegisterError, unregister},
    process::{MonitorRef, SpawnOptions, info, is_alive},
    receive, register, send,
    simulation::Simulation,
    sleep, this, trap_exit, unlink, whereis,
};

/// Positions for processes beside `main`, which is number 0 for all its life.
const PLACES: usize = 5;
const NAMES: [&str; 2] = ["red", "blue"];

/// A process by the order of spawning. (A position may have several, one after the other.)
type Number = usize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Why {
    Normal,
    Shutdown,
    Kill,
    Killed,
    NoProc,
    Panic,
    Other(u8),
}

impl Why {
    fn reason(self) -> Reason {
        match self {
            Self::Normal => Reason::Normal,
            Self::Shutdown => Reason::Shutdown,
            Self::Kill => Reason::Kill,
            Self::Killed => Reason::Killed,
            Self::NoProc => Reason::NoProc,
            Self::Panic => unreachable!("a panic is no reason to ask for"),
            Self::Other(number) => Reason::other(number),
        }
    }

    fn of(reason: &Reason) -> Self {
        match reason {
            Reason::Normal => Self::Normal,
            Reason::Shutdown => Self::Shutdown,
            Reason::Kill => Self::Kill,
            Reason::Killed => Self::Killed,
            Reason::NoProc => Self::NoProc,
            Reason::Panic(_) => Self::Panic,
            Reason::Other(detail) => Self::Other(*detail.downcast_ref().expect("a number")),
            other => panic!("no process ends with {other}"),
        }
    }
}

/// A message, as it is seen in a mailbox.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Seen {
    Exit {
        from: Number,
        why: Why,
        by_link: bool,
    },
    /// The monitor, counted from the first of its process.
    Down {
        nth: usize,
        of: Number,
        why: Why,
    },
    Letter {
        from: Number,
        text: u32,
    },
}

impl Seen {
    /// The process that caused it: only messages of one cause have a defined order.
    fn source(&self) -> Number {
        match self {
            Self::Exit { from, .. } | Self::Letter { from, .. } => *from,
            Self::Down { of, .. } => *of,
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Deed {
    Link(usize),
    Unlink(usize),
    Monitor(usize),
    /// The monitor, counted from the first of its process.
    Demonitor(usize),
    Exit(usize, Why),
    Send(usize, u32),
    Register(usize, usize),
    Unregister(usize),
    /// Not of main, which always traps exits and never ends.
    Trap(bool),
    ExitItself(Why),
    Finish(Why),
    Panic,
    Show,
}

#[derive(Clone, Debug)]
enum Step {
    /// Main does all of this at once.
    Main(Vec<Deed>),
    /// The process at this position does this.
    Other(usize, Deed),
    /// A new process, if there is none at this position; linked with main or not.
    Spawn(usize, bool),
}

/// The result of an act, for those that have one.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Answer {
    Done,
    Prevented(bool),
    Registered,
    Taken(Number),
    NoProc,
    Unregistered(bool),
}

// The model: the rules, one after the other, as they are written.

#[derive(Clone, Debug, Default)]
struct Process {
    trap: bool,
    cause: Option<Why>,
    released: bool,
    links: BTreeSet<Number>,
    /// The process that each monitor watches; none for one that is over.
    monitors: Vec<Option<Number>>,
    mailbox: Vec<Seen>,
}

#[derive(Debug)]
struct Model {
    processes: Vec<Process>,
    names: BTreeMap<&'static str, Number>,
}

impl Model {
    fn is_live(&self, number: Number) -> bool {
        self.processes[number].cause.is_none()
    }

    /// P12-P16, L3, L7, L8.
    fn signal(&mut self, to: Number, from: Number, why: Why, by_link: bool) {
        let process = &mut self.processes[to];
        if process.cause.is_some() {
            return;
        }
        match why {
            Why::Kill if !by_link => process.cause = Some(Why::Killed),
            _ if process.trap => process.mailbox.push(Seen::Exit { from, why, by_link }),
            Why::Normal if by_link || from != to => {}
            _ => process.cause = Some(why),
        }
    }

    fn down(&mut self, watcher: Number, nth: usize, why: Why) {
        let process = &mut self.processes[watcher];
        let Some(of) = process.monitors[nth].take() else { return };
        if process.cause.is_none() {
            process.mailbox.push(Seen::Down { nth, of, why });
        }
    }

    fn act(&mut self, who: Number, deed: Deed, places: &[Number]) -> Answer {
        let at = |place: usize| places[place];
        match deed {
            Deed::Link(place) if at(place) == who => {}
            Deed::Link(place) if self.processes[at(place)].released => {
                self.signal(who, at(place), Why::NoProc, true);
            }
            Deed::Link(place) => {
                self.processes[who].links.insert(at(place));
                self.processes[at(place)].links.insert(who);
            }
            Deed::Unlink(place) => {
                self.processes[who].links.remove(&at(place));
                self.processes[at(place)].links.remove(&who);
            }
            Deed::Monitor(place) => {
                let target = Some(at(place)).filter(|&target| target != who);
                self.processes[who].monitors.push(target);
                let nth = self.processes[who].monitors.len() - 1;
                if target.is_some_and(|target| self.processes[target].released) {
                    self.down(who, nth, Why::NoProc);
                }
            }
            Deed::Demonitor(nth) => {
                let over = self.processes[who].monitors.get_mut(nth).and_then(Option::take);
                return Answer::Prevented(over.is_some());
            }
            Deed::Exit(place, why) => self.signal(at(place), who, why, false),
            Deed::Send(place, text) => {
                if self.is_live(at(place)) {
                    self.processes[at(place)].mailbox.push(Seen::Letter { from: who, text });
                }
            }
            Deed::Register(name, place) => {
                if let Some(&holder) = self.names.get(NAMES[name]) {
                    return Answer::Taken(holder);
                }
                if !self.is_live(at(place)) {
                    return Answer::NoProc;
                }
                self.names.insert(NAMES[name], at(place));
                return Answer::Registered;
            }
            Deed::Unregister(name) => return Answer::Unregistered(self.names.remove(NAMES[name]).is_some()),
            Deed::Trap(trap) => self.processes[who].trap = trap,
            Deed::ExitItself(why) => self.signal(who, who, why, false),
            Deed::Finish(why) => self.end(who, why),
            Deed::Panic => self.end(who, Why::Panic),
            Deed::Show => {}
        }
        Answer::Done
    }

    fn end(&mut self, who: Number, why: Why) {
        self.processes[who].cause.get_or_insert(why);
    }

    /// P5, P6: until no process is condemned and not released.
    fn rest(&mut self) {
        while let Some(number) = self.processes.iter().position(|p| p.cause.is_some() && !p.released) {
            self.names.retain(|_, holder| *holder != number);
            let process = &mut self.processes[number];
            process.released = true;
            process.mailbox.clear();
            process.monitors.clear();
            let why = process.cause.expect("it was looked for by this");
            for partner in std::mem::take(&mut process.links) {
                self.processes[partner].links.remove(&number);
                self.signal(partner, number, why, true);
            }
            for watcher in 0..self.processes.len() {
                for nth in 0..self.processes[watcher].monitors.len() {
                    if self.processes[watcher].monitors[nth] == Some(number) {
                        self.down(watcher, nth, why);
                    }
                }
            }
        }
    }
}

// The processes themselves.

struct Order(Deed, Vec<Pid>);
struct Shown(Vec<Message>);
struct Letter(u32, Pid);

/// The body of a process that does what it is told, and counts its monitors.
async fn obedient() -> Reason {
    let mut monitors = Vec::new();
    let main = receive::<Pid>().await;
    loop {
        let Order(deed, places) = receive().await;
        match deed {
            Deed::Finish(why) => return why.reason(),
            Deed::Panic => panic!("as told"),
            Deed::Show => send(main, Shown(all_messages().await)),
            deed => drop(act(deed, &places, &mut monitors)),
        }
    }
}

async fn all_messages() -> Vec<Message> {
    let mut all = Vec::new();
    while let Ok(message) = riot_actor::timeout(std::time::Duration::ZERO, receive_any()).await {
        all.push(message);
    }
    all
}

type Done = Result<bool, RegisterError>;

fn act(deed: Deed, places: &[Pid], monitors: &mut Vec<MonitorRef>) -> Done {
    match deed {
        Deed::Link(place) => link(places[place]),
        Deed::Unlink(place) => unlink(places[place]),
        Deed::Monitor(place) => monitors.push(monitor(places[place])),
        Deed::Demonitor(nth) => return Ok(monitors.get(nth).is_some_and(|&reference| demonitor(reference))),
        Deed::Exit(place, why) => exit(places[place], why.reason()),
        Deed::Send(place, text) => send(places[place], Letter(text, this())),
        Deed::Register(name, place) => register(NAMES[name], places[place])?,
        Deed::Unregister(name) => return Ok(unregister(NAMES[name]).is_ok()),
        Deed::Trap(trap) => return Ok(trap_exit(trap)),
        Deed::ExitItself(why) => exit(this(), why.reason()),
        Deed::Finish(_) | Deed::Panic | Deed::Show => unreachable!("done by the body itself"),
    }
    Ok(true)
}

/// The system beside the model.
struct Both {
    model: Model,
    /// By their numbers.
    pids: Vec<Pid>,
    /// The process that is, or was last, at each position.
    places: Vec<Number>,
    /// The monitor of each reference: of main, and of all for those that are shown.
    monitors: Vec<MonitorRef>,
}

impl Both {
    async fn new() -> Self {
        trap_exit(true);
        let main = Process { trap: true, ..Process::default() };
        let model = Model { processes: vec![main], names: BTreeMap::new() };
        let mut both = Self { model, pids: vec![this()], places: vec![0; PLACES + 1], monitors: Vec::new() };
        for place in 1..=PLACES {
            both.spawn(place, place % 2 == 0);
        }
        sleep(millis(1)).await;
        both
    }

    fn spawn(&mut self, place: usize, linked: bool) {
        let options = if linked { SpawnOptions::new().link() } else { SpawnOptions::new() };
        let pid = options.spawn(obedient());
        send(pid, this());
        let number = self.pids.len();
        self.pids.push(pid);
        self.places[place] = number;
        self.model.processes.push(Process::default());
        if linked {
            self.model.processes[0].links.insert(number);
            self.model.processes[number].links.insert(0);
        }
    }

    fn slot_pids(&self) -> Vec<Pid> {
        self.places.iter().map(|&number| self.pids[number]).collect()
    }

    fn number(&self, pid: Pid) -> Number {
        self.pids.iter().position(|&other| other == pid).expect("it is known")
    }

    /// Carries out an act of main and returns its result.
    fn main_does(&mut self, deed: Deed) {
        let answer = match (act(deed, &self.slot_pids(), &mut self.monitors), deed) {
            (Ok(prevented), Deed::Demonitor(_)) => Answer::Prevented(prevented),
            (Ok(freed), Deed::Unregister(_)) => Answer::Unregistered(freed),
            (Ok(_), Deed::Register(..)) => Answer::Registered,
            (Err(RegisterError::NameTaken(taken)), _) => Answer::Taken(self.number(taken.holder)),
            (Err(RegisterError::NoProc), _) => Answer::NoProc,
            _ => Answer::Done,
        };
        assert_eq!(answer, self.model.act(0, deed, &self.places), "{deed:?}");
        for &number in &self.places {
            assert_eq!(is_alive(self.pids[number]), self.model.is_live(number), "after {deed:?}");
        }
    }

    async fn step(&mut self, step: &Step) {
        match step {
            Step::Main(deeds) => deeds.iter().for_each(|&deed| self.main_does(deed)),
            &Step::Spawn(place, linked) => {
                if self.model.processes[self.places[place]].released {
                    self.spawn(place, linked);
                }
            }
            &Step::Other(place, deed) => {
                let number = self.places[place];
                if self.model.processes[number].released {
                    return;
                }
                send(self.pids[number], Order(deed, self.slot_pids()));
                self.model.act(number, deed, &self.places);
                if let Deed::Show = deed {
                    let Shown(messages) = receive_timeout(secs(1)).await.expect("it shows them");
                    self.compare_messages(number, messages);
                }
            }
        }
        // Time passes when no process can run any more.
        sleep(millis(1)).await;
        self.model.rest();
        let mine = all_messages().await;
        self.compare_messages(0, mine);
        self.compare();
    }

    /// Everything that can be seen of all processes.
    fn compare(&self) {
        for (number, process) in self.model.processes.iter().enumerate() {
            let Some(seen) = info(self.pids[number]) else {
                assert!(process.released, "{number} has gone");
                continue;
            };
            assert!(!process.released, "{number} is still there");
            let numbers = |pids: &[Pid]| sorted(pids.iter().map(|&pid| self.number(pid)));
            assert_eq!(numbers(&seen.links), sorted(process.links.iter().copied()), "links of {number}");
            let watched = sorted(process.monitors.iter().filter_map(|&target| target));
            assert_eq!(numbers(&seen.monitors), watched, "monitors of {number}");
            let watchers = self.model.processes.iter().enumerate().flat_map(|(watcher, other)| {
                other.monitors.iter().filter(|&&target| target == Some(number)).map(move |_| watcher)
            });
            assert_eq!(numbers(&seen.monitored_by), sorted(watchers), "watchers of {number}");
            assert_eq!((seen.trap_exit, seen.mailbox), (process.trap, process.mailbox.len()), "{number}");
            let names = self.model.names.iter().filter(|&(_, &holder)| holder == number);
            assert_eq!(
                sorted(seen.names.iter().map(|name| name.as_str().to_owned())),
                sorted(names.map(|(&name, _)| name.to_owned())),
                "names of {number}"
            );
        }
        for name in NAMES {
            assert_eq!(whereis(name).map(|pid| self.number(pid)), self.model.names.get(name).copied());
        }
    }

    /// Returns whether the messages are equal, and those of one cause in the same order.
    fn compare_messages(&mut self, number: Number, messages: Vec<Message>) {
        let expected = std::mem::take(&mut self.model.processes[number].mailbox);
        // The owner of a monitor knows its `Down` by the reference; here the order of references tells.
        let mut seen: Vec<(Option<MonitorRef>, Seen)> = Vec::new();
        for message in messages {
            let message = match message.downcast::<Exit>() {
                Ok(Exit { from, reason, by_link, .. }) => {
                    let (from, why) = (self.number(from), Why::of(&reason));
                    seen.push((None, Seen::Exit { from, why, by_link }));
                    continue;
                }
                Err(message) => message,
            };
            match message.downcast::<Down>() {
                Ok(down) => {
                    let of = self.number(down.pid.expect("a pid was monitored"));
                    let down_seen = Seen::Down { nth: usize::MAX, of, why: Why::of(&down.reason) };
                    seen.push((Some(down.reference), down_seen));
                }
                Err(message) => {
                    let Letter(text, from) = message.downcast().expect("nothing else is sent");
                    seen.push((None, Seen::Letter { from: self.number(from), text }));
                }
            }
        }
        // Monitors are numbered as they were made, so the order of references is that of the model's numbers.
        let references = sorted(seen.iter().filter_map(|(reference, _)| *reference));
        let numbers = sorted(expected.iter().filter_map(|seen| match seen {
            Seen::Down { nth, .. } => Some(*nth),
            _ => None,
        }));
        assert_eq!(references.len(), numbers.len(), "downs of {number}: {seen:?} {expected:?}");
        let which: BTreeMap<MonitorRef, usize> = references.into_iter().zip(numbers).collect();
        let seen: Vec<Seen> = seen
            .into_iter()
            .map(|(reference, seen)| match (reference, seen) {
                (Some(reference), Seen::Down { of, why, .. }) => {
                    Seen::Down { nth: which[&reference], of, why }
                }
                (_, seen) => seen,
            })
            .collect();
        // All monitors of one process on another fire at once, in no order.
        let of_one = |all: &[Seen], source| {
            let mut of_one: Vec<Seen> = all.iter().filter(|seen| seen.source() == source).cloned().collect();
            of_one.chunk_by_mut(both_downs).for_each(<[Seen]>::sort);
            of_one
        };
        for source in 0..self.pids.len() {
            assert_eq!(of_one(&seen, source), of_one(&expected, source), "what {number} got of {source}");
        }
    }
}

fn both_downs(a: &Seen, b: &Seen) -> bool {
    matches!((a, b), (Seen::Down { .. }, Seen::Down { .. }))
}

fn sorted<T: Ord>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.collect();
    items.sort();
    items
}

fn why() -> impl Strategy<Value = Why> {
    prop_oneof![
        2 => Just(Why::Normal),
        2 => Just(Why::Shutdown),
        1 => Just(Why::Kill),
        1 => Just(Why::Killed),
        4 => (0..3_u8).prop_map(Why::Other),
    ]
}

fn place() -> std::ops::RangeInclusive<usize> {
    0..=PLACES
}

/// Generates an act. All acts at once have the same `why`: a process with two causes of its exit may exit
/// with either.
fn deed(why: Why) -> impl Strategy<Value = Deed> {
    prop_oneof![
        4 => place().prop_map(Deed::Link),
        2 => place().prop_map(Deed::Unlink),
        3 => place().prop_map(Deed::Monitor),
        1 => (0..8_usize).prop_map(Deed::Demonitor),
        // Main must not be ended.
        3 => (1..=PLACES).prop_map(move |place| Deed::Exit(place, why)),
        3 => (place(), 0..100_u32).prop_map(|(place, text)| Deed::Send(place, text)),
        2 => (0..NAMES.len(), place()).prop_map(|(name, place)| Deed::Register(name, place)),
        1 => (0..NAMES.len()).prop_map(Deed::Unregister),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let main = why().prop_flat_map(|why| prop::collection::vec(deed(why), 1..6)).prop_map(Step::Main);
    let own = prop_oneof![
        3 => any::<bool>().prop_map(Deed::Trap),
        1 => why().prop_map(Deed::ExitItself),
        1 => why().prop_map(Deed::Finish),
        1 => Just(Deed::Panic),
        4 => Just(Deed::Show),
    ];
    let other = prop_oneof![1 => why().prop_flat_map(deed), 1 => own];
    prop_oneof![
        3 => main,
        5 => (1..=PLACES, other).prop_map(|(place, deed)| Step::Other(place, deed)),
        2 => (1..=PLACES, any::<bool>()).prop_map(|(place, linked)| Step::Spawn(place, linked)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn processes_do_what_the_model_does(steps in prop::collection::vec(step(), 1..40), seed in any::<u64>()) {
        let history = steps.clone();
        let reason = Simulation::new(seed).run(async move {
            let mut both = Both::new().await;
            for step in &history {
                both.step(step).await;
            }
        });
        prop_assert_eq!(reason, Reason::Normal, "seed {}, {:?}", seed, steps);
    }
}
