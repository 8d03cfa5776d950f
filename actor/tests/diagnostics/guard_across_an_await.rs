// errors: 1
// first: future cannot be sent between threads safely
// says: which is not `Send`
// says: await occurs here

use riot_actor::prelude::*;

use std::sync::{Arc, Mutex};

async fn add(sum: Arc<Mutex<u32>>) {
    let mut sum = sum.lock().unwrap();
    *sum += receive::<u32>().await;
}

fn main() {
    run(async {
        spawn(add(Arc::default()));
    });
}
