//! What each role may do in a room: the one place in the code; docs/rest.md has the same table for people.

use crate::{actor::Actor, store::rows::RoomRow};
use rookery_shared::{
    model::MemberRole,
    protocol::{Code, Problem},
};

/// Something that not everyone in a room may do. What everyone may is not here: to send, to edit and delete one's own,
/// to react, to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Make, list and revoke invites.
    Invite,
    /// Add members, and remove those of a lower role.
    ManageMembers,
    /// Ban, unban and list who is banned.
    Ban,
    /// Delete what others wrote.
    DeleteOthers,
    /// Pin and unpin messages.
    Pin,
    /// Change what members may do.
    ChangeRoles,
    /// Change name, description, visibility and what newcomers see.
    ChangeRoom,
    /// Delete the room with everything in it.
    DeleteRoom,
}

impl Act {
    /// The least role that may do it in a room.
    const fn least(self) -> MemberRole {
        match self {
            Self::Invite | Self::ManageMembers | Self::Ban | Self::DeleteOthers | Self::Pin => MemberRole::Moderator,
            Self::ChangeRoles | Self::ChangeRoom | Self::DeleteRoom => MemberRole::Owner,
        }
    }
}

/// Whether somebody with this role in the room may do something there; a refusal says why not. That they can see the
/// room at all is checked before.
pub(crate) fn check(actor: Actor, room: &RoomRow, role: Option<MemberRole>, act: Act) -> Result<(), Problem> {
    if act == Act::DeleteRoom && actor.is_admin() {
        return Ok(());
    }
    if role.is_none() && !actor.is_key() {
        return Err(Code::NotAMember.into());
    }
    if room.room_type.is_conversation() {
        // Exact people without roles: whoever is in it pins, whoever began it ends it, and nothing else is to be managed.
        return match act {
            Act::Pin => Ok(()),
            Act::DeleteRoom if actor.is_key() || room.created_by == Some(actor.id) => Ok(()),
            Act::DeleteRoom => Err(Problem::new(Code::Forbidden, "Only who began a conversation may delete it")),
            _ => Err(Problem::new(Code::Forbidden, "A conversation of exact people cannot be changed")),
        };
    }
    if actor.is_key() || role.is_some_and(|role| role >= act.least()) {
        return Ok(());
    }
    Err(Problem::new(
        Code::Forbidden,
        match act.least() {
            MemberRole::Owner => "Only an owner of the room may do this",
            MemberRole::Moderator | MemberRole::Member => "Only a moderator or an owner of the room may do this",
        },
    ))
}

/// Whether somebody may end the membership of one with this role: of those below them; owners and servers of everyone.
pub(crate) fn check_over(actor: Actor, role: Option<MemberRole>, other: MemberRole) -> Result<(), Problem> {
    if actor.is_key() || role == Some(MemberRole::Owner) || role.is_some_and(|role| role > other) {
        return Ok(());
    }
    Err(Problem::new(Code::Forbidden, "Only an owner of the room removes its moderators and owners"))
}

