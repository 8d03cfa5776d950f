// errors: 1
// first: future cannot be sent between threads safely
// says: has type `Rc<u32>` which is not `Send`
// says: await occurs here

use riot_actor::prelude::*;

use std::rc::Rc;

fn main() {
    run(async {
        spawn(async {
            let mine = Rc::new(1);
            let number: u32 = receive().await;
            println!("{}", number + *mine);
        });
    });
}
