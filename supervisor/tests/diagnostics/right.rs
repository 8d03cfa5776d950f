// errors: 0

use riot_actor::prelude::*;
use riot_supervisor::{Supervisor, process, server, supervisor, task, worker};

struct Db;

impl GenServer for Db {
    type Args = String;
    async fn init(_: String) -> Result<Self, Stop> {
        Ok(Db)
    }
}

async fn ticker() {}

fn main() {
    run(async {
        Supervisor::one_for_one()
            .child(process("ticker", ticker))
            .child(server::<Db>("db", || String::from("path")))
            .child(worker("second", || Db::start_link(String::new())))
            .child(task("clean", || async {}))
            .child(supervisor("pool", || Supervisor::dynamic().start_link()))
            .start_link()
            .await?;
        ok()
    });
}
