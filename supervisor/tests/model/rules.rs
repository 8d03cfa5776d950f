//! The plain model of a supervisor: the rules of the contract, each written down as it is stated there.

use super::*;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum State {
    Idle,
    Running,
    Restarting(u64),
}

#[derive(Clone, Debug)]
pub(crate) struct Child {
    pub(crate) id: usize,
    pub(crate) restart: Restart,
    pub(crate) significant: bool,
    pub(crate) state: State,
    /// The number of its process among all, or of its last one.
    pub(crate) incarnation: u64,
}

#[derive(Clone, Debug)]
pub(crate) enum Event {
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
pub(crate) struct Model {
    pub(crate) shape: Shape,
    pub(crate) auto_shutdown: AutoShutdown,
    pub(crate) max_restarts: usize,
    pub(crate) retry_delay: u64,
    pub(crate) now: u64,
    pub(crate) list: Vec<Child>,
    pub(crate) scripts: Vec<VecDeque<Outcome>>,
    pub(crate) attempts: Vec<u64>,
    pub(crate) queue: VecDeque<Event>,
    pub(crate) timers: Vec<(u64, u64)>,
    pub(crate) counter: u64,
    /// The processes that have ended, whether or not the supervisor has handled it.
    pub(crate) dead: HashSet<u64>,
    pub(crate) log: Vec<String>,
    pub(crate) answers: Vec<&'static str>,
    pub(crate) ended: Option<&'static str>,
}

impl Model {
    pub(crate) fn next(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    pub(crate) fn outcome(&mut self, id: usize) -> Outcome {
        self.scripts[id].pop_front().unwrap_or(Outcome::Up)
    }

    /// Returns the new process, or `None` if the start ignored.
    pub(crate) fn start(&mut self, id: usize) -> Result<Option<u64>, ()> {
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

    pub(crate) fn start_at(&mut self, at: usize) -> Result<bool, ()> {
        let started = self.start(self.list[at].id)?;
        self.list[at].state = if started.is_some() { State::Running } else { State::Idle };
        self.list[at].incarnation = started.unwrap_or(self.list[at].incarnation);
        Ok(started.is_some())
    }

    /// S3
    pub(crate) fn start_all(&mut self) -> bool {
        for at in 0..self.list.len() {
            if self.start_at(at).is_err() {
                self.stop_all();
                return false;
            }
        }
        self.list.retain(|child| child.state == State::Running || child.restart != Restart::Temporary); // S4
        true
    }

    /// S14: a child that has ended already is not asked, and its exit is not handled later.
    pub(crate) fn stop_at(&mut self, at: usize) {
        let child = &mut self.list[at];
        if child.state == State::Running && self.dead.insert(child.incarnation) {
            self.log.push(format!("-{}", child.id));
        }
        child.state = State::Idle;
    }

    /// S16
    pub(crate) fn stop_all(&mut self) {
        for at in (0..self.list.len()).rev() {
            self.stop_at(at);
        }
        self.list.clear();
    }

    pub(crate) fn end(&mut self, reason: &'static str) {
        self.stop_all();
        self.ended = Some(reason);
    }

    pub(crate) fn run(&mut self) {
        while let Some(event) = self.queue.pop_front() {
            if self.ended.is_none() {
                self.handle(event);
            } else if !matches!(event, Event::Exit { .. } | Event::Retry(_) | Event::ParentExit) {
                self.answers.push("exit"); // S27
            }
        }
    }

    pub(crate) fn advance(&mut self, millis: u64) {
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

    pub(crate) fn handle(&mut self, event: Event) {
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

    pub(crate) fn position(&self, id: usize) -> Option<usize> {
        if self.shape == Shape::Dynamic {
            return None;
        }
        self.list.iter().position(|child| child.id == id)
    }

    /// S21, S24, S29
    pub(crate) fn start_child(&mut self, id: usize, restart: Restart, significant: bool) -> &'static str {
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

    pub(crate) fn child_ended(&mut self, incarnation: u64, clean: bool) {
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
    pub(crate) fn restart(&mut self, failed: usize) {
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
            Shape::OneForOne | Shape::Dynamic => at == failed,
            Shape::OneForAll => true,
            Shape::RestForOne => at >= failed,
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

    pub(crate) fn which(&self) -> String {
        let state = |child: &Child| match child.state {
            State::Running => '+',
            State::Restarting(_) => '*',
            State::Idle => '-',
        };
        let children = self.list.iter().map(|child| format!("{}{}", state(child), child.id));
        children.collect::<Vec<_>>().join(" ")
    }
}
