//! What is asked, done by the server's handle.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use super::answer;
use super::ask::Ask;
use super::refused::Refused;
use crate::server::Handle;

/// Does what is asked. `server` is limited to what the key may.
pub(super) async fn perform(ask: Ask, server: &Handle) -> Result<Response<Full<Bytes>>, Refused> {
    let value = match ask {
        Ask::Rooms(query) => {
            let list = server.rooms(&query).await?;
            let rooms: Vec<Value> = list.rooms.iter().map(answer::room).collect();
            json!({ "rooms": rooms })
        }
        Ask::Room(room) => answer::room(&server.room(&room).await?),
    };
    Ok(answer::json(StatusCode::OK, &value))
}
