//! The way to the api over HTTP: kept connections, the api of a room by rendezvous hashing, another one when that one
//! does not answer.

pub mod placement;

use futures_util::future::join_all;
use placement::Placement;
use reqwest::{Client, header};
use rookery_shared::{
    backend::{
        Backend, Call, CursorsOf, Deletion, Edit, EntriesAfter, Followed, Mark, PresenceRooms, RoomAccess, Send,
        SignIn, SignedIn, Target, UpdateStatus,
    },
    envelope::{Event, decode_list},
    ids::{RoomId, StreamId, UserId},
    model::Chosen,
    protocol::{
        Code, Problem,
        command::{MessageChanged, MessageSent, ReadCursors, ReadUpTo, RoomUser},
    },
    token::{Claims, TokenError},
};
use serde::{Serialize, de::DeserializeOwned};
use std::time::Duration;

/// How long the way to an api may take to open.
const CONNECT: Duration = Duration::from_secs(1);

/// How long an api may take to answer. Longer than it waits for a primary of MongoDB, so that its own answer counts.
const ANSWER: Duration = Duration::from_secs(8);

/// Apis behind HTTP.
pub struct HttpBackend {
    client: Client,
    apis: Placement,
    authorization: String,
}

impl HttpBackend {
    /// Apis at these addresses (`http://host:port`, no slash at the end), with the secret that gateways and apis share.
    pub fn new(urls: Vec<String>, secret: &str) -> Result<Self, reqwest::Error> {
        let client = Client::builder().connect_timeout(CONNECT).timeout(ANSWER).tcp_nodelay(true).no_proxy().build()?;
        Ok(Self { client, apis: Placement::new(urls), authorization: format!("Bearer {secret}") })
    }

    /// Asks the api that is right for `key`, and the others in turn while none answers. Every call may be repeated:
    /// reads change nothing, and sends carry a key of their own.
    async fn post(&self, key: &[u8], name: &str, body: Vec<u8>) -> Result<reqwest::Response, Problem> {
        let mut last = Problem::from(Code::Unavailable);
        for api in self.apis.order(key) {
            let url = format!("{}/internal/v1/{name}", self.apis.url(api));
            let request = self.client.post(url).header(header::AUTHORIZATION, &self.authorization);
            let request = request.header(header::CONTENT_TYPE, "application/json").body(body.clone());
            match request.send().await {
                Ok(response) if response.status().is_success() => return Ok(response),
                Ok(response) => {
                    let status = response.status();
                    let problem = response.json().await.unwrap_or_else(|_| Problem::from(Code::Unavailable));
                    // What the api says of the request is final; what it says of itself is not.
                    if status.is_client_error() {
                        return Err(problem);
                    }
                    last = problem;
                }
                Err(error) => {
                    tracing::debug!(error = %error.without_url(), name, "an api does not answer");
                    self.apis.failed(api);
                }
            }
        }
        Err(last)
    }

    async fn ask<T: DeserializeOwned>(&self, key: &[u8], name: &str, request: &impl Serialize) -> Result<T, Problem> {
        let response = self.post(key, name, encode(request)?).await?;
        response.json().await.map_err(|_| Code::Unavailable.into())
    }
}

fn encode(request: &impl Serialize) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(request).map_err(|_| Code::Internal.into())
}

/// What decides which api stores a message: the room, or the pair of people whoever of them writes.
fn key_of(send: &Send) -> Vec<u8> {
    match send.target {
        Target::Room(room) => room.0.as_bytes().to_vec(),
        Target::User(user) => {
            let (low, high) = (user.0.min(send.sender.0), user.0.max(send.sender.0));
            [low.as_bytes().as_slice(), high.as_bytes()].concat()
        }
    }
}

