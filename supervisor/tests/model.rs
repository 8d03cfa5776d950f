//! The running supervisor beside a plain model of the rules, under random histories.
//!
//! A history is a row of batches. While a batch is made the supervisor is held in a start function, so that ends and
//! requests pile up in its mailbox in the order of the batch, as they do in a busy system; then it is let go, and what
//! it has started, stopped, answered and kept must be what the model says. Between batches time passes.
mod common;

use std::{
    collections::{HashSet, VecDeque},
    future::{Future, poll_fn, ready},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::Poll,
    time::Duration,
};

use common::*;
use proptest::prelude::*;
use riot_actor::{
    Exit, Pid, Reason,
    call::CallError,
    exit,
    mailbox::receive_if,
    process::{SpawnOptions, processes, wait, yield_now},
    send,
    simulation::Simulation,
    sleep, trap_exit,
};
use riot_supervisor::{
    AutoShutdown, ChildError, ChildKey, ChildSpec, DeleteChildError, Ignore, Restart, RestartChildError,
    StartChildError, Supervisor, SupervisorRef, SupervisorStartError, worker,
};

const IDS: usize = 6;
/// No sum of delays is a period, so no attempt lies on the edge of one.
const PERIOD: u64 = 5_503;
const RETRY_DELAY: u64 = 2_317;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Shape {
    OneForOne,
    OneForAll,
    RestForOne,
    Dynamic,
}

/// What a start function does.
#[derive(Clone, Copy, Debug)]
enum Outcome {
    Up,
    Fail,
    Panic,
    Ignore,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Finish,
    Fail,
    Panic,
    Kill,
}

#[derive(Clone, Debug)]
enum Step {
    /// A child ends by itself, and this is what its next starts do.
    End(usize, End, Vec<Outcome>),
    Start(usize, Restart, bool, Outcome),
    Terminate(usize),
    Restart(usize, Outcome),
    Delete(usize),
    /// The parent asks it to exit.
    Shutdown,
    Stop,
}

#[derive(Clone, Debug)]
struct History {
    shape: Shape,
    auto_shutdown: AutoShutdown,
    max_restarts: usize,
    retry_delay: u64,
    first: Vec<(Restart, bool, Outcome)>,
    /// What happens at once, and how many seconds pass afterwards.
    batches: Vec<(Vec<Step>, u64)>,
    seed: u64,
}

// The model: one rule a line, as it is written.

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Idle,
    Running,
    Restarting(u64),
}

#[derive(Clone, Debug)]
struct Child {
    id: usize,
    restart: Restart,
    significant: bool,
    state: State,
    /// Which of all processes it is, or was last.
    incarnation: u64,
}

#[derive(Clone, Debug)]
enum Event {
    Exit { incarnation: u64, clean: bool },
    Retry(u64),
    Start { id: usize, restart: Restart, significant: bool },
    Terminate { id: usize, incarnation: u64 },
    Restart { id: usize },
    Delete { id: usize },
    Stop,
    ParentExit,
}

#[derive(Debug)]
struct Model {
    shape: Shape,
    auto_shutdown: AutoShutdown,
    max_restarts: usize,
    retry_delay: u64,
    now: u64,
    list: Vec<Child>,
    scripts: Vec<VecDeque<Outcome>>,
    attempts: Vec<u64>,
    queue: VecDeque<Event>,
    timers: Vec<(u64, u64)>,
    counter: u64,
    /// Processes that have ended, whether or not the supervisor has heard of it.
    dead: HashSet<u64>,
    log: Vec<String>,
    answers: Vec<&'static str>,
    ended: Option<&'static str>,
}

