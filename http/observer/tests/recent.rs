//! The views of requests, crashes, timers and processes: OB6, OB11.

mod common;

use std::time::Duration;

use common::get;
use riot_actor::{
    Pid, Reason, call, process::SpawnOptions, send, simulation::Simulation, sleep, spawn, time::send_after,
};
use riot_http::{Reqd, Response, Server};
use riot_observer::Observer;
use riot_socket::memory::Listener;
use serde_json::{Value, json};

const SEEDS: std::ops::Range<u64> = 0..10;

async fn own() -> Result<Listener, Reason> {
    let listener = Listener::new();
    Observer::new().listen_on(listener.clone()).start_link().await?;
    Ok(listener)
}

async fn view(listener: &Listener, path: &str) -> Value {
    let answer = get(listener, &format!("/observer/api/1/{path}")).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{path}: {error}: {}", answer.body))
}

#[test]
fn ob11_rows_and_the_view_of_a_process_have_what_it_has_done_and_waits_for() {
    Simulation::sweep(SEEDS, || async {
        let listener = own().await?;
        let idle = spawn(std::future::pending::<()>());
        let asks = SpawnOptions::new().label("Asks").spawn(async move {
            let _ = call::<_, u8>(idle, 7_u16, Some(Duration::from_secs(60))).await;
        });
        (0..3_u64).for_each(|number| send(idle, number));
        send(idle, [0_u8; 100]);
        sleep(Duration::from_secs(2)).await;
        let rows = view(&listener, "processes?filter=Asks").await;
        let row = &rows["rows"][0];
        assert_eq!(row["waiting_for"], format!("call u16 to {idle}"));
        assert_eq!(row["call_ms"], 2000);
        assert!(row["slices"].as_u64() >= Some(1) && row["future_bytes"].as_u64() > Some(0), "{row}");
        assert_eq!(row["busy_ms"], Value::Null, "a simulation has no samples");
        let one = view(&listener, &format!("process/{idle}")).await;
        assert_eq!((&one["mailbox"], &one["message_types"]), (&json!(5), &json!(3)));
        assert_eq!(one["messages"][0], json!({"type": "u64", "count": 3}));
        assert_eq!(one["boxed_bytes"].as_u64().map(|bytes| bytes >= 100), Some(true));
        assert!(one["spawned_at"].as_str().is_some_and(|place| place.contains("recent.rs")), "{one}");
        assert!(one["initial_function"].as_str().is_some_and(|name| name.contains("Pending")), "{one}");
        assert_eq!(one["mailbox_error"], Value::Null);
        for by in ["busy", "slices", "received", "future_bytes"] {
            let sorted = view(&listener, &format!("processes?by={by}")).await;
            let values = sorted["rows"].as_array().expect("a list").iter().map(|row| row[by].as_u64());
            assert!(values.collect::<Vec<_>>().is_sorted_by(|one, other| one >= other), "{by}");
        }
        riot_actor::exit(asks, Reason::Kill);
        Ok::<(), Reason>(())
    });
}

#[test]
fn ob11_timers_are_listed_by_the_time_they_are_due() {
    Simulation::sweep(SEEDS, || async {
        let listener = own().await?;
        let clerk = spawn(std::future::pending::<()>());
        for nth in 0..250 {
            send_after(Duration::from_secs(1000 + nth), clerk, 7_u8);
        }
        let all = view(&listener, "timers").await;
        let all = all["timers"].as_array().expect("a list").clone();
        assert_eq!(all.len(), 200);
        assert!(all.iter().map(|timer| timer["due_ms"].as_u64()).is_sorted());
        let of_clerk: Vec<&Value> = all.iter().filter(|timer| timer["to"] == clerk.to_string()).collect();
        assert_eq!(of_clerk[0]["what"], "message u8");
        assert!(of_clerk[0]["due_ms"].as_u64().is_some_and(|due| (1_000_000..1_001_100).contains(&due)));
        Ok::<(), Reason>(())
    });
}

