//! The programs of this folder, each with one library of tokio's. Each is an example:
//! `cargo run --example NAME`. Here is what they share.

use std::process::exit;

use riot_actor::{
    Reason,
    log::{LogSubscriber, write_log},
    mailbox::MailboxOverflow,
    process::SpawnOptions,
};
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    layer::SubscriberExt,
};

/// Returns the values of a program's options, each given as `NAME VALUE`, else its default. With other
/// arguments the program ends: its usage goes to the standard error, and the exit code is 2.
///
/// ```
/// let [address] = riot_interop::options([("--addr", "127.0.0.1:8080")]);
/// assert_eq!(address, "127.0.0.1:8080");
/// ```
#[must_use]
pub fn options<const N: usize>(known: [(&str, &str); N]) -> [String; N] {
    let mut arguments = std::env::args();
    let program = arguments.next().unwrap_or_default();
    let mut values = known.map(|(_, default)| default.to_owned());
    while let Some(name) = arguments.next() {
        let place = known.iter().position(|(option, _)| *option == name);
        let (Some(place), Some(value)) = (place, arguments.next()) else {
            eprint!("usage: {program}");
            known.iter().for_each(|(option, default)| eprint!(" [{option} {default}]"));
            eprintln!();
            exit(2);
        };
        values[place] = value;
    }
    values
}

/// Logs to the standard error as `riot_actor::log::start` does, but for sqlx's pool, which has a line for
/// each connection that is lost: a program says once that its database is away.
///
/// # Errors
/// If the name `log` is taken, or the program has a subscriber.
///
/// # Panics
/// Panics outside a process.
pub fn start_log() -> Result<(), Reason> {
    let options = SpawnOptions::new().name("log").trap_exit();
    let options = options.max_mailbox(10_000, MailboxOverflow::DropNewest);
    options.try_spawn(write_log(std::io::stderr())).map_err(Reason::error)?;
    let levels =
        Targets::new().with_default(LevelFilter::INFO).with_target("sqlx_core::pool", LevelFilter::ERROR);
    tracing::subscriber::set_global_default(LogSubscriber::new("log").with(levels))?;
    Ok(())
}
