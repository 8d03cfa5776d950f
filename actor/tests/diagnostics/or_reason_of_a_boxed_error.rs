// errors: 1
// first: `or_reason`

use std::error::Error;

use riot_actor::prelude::*;

fn load() -> Result<u8, Box<dyn Error>> {
    Ok(1)
}

fn main() {
    run(async {
        let number = load().or_reason()?;
        println!("{number}");
        ok()
    });
}
