// errors: 1
// first: closure may outlive the current function, but it borrows `text`, which is owned by the current
// first: function
// says: use the `move` keyword

use riot_actor::prelude::*;
use riot_supervisor::{Supervisor, process};

fn main() {
    run(async {
        let text = String::from("mine");
        Supervisor::one_for_one()
            .child(process("printer", || async { println!("{text}") }))
            .start_link()
            .await?;
        ok()
    });
}
