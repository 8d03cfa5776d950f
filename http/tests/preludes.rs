//! The preludes of the five crates, imported together. A word that stood for two items would be an error
//! where it is used, and every word is used here.

#![cfg(feature = "driver")]

use std::{fmt::Debug, io};

use riot_http::{
    actor::prelude::*, flow::prelude::*, prelude::*, socket::prelude::*, supervisor::prelude::*,
};

/// Names types, which are only used.
fn types<T>() {}

/// Names values and functions.
fn values<T>(_: T) {}

struct Clerk;

impl GenServer for Clerk {
    type Args = ();
    async fn init((): ()) -> Result<Self, Stop> {
        Ok(Clerk)
    }
}
impl Call<u8> for Clerk {
    type Reply = u8;
    async fn call(&mut self, number: u8) -> u8 {
        number
    }
}
impl Cast<u8> for Clerk {
    async fn cast(&mut self, _: u8) {}
}

/// The traits, each of which bounds something.
#[expect(dead_code, reason = "only its bounds are of interest")]
fn traits<M, F, P, T>()
where
    M: StateMachine,
    F: Flow,
    P: Protocol + Handshake + Bind + Handler + Service<Response: IntoResponse>,
    T: Transport + IntoChild + OrReason<()> + Debug,
{
    types::<(Step<M>, F, P, T)>();
}

/// Every word of the actor's prelude.
fn of_actor() {
    types::<(Down, Exit, Message, Pid, Reason, CallError, CallRequest<u8, u8>, ReplyTo<u8>)>();
    types::<(GenServerRef<Clerk>, Stop, Addr<u8>, SpawnOptions, Application, Task<u8>, TimedOut)>();
    values((demonitor, exit, link, monitor, now, ok));
    values((send::<u8>, trap_exit, this, unlink));
    values(|| {
        let _ = spawn(async {});
        let _ = spawn_link(async {});
        let _ = register("clerk", this());
        let _ = whereis("clerk");
        run(async {
            let _ = timeout(std::time::Duration::ZERO, sleep(std::time::Duration::ZERO)).await;
            let _: u8 = receive().await;
            receive! { Pid => {} }
        })
    });
}

/// Every word of the supervisor's prelude.
fn of_supervisor() {
    types::<(AutoShutdown, Backoff, ChildId, ChildShutdown, ChildSpec, Ignore, Restart)>();
    types::<(SupervisorEvent, SupervisorRef)>();
    values((
        process("a", || async {}),
        server::<Clerk>("b", || ()),
        supervisor("c", || Supervisor::dynamic().start_link()),
        task("d", || async {}),
        worker("e", || Clerk::start_link(())),
    ));
}

/// Every word of the socket's prelude.
fn of_socket() {
    types::<(Address, ConnectionOverflow, ConnectionTimeouts, DrainReport, LogLevels, Options)>();
    types::<(ServerHandle, ServerStartError, UnixBind)>();
    values(supervised(|_: Connection| Supervisor::one_for_one()));
}

/// Every word of the flow's prelude.
fn of_flow(server: riot_http::socket::Server) {
    types::<(FlowError, Output, ReadOperation, Slices<'_>, WakerSlot, WriteOperation<'_>, WriteResult)>();
    values(server.flow(|_| riot_http::Http1::new(Default::default()).0));
    values(|flow: riot_http::Http1| ManualDriver::new(flow));
}

/// Every word of the prelude of http.
fn of_http() -> io::Result<()> {
    types::<(Body, Event, HandlerError, Headers, HttpConfig, Limits, Reqd, Request, Responded, Response)>();
    types::<(Scheme, Timeouts, Upgrade, Method, StatusCode, Connection, Config)>();
    values(Server::bind("127.0.0.1:0")?.handler(service(|_: Request| async { StatusCode::OK })));
    Ok(())
}

#[test]
fn dg05_the_preludes_of_all_crates_are_imported_together() {
    values(of_flow);
    of_actor();
    of_supervisor();
    of_socket();
    assert!(of_http().is_ok());
    let reason = Config::new().run(async {
        let server = Server::bind("127.0.0.1:0")?.service(|_| async { StatusCode::OK }).start_link().await?;
        server.stop(std::time::Duration::ZERO).await;
        ok()
    });
    assert_eq!(reason.expect("it runs"), Reason::Normal);
}
