// errors: 1
// first: async block may outlive the current function, but it borrows `text`, which is owned by the current
// first: function
// says: use the `move` keyword

use riot_actor::prelude::*;

fn main() {
    run(async {
        let text = String::from("mine");
        spawn(async { println!("{text}") });
    });
}