impl Model {
    fn next(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    fn outcome(&mut self, id: usize) -> Outcome {
        self.scripts[id].pop_front().unwrap_or(Outcome::Up)
    }

    /// Some if there is a process now, none if it ignored.
    fn start(&mut self, id: usize) -> Result<Option<u64>, ()> {
        match self.outcome(id) {
            Outcome::Up => {
                self.log.push(format!("+{id}"));
                Ok(Some(self.next()))
            }
            Outcome::Ignore => {
                self.log.push(format!("~{id}"));
                Ok(None)
            }
            Outcome::Fail | Outcome::Panic => {
                self.log.push(format!("!{id}"));
                Err(())
            }
        }
    }

    fn start_at(&mut self, at: usize) -> Result<bool, ()> {
        let started = self.start(self.list[at].id)?;
        self.list[at].state = if started.is_some() { State::Running } else { State::Idle };
        self.list[at].incarnation = started.unwrap_or(self.list[at].incarnation);
        Ok(started.is_some())
    }

    /// S3
    fn start_all(&mut self) -> bool {
        for at in 0..self.list.len() {
            if self.start_at(at).is_err() {
                self.stop_all();
                return false;
            }
        }
        self.list.retain(|child| child.state == State::Running || child.restart != Restart::Temporary); // S4
        true
    }

    /// S14: one that is dead already is not asked, and its exit means nobody afterwards.
    fn stop_at(&mut self, at: usize) {
        let child = &mut self.list[at];
        if child.state == State::Running && self.dead.insert(child.incarnation) {
            self.log.push(format!("-{}", child.id));
        }
        child.state = State::Idle;
    }

    /// S16
    fn stop_all(&mut self) {
        for at in (0..self.list.len()).rev() {
            self.stop_at(at);
        }
        self.list.clear();
    }

    fn end(&mut self, reason: &'static str) {
        self.stop_all();
        self.ended = Some(reason);
    }

    fn run(&mut self) {
        while let Some(event) = self.queue.pop_front() {
            if self.ended.is_none() {
                self.handle(event);
            } else if !matches!(event, Event::Exit { .. } | Event::Retry(_) | Event::ParentExit) {
                self.answers.push("exit"); // S27
            }
        }
    }

    fn advance(&mut self, millis: u64) {
        let end = self.now + millis;
        while let Some(at) = (0..self.timers.len()).min_by_key(|&at| self.timers[at]) {
            if self.timers[at].0 > end {
                break;
            }
            let (due, ticket) = self.timers.remove(at);
            self.now = due;
            self.queue.push_back(Event::Retry(ticket));
            self.run();
        }
        self.now = end;
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Exit { incarnation, clean } => self.child_ended(incarnation, clean),
            Event::Retry(ticket) => {
                if let Some(at) = self.list.iter().position(|child| child.state == State::Restarting(ticket))
                {
                    self.restart(at);
                }
            }
            Event::Start { id, restart, significant } => {
                let answer = self.start_child(id, restart, significant);
                self.answers.push(answer);
            }
            Event::Terminate { id, incarnation } => {
                let dynamic = self.shape == Shape::Dynamic;
                let wanted =
                    |child: &Child| if dynamic { child.incarnation == incarnation } else { child.id == id };
                let answer = match self.list.iter().position(wanted) {
                    None => "not found",
                    Some(at) => {
                        self.stop_at(at);
                        if dynamic || self.list[at].restart == Restart::Temporary {
                            self.list.remove(at);
                        }
                        "ok"
                    }
                };
                self.answers.push(answer); // S19
            }
            Event::Restart { id } => {
                let answer = match self.position(id) {
                    None => "not found",
                    Some(at) => match self.list[at].state {
                        State::Running => "running",
                        State::Restarting(_) => "restarting",
                        State::Idle => match self.start_at(at) {
                            Ok(true) => "ok",
                            Ok(false) => "ignored",
                            Err(()) => "failed",
                        },
                    },
                };
                self.answers.push(answer); // S20
            }
            Event::Delete { id } => {
                let answer = match self.position(id) {
                    None => "not found",
                    Some(at) => match self.list[at].state {
                        State::Running => "running",
                        State::Restarting(_) => "restarting",
                        State::Idle => {
                            self.list.remove(at);
                            "ok"
                        }
                    },
                };
                self.answers.push(answer); // S21
            }
            Event::Stop => {
                self.answers.push("exit");
                self.end("normal");
            }
            Event::ParentExit => self.end("asked"), // S17
        }
    }

