//! REST as clients meet it.

mod accounts;
mod contract;
mod conversations;
mod history;
mod limits;
mod messages;
mod rooms;
mod sessions;
