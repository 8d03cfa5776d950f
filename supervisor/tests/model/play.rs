//! Plays a history on a real supervisor and on the model, and compares all that can be observed.

use super::*;

/// Compares all observable state with the model.
pub(crate) async fn compare(sup: SupervisorRef, world: &World, model: &Model) {
    if model.ended.is_some() {
        wait(sup.pid()).await;
    } else {
        while model.retry_delay == 0 && which(sup).await.contains('*') {}
        assert_eq!(which(sup).await, model.which());
        let counts = sup.count_children().await.expect("the supervisor lives");
        let running = model.list.iter().filter(|child| child.state == State::Running).count();
        assert_eq!((counts.specs, counts.active), (model.list.len(), running)); // S28
    }
    let (mut log, mut expected) = (world.lock().log.clone(), model.log.clone());
    if model.shape == Shape::Dynamic && model.ended.is_some() {
        // Dynamic children stop all at once, in no order.
        let last = expected.iter().rposition(|line| !line.starts_with('-')).map_or(0, |at| at + 1);
        expected[last..].sort_unstable();
        let from = last.min(log.len());
        log[from..].sort_unstable();
    }
    assert_eq!(log, expected);
}

pub(crate) async fn play(history: History) {
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
                    let pid = world.lock().pids[id].expect("the child was started");
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
                    let key = if dynamic { pid.expect("the child was started").into() } else { (*id).into() };
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
        sup.stop(Reason::Normal).await.expect("the supervisor lives");
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
    assert_eq!(processes(), [riot_actor::this()], "a process is left");
    assert_eq!(Arc::strong_count(&world.0), 1, "a start function is left");
}
