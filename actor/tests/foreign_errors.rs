//! Errors of every kind with `?`, in the four places where one may be returned: ER1 to ER5.
mod common;

use std::{error::Error, fmt, io};

use common::everywhere;
use riot_actor::{
    Reason,
    gen_server::{Call, GenServer, GenServerStartError, Stop},
    ok,
    process::{IntoReason, OrReason, Outcome, spawn, wait},
    run,
    runtime::{Application, Config, RunError},
    simulation::Simulation,
    task::Task,
};

type Boxed = Box<dyn Error + Send + Sync>;

/// A failed query, with its cause.
#[derive(Debug)]
struct Query(io::Error);

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the query failed")
    }
}

impl Error for Query {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

fn query() -> Query {
    Query(io::Error::other("no database"))
}

/// One error of each type that a body may return.
macro_rules! with_each_error {
    ($check:ident) => {
        $check!(Query, query());
        $check!(anyhow::Error, anyhow::Error::new(query()));
        $check!(eyre::Report, eyre::Report::new(query()));
        $check!(Boxed, Box::new(query()) as Boxed);
        $check!(String, "the query failed: no database".to_owned());
        $check!(&'static str, "the query failed: no database");
        $check!(Reason, Reason::from(query()));
    };
}

fn says_all(reason: &Reason) {
    assert_eq!(format!("{reason:#}"), "error: the query failed: no database");
}

#[test]
fn er01_every_error_ends_a_body() {
    macro_rules! check {
        ($error:ty, $value:expr) => {
            says_all(&run(async {
                Err::<(), $error>($value)?;
                Ok::<(), $error>(())
            }));
        };
    }
    with_each_error!(check);
}

#[test]
fn er01_every_error_fails_a_start() {
    macro_rules! check {
        ($error:ty, $value:expr) => {
            let application = Application::new("app", || async { Err::<riot_actor::Pid, $error>($value) });
            match Config::new().workers(1).application(application).run(async {}) {
                Err(RunError::AppStart { reason, .. }) => says_all(&reason),
                other => panic!("{other:?}"),
            }
        };
    }
    with_each_error!(check);
}

#[test]
fn er01_every_error_fails_an_init() {
    macro_rules! check {
        ($error:ty, $value:expr) => {{
            struct Server;
            impl GenServer for Server {
                type Args = ();
                async fn init((): ()) -> Result<Self, Stop> {
                    Err::<(), $error>($value)?;
                    Ok(Self)
                }
            }
            let reason = Simulation::new(1).run(async {
                match Server::start(()).await {
                    Err(GenServerStartError::Failed(reason)) => says_all(&reason),
                    _ => panic!("it does not start"),
                }
            });
            assert_eq!(reason, Reason::Normal);
        }};
    }
    with_each_error!(check);
}

#[test]
fn er01_every_error_ends_a_task() {
    macro_rules! check {
        ($error:ty, $value:expr) => {
            let reason = Simulation::new(1).run(async {
                let result: Result<u8, $error> =
                    Task::spawn(async { Err($value) }).wait(None).await.expect("no panic");
                Err::<(), Reason>(result.or_reason().expect_err("it is one"))
            });
            says_all(&reason);
        };
    }
    with_each_error!(check);
}

#[test]
fn er01_a_reason_that_was_an_error_is_the_reason_again() {
    for reason in [Reason::Kill, Reason::shutdown_with(7_u8), Reason::from(query()), Reason::Normal] {
        let error: Boxed = reason.clone().into();
        assert_eq!(error.into_reason(), reason);
    }
}

#[test]
fn er02_an_error_that_is_none_becomes_a_reason() {
    fn reads() -> anyhow::Result<u8> {
        Err(query().into())
    }
    fn first() -> Result<u8, Reason> {
        let read = reads().or_reason()?;
        Ok(read + 1)
    }
    says_all(&first().expect_err("it fails"));
    says_all(&Reason::error(reads().expect_err("it fails")));
}

#[test]
fn er03_the_chain_and_the_type_are_kept() {
    let Reason::Error(error) = anyhow::Error::new(query()).into_reason() else { panic!("an error") };
    assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("no database"));
    everywhere(|| async {
        let typed = spawn(async { std::panic::panic_any(vec![1_u8, 2]) });
        let reason = wait(typed).await;
        assert_eq!(reason.panic_value::<Vec<u8>>(), Some(vec![1, 2]));
        assert_eq!(reason.panic_value::<u8>(), None);
    });
}

/// Answers with a number.
struct Clerk;

impl GenServer for Clerk {
    type Args = ();
    async fn init((): ()) -> Result<Self, Stop> {
        Ok(Self)
    }
}

impl Call<u32> for Clerk {
    type Reply = u32;
    async fn call(&mut self, number: u32) -> u32 {
        number + 1
    }
}

#[test]
fn er04_a_result_of_anything_is_an_outcome() {
    everywhere(|| async {
        let clerk = Clerk::start_link(()).await.expect("it starts");
        let asks = spawn(async move { clerk.call(1).await });
        assert_eq!(wait(asks).await, Reason::Normal);
        assert_eq!(Ok::<_, io::Error>(vec![1, 2, 3]).into_reason(), Reason::Normal);
        assert_eq!(Ok::<_, io::Error>(Reason::Kill).into_reason(), Reason::Kill);
        let failed = spawn(async { "x".parse::<u8>() });
        assert!(matches!(wait(failed).await, Reason::NoProc | Reason::Error(_)));
        assert!(matches!("x".parse::<u8>().into_reason(), Reason::Error(_)));
    });
}

#[test]
fn er05_details_are_compared_and_texts_are_equal() {
    let reason = Reason::other("no disk");
    assert!(
        reason.is(&"no disk") && reason.is(&"no disk".to_owned()) && !reason.is(&"no") && !reason.is(&7_u8)
    );
    assert_eq!(reason, Reason::other("no disk".to_owned()));
    assert_ne!(reason, Reason::shutdown_with("no disk"));
    assert_eq!((reason.get::<&str>(), reason.get::<String>()), (Some(&"no disk"), None));
    assert!(Reason::shutdown_with((1, 2)).is(&(1, 2)));
    assert!(!Reason::Kill.is(&()) && Reason::Kill.get::<()>().is_none());
    let body = run(async {
        "7".parse::<u8>()?;
        ok()
    });
    assert_eq!(body, Reason::Normal);
}

/// A comparison that panics.
#[derive(Debug)]
struct Odd;

impl PartialEq for Odd {
    fn eq(&self, _: &Self) -> bool {
        panic!("a comparison")
    }
}

#[test]
fn er05_a_comparison_that_panics_finds_no_equal() {
    everywhere(|| async { assert!(!Reason::other(Odd).is(&Odd)) });
}
