// errors: 1
// first: `?` couldn't convert the error to `Reason`
// says: is not implemented for `Reason`

use riot_actor::prelude::*;

use std::error::Error;

fn load() -> Result<u8, Box<dyn Error>> {
    Ok(1)
}

fn main() {
    run(async {
        let number = load()?;
        println!("{number}");
        ok()
    });
}
