// errors: 1
// first: future cannot be sent between threads safely
// says: await occurs here

use riot_actor::prelude::*;

use std::rc::Rc;

fn main() {
    run(async {
        let mut task = Task::spawn(async {
            let mine = Rc::new(1);
            sleep(std::time::Duration::from_secs(1)).await;
            *mine
        });
        println!("{:?}", task.wait(None).await);
    });
}