    fn position(&self, id: usize) -> Option<usize> {
        if self.shape == Shape::Dynamic {
            return None;
        }
        self.list.iter().position(|child| child.id == id)
    }

    /// S21, S24, S29
    fn start_child(&mut self, id: usize, restart: Restart, significant: bool) -> &'static str {
        if significant && (restart == Restart::Permanent || self.auto_shutdown == AutoShutdown::Never) {
            return "invalid";
        }
        if let Some(at) = self.position(id) {
            return if self.list[at].state == State::Running { "already started" } else { "already present" };
        }
        let Ok(started) = self.start(id) else { return "failed" };
        let state = if started.is_some() { State::Running } else { State::Idle };
        let child = Child { id, restart, significant, state, incarnation: started.unwrap_or(0) };
        let kept = started.is_some() || restart != Restart::Temporary && self.shape != Shape::Dynamic;
        if kept {
            self.list.push(child);
        }
        if started.is_some() { "ok" } else { "ignored" }
    }

    fn child_ended(&mut self, incarnation: u64, clean: bool) {
        let mine = |child: &Child| child.state == State::Running && child.incarnation == incarnation;
        let Some(at) = self.list.iter().position(mine) else { return };
        self.list[at].state = State::Idle;
        let significant = self.list[at].significant;
        match self.list[at].restart {
            Restart::Permanent => return self.restart(at), // S6
            Restart::Transient if !clean => return self.restart(at),
            Restart::Transient if self.shape != Shape::Dynamic => {}
            Restart::Transient | Restart::Temporary => drop(self.list.remove(at)),
        }
        let others = self.list.iter().any(|child| child.significant && child.state != State::Idle);
        match self.auto_shutdown {
            AutoShutdown::AnySignificant if significant => self.end("shutdown"), // S22
            AutoShutdown::AllSignificant if significant && !others => self.end("shutdown"),
            _ => {}
        }
    }

    /// S7-S12
    fn restart(&mut self, fallen: usize) {
        if self.queue.iter().any(|event| matches!(event, Event::ParentExit)) {
            return self.end("asked"); // S16
        }
        let now = self.now;
        let lately = self.attempts.iter().filter(|&&then| then + PERIOD >= now).count() + 1;
        if lately > self.max_restarts {
            return self.end("shutdown"); // S9
        }
        self.attempts.push(now);
        let concerned = |at: usize| match self.shape {
            Shape::OneForOne | Shape::Dynamic => at == fallen,
            Shape::OneForAll => true,
            Shape::RestForOne => at >= fallen,
        };
        let concerned: Vec<usize> = (0..self.list.len()).filter(|&at| concerned(at)).collect();
        for &at in concerned.iter().rev() {
            self.stop_at(at);
        }
        let mut gone = HashSet::new();
        for &at in &concerned {
            if self.list[at].restart == Restart::Temporary {
                gone.insert(self.list[at].id); // S8
                continue;
            }
            match self.start_at(at) {
                Ok(true) => {}
                Ok(false) if self.shape == Shape::Dynamic => drop(gone.insert(self.list[at].id)),
                Ok(false) => {}
                Err(()) => {
                    let ticket = self.next();
                    self.list[at].state = State::Restarting(ticket);
                    if self.retry_delay == 0 {
                        self.queue.push_back(Event::Retry(ticket)); // S11
                    } else {
                        self.timers.push((now + self.retry_delay, ticket));
                    }
                    break;
                }
            }
        }
        for &at in &concerned {
            if self.list[at].restart == Restart::Temporary {
                gone.insert(self.list[at].id);
            }
        }
        self.list.retain(|child| !gone.contains(&child.id));
    }

    fn which(&self) -> String {
        let state = |child: &Child| match child.state {
            State::Running => '+',
            State::Restarting(_) => '*',
            State::Idle => '-',
        };
        let children = self.list.iter().map(|child| format!("{}{}", state(child), child.id));
        children.collect::<Vec<_>>().join(" ")
    }
}

