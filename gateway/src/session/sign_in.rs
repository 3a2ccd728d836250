//! From an anonymous connection to a live one.
//!
//! The user's stream is followed first, then the store tells the rooms, then those are followed, then their heads are
//! read: whatever happens in between is in one of the streams and reaches the connection.

use super::{ReplyTo, error, reply, resume::Resuming};
use crate::{
    hub::{
        connection::{Connection, Live, Phase},
        core::{Core, State},
    },
    node::presence,
};
use bytes::BytesMut;
use rookery_shared::{
    backend::{Followed, SignIn, SignedIn},
    clock::{self, Time},
    ids::{RoomId, StreamId, UserId},
    model::{Chosen, ChosenStatus, UserStatus},
    presence::{Arrival, Device},
    protocol::{
        CloseReason, Code, Problem,
        command::{Authenticate, Authenticated, Cursors},
    },
    token::{Claims, TokenError},
};
use std::{collections::HashMap, rc::Rc, sync::Arc};
use tokio::{sync::oneshot, task::spawn_local};

/// What follows the sign-in.
#[derive(Debug)]
pub enum After {
    /// What is said from then on.
    Live,
    /// What was missed since these places, then what is said.
    Resume(Cursors),
    /// The same, once a `resume` has told the places.
    AwaitCursors,
}

/// How long before its end a client is told that its token ends, or at half of a shorter life.
const WARNING_SECONDS: i64 = 60;

/// The `authenticate` command: signs in, or brings a fresh token to a live connection.
pub fn authenticate(core: &Rc<Core>, connection: &Rc<Connection>, id: ReplyTo, command: Authenticate) {
    let Authenticate { token, resume } = command;
    let (core, connection) = (core.clone(), connection.clone());
    let place = connection.begin();
    spawn_local(async move {
        let _place = place;
        let node = core.node.clone();
        // Checking a signature takes longer than a core should be away from its sockets.
        let claims = core.node.run(async move { node.claims_of(token).await }).await;
        match claims {
            Ok(Ok(claims)) => {
                if let Some(live) = connection.live() {
                    return refresh(&core, &connection, id, live, claims).await;
                }
                let after = resume.map_or_else(|| connection.after_sign_in(), After::Resume);
                begin(&core, &connection, id, claims, after);
            }
            Ok(Err(reason)) if connection.live().is_some() => {
                // A live connection goes on with the token that it has.
                error(&core, &connection, id.as_deref(), &told(reason));
            }
            Ok(Err(reason)) => refuse(&core, &connection, id.as_deref(), &reason),
            Err(_) => error(&core, &connection, id.as_deref(), &Code::Internal.into()),
        }
    });
}

/// A token that cannot sign in: says so and closes.
pub fn refuse(core: &Rc<Core>, connection: &Rc<Connection>, id: Option<&str>, reason: &TokenError) {
    let close = match reason {
        TokenError::Expired => CloseReason::TokenExpired,
        TokenError::Invalid => CloseReason::Unauthorized,
        TokenError::Unavailable => CloseReason::Unavailable,
    };
    refuse_with(core, connection, id, close, &told(*reason));
}

/// What a client is told of a token that is not accepted.
fn told(reason: TokenError) -> Problem {
    let code = match reason {
        TokenError::Expired | TokenError::Invalid => Code::Unauthorized,
        TokenError::Unavailable => Code::Unavailable,
    };
    Problem::new(code, reason.to_string())
}

fn refuse_with(core: &Rc<Core>, connection: &Rc<Connection>, id: Option<&str>, close: CloseReason, problem: &Problem) {
    error(core, connection, id, problem);
    core.close(connection, close);
}

/// Signs in with claims that were verified.
pub fn begin(core: &Rc<Core>, connection: &Rc<Connection>, id: ReplyTo, claims: Claims, after: After) {
    let free = match &mut *connection.phase.borrow_mut() {
        Phase::Anonymous { signing_in, .. } => !std::mem::replace(signing_in, true),
        Phase::Live(_) | Phase::Closing { .. } => false,
    };
    if !free {
        let problem = Problem::new(Code::Conflict, "this connection signs in already");
        return error(core, connection, id.as_deref(), &problem);
    }
    let (core, connection) = (core.clone(), connection.clone());
    spawn_local(async move {
        let problem = match sign_in(&core, &connection, id.clone(), &claims, after).await {
            Ok(()) => return,
            Err(problem) => problem,
        };
        let close = match problem.code {
            Code::Unauthorized | Code::NotFound => CloseReason::SessionEnded,
            _ => CloseReason::Unavailable,
        };
        refuse_with(&core, &connection, id.as_deref(), close, &problem);
    });
}

