// errors: 1
// first: `{float}` cannot be a name
// says: a key needs `Hash`, `Eq`, `Debug`, `Send`, `Sync` and no borrowed content

use riot_actor::{name::Key, prelude::*};

fn main() {
    run(async {
        register(Key(1.5), this())?;
        ok()
    });
}
