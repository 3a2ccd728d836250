//! REST as clients meet it.

mod accounts;
mod changes;
mod contract;
mod conversations;
mod description;
mod history;
mod limits;
mod messages;
mod presence;
mod reactions;
mod reads;
mod rooms;
mod sessions;