// The real thing.

#[derive(Clone, Default)]
struct World(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    log: Vec<String>,
    scripts: Vec<VecDeque<Outcome>>,
    pids: Vec<Option<Pid>>,
    live: Vec<usize>,
}

/// What a process of a child holds for as long as it lives.
struct Life(World, usize);

impl Drop for Life {
    fn drop(&mut self) {
        self.0.lock().live[self.1] -= 1;
    }
}

impl World {
    fn new(ids: usize) -> Self {
        let (scripts, pids, live) = (vec![VecDeque::new(); ids], vec![None; ids], vec![0; ids]);
        Self(Arc::new(Mutex::new(Seen { log: Vec::new(), scripts, pids, live })))
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn child(&self, id: usize, restart: Restart, significant: bool) -> ChildSpec {
        let world = self.clone();
        let spec = worker(id, move || ready(world.start(id))).restart(restart);
        if significant { spec.significant() } else { spec }
    }

    fn start(&self, id: usize) -> Result<Option<Pid>, Reason> {
        let mut seen = self.lock();
        match seen.scripts[id].pop_front().unwrap_or(Outcome::Up) {
            Outcome::Up => {
                seen.log.push(format!("+{id}"));
                seen.live[id] += 1;
                assert_eq!(seen.live[id], 1, "two incarnations of {id}");
                drop(seen);
                let life = Life(self.clone(), id);
                let pid = SpawnOptions::new().link().trap_exit().spawn(async move {
                    let Life(world, id) = &life;
                    riot_actor::receive! {
                        asked: Exit => {
                            world.lock().log.push(format!("-{id}"));
                            asked.reason
                        }
                        order: Do => match order {
                            Do::Finish => Reason::Normal,
                            Do::Fail => Reason::other("failed"),
                            Do::Panic => panic!("{id} panicked"),
                        },
                    }
                });
                self.lock().pids[id] = Some(pid);
                Ok(Some(pid))
            }
            Outcome::Ignore => {
                seen.log.push(format!("~{id}"));
                Ok(None)
            }
            Outcome::Fail => {
                seen.log.push(format!("!{id}"));
                Err(Reason::other("faulty"))
            }
            Outcome::Panic => {
                seen.log.push(format!("!{id}"));
                drop(seen);
                panic!("the start of {id} panicked")
            }
        }
    }
}

type Answer = Pin<Box<dyn Future<Output = &'static str> + Send>>;

fn unanswered(error: &CallError) -> &'static str {
    match error {
        CallError::Exit(_) | CallError::NoProc => "exit",
        other => panic!("{other}"),
    }
}

fn ask(sup: SupervisorRef, world: &World, event: &Event) -> Answer {
    match *event {
        Event::Start { id, restart, significant } => {
            let spec = world.child(id, restart, significant);
            Box::pin(async move {
                match sup.start_child(spec).await {
                    Ok(_) => "ok",
                    Err(StartChildError::AlreadyStarted(_)) => "already started",
                    Err(StartChildError::AlreadyPresent) => "already present",
                    Err(StartChildError::Invalid(_)) => "invalid",
                    Err(StartChildError::Failed(_)) => "failed",
                    Err(StartChildError::Ignored) => "ignored",
                    Err(StartChildError::Call(error)) => unanswered(&error),
                    Err(other) => panic!("{other}"),
                }
            })
        }
        Event::Restart { id } => Box::pin(async move {
            match sup.restart_child(id).await {
                Ok(_) => "ok",
                Err(RestartChildError::NotFound) => "not found",
                Err(RestartChildError::Running(_)) => "running",
                Err(RestartChildError::Restarting) => "restarting",
                Err(RestartChildError::Failed(_)) => "failed",
                Err(RestartChildError::Ignored) => "ignored",
                Err(RestartChildError::Call(error)) => unanswered(&error),
                Err(other) => panic!("{other}"),
            }
        }),
        Event::Delete { id } => Box::pin(async move {
            match sup.delete_child(id).await {
                Ok(()) => "ok",
                Err(DeleteChildError::NotFound) => "not found",
                Err(DeleteChildError::Running(_)) => "running",
                Err(DeleteChildError::Restarting) => "restarting",
                Err(DeleteChildError::Call(error)) => unanswered(&error),
                Err(other) => panic!("{other}"),
            }
        }),
        Event::Stop => Box::pin(async move {
            let _ = sup.stop(Reason::Normal, None).await;
            "exit"
        }),
        Event::Terminate { .. } | Event::Exit { .. } | Event::Retry(_) | Event::ParentExit => {
            unreachable!("asked elsewhere")
        }
    }
}