/// Whether somebody may bring someone in with this role: nobody gives more than they have.
pub(crate) fn check_given(actor: Actor, role: Option<MemberRole>, given: MemberRole) -> Result<(), Problem> {
    if actor.is_key() || role.is_some_and(|role| role >= given) {
        return Ok(());
    }
    Err(Problem::new(Code::Forbidden, "Nobody gives a role above their own"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actor::ActorKind;
    use rookery_shared::{
        clock::Time,
        ids::{RoomId, UserId},
        model::{HistoryFrom, RoomType, Visibility},
    };

    fn room(room_type: RoomType, created_by: UserId) -> RoomRow {
        RoomRow {
            id: RoomId::new(),
            room_type,
            name: None,
            description: None,
            visibility: Visibility::Private,
            history_from: HistoryFrom::Start,
            created_by: Some(created_by),
            created_at: Time(0),
            conversation_key: None,
            deleted_at: None,
            deleted_by: None,
            version: 1,
        }
    }

    fn actor(kind: ActorKind) -> Actor {
        Actor { id: UserId::new(), kind }
    }

    #[test]
    fn every_role_may_do_what_the_lower_ones_may() {
        let (room, user) = (room(RoomType::Room, UserId::new()), actor(ActorKind::User));
        let may = |role, act| check(user, &room, Some(role), act).is_ok();
        for act in [Act::Invite, Act::ManageMembers, Act::Ban, Act::DeleteOthers, Act::Pin] {
            assert!(!may(MemberRole::Member, act) && may(MemberRole::Moderator, act) && may(MemberRole::Owner, act));
        }
        for act in [Act::ChangeRoles, Act::ChangeRoom, Act::DeleteRoom] {
            assert!(!may(MemberRole::Moderator, act) && may(MemberRole::Owner, act));
        }
        assert_eq!(check(user, &room, None, Act::Pin).expect_err("not in it").code, Code::NotAMember);
    }

    #[test]
    fn moderators_stand_above_members_only_and_owners_above_everyone() {
        use MemberRole::{Member, Moderator, Owner};
        let user = actor(ActorKind::User);
        for (role, other, may) in [
            (Member, Member, false),
            (Moderator, Member, true),
            (Moderator, Moderator, false),
            (Moderator, Owner, false),
            (Owner, Moderator, true),
            (Owner, Owner, true),
        ] {
            assert_eq!(check_over(user, Some(role), other).is_ok(), may, "{role:?} over {other:?}");
        }
        assert!(check_given(user, Some(Moderator), Moderator).is_ok());
        assert!(check_given(user, Some(Moderator), Owner).is_err());
        assert!(check_given(actor(ActorKind::Key), None, Owner).is_ok());
        assert!(check_over(actor(ActorKind::Key), None, Owner).is_ok());
    }

    #[test]
    fn the_table_in_the_documentation_says_the_same() {
        use MemberRole::{Member, Moderator, Owner};
        let (room, user) = (room(RoomType::Room, UserId::new()), actor(ActorKind::User));
        for (act, words) in [
            (Act::Invite, "makes, lists and takes back invites"),
            (Act::ManageMembers, "adds members, removes those of a lower role"),
            (Act::Ban, "bans those of a lower role, unbans, lists bans"),
            (Act::DeleteOthers, "deletes what others wrote"),
            (Act::Pin, "pins"),
            (Act::ChangeRoles, "changes roles, removes and bans anyone"),
            (Act::ChangeRoom, "changes name, description, visibility and historyFrom"),
            (Act::DeleteRoom, "deletes the room"),
        ] {
            let row =
                include_str!("../../docs/rest.md").lines().find_map(|line| line.strip_prefix(&format!("| {words} |")));
            let said = row.expect(words).split('|').map(|cell| cell.trim() == "yes").take(3);
            let may = [Member, Moderator, Owner].map(|role| check(user, &room, Some(role), act).is_ok());
            assert_eq!(said.collect::<Vec<_>>(), may, "{words}");
        }
    }

    #[test]
    fn an_admin_deletes_rooms_and_is_no_moderator_of_them() {
        let room = room(RoomType::Room, UserId::new());
        assert!(check(actor(ActorKind::Admin), &room, None, Act::DeleteRoom).is_ok());
        assert!(check(actor(ActorKind::Admin), &room, Some(MemberRole::Member), Act::Ban).is_err());
    }

    #[test]
    fn in_a_conversation_anyone_pins_and_its_maker_deletes_it() {
        let maker = actor(ActorKind::User);
        let talk = room(RoomType::ConsumerToConsumer, maker.id);
        let member = Some(MemberRole::Member);
        assert!(check(actor(ActorKind::User), &talk, member, Act::Pin).is_ok());
        assert!(check(maker, &talk, member, Act::DeleteRoom).is_ok());
        assert!(check(actor(ActorKind::User), &talk, member, Act::DeleteRoom).is_err());
        for act in [Act::Invite, Act::ManageMembers, Act::Ban, Act::ChangeRoom, Act::ChangeRoles] {
            assert!(check(actor(ActorKind::Key), &talk, None, act).is_err(), "{act:?}");
        }
    }
}