impl Backend for HttpBackend {
    fn exchange(&self, token: String) -> Call<'_, Result<Claims, TokenError>> {
        // The same token to the same api: two devices that show it at once make one account either way.
        Box::pin(async move { self.ask(token.as_bytes(), "exchange", &token).await })
    }

    fn sign_in(&self, request: SignIn) -> Call<'_, SignedIn> {
        Box::pin(async move { self.ask(request.user_id.0.as_bytes(), "sign-in", &request).await })
    }

    fn send(&self, sends: Vec<Send>) -> Call<'_, Vec<Result<MessageSent, Problem>>> {
        Box::pin(async move {
            // One call an api. Sends of one room share a key, so their order stays.
            let count = sends.len();
            let mut parts: Vec<(Vec<u8>, Vec<usize>, Vec<Send>)> = Vec::new();
            let mut places: Vec<Option<usize>> = vec![None; self.apis.len()];
            for (index, send) in sends.into_iter().enumerate() {
                let key = key_of(&send);
                let api = self.apis.first(&key);
                let part = *places[api].get_or_insert_with(|| {
                    parts.push((key, Vec::new(), Vec::new()));
                    parts.len() - 1
                });
                parts[part].1.push(index);
                parts[part].2.push(send);
            }
            let calls = parts.into_iter().map(|(key, indexes, sends)| async move {
                let answers: Result<Vec<Result<MessageSent, Problem>>, Problem> = self.ask(&key, "send", &sends).await;
                (indexes, answers)
            });
            let mut results = vec![Err(Problem::from(Code::Unavailable)); count];
            for (indexes, answers) in join_all(calls).await {
                match answers {
                    Ok(answers) => {
                        for (index, answer) in indexes.into_iter().zip(answers) {
                            results[index] = answer;
                        }
                    }
                    Err(problem) => indexes.into_iter().for_each(|index| results[index] = Err(problem.clone())),
                }
            }
            Ok(results)
        })
    }

    fn edit_message(&self, request: Edit) -> Call<'_, MessageChanged> {
        // Which room it is in is not known here; the same message goes to the same api, whichever that is.
        Box::pin(async move { self.ask(request.message_id.0.as_bytes(), "edit-message", &request).await })
    }

    fn delete_message(&self, request: Deletion) -> Call<'_, MessageChanged> {
        Box::pin(async move { self.ask(request.message_id.0.as_bytes(), "delete-message", &request).await })
    }

    fn mark_read(&self, request: Mark) -> Call<'_, ReadUpTo> {
        // By the user, so that the moves of one cursor meet in one api and are made together.
        Box::pin(async move { self.ask(request.user_id.0.as_bytes(), "mark-read", &request).await })
    }

    fn read_cursors(&self, request: CursorsOf) -> Call<'_, ReadCursors> {
        Box::pin(async move { self.ask(request.user_id.0.as_bytes(), "read-cursors", &request).await })
    }

    fn heads(&self, streams: Vec<StreamId>) -> Call<'_, Vec<u64>> {
        Box::pin(async move {
            let key = streams.first().map(|stream| stream.uuid()).unwrap_or_default();
            self.ask(key.as_bytes(), "heads", &streams).await
        })
    }

    fn entries(&self, request: EntriesAfter) -> Call<'_, Vec<Event>> {
        Box::pin(async move {
            let response = self.post(request.stream.uuid().as_bytes(), "entries", encode(&request)?).await?;
            let bytes = response.bytes().await.map_err(|_| Problem::from(Code::Unavailable))?;
            decode_list(bytes).map_err(|_| Code::Internal.into())
        })
    }

    fn room_access(&self, request: RoomAccess) -> Call<'_, Followed> {
        Box::pin(async move { self.ask(request.room_id.0.as_bytes(), "room-access", &request).await })
    }

    fn room_users(&self, request: RoomAccess) -> Call<'_, Vec<RoomUser>> {
        Box::pin(async move { self.ask(request.room_id.0.as_bytes(), "room-users", &request).await })
    }

    fn conversation_of(&self, one: UserId, other: UserId) -> Call<'_, Option<RoomId>> {
        Box::pin(async move { self.ask(one.0.as_bytes(), "conversation-of", &(one, other)).await })
    }

    fn update_status(&self, request: UpdateStatus) -> Call<'_, Chosen> {
        Box::pin(async move { self.ask(request.user_id.0.as_bytes(), "update-status", &request).await })
    }

    fn presence_rooms(&self, users: Vec<UserId>) -> Call<'_, Vec<PresenceRooms>> {
        Box::pin(async move {
            let key = users.first().map(|user| user.0).unwrap_or_default();
            self.ask(key.as_bytes(), "presence-rooms", &users).await
        })
    }
}
