//! Tickwire inside an axum application: the application accepts, routes and upgrades, and hands the
//! upgraded connection over.
//!
//! ```text
//! cargo run --release --example axum
//! tickwire sub demo --url ws://127.0.0.1:8080/game
//! ```

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use hyper_util::rt::TokioIo;
use tickwire::server::{Handle, Server};
use tickwire::wire::SUBPROTOCOL;
use tungstenite::handshake::server::create_response;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::builder().detached()?;
    let app = Router::new()
        .route("/", get(|| async { "an axum application with a game at /game\n" }))
        .route("/game", any(upgrade))
        .with_state(server.handle());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    println!("http://{}", listener.local_addr()?);
    tokio::select! {
        ran = server.run(async { tokio::signal::ctrl_c().await.unwrap_or_default() }) => ran?,
        served = async { axum::serve(listener, app).await } => served?,
    }
    Ok(())
}

/// Answers the handshake, and serves the connection once it is upgraded.
async fn upgrade(State(server): State<Handle>, request: Request) -> Response {
    // An application would look at its session here, and refuse strangers.
    let (parts, body) = request.into_parts();
    let offers = parts.headers.get(header::SEC_WEBSOCKET_PROTOCOL).and_then(|offers| offers.to_str().ok());
    if !offers.is_some_and(|offers| offers.split(',').any(|offer| offer.trim() == SUBPROTOCOL)) {
        return (StatusCode::BAD_REQUEST, "offer the subprotocol tickwire.v1\n").into_response();
    }
    let mut request = Request::from_parts(parts, ());
    let Ok(response) = create_response(&request) else {
        return (StatusCode::BAD_REQUEST, "this is a WebSocket endpoint\n").into_response();
    };
    let on_upgrade = hyper::upgrade::on(&mut request);
    drop(body);
    tokio::spawn(async move {
        let Ok(upgraded) = on_upgrade.await else { return };
        // What was read behind the request is inside `upgraded`, so nothing is passed beside it.
        if let Err(full) = server.attach(TokioIo::new(upgraded), Default::default(), None).await {
            eprintln!("{full}");
        }
    });
    let mut response = response.map(|()| Body::empty());
    response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    response
}