fn terminate(sup: SupervisorRef, key: ChildKey) -> Answer {
    Box::pin(async move {
        match sup.terminate_child(key).await {
            Ok(()) => "ok",
            Err(ChildError::NotFound) => "not found",
            Err(ChildError::Call(error)) => unanswered(&error),
            Err(other) => panic!("{other}"),
        }
    })
}

/// Sends a request without waiting for its answer.
async fn sent(mut answer: Answer) -> Answer {
    // With a fresh turn the budget of the caller does not run out in the middle.
    yield_now().await;
    let early = poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx))).await;
    match early {
        Poll::Pending => answer,
        Poll::Ready(told) => Box::pin(ready(told)),
    }
}

/// Compares all that can be seen with the model.
async fn compare(sup: SupervisorRef, world: &World, model: &Model) {
    if model.ended.is_some() {
        wait(sup.pid()).await;
    } else {
        while model.retry_delay == 0 && which(sup).await.contains('*') {}
        assert_eq!(which(sup).await, model.which());
        let counts = sup.count_children().await.expect("it lives");
        let running = model.list.iter().filter(|child| child.state == State::Running).count();
        assert_eq!((counts.specs, counts.active), (model.list.len(), running)); // S28
    }
    let (mut log, mut expected) = (world.lock().log.clone(), model.log.clone());
    if model.shape == Shape::Dynamic && model.ended.is_some() {
        // They stop all at once, in no order.
        let last = expected.iter().rposition(|line| !line.starts_with('-')).map_or(0, |at| at + 1);
        expected[last..].sort_unstable();
        let from = last.min(log.len());
        log[from..].sort_unstable();
    }
    assert_eq!(log, expected);
}