#[test]
fn ob14_crashes_are_listed_once_for_each_label_and_reason_the_newest_first() {
    Simulation::sweep(SEEDS, || async {
        let listener = own().await?;
        let crash = |label: &'static str, reason: &'static str| -> Pid {
            SpawnOptions::new().label(label).spawn(async move {
                riot_actor::telemetry::crash_detail("order", || "17\n".to_owned());
                Err::<(), _>(Reason::other(reason))
            })
        };
        for _ in 0..3 {
            crash("Clerk", "out of cheese");
            sleep(Duration::from_secs(1)).await;
        }
        let panics = SpawnOptions::new().label("Chief").spawn(async { panic!("<img src=x>\u{1b}[31m") });
        sleep(Duration::from_secs(1)).await;
        let all = view(&listener, "crashes").await;
        let all = all["crashes"].as_array().expect("a list").clone();
        assert_eq!(all.len(), 2, "{all:?}");
        assert_eq!((&all[0]["label"], &all[0]["pid"]), (&json!("Chief"), &json!(panics.to_string())));
        let reason = all[0]["reason"][0].as_str().expect("a text");
        assert!(reason.contains("<img src=x>") && !reason.contains('\u{1b}'), "{reason}");
        assert!(all[0]["location"].as_str().is_some_and(|place| place.contains("recent.rs")), "{}", all[0]);
        assert_eq!((&all[1]["count"], &all[1]["id"]), (&json!(3), &json!(3)));
        let seconds = |name: &str| all[1][name].as_u64().map(|t| t / 1000);
        assert_eq!((seconds("t"), seconds("last_t")), (Some(0), Some(2)));
        let detail = all[1]["details"][0][1].as_str().expect("a text");
        assert!(!detail.contains('\n'), "{detail:?}");
        assert_eq!(all[1]["at"], Value::Null, "nothing of the machine shows in a simulation");
        let newer = view(&listener, "crashes?after=3").await;
        assert_eq!(newer["crashes"].as_array().map(Vec::len), Some(1));
        assert_eq!(view(&listener, "crashes?after=4").await, json!({"crashes": []}));
        assert_eq!(view(&listener, "home").await["crashes_1h"], 4);
        Ok::<(), Reason>(())
    });
}

async fn answer(reqd: Reqd) {
    if let Some(millis) = reqd.request().path().strip_prefix("/wait/").and_then(|text| text.parse().ok()) {
        sleep(Duration::from_millis(millis)).await;
    }
    let _ = reqd.respond_with_string(Response::ok(), "hello");
}

#[test]
fn ob11_requests_are_shown_by_latency_and_the_slowest_for_five_minutes() {
    Simulation::sweep(SEEDS, || async {
        let (listener, web) = (own().await?, Listener::new());
        let server = Server::listen(web.clone()).name("web").handler(answer).start_link().await?;
        let http = async || view(&listener, "http?server=web").await;
        let counts = |http: &Value| -> Vec<u64> {
            let columns = http["latency"]["columns"].as_array().expect("a list");
            assert_eq!(columns.len(), 60);
            columns
                .iter()
                .map(|column| {
                    column.as_array().map_or(0, |column| {
                        assert_eq!(column.len(), 15);
                        column.iter().filter_map(Value::as_u64).sum()
                    })
                })
                .collect()
        };
        assert_eq!(get(&web, "/").await.status, 200);
        server.wait_for_connections(|connections| connections == 0).await;
        let first = http().await;
        assert_eq!((first["requests"].as_u64(), counts(&first).iter().sum::<u64>()), (Some(1), 0));
        for nth in 0..30 {
            assert_eq!(get(&web, &format!("/wait/{}?secret=7", nth * 10)).await.status, 200);
        }
        server.wait_for_connections(|connections| connections == 0).await;
        let seen = http().await;
        assert_eq!((&seen["classes"]["2xx"], &seen["classes"]["none"]), (&json!(31), &json!(0)));
        assert_eq!(counts(&seen).iter().sum::<u64>(), 30);
        let slowest = seen["slowest"].as_array().expect("a list");
        assert_eq!((slowest.len(), &slowest[0]["path"]), (20, &json!("/wait/290")));
        assert!(
            slowest.iter().map(|slow| slow["duration_ms"].as_f64()).is_sorted_by(|one, other| one >= other)
        );
        assert!(slowest[0]["handler_ms"].as_f64() >= Some(290.0), "{}", slowest[0]);
        sleep(Duration::from_secs(200)).await;
        assert_eq!(counts(&http().await).iter().sum::<u64>(), 30);
        sleep(Duration::from_secs(105)).await;
        let later = http().await;
        assert_eq!(counts(&later).iter().sum::<u64>(), 0);
        assert_eq!(later["slowest"], json!([]));
        // Nothing is kept ten minutes after the last reading.
        sleep(Duration::from_secs(601)).await;
        assert_eq!(get(&web, "/").await.status, 200);
        server.wait_for_connections(|connections| connections == 0).await;
        let after = http().await;
        assert_eq!((counts(&after).iter().sum::<u64>(), &after["classes"]["2xx"]), (0, &json!(32)));
        assert_eq!(get(&listener, "/observer/api/1/http?server=nothing").await.status, 404);
        server.stop(Duration::ZERO).await;
        Ok::<(), Reason>(())
    });
}
