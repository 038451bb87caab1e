//! `/health` and `/metrics`, on the web port.

use std::rc::Rc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tracing::error;

use super::event_loop::Shell;

/// Scrapes that may wait for the loop; more are answered 503.
const WAITING_MAX: usize = 16;

/// What the web port asks the loop.
enum Question {
    Health(oneshot::Sender<Result<(), String>>),
    Metrics(oneshot::Sender<String>),
}

/// Serves the web port until it is dropped.
///
/// The library wants handlers that could run on any thread; the node lives on this one. So the handlers ask
/// through a channel, a few times a minute.
pub(super) async fn serve(shell: Rc<Shell>, listener: TcpListener) {
    let (ask, mut questions) = mpsc::channel::<Question>(WAITING_MAX);
    let answers = async {
        while let Some(question) = questions.recv().await {
            // Whoever went away needs no answer.
            match question {
                Question::Health(answer) => drop(answer.send(shell.health())),
                Question::Metrics(answer) => drop(answer.send(shell.metrics())),
            }
        }
    };
    let health = {
        let ask = ask.clone();
        move || async move {
            let (answer, answered) = oneshot::channel();
            match (ask.try_send(Question::Health(answer)), answered.await) {
                (Ok(()), Ok(Ok(()))) => (StatusCode::OK, "ok\n".to_owned()),
                (Ok(()), Ok(Err(reason))) => (StatusCode::SERVICE_UNAVAILABLE, reason + "\n"),
                _ => (
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the server is busy or stops\n".to_owned(),
                ),
            }
        }
    };
    let metrics = move || async move {
        let (answer, answered) = oneshot::channel();
        match (ask.try_send(Question::Metrics(answer)), answered.await) {
            (Ok(()), Ok(text)) => {
                const FORMAT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                ([(header::CONTENT_TYPE, FORMAT)], text).into_response()
            }
            _ => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        }
    };
    let router = Router::new()
        .route("/health", get(health))
        .route("/metrics", get(metrics));
    tokio::select! {
        () = answers => {}
        served = axum::serve(listener, router).into_future() => {
            if let Err(error) = served {
                error!(%error, "the web port serves no more");
            }
        }
    }
}
