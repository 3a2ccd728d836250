//! REST as clients meet it.

mod accounts;
mod contract;
mod conversations;
mod description;
mod history;
mod limits;
mod messages;
mod rooms;
mod sessions;
