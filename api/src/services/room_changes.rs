//! What is changed about a room as a whole.

use super::rooms::{MAX_DESCRIPTION, MAX_NAME, streams};
use crate::{
    actor::Actor,
    app::Api,
    http::change::Change,
    openapi::words,
    power::Act,
    render,
    store::{Op, rows::RoomRow},
    text::{self, Fields},
    writer::Planned,
};
use rookery_shared::{
    envelope::Kind,
    ids::{RoomId, StreamId},
    model::{HistoryFrom, Room, Visibility},
    protocol::Problem,
};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// The body of `PATCH /rooms/{id}`: what is not given stays. A null description is none.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChangeRoom {
    #[serde(default)]
    #[schema(value_type = words::RoomName, required = false)]
    name: Change<String>,
    /// Null takes it away.
    #[serde(default)]
    #[schema(value_type = Option<words::Lines>)]
    description: Change<String>,
    #[serde(default)]
    #[schema(value_type = Visibility, required = false)]
    visibility: Change<Visibility>,
    /// What those see who come from now on; the others keep what they see.
    #[serde(default)]
    #[schema(value_type = HistoryFrom, required = false)]
    history_from: Change<HistoryFrom>,
}

/// What of it is new.
#[derive(Clone)]
struct New {
    name: Option<String>,
    description: Change<String>,
    visibility: Option<Visibility>,
    history_from: Option<HistoryFrom>,
}

impl ChangeRoom {
    fn checked(self) -> Result<New, Problem> {
        let mut fields = Fields::default();
        let new = New {
            name: self.name.kept(&mut fields, "name", |name| text::line(name, MAX_NAME)),
            description: self
                .description
                .clearable(&mut fields, "description", |text| text::lines(text, MAX_DESCRIPTION)),
            visibility: self.visibility.kept(&mut fields, "visibility", Ok),
            history_from: self.history_from.kept(&mut fields, "historyFrom", Ok),
        };
        fields.finish()?;
        Ok(new)
    }
}

impl New {
    /// The room after this change.
    fn of(&self, room: &RoomRow) -> RoomRow {
        RoomRow {
            name: self.name.clone().or_else(|| room.name.clone()),
            description: self.description.over(room.description.as_ref()),
            visibility: self.visibility.unwrap_or(room.visibility),
            history_from: self.history_from.unwrap_or(room.history_from),
            ..room.clone()
        }
    }
}

impl Api {
    /// Changes name, description, visibility, or what newcomers see.
    pub(crate) async fn change_room(&self, actor: Actor, id: RoomId, body: ChangeRoom) -> Result<Room, Problem> {
        let change = body.checked()?;
        self.change(streams(id, []), move |api, mut heads| {
            let change = change.clone();
            async move {
                let seen = api.acted_room(actor, id).await?;
                seen.check(actor, Act::ChangeRoom)?;
                let (changed, role) = (change.of(&seen.room), seen.role());
                let mut planned = Planned::nothing(render::room(&changed, seen.member_count, role));
                if changed != seen.room {
                    planned.entries.push(heads.entry(StreamId::Room(id), Kind::RoomUpdated, Uuid::nil(), 0));
                    planned.ops.push(Op::ReplaceRoom(changed.next()));
                }
                Ok(planned)
            }
        })
        .await
    }
}
