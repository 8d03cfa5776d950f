// errors: 1
// first: `text` does not live long enough

use riot_actor::prelude::*;

fn main() {
    run(async {
        let text = String::from("mine");
        send(this(), &text[..]);
    });
}
