// errors: 1
// first: cannot move out of `path`, a captured variable in an `FnMut` closure

use riot_actor::prelude::*;
use riot_supervisor::{Supervisor, worker};

struct Db;

impl GenServer for Db {
    type Args = String;
    async fn init(_: String) -> Result<Self, Stop> {
        Ok(Db)
    }
}

fn main() {
    run(async {
        let path = String::from("data");
        Supervisor::one_for_one().child(worker("db", move || Db::start_link(path))).start_link().await?;
        ok()
    });
}
