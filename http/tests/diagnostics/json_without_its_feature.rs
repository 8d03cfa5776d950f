// errors: 1
// first: this function takes 2 arguments but 1 argument was supplied
// says: NeedsTheFeatureJson` is missing

use riot_http::Response;

fn main() {
    let _response = Response::json(&[1, 2, 3]);
}
