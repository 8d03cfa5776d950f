// errors: 1
// first: `()` is not a future

use riot_actor::prelude::*;
use riot_supervisor::{Supervisor, process};

fn main() {
    run(async {
        Supervisor::one_for_one().child(process("ticker", || println!("tick"))).start_link().await?;
        ok()
    });
}
