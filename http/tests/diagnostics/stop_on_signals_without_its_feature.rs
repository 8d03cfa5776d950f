// errors: 1
// first: this method takes 1 argument but 0 arguments were supplied
// says: NeedsTheFeatureSignals` is missing

use riot_http::actor::runtime::Config;

fn main() -> std::process::ExitCode {
    Config::new().stop_on_signals().main(async {})
}
