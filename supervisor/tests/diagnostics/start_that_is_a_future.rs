// errors: 1
// first: expected a `FnMut()` closure, found `impl Future<Output = Result<GenServerRef<Db>,
// first: GenServerStartError>> + Send`

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
        Supervisor::one_for_one().child(worker("db", Db::start_link(String::new()))).start_link().await?;
        ok()
    });
}
