//! The end of a program by a supervisor that gave up is no success: S9.

use std::{future::pending, process::Command, time::Duration};

use riot_actor::{
    Pid, Reason, exit, link,
    process::{spawn, wait},
    runtime::{Application, Config, GaveUp, RunError},
    simulation::Simulation,
    this, whereis,
};
use riot_supervisor::{Supervisor, SupervisorRef, process, supervisor};

const PERIOD: Duration = Duration::from_secs(5);

/// A supervisor that gives up at the first crash of its child, which comes at once.
fn impatient() -> Supervisor {
    Supervisor::one_for_one()
        .intensity(0, PERIOD)
        .child(process("crashing", || async { Reason::other("no luck") }))
}

fn nested(levels: usize) -> Supervisor {
    match levels {
        0 => impatient(),
        _ => Supervisor::one_for_one()
            .intensity(0, PERIOD)
            .child(supervisor("nested", move || nested(levels - 1).start_link())),
    }
}

fn gave_up(reason: &Reason) -> &GaveUp {
    match reason {
        Reason::Error(error) => error.downcast_ref().unwrap_or_else(|| panic!("another error: {error}")),
        _ => panic!("another reason: {reason}"),
    }
}

#[test]
fn s09_a_supervisor_that_gives_up_and_ends_main_is_the_result_of_the_run() {
    for seed in 0..50 {
        let reason = Simulation::new(seed).run(async {
            impatient().start_link().await?;
            pending::<Result<(), Reason>>().await
        });
        let gave_up = gave_up(&reason);
        assert_eq!((gave_up.child.as_str(), gave_up.restarts, gave_up.period), ("crashing", 0, PERIOD));
        assert_eq!(gave_up.last, Reason::other("no luck"));
        let text = reason.to_string();
        assert!(text.contains("gave up") && text.contains(r#""no luck""#), "{text}");
    }
}

#[test]
fn s09_the_top_of_three_levels_gives_up_in_the_end() {
    for seed in 0..50 {
        let reason = Simulation::new(seed).run(async {
            nested(2).start_link().await?;
            pending::<Result<(), Reason>>().await
        });
        assert_eq!(gave_up(&reason).child, "nested");
        // The cause of each level is the level below.
        let lowest = gave_up(&gave_up(&gave_up(&reason).last).last);
        assert_eq!((lowest.child.as_str(), &lowest.last), ("crashing", &Reason::other("no luck")));
        assert!(reason.to_string().ends_with(r#"its child crashing ended again: "no luck""#), "{reason}");
    }
}

#[test]
fn s09_it_is_so_over_processes_that_do_not_trap_exits() {
    for seed in 0..50 {
        let reason = Simulation::new(seed).run(async {
            let main = this();
            spawn(async move {
                link(main);
                impatient().start_link().await?;
                pending::<Result<(), Reason>>().await
            });
            pending::<()>().await;
        });
        assert_eq!(gave_up(&reason).child, "crashing");
    }
}

#[test]
fn s09_links_monitors_and_parents_see_a_plain_shutdown() {
    for seed in 0..50 {
        Simulation::sweep([seed], || async {
            let starter = spawn(async {
                impatient().start_link().await?;
                pending::<Result<(), Reason>>().await
            });
            assert_eq!(wait(starter).await, Reason::Shutdown);
        });
    }
}

#[test]
fn s09_a_permanent_and_a_transient_application_end_the_run_so_and_a_temporary_one_does_not() {
    let application = || {
        Application::new("app", || async {
            let started = impatient().start_link().await.map_err(Reason::from)?;
            Ok::<Pid, Reason>(started.pid())
        })
    };
    let run = |application| {
        Simulation::new(1).config(Config::new().application(application)).try_run(async {
            riot_actor::sleep(Duration::from_secs(60)).await;
            Reason::other("main has ended")
        })
    };
    for application in [application(), application().transient()] {
        match run(application) {
            Ok(reason) => assert_eq!(gave_up(&reason).child, "crashing"),
            // The top may have ended before the start function returned.
            Err(RunError::AppStart { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(run(application().temporary()).expect("it ran"), Reason::other("main has ended"));
}

#[test]
fn s09_a_requested_shutdown_is_exit_code_0_and_giving_up_is_1() {
    const CHILD: &str = "RIOT_GAVE_UP_CHILD";
    let name = "s09_a_requested_shutdown_is_exit_code_0_and_giving_up_is_1";
    if let Some(case) = std::env::var_os(CHILD) {
        // A program that does not end is a failure, not a test that hangs.
        std::thread::spawn(|| {
            std::thread::sleep(Duration::from_secs(60));
            std::process::exit(99);
        });
        let config = Config::new().workers(1);
        let code = match case.to_str() {
            Some("gives up") => config.main(async {
                impatient().start_link().await?;
                pending::<Result<(), Reason>>().await
            }),
            Some("application") => {
                let patient = process("crashing", pending::<()>);
                let top =
                    Supervisor::one_for_one().intensity(0, PERIOD).child(patient).name("top").label("top");
                config.application(Application::new("shop", || top.start_link())).main(async {
                    let top = SupervisorRef::new(whereis("top").expect("it has started"));
                    let child = top.which_children().await?[0].pid().expect("it runs");
                    exit(child, Reason::other("no luck"));
                    pending::<Result<(), Reason>>().await
                })
            }
            _ => config.main(async {
                riot_actor::runtime::shutdown(Reason::Shutdown);
                pending::<()>().await;
            }),
        };
        let is_success = format!("{code:?}") == format!("{:?}", std::process::ExitCode::SUCCESS);
        std::process::exit(i32::from(!is_success));
    }
    let output = |case: &str| {
        let myself = std::env::current_exe().expect("a program has a path");
        let mut command = Command::new(myself);
        command.args([name, "--exact", "--nocapture"]).env(CHILD, case).output().expect("it runs")
    };
    let failed = output("gives up");
    assert_eq!(failed.status.code(), Some(1));
    let text = String::from_utf8(failed.stderr).expect("lines are text");
    let cause = "riot ERROR the program ended: error: the supervisor <";
    assert!(text.lines().any(|line| line.starts_with(cause)), "{text}");
    assert_eq!(output("is asked").status.code(), Some(0));

    let failed = output("application");
    assert_eq!(failed.status.code(), Some(1));
    let text = String::from_utf8(failed.stderr).expect("lines are text");
    let limit =
        r#"riot ERROR too many restarts: the supervisor shuts down; the last reason: "no luck" supervisor=<"#;
    for (beginning, part) in [
        (limit, "label=top child=crashing"),
        ("riot WARN  the application ended: error: the supervisor <", "application=shop"),
    ] {
        let has_line = text.lines().any(|line| line.starts_with(beginning) && line.contains(part));
        assert!(has_line, "{beginning}… {part} in {text}");
    }
}
