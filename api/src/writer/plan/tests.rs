//! Planning of a write, without a store.

use super::*;
use tokio::sync::Semaphore;

struct Sender {
    author: Arc<Author>,
    room: RoomId,
}

impl Sender {
    fn new(room: RoomId) -> Self {
        let user_id = UserId::new();
        Self { author: Arc::new(Author { user_id, username: Some("ada".into()), display_name: "Ada".into() }), room }
    }

    /// A message in the queue, and where its answer comes.
    fn sends(&self, client_id: &str, content: &str) -> (Waiting, oneshot::Receiver<Answer>) {
        let (reply, answer) = oneshot::channel();
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().expect("is free");
        let message = NewMessage::text(self.room, self.author.clone(), client_id, content);
        (Waiting::new(message, reply, permit, Instant::now()), answer)
    }
}

/// Room, place and content of every row.
fn rows(plan: &Plan) -> Vec<(RoomId, u64, &str)> {
    plan.rows().iter().map(|row| (row.room, row.seq, row.content.as_str())).collect()
}

fn settle(settled: Vec<(MessageRow, Senders)>, repeated: bool) -> Vec<Event> {
    settled.into_iter().map(|(row, senders)| senders.settle(row, repeated).0).collect()
}

fn seq(answer: &mut oneshot::Receiver<Answer>) -> Result<u64, SendError> {
    answer.try_recv().expect("is answered").map(|stored| stored.row.seq)
}

#[test]
fn rooms_are_contiguous_and_everyone_keeps_their_order() {
    let (a, b) = (Sender::new(RoomId::new()), Sender::new(RoomId::new()));
    let sent = [a.sends("1", "a1"), b.sends("1", "b1"), a.sends("2", "a2"), b.sends("2", "b2")];
    let mut plan = Plan::new(sent.map(|(waiting, _)| waiting));
    let heads = plan.number(Time(1), |room| if room == a.room { 10 } else { 0 });
    assert_eq!(rows(&plan), [(a.room, 11, "a1"), (a.room, 12, "a2"), (b.room, 1, "b1"), (b.room, 2, "b2")]);
    assert_eq!(heads, [(StreamId::Room(a.room), 12), (StreamId::Room(b.room), 2)]);
    assert_eq!(plan.rooms(), [a.room, b.room]);
}

#[test]
fn a_client_id_twice_in_one_batch_is_one_row_and_every_sender_is_answered() {
    let a = Sender::new(RoomId::new());
    let ((first, mut one), (again, mut two), (other, mut three)) =
        (a.sends("1", "once"), a.sends("1", "once"), a.sends("1", "something else"));
    let mut plan = Plan::new([first, again, other]);
    plan.number(Time(1), |_| 0);
    assert_eq!(plan.rows().len(), 1);
    let events = settle(plan.committed(1), false);
    assert_eq!((events.len(), events[0].header.seq), (1, 1));
    let first = one.try_recv().expect("is answered").expect("is stored");
    let second = two.try_recv().expect("is answered").expect("is stored");
    assert_eq!((first.repeated, second.repeated), (false, true));
    assert_eq!(first.acknowledgement(), second.acknowledgement());
    assert_eq!(seq(&mut three), Err(SendError::ClientIdReused));
    assert!(plan.is_empty());
}

#[test]
fn the_same_client_id_of_another_sender_or_room_is_another_message() {
    let room = RoomId::new();
    let (a, b, c) = (Sender::new(room), Sender::new(room), Sender::new(RoomId::new()));
    let plan = Plan::new([&a, &b, &c].map(|sender| sender.sends("1", "hello").0));
    assert_eq!(plan.rows().len(), 3);
}

