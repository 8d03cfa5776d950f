// errors: 1
// first: future cannot be sent between threads safely
// says: await occurs here

use riot_actor::prelude::*;
use riot_supervisor::{Supervisor, process};

async fn count() {
    let sum = std::rc::Rc::new(1);
    sleep(std::time::Duration::from_secs(1)).await;
    println!("{sum}");
}

fn main() {
    run(async {
        Supervisor::one_for_one().child(process("counter", count)).start_link().await?;
        ok()
    });
}
