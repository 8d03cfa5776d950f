//! The real children, whose start functions follow a script and log what happens, and the requests.

use super::*;

#[derive(Clone, Default)]
pub(crate) struct World(pub(crate) Arc<Mutex<Seen>>);

#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) log: Vec<String>,
    pub(crate) scripts: Vec<VecDeque<Outcome>>,
    pub(crate) pids: Vec<Option<Pid>>,
    pub(crate) live: Vec<usize>,
}

/// The counter of live processes of a child. Each process holds one.
pub(crate) struct Life(World, usize);

impl Drop for Life {
    fn drop(&mut self) {
        self.0.lock().live[self.1] -= 1;
    }
}

impl World {
    pub(crate) fn new(ids: usize) -> Self {
        let (scripts, pids, live) = (vec![VecDeque::new(); ids], vec![None; ids], vec![0; ids]);
        Self(Arc::new(Mutex::new(Seen { log: Vec::new(), scripts, pids, live })))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn child(&self, id: usize, restart: Restart, significant: bool) -> ChildSpec {
        let world = self.clone();
        let spec = worker(id, move || ready(world.start(id))).restart(restart);
        if significant { spec.significant() } else { spec }
    }

    pub(crate) fn start(&self, id: usize) -> Result<Option<Pid>, Reason> {
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

pub(crate) type Answer = Pin<Box<dyn Future<Output = &'static str> + Send>>;

pub(crate) fn unanswered(error: &CallError) -> &'static str {
    match error {
        CallError::Exit(_) | CallError::NoProc => "exit",
        other => panic!("{other}"),
    }
}

pub(crate) fn ask(sup: SupervisorRef, world: &World, event: &Event) -> Answer {
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
            let _ = sup.stop(Reason::Normal).await;
            "exit"
        }),
        Event::Terminate { .. } | Event::Exit { .. } | Event::Retry(_) | Event::ParentExit => {
            unreachable!("asked elsewhere")
        }
    }
}

pub(crate) fn terminate(sup: SupervisorRef, key: ChildKey) -> Answer {
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
pub(crate) async fn sent(mut answer: Answer) -> Answer {
    // After a yield the caller's reductions suffice to send the request.
    yield_now().await;
    let early = poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx))).await;
    match early {
        Poll::Pending => answer,
        Poll::Ready(told) => Box::pin(ready(told)),
    }
}
