// errors: 1
// first: cannot find tuple struct or tuple variant `Ad` in this scope

use riot_actor::prelude::*;

struct Add(u32);

fn main() {
    run(async {
        send(this(), Add(1));
        receive! {
            Ad(number) => println!("{number}"),
        }
    });
}
