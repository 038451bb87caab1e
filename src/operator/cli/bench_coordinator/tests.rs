use super::*;

/// A measurement of next to no time, against the server that answers at once.
async fn load(operation: Operation) -> Load {
    let data = Bytes::from_static(b"0123456789");
    let address = instant_server::start(data.clone()).expect("it starts");
    let templates = (0..3)
        .map(|connection| Template::new(operation, &format!("/bench/{connection}"), data.clone()))
        .collect();
    let measured = Duration::from_millis(20);
    load::run(
        address,
        templates,
        4,
        Duration::ZERO,
        measured,
        &Rc::default(),
    )
    .await
    .expect("it ends well")
}

fn bench(operation: Operation) -> BenchCoordinator {
    BenchCoordinator {
        server: CoordinatorArgument::default(),
        operation,
        connections: 3,
        in_flight: 4,
        size: 10,
        seconds: 1,
        warm_up: 0,
        ceiling: true,
        json: false,
    }
}

#[tokio::test]
async fn every_operation_is_answered_until_the_end() {
    for operation in [Operation::Set, Operation::Get, Operation::Create] {
        let load = load(operation).await;
        let sent: u64 = load.sent.iter().sum();
        assert_eq!((load.errors, load.first_error), (0, None));
        assert!(load.sent.iter().all(|sent| *sent >= 4), "{:?}", load.sent);
        // What was answered after the end is not counted.
        assert!(load.latency.len() <= sent);
    }
}

#[tokio::test]
async fn what_came_out_is_told_to_people_and_programs() {
    let bench = bench(Operation::Get);
    let load = load(Operation::Get).await;
    let measured = Measured::new(&bench, "somewhere".to_owned(), &load);
    assert!(measured.check().is_ok());
    let text = measured.to_string();
    assert!(
        text.starts_with("get 10 B, 3 x 4 in flight, 0.02 s, somewhere\n"),
        "{text}"
    );
    assert_eq!(text.lines().count(), 6, "{text}");
    let json = measured.json();
    assert_eq!(json["requests"], load.latency.len());
    assert_eq!(json["bench"], "coordinator");
    assert!(json["latency_us"]["p99_9"].is_f64());
}

#[tokio::test]
async fn a_measurement_of_refusals_is_none() {
    let bench = bench(Operation::Set);
    let mut load = load(Operation::Set).await;
    load.errors = 2;
    load.first_error = Some(-101);
    let error = Measured::new(&bench, String::new(), &load)
        .check()
        .expect_err("refused");
    assert!(error.to_string().contains("NONODE (-101)"), "{error}");
}