async fn sign_in(
    core: &Rc<Core>,
    connection: &Rc<Connection>,
    id: ReplyTo,
    claims: &Claims,
    after: After,
) -> Result<(), Problem> {
    let own = StreamId::User(claims.sub);
    let own_pin = core.pin(&[own]);
    if let Some(slot) = own_pin.first() {
        // What the api is about to answer is newer; what is said from here on is newer than that.
        core.state.borrow_mut().chosen.remove(&slot);
    }
    core.subscribe(vec![own]).await?;
    let signed_in = ask(core, claims).await?;
    core.open(&own_pin, true, &HashMap::from([(own, signed_in.user_seq)])).await?;
    let rooms: Vec<StreamId> = signed_in.rooms.iter().map(|room| StreamId::Room(room.room_id)).collect();
    let room_pins = core.pin(&rooms);
    core.open(&room_pins, false, &HashMap::new()).await?;
    if !matches!(*connection.phase.borrow(), Phase::Anonymous { .. }) {
        // Closed while all that was under way.
        return Ok(());
    }
    go_live(core, connection, claims, &signed_in);
    // Asked for before the client hears, so that which connection is older is what the client would say as well.
    let arrival = core.node.devices.connected(Device { user: claims.sub, connection: connection.id });
    // `authenticated` comes however the sign-in was done, and before any other event.
    let mut frame = BytesMut::new();
    let authenticated = Authenticated {
        user: signed_in.user.clone(),
        session_id: claims.sid,
        token_expires_at: Time(claims.exp.saturating_mul(1000)),
        store_epoch: signed_in.store_epoch.clone(),
        user_seq: signed_in.user_seq,
    };
    connection.transport.put_frame(id.as_deref(), "authenticated", &authenticated, &mut frame);
    core.write(connection, frame);
    let small = |room: &&Followed| room.member_count <= core.node.config.presence_room_size;
    let told: Vec<RoomId> = signed_in.rooms.iter().filter(small).map(|room| room.room_id).collect();
    let chosen = Chosen { status: signed_in.user.status, text: signed_in.user.status_text.clone() };
    let owed = Resuming::new(core, signed_in, own_pin, room_pins);
    match after {
        After::Live => owed.go_on(core, connection, None),
        After::Resume(cursors) => owed.resume(core, connection, None, cursors).await?,
        After::AwaitCursors => *connection.resuming.borrow_mut() = Some(Box::new(owed)),
    }
    appear(core, connection, &told, chosen, arrival).await;
    Ok(())
}

/// Asks the api whether the session is alive, and what its user follows.
async fn ask(core: &Rc<Core>, claims: &Claims) -> Result<SignedIn, Problem> {
    let request = SignIn { user_id: claims.sub, session_id: claims.sid, max_rooms: core.node.config.max_rooms };
    let backend = core.node.backend.clone();
    core.node.run(async move { backend.sign_in(request).await }).await.map_err(|_| Problem::from(Code::Internal))?
}

fn go_live(core: &Core, connection: &Connection, claims: &Claims, signed_in: &SignedIn) {
    metrics::counter!("rookery_sign_ins_total").increment(1);
    let live = Live {
        user: claims.sub,
        session: claims.sid,
        username: Arc::from(signed_in.user.public.username.as_str()),
        status: signed_in.user.status,
        token_ends: claims.exp,
        warn_before: warn_before(claims),
        warned: false,
    };
    connection.heard.set(core.now());
    *connection.phase.borrow_mut() = Phase::Live(live);
}

fn warn_before(claims: &Claims) -> i64 {
    WARNING_SECONDS.min((claims.exp - claims.iat) / 2)
}

/// The device has registered: has the oldest closed of too many, and tells the rooms if its user has come online.
async fn appear(
    core: &Rc<Core>,
    connection: &Rc<Connection>,
    rooms: &[RoomId],
    chosen: Chosen,
    arrival: oneshot::Receiver<Arrival>,
) {
    let Some(live) = connection.live() else { return };
    let Ok(arrival) = arrival.await else { return };
    presence::close_surplus(&*core.node.bus, live.user, &arrival.surplus);
    if !arrival.came_online {
        return;
    }
    let chosen = newest_choice(&core.state.borrow(), live.user).cloned().unwrap_or(chosen);
    if chosen.status == ChosenStatus::Invisible {
        return;
    }
    let status = UserStatus {
        user_id: live.user,
        username: Some(live.username.to_string()),
        status: chosen.status.shown(),
        last_seen: None,
        text: chosen.text,
        chosen: None,
    };
    presence::tell(&*core.node.bus, rooms, &status);
}

/// How a user wants to be seen, where they have said so since somebody last signed in as them.
pub fn newest_choice(state: &State, user: UserId) -> Option<&Chosen> {
    state.chosen.get(state.by_id.get(&StreamId::User(user))?)
}

/// A fresh token on a live connection. Another user's is refused, and the connection goes on.
async fn refresh(core: &Rc<Core>, connection: &Rc<Connection>, id: ReplyTo, live: Live, claims: Claims) {
    if live.user != claims.sub {
        let problem = Problem::new(Code::Forbidden, "this connection belongs to another user");
        return error(core, connection, id.as_deref(), &problem);
    }
    let signed_in = match ask(core, &claims).await {
        Ok(signed_in) => signed_in,
        Err(problem) => return error(core, connection, id.as_deref(), &problem),
    };
    let token_expires_at = Time(claims.exp.saturating_mul(1000));
    if let Phase::Live(live) = &mut *connection.phase.borrow_mut() {
        live.session = claims.sid;
        live.token_ends = claims.exp;
        live.warn_before = warn_before(&claims);
        live.warned = claims.exp - clock::now().seconds() <= 0;
    }
    let authenticated = Authenticated {
        user: signed_in.user,
        session_id: claims.sid,
        token_expires_at,
        store_epoch: signed_in.store_epoch,
        user_seq: signed_in.user_seq,
    };
    reply(core, connection, id.as_deref(), "authenticated", &authenticated);
}