async fn play(history: History) {
    trap_exit(true);
    let ids = IDS + history.batches.iter().map(|(steps, _)| steps.len()).sum::<usize>();
    let world = World::new(ids);
    let dynamic = history.shape == Shape::Dynamic;
    let mut model = Model {
        shape: history.shape,
        auto_shutdown: history.auto_shutdown,
        max_restarts: history.max_restarts,
        retry_delay: history.retry_delay,
        now: PERIOD * 10,
        list: Vec::new(),
        scripts: vec![VecDeque::new(); ids],
        attempts: Vec::new(),
        queue: VecDeque::new(),
        timers: Vec::new(),
        counter: 0,
        dead: HashSet::new(),
        log: Vec::new(),
        answers: Vec::new(),
        ended: None,
    };
    let mut sup = match history.shape {
        Shape::OneForOne => Supervisor::one_for_one(),
        Shape::OneForAll => Supervisor::one_for_all(),
        Shape::RestForOne => Supervisor::rest_for_one(),
        Shape::Dynamic => Supervisor::dynamic(),
    }
    .auto_shutdown(history.auto_shutdown)
    .intensity(history.max_restarts, Duration::from_millis(PERIOD))
    .retry_delay(Duration::from_millis(history.retry_delay));
    let script = |model: &mut Model, id: usize, outcomes: &[Outcome]| {
        model.scripts[id].extend(outcomes);
        world.lock().scripts[id].extend(outcomes);
    };
    let mut next_id = 0;
    if !dynamic {
        for (id, &(restart, significant, outcome)) in history.first.iter().enumerate() {
            let significant =
                significant && restart != Restart::Permanent && history.auto_shutdown != AutoShutdown::Never;
            script(&mut model, id, &[outcome]);
            sup = sup.child(world.child(id, restart, significant));
            model.list.push(Child { id, restart, significant, state: State::Idle, incarnation: 0 });
        }
    }
    let started = sup.start_link().await;
    if !model.start_all() {
        assert!(matches!(started, Err(SupervisorStartError::Child(_))));
        assert_eq!(world.lock().log, model.log);
        assert_eq!(processes(), [riot_actor::this()]);
        return;
    }
    let sup = started.expect("the model says it starts");
    compare(sup, &world, &model).await;

    for (steps, pause) in history.batches {
        if model.ended.is_some() {
            break;
        }
        let observer = riot_actor::this();
        let gate = worker("gate", move || async move {
            note(observer, "held");
            go().await;
            Ok::<_, Reason>(Ignore)
        });
        let gate =
            sent(Box::pin(async move { sup.start_child(gate.temporary()).await.map_or("held", |_| "") }));
        let gate = gate.await;
        notes("held").await;
        let mut answers = Vec::new();
        for step in steps {
            let event = match step {
                Step::End(nth, how, outcomes) => {
                    let live = |child: &&Child| {
                        child.state == State::Running && !model.dead.contains(&child.incarnation)
                    };
                    let live: Vec<&Child> = model.list.iter().filter(live).collect();
                    if live.is_empty() {
                        continue;
                    }
                    let (id, incarnation) = (live[nth % live.len()].id, live[nth % live.len()].incarnation);
                    script(&mut model, id, &outcomes);
                    let pid = world.lock().pids[id].expect("it was started");
                    let end = wait(pid);
                    match how {
                        End::Finish => send(pid, Do::Finish),
                        End::Fail => send(pid, Do::Fail),
                        End::Panic => send(pid, Do::Panic),
                        End::Kill => exit(pid, Reason::Kill),
                    }
                    end.await;
                    model.dead.insert(incarnation);
                    Event::Exit { incarnation, clean: matches!(how, End::Finish) }
                }
                Step::Start(id, restart, significant, outcome) => {
                    let id = if dynamic { next_id } else { id };
                    next_id += 1;
                    script(&mut model, id, &[outcome]);
                    Event::Start { id, restart, significant }
                }
                Step::Terminate(nth) if dynamic => {
                    if model.list.is_empty() {
                        continue;
                    }
                    let Child { id, incarnation, .. } = model.list[nth % model.list.len()];
                    Event::Terminate { id, incarnation }
                }
                Step::Terminate(id) => Event::Terminate { id, incarnation: 0 },
                Step::Restart(id, outcome) => {
                    script(&mut model, id, &[outcome]);
                    Event::Restart { id }
                }
                Step::Delete(id) => Event::Delete { id },
                Step::Shutdown => Event::ParentExit,
                Step::Stop => Event::Stop,
            };
            match &event {
                Event::Exit { .. } => {}
                Event::ParentExit => exit(sup.pid(), Reason::other("asked")),
                Event::Terminate { id, .. } => {
                    let pid = world.lock().pids[*id];
                    let key = if dynamic { pid.expect("it was started").into() } else { (*id).into() };
                    answers.push(sent(terminate(sup, key)).await);
                }
                request => answers.push(sent(ask(sup, &world, request)).await),
            }
            model.queue.push_back(event);
        }
        send(sup.pid(), Go);
        assert_eq!(gate.await, "held");
        model.run();
        let mut answered = Vec::new();
        for answer in answers {
            answered.push(answer.await);
        }
        assert_eq!(answered, std::mem::take(&mut model.answers));
        compare(sup, &world, &model).await;
        sleep(Duration::from_secs(pause)).await;
        model.advance(pause * 1000);
        compare(sup, &world, &model).await;
    }

    if model.ended.is_none() {
        sup.stop(Reason::Normal, None).await.expect("it lives");
        model.end("normal");
    }
    compare(sup, &world, &model).await;
    let reason = receive_if(move |exit: &Exit| exit.from == sup.pid()).await.reason;
    let expected = match model.ended {
        Some("shutdown") => Reason::Shutdown,
        Some("asked") => Reason::other("asked"),
        _ => Reason::Normal,
    };
    assert_eq!(reason, expected);
    assert!(world.lock().live.iter().all(|&live| live == 0));
    assert_eq!(processes(), [riot_actor::this()], "nobody is left");
    assert_eq!(Arc::strong_count(&world.0), 1, "nothing is left");
}

