//! The views as JSON: OB11.

mod common;

use std::time::Duration;

use common::{ask, get};
use riot_actor::{
    Pid, Reason,
    group::join_group,
    process::{SpawnOptions, info},
    register,
    runtime::Config,
    send,
    simulation::Simulation,
    sleep, spawn, this,
};
use riot_http::{Reqd, Response, Server};
use riot_observer::Observer;
use riot_socket::memory::Listener;
use serde_json::{Value, json};

const SEEDS: std::ops::Range<u64> = 0..10;

async fn hello(reqd: Reqd) {
    let _ = reqd.respond_with_string(Response::ok(), "hello");
}

async fn own() -> Result<Listener, Reason> {
    let listener = Listener::new();
    Observer::new().listen_on(listener.clone()).start_link().await?;
    Ok(listener)
}

async fn view(listener: &Listener, path: &str) -> Value {
    let answer = get(listener, &format!("/observer/api/1/{path}")).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    assert_eq!(answer.field("content-type"), Some("application/json"));
    serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{path}: {error}: {}", answer.body))
}

fn sleeper() -> Pid {
    spawn(std::future::pending::<()>())
}

#[test]
fn ob11_wrong_requests_are_errors_in_json() {
    Simulation::sweep(SEEDS, || async {
        let listener = own().await?;
        for (method, path, status) in [
            ("GET", "nothing", 404),
            ("GET", "", 404),
            ("GET", "home/", 404),
            ("GET", "process/<1.999999.0>", 404),
            ("GET", "process/1.2", 422),
            ("GET", "process/", 422),
            ("GET", "processes?by=beauty", 422),
            ("GET", "processes?state=happy", 422),
            ("GET", "processes?page=-1", 422),
            ("GET", "processes?size=many", 422),
            ("GET", "processes?desc=yes", 422),
            ("GET", "connections?by=color", 422),
            ("GET", "tree?depth=x", 422),
            ("POST", "home", 405),
            ("DELETE", "process/1.0.0", 405),
        ] {
            let answer =
                ask(&listener, method, &format!("/observer/api/1/{path}"), "Content-Length: 0\r\n").await;
            assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
            let body: Value = serde_json::from_str(&answer.body).expect("errors are JSON");
            assert!(body["error"].as_str().is_some_and(|text| !text.is_empty()), "{path}: {body}");
        }
        Ok::<(), Reason>(())
    });
}

#[test]
fn ob11_home_is_the_program_as_a_whole() {
    Simulation::sweep(SEEDS, || async {
        let (listener, web) = (own().await?, Listener::new());
        let server = Server::listen(web.clone()).handler(hello).start_link().await?;
        let _client = web.connect()?;
        server.wait_for_connections(|connections| connections == 1).await;
        sleep(Duration::from_secs(5)).await;
        let home = view(&listener, "home").await;
        assert_eq!((home["state"].as_str(), home["t"].as_u64().map(|t| t / 1000)), (Some("ready"), Some(5)));
        assert_eq!(home["connections"], 2, "the observer has one itself");
        assert!(
            home["processes"].as_u64() > Some(5) && home["spawned"].as_u64() >= home["processes"].as_u64()
        );
        for unknown in ["version", "messages", "alarms"] {
            assert!(home.get(unknown).is_some_and(Value::is_null), "{unknown}");
        }
        // Nothing of the machine shows in a simulation.
        for machine in ["name", "started", "rss_bytes", "fds", "fds_max"] {
            assert!(home.get(machine).is_some_and(Value::is_null), "{machine}");
        }
        assert_eq!(home["workers"], json!([]));
        server.stop(Duration::ZERO).await;
        Ok::<(), Reason>(())
    });
    let reason = Config::new().workers(2).run(async {
        let home = view(&own().await?, "home").await;
        let workers = home["workers"].as_array().expect("a list");
        assert_eq!(workers.len(), 2);
        assert!(
            workers.iter().all(|worker| (0.0..=1.0).contains(&worker["busy"].as_f64().expect("a ratio")))
        );
        let name = home["name"].as_str().expect("the program has a name");
        assert!(name.starts_with("api"), "{name}");
        let started = home["started"].as_str().expect("it has started");
        assert!(started.starts_with("20") && started.ends_with('Z'), "{started}");
        if cfg!(target_os = "linux") {
            assert!(home["rss_bytes"].as_u64() > Some(1_000_000) && home["fds"].as_u64() >= Some(3));
        }
        Ok::<(), Reason>(())
    });
    assert_eq!(reason.expect("the runtime starts"), Reason::Normal);
}

