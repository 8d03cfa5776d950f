// errors: 1
// first: no name is looked up by `{integer}`
// says: a text, a `Name`, a `Key` or a tuple is expected here
// says: any other value is a name as a `Key`: `whereis(&Key(room))`

use riot_actor::prelude::*;

fn main() {
    run(async {
        println!("{:?}", whereis(&7));
    });
}