fn restart() -> impl Strategy<Value = Restart> {
    prop_oneof![3 => Just(Restart::Permanent), 2 => Just(Restart::Transient), 1 => Just(Restart::Temporary)]
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        6 => Just(Outcome::Up),
        2 => Just(Outcome::Fail),
        1 => Just(Outcome::Panic),
        1 => Just(Outcome::Ignore),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let end = prop_oneof![
        3 => Just(End::Finish),
        4 => Just(End::Fail),
        1 => Just(End::Panic),
        2 => Just(End::Kill),
    ];
    let id = 0..IDS;
    prop_oneof![
        24 => (0usize..IDS, end, prop::collection::vec(outcome(), 0..3)).prop_map(|(id, end, then)| Step::End(id, end, then)),
        12 => (id.clone(), restart(), prop::bool::weighted(0.3), outcome())
            .prop_map(|(id, restart, significant, outcome)| Step::Start(id, restart, significant, outcome)),
        8 => id.clone().prop_map(Step::Terminate),
        6 => (id.clone(), outcome()).prop_map(|(id, outcome)| Step::Restart(id, outcome)),
        4 => id.prop_map(Step::Delete),
        1 => Just(Step::Shutdown),
        1 => Just(Step::Stop),
    ]
}

fn history(shape: Shape) -> impl Strategy<Value = History> {
    let auto_shutdown = prop_oneof![
        4 => Just(AutoShutdown::Never),
        1 => Just(AutoShutdown::AnySignificant),
        2 => Just(AutoShutdown::AllSignificant),
    ];
    let first_outcome =
        prop_oneof![20 => Just(Outcome::Up), 2 => Just(Outcome::Ignore), 1 => Just(Outcome::Fail)];
    let first = prop::collection::vec((restart(), any::<bool>(), first_outcome), 0..IDS);
    let batches = prop::collection::vec((prop::collection::vec(step(), 0..6), 0u64..4), 1..12);
    let delay = prop_oneof![Just(0), Just(RETRY_DELAY)];
    let max_restarts = prop_oneof![1 => 0usize..3, 4 => 3usize..12];
    (auto_shutdown, max_restarts, delay, first, batches, any::<u64>()).prop_map(
        move |(auto_shutdown, max_restarts, retry_delay, first, mut batches, seed)| {
            if retry_delay > 0 {
                // Timers that are due together come in any order: no two failures at one moment.
                for (steps, pause) in &mut batches {
                    *pause += 1;
                    let mut ends = 0;
                    steps.retain(|step| {
                        ends += usize::from(matches!(step, Step::End(..)));
                        ends < 2 || !matches!(step, Step::End(..))
                    });
                }
            }
            History { shape, auto_shutdown, max_restarts, retry_delay, first, batches, seed }
        },
    )
}

fn equals_the_model(history: History) -> Result<(), TestCaseError> {
    let reason = Simulation::new(history.seed).run(play(history));
    prop_assert_eq!(reason, Reason::Normal);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, max_shrink_iters: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn one_for_one_equals_the_model(history in history(Shape::OneForOne)) {
        equals_the_model(history)?;
    }
    #[test]
    fn one_for_all_equals_the_model(history in history(Shape::OneForAll)) {
        equals_the_model(history)?;
    }
    #[test]
    fn rest_for_one_equals_the_model(history in history(Shape::RestForOne)) {
        equals_the_model(history)?;
    }
    #[test]
    fn dynamic_equals_the_model(history in history(Shape::Dynamic)) {
        equals_the_model(history)?;
    }
}
