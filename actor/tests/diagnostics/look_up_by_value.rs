// errors: 1
// first: mismatched types
// says: whereis(&("room", 7))

use riot_actor::prelude::*;

fn main() {
    run(async {
        println!("{:?}", whereis(("room", 7)));
    });
}
