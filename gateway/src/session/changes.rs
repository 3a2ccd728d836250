//! Commands about messages that are there: edits, deletes, read marks.

use super::{ReplyTo, error, reply};
use crate::hub::{connection::Connection, core::Core};
use rookery_shared::{
    backend::{Backend, Deletion, Edit, Mark},
    ids::MessageId,
    protocol::{
        Code, Problem,
        command::{DeleteMessage, EditMessage, MarkRead, MessageChanged},
    },
};
use std::{rc::Rc, sync::Arc};
use tokio::{sync::Mutex, task::spawn_local};

/// What somebody wants of a message.
enum Change {
    Edit(Edit),
    Delete(Deletion),
}

impl Change {
    fn message(&self) -> MessageId {
        match self {
            Self::Edit(edit) => edit.message_id,
            Self::Delete(deletion) => deletion.message_id,
        }
    }

    async fn ask(self, backend: Arc<dyn Backend>) -> Result<MessageChanged, Problem> {
        match self {
            Self::Edit(edit) => backend.edit_message(edit).await,
            Self::Delete(deletion) => backend.delete_message(deletion).await,
        }
    }
}

/// `edit_message`.
pub fn edit_message(core: &Rc<Core>, connection: &Rc<Connection>, id: ReplyTo, command: EditMessage) {
    let Some(user_id) = connection.user() else { return };
    let EditMessage { message_id, content } = command;
    change(core, connection, id, Change::Edit(Edit { user_id, message_id, content }));
}

/// `delete_message`.
pub fn delete_message(core: &Rc<Core>, connection: &Rc<Connection>, id: ReplyTo, command: DeleteMessage) {
    let Some(user_id) = connection.user() else { return };
    change(core, connection, id, Change::Delete(Deletion { user_id, message_id: command.message_id }));
}

/// Has a message changed. Changes of one message go to the api one after the other, so that of two edits on one
/// connection the later one stands.
fn change(core: &Rc<Core>, connection: &Rc<Connection>, id: ReplyTo, change: Change) {
    let (core, connection, message) = (core.clone(), connection.clone(), change.message());
    let place = connection.begin();
    let turn: Rc<Mutex<()>> = core.state.borrow_mut().changing.entry(message).or_default().clone();
    spawn_local(async move {
        let _place = place;
        let changed = {
            let _turn = turn.lock().await;
            let backend = core.node.backend.clone();
            core.node.run(change.ask(backend)).await
        };
        // The table's handle and this one: nobody else waits.
        if Rc::strong_count(&turn) == 2 {
            core.state.borrow_mut().changing.remove(&message);
        }
        match changed.unwrap_or_else(|_| Err(Code::Internal.into())) {
            Ok(changed) => reply(&core, &connection, id.as_deref(), "ok", &changed),
            Err(problem) => error(&core, &connection, id.as_deref(), &problem),
        }
    });
}

/// `message_read`.
pub fn message_read(core: &Rc<Core>, connection: &Rc<Connection>, id: ReplyTo, command: MarkRead) {
    let Some(user_id) = connection.user() else { return };
    let MarkRead { room_id, message_id } = command;
    let mark = Mark { user_id, room_id, message_id, connection: Some(connection.id) };
    let (core, connection) = (core.clone(), connection.clone());
    let place = connection.begin();
    spawn_local(async move {
        let _place = place;
        let backend = core.node.backend.clone();
        let read = core.node.run(async move { backend.mark_read(mark).await }).await;
        match read.unwrap_or_else(|_| Err(Code::Internal.into())) {
            Ok(read) => reply(&core, &connection, id.as_deref(), "ok", &read),
            Err(problem) => error(&core, &connection, id.as_deref(), &problem),
        }
    });
}