#[test]
fn ob11_processes_are_sorted_filtered_and_paged() {
    Simulation::sweep(SEEDS, || async {
        let listener = own().await?;
        let clerks: Vec<Pid> = (0..300)
            .map(|nth| {
                let label = format!("Clerk.{nth:03}");
                SpawnOptions::new().label(label).spawn(std::future::pending::<()>())
            })
            .collect();
        register("chief", clerks[7])?;
        (0..9_u8).for_each(|number| send(clerks[3], number));
        send(clerks[5], 1_u8);
        let rows = async |query: &str| view(&listener, &format!("processes?{query}")).await["rows"].clone();
        let by_mailbox = view(&listener, "processes?filter=clerk").await;
        assert_eq!(by_mailbox["total"], 300);
        let pids = |rows: &Value| -> Vec<String> {
            let rows = rows.as_array().expect("a list").iter();
            rows.map(|row| row["pid"].as_str().expect("a text").to_owned()).collect()
        };
        let text = |nth: usize| clerks[nth].to_string();
        let listed = pids(&by_mailbox["rows"]);
        assert_eq!((listed.len(), &listed[..3]), (100, &[text(3), text(5), text(0)][..]));
        assert_eq!(by_mailbox["rows"][0]["mailbox"], 9);
        assert_eq!(pids(&rows("by=label&desc=0&page=2&size=5&filter=CLERK.").await)[0], text(10));
        assert_eq!(rows("size=5000&filter=clerk").await.as_array().map(Vec::len), Some(200));
        assert_eq!(pids(&rows("filter=chief").await), [text(7)]);
        assert_eq!(rows("filter=chief").await[0]["names"], json!(["chief"]));
        let pid = text(9).replace('<', "%3C").replace('>', "%3e");
        assert_eq!(pids(&rows(&format!("filter={pid}")).await), [text(9)]);
        assert_eq!(rows("filter=clerk&state=running").await, json!([]));
        assert_eq!(rows("filter=clerk&state=waiting&size=1").await.as_array().map(Vec::len), Some(1));
        let row = rows("filter=Clerk.042").await[0].clone();
        assert_eq!((row["label"].as_str(), row["state"].as_str()), (Some("Clerk.042"), Some("waiting")));
        // A simulation has no samples of what workers run.
        assert!(row.get("busy_ms").is_some_and(Value::is_null), "{row}");
        assert_eq!(rows("by=busy&filter=clerk&size=1").await.as_array().map(Vec::len), Some(1));
        Ok::<(), Reason>(())
    });
}

#[test]
fn ob11_a_process_is_shown_until_it_is_released() {
    Simulation::sweep(SEEDS, || async {
        let listener = own().await?;
        let pid = SpawnOptions::new().label("a\"\n\u{1b}[31m").link().spawn(std::future::pending::<()>());
        register("clerk", pid)?;
        send(pid, 1_u8);
        sleep(Duration::from_secs(2)).await;
        for path in
            [pid.to_string().replace('<', "%3C").replace('>', "%3E"), pid.to_string().replace(['<', '>'], "")]
        {
            let shown = view(&listener, &format!("process/{path}")).await;
            assert_eq!(shown["pid"], pid.to_string());
            assert_eq!((&shown["names"], &shown["mailbox"]), (&json!(["clerk"]), &json!(1)));
            assert_eq!(shown["label"], "a\"\n\u{1b}[31m");
            assert_eq!((&shown["links"], &shown["links_total"]), (&json!([this().to_string()]), &json!(1)));
            assert_eq!(
                (&shown["parent"], &shown["priority"]),
                (&json!(this().to_string()), &json!("normal"))
            );
            assert_eq!(shown["age_ms"].as_u64().map(|age| age / 1000), Some(2));
        }
        riot_actor::unlink(pid);
        riot_actor::exit(pid, Reason::Kill);
        while info(pid).is_some() {
            sleep(Duration::from_millis(1)).await;
        }
        let path = pid.to_string().replace(['<', '>'], "");
        let answer = get(&listener, &format!("/observer/api/1/process/{path}")).await;
        assert_eq!((answer.status, answer.body.as_str()), (404, "{\"error\":\"no such process\"}"));
        Ok::<(), Reason>(())
    });
}

/// Returns the nodes of a tree.
fn nodes(value: &Value) -> Vec<&Value> {
    let children = value.get("children").or(value.get("roots")).and_then(Value::as_array);
    let below = children.into_iter().flatten().flat_map(nodes);
    std::iter::once(value).chain(below).collect()
}

#[test]
fn ob11_the_tree_folds_many_siblings_of_one_label() {
    Simulation::sweep(SEEDS, || async {
        let listener = own().await?;
        let crew = |count: usize, label: &'static str| {
            let pids =
                (0..count).map(|_| SpawnOptions::new().label(label).spawn(std::future::pending::<()>()));
            pids.collect::<Vec<Pid>>()
        };
        let (many, few) = (crew(51, "Sailor"), crew(50, "Mate"));
        (0..3_u8).for_each(|number| send(many[1], number));
        let tree = view(&listener, "tree").await;
        let all = nodes(&tree);
        let labelled = |label: &str| all.iter().filter(|node| node["label"] == label).count();
        assert_eq!((labelled("Sailor"), labelled("Mate")), (1, 50));
        let fold = all.iter().find(|node| node["label"] == "Sailor").expect("it is there");
        assert_eq!(fold["fold"], json!({"label": "Sailor", "count": 51, "mailbox": 3, "busy": null}));
        assert!(fold["pid"].is_null());
        let has = |pid: Pid| all.iter().any(|node| node["pid"] == pid.to_string());
        assert!(has(few[0]) && has(this()) && !has(many[0]));
        let flat = view(&listener, "tree?depth=1").await;
        assert!(nodes(&flat).iter().skip(1).all(|node| node["children"] == json!([])));
        assert_eq!(view(&listener, "tree?depth=0").await["roots"], json!([]));
        Ok::<(), Reason>(())
    });
}