#[test]
fn after_a_clash_the_committed_ones_are_settled_and_the_rest_follows_the_new_head() {
    let a = Sender::new(RoomId::new());
    let (sent, mut answers): (Vec<_>, Vec<_>) = ["1", "2", "3"].map(|id| a.sends(id, id)).into_iter().unzip();
    let mut plan = Plan::new(sent);
    plan.number(Time(1), |_| 0);
    settle(plan.committed(1), false);
    assert_eq!(seq(&mut answers[0]), Ok(1));
    plan.number(Time(2), |_| 7);
    assert_eq!(rows(&plan), [(a.room, 8, "2"), (a.room, 9, "3")]);
}

#[test]
fn repeats_found_after_a_clash_get_the_first_acknowledgement_and_the_others_move_up() {
    let a = Sender::new(RoomId::new());
    let (sent, mut answers): (Vec<_>, Vec<_>) = [("1", "as before"), ("2", "not as before"), ("3", "new")]
        .map(|(id, text)| a.sends(id, text))
        .into_iter()
        .unzip();
    let mut plan = Plan::new(sent);
    plan.number(Time(1), |_| 10);
    let stored = |row: &MessageRow, seq| MessageRow { seq, content: "edited since".into(), rev: 2, ..row.clone() };
    let first = stored(&plan.rows()[0], 4);
    let second = MessageRow { first_hash: vec![0; 32], ..stored(&plan.rows()[1], 5) };
    let events = settle(plan.repeats(vec![Some(first), Some(second), None]), true);
    assert_eq!(seq(&mut answers[0]), Ok(4), "also after an edit");
    assert_eq!(seq(&mut answers[1]), Err(SendError::ClientIdReused));
    assert_eq!(events.iter().map(|event| event.header.seq).collect::<Vec<_>>(), [4, 5]);
    plan.number(Time(2), |_| 10);
    assert_eq!(rows(&plan), [(a.room, 11, "new")]);
}

#[test]
fn a_room_that_clashes_lets_the_others_go_first() {
    let (a, b) = (Sender::new(RoomId::new()), Sender::new(RoomId::new()));
    let sent = [a.sends("1", "a1"), a.sends("2", "a2"), b.sends("1", "b1")];
    let mut plan = Plan::new(sent.map(|(waiting, _)| waiting));
    plan.defer_first(a.room);
    plan.number(Time(1), |_| 0);
    assert_eq!(rows(&plan), [(b.room, 1, "b1"), (a.room, 1, "a1"), (a.room, 2, "a2")]);
}

#[test]
fn a_failure_answers_everyone_who_is_left() {
    let a = Sender::new(RoomId::new());
    let (sent, answers): (Vec<_>, Vec<_>) = ["1", "1", "2"].map(|id| a.sends(id, id)).into_iter().unzip();
    let mut plan = Plan::new(sent);
    plan.fail(SendError::Unknown);
    assert!(plan.is_empty());
    for mut answer in answers {
        assert_eq!(seq(&mut answer), Err(SendError::Unknown));
    }
}

#[test]
fn what_makes_a_message_another_one_changes_its_hash() {
    let a = Sender::new(RoomId::new());
    let base = NewMessage::text(a.room, a.author.clone(), "1", "text");
    let file = rookery_shared::model::Attachment { url: "u".into(), name: "n".into(), mime: "m".into(), size: 1 };
    let reply = rookery_shared::model::ReplyTo { message_id: MessageId::new(), seq: 1, user_id: UserId::new() };
    let others = [
        NewMessage { room: RoomId::new(), ..base.clone() },
        NewMessage { client_id: "2".into(), ..base.clone() },
        NewMessage { content: "texts".into(), ..base.clone() },
        NewMessage { message_type: rookery_shared::model::MessageType::Image, ..base.clone() },
        NewMessage { attachment: Some(file), ..base.clone() },
        NewMessage { reply_to: Some(reply), ..base.clone() },
        // Lengths are part of it: nothing flows from one part into the next.
        NewMessage { client_id: "1t".into(), content: "ext".into(), ..base.clone() },
    ];
    for other in others {
        assert_ne!(first_hash(&base), first_hash(&other), "{other:?}");
    }
    assert_eq!(first_hash(&base), first_hash(&base.clone()));
}
