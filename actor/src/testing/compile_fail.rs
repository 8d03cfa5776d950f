//! Programs that must not compile, each beside its correct form: misuse of these rules is found before the
//! program runs. (Doctests, without the exact errors, because a later compiler may word them differently.)

/// A message moves to another thread.
///
/// ```compile_fail
/// riot_actor::run(async { riot_actor::send(riot_actor::this(), std::rc::Rc::new(1)) });
/// ```
/// ```no_run
/// riot_actor::run(async { riot_actor::send(riot_actor::this(), std::sync::Arc::new(1)) });
/// ```
struct MessagesAreSend;

/// A message may outlive its sender.
///
/// ```compile_fail
/// riot_actor::run(async {
///     let text = String::from("mine");
///     riot_actor::send(riot_actor::this(), &text[..]);
/// });
/// ```
/// ```no_run
/// riot_actor::run(async {
///     let text = String::from("yours");
///     riot_actor::send(riot_actor::this(), text);
/// });
/// ```
struct MessagesBorrowNothing;

/// A received message borrows nothing.
///
/// ```compile_fail
/// fn first<'a>(_: &'a str) { let _ = riot_actor::receive::<&'a str>(); }
/// ```
/// ```no_run
/// fn first(_: &str) { let _ = riot_actor::receive::<&'static str>(); }
/// ```
struct ReceivedMessagesBorrowNothing;

/// A body moves from worker to worker.
///
/// ```compile_fail
/// riot_actor::run(async {
///     riot_actor::spawn(async {
///         let mine = std::rc::Rc::new(1);
///         riot_actor::process::yield_now().await;
///         drop(mine);
///     });
/// });
/// ```
/// ```no_run
/// riot_actor::run(async {
///     riot_actor::spawn(async {
///         let mine = std::sync::Arc::new(1);
///         riot_actor::process::yield_now().await;
///         drop(mine);
///     });
/// });
/// ```
struct BodiesAreSend;

/// A body may outlive its parent.
///
/// ```compile_fail
/// riot_actor::run(async {
///     let text = String::from("mine");
///     riot_actor::spawn(async { println!("{text}") });
/// });
/// ```
/// ```no_run
/// riot_actor::run(async {
///     let text = String::from("yours");
///     riot_actor::spawn(async move { println!("{text}") });
/// });
/// ```
struct BodiesBorrowNothing;

/// A body returns nothing, a reason, or a `Result`; a process with a value is a `Task`.
///
/// ```compile_fail
/// riot_actor::run(async { riot_actor::spawn(async { 42 }); });
/// ```
/// ```no_run
/// riot_actor::run(async { riot_actor::task::Task::spawn(async { 42 }); });
/// ```
struct BodiesEndWithAReason;

/// Only the runtime makes `Exit` and `Down` (M15).
///
/// ```compile_fail
/// use riot_actor::{Exit, Reason};
/// fn forge(from: riot_actor::Pid) -> Exit { Exit { from, reason: Reason::Kill, by_link: true } }
/// ```
/// ```no_run
/// use riot_actor::{Exit, Reason};
/// fn ask(pid: riot_actor::Pid) { riot_actor::exit(pid, Reason::Shutdown) }
/// fn look(exit: Exit) -> Reason { exit.reason }
/// ```
struct ExitsAreNotForged;

/// ```compile_fail
/// use riot_actor::{process::MonitorRef, Down, Reason};
/// fn forge(reference: MonitorRef) -> Down {
///     Down { reference, pid: None, name: None, reason: Reason::Normal }
/// }
/// ```
/// ```no_run
/// use riot_actor::{process::MonitorRef, Down};
/// async fn wait(reference: MonitorRef) -> Down { reference.down().await }
/// ```
struct DownsAreNotForged;

/// An `Addr<T>` takes a `T`.
///
/// ```compile_fail
/// fn pay(till: riot_actor::mailbox::Addr<u32>) { till.send("seven") }
/// ```
/// ```no_run
/// fn pay(till: riot_actor::mailbox::Addr<u32>) { till.send(7) }
/// ```
struct AddrsAreTyped;

/// A server accepts the calls and casts that it handles.
///
/// ```compile_fail
/// # use riot_actor::gen_server::{Call, GenServer, GenServerRef, Stop};
/// # struct Till; struct Sum; struct Price;
/// # impl GenServer for Till { type Args = (); async fn init((): ()) -> Result<Self, Stop> { Ok(Till) } }
/// # impl Call<Sum> for Till { type Reply = u32; async fn call(&mut self, _: Sum) -> u32 { 0 } }
/// async fn ask(till: GenServerRef<Till>) { drop(till.call(Price).await) }
/// ```
/// ```compile_fail
/// # use riot_actor::gen_server::{Call, GenServer, GenServerRef, Stop};
/// # struct Till; struct Sum;
/// # impl GenServer for Till { type Args = (); async fn init((): ()) -> Result<Self, Stop> { Ok(Till) } }
/// # impl Call<Sum> for Till { type Reply = u32; async fn call(&mut self, _: Sum) -> u32 { 0 } }
/// fn tell(till: GenServerRef<Till>) { till.cast(Sum) }
/// ```
/// ```compile_fail
/// # use riot_actor::gen_server::{Call, GenServer, GenServerRef, Stop};
/// # struct Till; struct Sum;
/// # impl GenServer for Till { type Args = (); async fn init((): ()) -> Result<Self, Stop> { Ok(Till) } }
/// # impl Call<Sum> for Till { type Reply = u32; async fn call(&mut self, _: Sum) -> u32 { 0 } }
/// async fn ask(till: GenServerRef<Till>) -> String { till.call(Sum).await.unwrap() }
/// ```
/// ```no_run
/// # use riot_actor::gen_server::{Call, GenServer, GenServerRef, Stop};
/// # struct Till; struct Sum;
/// # impl GenServer for Till { type Args = (); async fn init((): ()) -> Result<Self, Stop> { Ok(Till) } }
/// # impl Call<Sum> for Till { type Reply = u32; async fn call(&mut self, _: Sum) -> u32 { 0 } }
/// async fn ask(till: GenServerRef<Till>) -> u32 { till.call(Sum).await.unwrap() }
/// ```
struct ServersAreTyped;

