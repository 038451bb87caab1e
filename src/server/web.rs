//! `/health`, `/ready` and `/metrics`, on the web port; `/` says so.
//!
//! Who asks here asks one thing, a few times a minute. So a connection gets one answer and [`TIME_MAX`] for all
//! of it, and there are at most [`CONNECTIONS_MAX`] of them: whoever sends half a request, or drips, or
//! reads nothing, costs one place for some seconds.

use std::rc::Rc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tracing::debug;

use super::accept::accept_clients;
use super::event_loop::Shell;
use crate::net::listener::Census;
use crate::report::metrics::Form;

/// Connections at a time; one more is closed at once.
pub(super) const CONNECTIONS_MAX: usize = 64;
/// From a connection's first moment to the last byte of its answer.
const TIME_MAX: Duration = Duration::from_secs(5);
/// What `/` says, and every path that is not there.
const PAGES: &str = "\
A Chrysalis server. This port has:
/health   200 while clients are served, otherwise 503 and why
/ready    200 while the server does all it is there for, otherwise 503 and why
/metrics  the numbers, for Prometheus
";

/// What the web port asks the loop.
enum Question {
    Health(oneshot::Sender<Vec<String>>),
    Ready(oneshot::Sender<Vec<String>>),
    Metrics(Form, oneshot::Sender<String>),
}

/// Serves the web port until it is dropped.
///
/// The library wants handlers that could run on any thread; the node lives on this one. So the handlers ask
/// through a channel, a few times a minute.
pub(super) async fn serve(shell: Rc<Shell>, listener: TcpListener, census: Census) {
    let (ask, mut questions) = mpsc::channel::<Question>(CONNECTIONS_MAX);
    let answers = async {
        while let Some(question) = questions.recv().await {
            // Whoever went away needs no answer.
            match question {
                Question::Health(answer) => {
                    drop(answer.send(shell.health().err().into_iter().collect()));
                }
                Question::Ready(answer) => drop(answer.send(shell.obstacles())),
                Question::Metrics(form, answer) => drop(answer.send(shell.metrics(form))),
            }
        }
    };
    let router = router(ask);
    let serve = |stream, _| answer(stream, router.clone());
    tokio::select! {
        () = answers => {}
        () = accept_clients("web", shell.clock, listener, census, |_| {}, serve) => {}
    }
}

fn router(ask: mpsc::Sender<Question>) -> Router {
    let asks = |question: fn(oneshot::Sender<Vec<String>>) -> Question| {
        let ask = ask.clone();
        move || async move {
            let (answer, answered) = oneshot::channel();
            match (ask.try_send(question(answer)), answered.await) {
                (Ok(()), Ok(reasons)) if reasons.is_empty() => (StatusCode::OK, "ok\n".to_owned()),
                (Ok(()), Ok(reasons)) => {
                    (StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n") + "\n")
                }
                _ => (
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the server is busy or stops\n".to_owned(),
                ),
            }
        }
    };
    let (health, ready) = (asks(Question::Health), asks(Question::Ready));
    let metrics = move |headers: HeaderMap| async move {
        let accept = headers.get_all(header::ACCEPT).iter();
        let accept: Vec<&str> = accept.filter_map(|value| value.to_str().ok()).collect();
        let form = Form::accepted(&accept.join(","));
        let (answer, answered) = oneshot::channel();
        match (
            ask.try_send(Question::Metrics(form, answer)),
            answered.await,
        ) {
            (Ok(()), Ok(text)) => {
                ([(header::CONTENT_TYPE, form.content_type())], text).into_response()
            }
            _ => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        }
    };
    Router::new()
        .route("/", get(|| async { PAGES }))
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .fallback(|| async { (StatusCode::NOT_FOUND, PAGES) })
}

/// One request, one answer, and the end.
async fn answer(stream: TcpStream, router: Router) {
    let mut http = http1::Builder::new();
    http.keep_alive(false);
    let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    match tokio::time::timeout(TIME_MAX, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "no request on the web port"),
        Err(_) => debug!("a connection to the web port took too long"),
    }
}
