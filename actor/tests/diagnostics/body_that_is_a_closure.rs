// errors: 1
// first: is not a future

use riot_actor::prelude::*;

fn main() {
    run(|| println!("hello"));
}
