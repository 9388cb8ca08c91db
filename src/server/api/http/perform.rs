//! What is asked, done by the server's handle.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use super::answer::{self, id};
use super::ask::{Ask, Revoked};
use super::refused::Refused;
use crate::server::{Handle, Revoke};

/// Does what is asked. `server` is limited to what the key may.
pub(super) async fn perform(ask: Ask, server: &Handle) -> Result<Response<Full<Bytes>>, Refused> {
    let value = match ask {
        Ask::OpenApi => return Ok(answer::text(StatusCode::OK, Bytes::from_static(super::OPENAPI.as_bytes()))),
        Ask::Rooms(query) => {
            let list = server.rooms(&query).await?;
            json!({ "rooms": list.rooms.iter().map(answer::room).collect::<Vec<_>>() })
        }
        Ask::Room(room) => answer::room(&server.room(&room).await?),
        Ask::Members(room, after, limit) => {
            let list = server.members(&room, after, limit).await?;
            let members: Vec<Value> = list.members.iter().map(answer::member).collect();
            json!({ "members": members, "next": list.next.map(|next| next.0) })
        }
        Ask::Values(room, after, limit) => {
            let list = server.values(&room, after, limit).await?;
            let next = list.next.map(|(owner, key)| format!("{owner}-{}", key.wire()));
            json!({ "values": list.values.iter().map(answer::value).collect::<Vec<_>>(), "next": next })
        }
        Ask::Value(room, key) => answer::value(&server.value(&room, key).await?),
        Ask::History(room, since, limit) => {
            let history = server.history(&room, since, limit).await?;
            json!({
                "position": id(history.epoch, history.position),
                "lost": history.lost,
                "events": history.events.iter().map(|event| answer::event(history.epoch, event)).collect::<Vec<_>>(),
                "through": id(history.epoch, history.through),
                "more": history.more,
            })
        }
        Ask::One(publication) => answer::published(&server.publish(publication).await?),
        Ask::Publish(publications) => {
            let outcomes = server.publish_all(publications).await;
            let result = |outcome: Result<_, _>| match outcome {
                Ok(published) => answer::published(&published),
                Err(error) => answer::reason(&Refused::Api(error)),
            };
            json!({ "results": outcomes.into_iter().map(result).collect::<Vec<_>>() })
        }
        Ask::Direct { subject, room, payload, urgent } => {
            json!({ "sessions": server.direct(&subject, room.as_ref(), payload, urgent).await? })
        }
        Ask::Kick(room, whom) => json!({ "members": server.kick(&room, whom).await? }),
        Ask::Close(room) => json!({ "members": server.close_room(&room).await? }),
        Ask::Revoke(who, hold) => {
            let who = match &who {
                Revoked::Subject(subject) => Revoke::Subject(subject),
                Revoked::Token(token) => Revoke::Token(token),
            };
            json!({ "sessions": server.revoke(who, hold).map_err(|_| Refused::Revocations)? })
        }
        Ask::Drain => {
            server.drain();
            json!({ "connections": server.connections() })
        }
    };
    Ok(answer::json(StatusCode::OK, &value))
}