/// A request gets one reply.
///
/// ```compile_fail
/// fn twice(reply: riot_actor::call::ReplyTo<u32>) { reply.send(1); reply.send(2); }
/// ```
/// ```no_run
/// fn once(reply: riot_actor::call::ReplyTo<u32>) { reply.send(1); }
/// ```
struct RepliesAreGivenOnce;

/// A step of a state machine leads to a state of that machine.
///
/// ```compile_fail
/// # use riot_actor::{gen_server::Stop, state_machine::{First, Input, StateMachine, Step}};
/// # struct Lamp;
/// # impl StateMachine for Lamp {
/// #     type Args = (); type State = bool; type Event = ();
/// #     async fn init((): ()) -> Result<First<Self>, Stop> { Ok((Lamp, false).into()) }
/// async fn handle(&mut self, on: &bool, _: Input<()>) -> Step<Self> { Step::to("off") }
/// # }
/// ```
/// ```no_run
/// # use riot_actor::{gen_server::Stop, state_machine::{First, Input, StateMachine, Step}};
/// # struct Lamp;
/// # impl StateMachine for Lamp {
/// #     type Args = (); type State = bool; type Event = ();
/// #     async fn init((): ()) -> Result<First<Self>, Stop> { Ok((Lamp, false).into()) }
/// async fn handle(&mut self, on: &bool, _: Input<()>) -> Step<Self> { Step::to(!on) }
/// # }
/// ```
struct StatesAreTyped;

/// A task has one waiter at a time.
///
/// ```compile_fail
/// fn both(mut task: riot_actor::task::Task<u32>) {
///     let first = task.wait(None);
///     let second = task.wait(None);
///     drop((first, second));
/// }
/// ```
/// ```no_run
/// async fn one_by_one(mut task: riot_actor::task::Task<u32>) {
///     let _ = task.wait(Some(std::time::Duration::ZERO)).await;
///     let _ = task.wait(None).await;
/// }
/// ```
struct TasksHaveOneWaiter;

/// A server answers each of its calls by `call` or by `handle_call`.
///
/// ```compile_fail
/// use riot_actor::gen_server::{Call, GenServer, Stop};
/// struct Mute;
/// impl GenServer for Mute { type Args = (); async fn init((): ()) -> Result<Self, Stop> { Ok(Mute) } }
/// impl Call<u8> for Mute { type Reply = u8; }
/// riot_actor::run(async { _ = Mute::start(()).await?.call(1).await; Ok::<(), riot_actor::Reason>(()) });
/// ```
/// ```no_run
/// use riot_actor::gen_server::{Call, GenServer, Stop};
/// struct Mute;
/// impl GenServer for Mute { type Args = (); async fn init((): ()) -> Result<Self, Stop> { Ok(Mute) } }
/// impl Call<u8> for Mute { type Reply = u8; async fn call(&mut self, number: u8) -> u8 { number } }
/// riot_actor::run(async { _ = Mute::start(()).await?.call(1).await; Ok::<(), riot_actor::Reason>(()) });
/// ```
struct CallsAreAnswered;

/// A process-local value moves from worker to worker with its process.
///
/// ```compile_fail
/// riot_actor::process_local! { static SHARED: std::rc::Rc<u8>; }
/// fn main() { SHARED.set(std::rc::Rc::new(1)); }
/// ```
/// ```no_run
/// riot_actor::process_local! { static SHARED: std::cell::Cell<u8>; }
/// fn main() { SHARED.set(std::cell::Cell::new(1)); }
/// ```
struct ProcessLocalValuesAreSend;

/// Children get clones of the values that they inherit.
///
/// ```compile_fail
/// struct Unique;
/// riot_actor::process_local! { static UNIQUE: Unique, inherited; }
/// fn main() {}
/// ```
/// ```no_run
/// #[derive(Clone)]
/// struct Shared;
/// riot_actor::process_local! { static SHARED: Shared, inherited; }
/// fn main() {}
/// ```
struct InheritedValuesAreClone;

/// The values of a table are read by many threads at once.
///
/// ```compile_fail
/// use riot_actor::table::Table;
/// riot_actor::run(async { _ = Table::<u8, std::cell::Cell<u8>>::new("cells") });
/// ```
/// ```no_run
/// use riot_actor::table::Table;
/// riot_actor::run(async { _ = Table::<u8, std::sync::atomic::AtomicU8>::new("atomics") });
/// ```
struct ValuesOfTablesAreShared;
