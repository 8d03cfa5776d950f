// errors: 1
// first: expected a `FnMut()` closure, found `impl Future<Output = ()>`
// says: wrap the `impl Future<Output = ()>` in a closure with no arguments

use riot_actor::prelude::*;
use riot_supervisor::{Supervisor, process};

async fn ticker() {}

fn main() {
    run(async {
        Supervisor::one_for_one().child(process("ticker", ticker())).start_link().await?;
        ok()
    });
}