#[test]
fn ob11_a_chain_of_processes_without_end_is_cut_and_answered() {
    Simulation::sweep(0..2, || async {
        let listener = own().await?;
        fn chain(left: usize) {
            if left > 0 {
                spawn(async move {
                    chain(left - 1);
                    std::future::pending::<()>().await;
                });
            }
        }
        chain(5_000);
        sleep(Duration::from_secs(1)).await;
        let tree = view(&listener, "tree?depth=1000000").await;
        assert!((60..200).contains(&nodes(&tree).len()), "{}", nodes(&tree).len());
        Ok::<(), Reason>(())
    });
}

#[test]
fn ob11_servers_and_connections_are_what_they_have_done() {
    Simulation::sweep(SEEDS, || async {
        let (listener, web) = (own().await?, Listener::new());
        let server = Server::listen(web.clone()).name("web").max_connections(9).handler(hello);
        let server = server.start_link().await?;
        let mut clients = Vec::new();
        for requests in 0..3 {
            let mut client = web.connect()?;
            for _ in 0..requests {
                client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await?;
                client.read(&mut [0; 1024]).await?;
            }
            clients.push(client);
        }
        sleep(Duration::from_millis(100)).await;
        let shown = view(&listener, "servers").await;
        let listed = shown["servers"].as_array().expect("a list");
        let found = listed.iter().find(|server| server["name"] == "web").expect("it is listed");
        for (field, value) in [
            ("state", json!("running")),
            ("connections", json!(3)),
            ("connections_max", json!(9)),
            ("accepted", json!(3)),
            ("refused", json!(0)),
            ("sent_bytes", json!(server.info().bytes_sent)),
        ] {
            assert_eq!(found[field], value, "{field}");
        }
        assert_eq!(found["ended"]["crashed"], 0);
        let connections = view(&listener, "connections?server=web&by=requests").await;
        assert_eq!(connections["total"], 3);
        let requests: Vec<u64> = connections["rows"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|row| row["requests"].as_u64().expect("a number"))
            .collect();
        assert_eq!(requests, [2, 1, 0]);
        let row = &connections["rows"][0];
        assert_eq!((&row["server"], &row["protocol"]), (&json!("web"), &Value::Null));
        assert!(row["peer"].as_str().is_some_and(|peer| peer.starts_with("memory:")), "{row}");
        assert_eq!(view(&listener, "connections?server=nothing").await["total"], 0);
        assert!(view(&listener, "connections").await["total"].as_u64() >= Some(4));
        server.stop(Duration::ZERO).await;
        Ok::<(), Reason>(())
    });
}

#[test]
fn ob11_names_groups_and_alarms_are_listed() {
    Simulation::sweep(SEEDS, || async {
        let listener = own().await?;
        let pids: Vec<Pid> = (0..250).map(|_| sleeper()).collect();
        register("zoo", pids[0])?;
        register("ant", pids[1])?;
        pids.iter().for_each(|&pid| join_group("crew", pid));
        join_group("captains", pids[5]);
        let names = view(&listener, "names").await;
        let expected = json!([
            {"name": "ant", "pid": pids[1].to_string()},
            {"name": "zoo", "pid": pids[0].to_string()},
        ]);
        assert_eq!(names["names"], expected);
        let groups = view(&listener, "groups").await;
        assert_eq!(
            groups["groups"][0],
            json!({"name": "captains", "size": 1, "members": [pids[5].to_string()]})
        );
        assert_eq!(
            (&groups["groups"][1]["name"], &groups["groups"][1]["size"]),
            (&json!("crew"), &json!(250))
        );
        assert_eq!(groups["groups"][1]["members"].as_array().map(Vec::len), Some(200));
        assert_eq!(view(&listener, "alarms").await, json!({"alarms": null}));
        Ok::<(), Reason>(())
    });
}

#[test]
fn ob11_the_api_lies_behind_the_same_authentication() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let observer = Observer::new().bearer("s3cr3t");
        Server::listen(listener.clone()).handler(observer.mount("/o", hello)).start_link().await?;
        for path in ["home", "processes", "nothing"] {
            let path = format!("/o/api/1/{path}");
            assert_eq!(get(&listener, &path).await.status, 401, "{path}");
        }
        let right = ask(&listener, "GET", "/o/api/1/home", "Authorization: Bearer s3cr3t\r\n").await;
        assert_eq!(right.status, 200);
        Ok::<(), Reason>(())
    });
}
