//! A generic server that reports everything that happens to it.

use std::{future::pending, time::Duration};

use riot_actor::{
    Exit, Message, Pid, Reason,
    call::ReplyTo,
    gen_server,
    gen_server::{Call, Cast, GenServer, GenServerRef, Stop},
    process::{info, yield_now},
    receive, send, sleep, this, trap_exit,
};

/// A server that reports everything that happens to it to a watcher.
pub struct Talker {
    pub watcher: Pid,
    pub seen: Vec<String>,
    pub kept: Vec<ReplyTo<u32>>,
}

/// The behaviour of a [`Talker`] in its `init`.
#[derive(Clone, Copy)]
pub enum Init {
    Fine,
    Trap,
    Ignore,
    Fail,
    Panic,
    Hang,
    Continue,
    Idle(u64),
}

#[derive(Debug, PartialEq)]
pub struct Report(pub String);

/// The message that ends a parent.
pub struct End;

impl Talker {
    fn report(&mut self, text: impl Into<String>) {
        let text = text.into();
        self.seen.push(text.clone());
        send(self.watcher, Report(text));
    }
}

impl GenServer for Talker {
    type Args = (Pid, Init);

    async fn init((watcher, init): Self::Args) -> Result<Self, Stop> {
        match init {
            Init::Fine => {}
            Init::Trap => drop(trap_exit(true)),
            Init::Ignore => return Err(Stop::Ignore),
            Init::Fail => return Err(Reason::other("no luck").into()),
            Init::Panic => panic!("bad luck"),
            Init::Hang => pending().await,
            Init::Continue => {
                gen_server::continue_with("first of all");
                sleep(Duration::from_millis(1)).await;
            }
            Init::Idle(millis) => gen_server::idle_timeout(Duration::from_millis(millis)),
        }
        Ok(Talker { watcher, seen: Vec::new(), kept: Vec::new() })
    }

    async fn handle_info(&mut self, message: Message) {
        match message.downcast::<Exit>() {
            Ok(exit) => self.report(format!("exit {}", exit.reason)),
            Err(message) => self.report(format!("info {}", message.downcast::<u32>().unwrap())),
        }
    }

    async fn handle_continue(&mut self, message: Message) {
        self.report(format!("continue {}", message.downcast::<&str>().unwrap()));
    }

    async fn handle_timeout(&mut self) {
        self.report("timeout");
    }

    async fn terminate(&mut self, reason: &Reason) {
        self.report(format!("terminate {reason}"));
    }
}

pub struct Log;
impl Call<Log> for Talker {
    type Reply = Vec<String>;
    async fn call(&mut self, _: Log) -> Vec<String> {
        self.seen.clone()
    }
}

pub struct Note(pub &'static str);
impl Cast<Note> for Talker {
    async fn cast(&mut self, Note(text): Note) {
        self.report(text);
    }
}

/// A call that is answered after some time.
pub struct Slow(pub u64);
impl Call<Slow> for Talker {
    type Reply = u64;
    async fn call(&mut self, Slow(millis): Slow) -> u64 {
        sleep(Duration::from_millis(millis)).await;
        millis
    }
}

pub struct StopWith(pub Reason);
impl Call<StopWith> for Talker {
    type Reply = &'static str;
    async fn call(&mut self, StopWith(reason): StopWith) -> &'static str {
        gen_server::stop(reason);
        "stopping"
    }
}

pub struct Crash;
impl Cast<Crash> for Talker {
    async fn cast(&mut self, _: Crash) {
        self.report("crashing");
        panic!("as asked");
    }
}

/// A call that is not answered as long as the server lives.
pub struct Keep;
impl Call<Keep> for Talker {
    type Reply = u32;
    async fn handle_call(&mut self, _: Keep, reply: ReplyTo<u32>) {
        self.kept.push(reply);
    }
}

/// A call that another process answers.
pub struct Delegate(pub Option<Pid>);
impl Call<Delegate> for Talker {
    type Reply = u32;
    async fn handle_call(&mut self, Delegate(to): Delegate, reply: ReplyTo<u32>) {
        if let Some(to) = to {
            send(to, reply);
        }
    }
}

pub struct After(pub &'static str, pub u64);
impl Cast<After> for Talker {
    async fn cast(&mut self, After(text, millis): After) {
        gen_server::continue_with(text);
        gen_server::idle_timeout(Duration::from_millis(millis));
    }
}

pub async fn talker(init: Init) -> GenServerRef<Talker> {
    Talker::start_link((this(), init)).await.expect("it starts")
}

pub async fn next_report() -> String {
    receive::<Report>().await.0
}

pub async fn nothing_in_the_mailbox() {
    yield_now().await;
    assert_eq!(info(this()).expect("it runs").mailbox, 0);
}
