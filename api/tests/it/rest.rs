//! REST as clients meet it.

mod accounts;
mod admin;
mod api_keys;
mod blocks;
mod changes;
mod contract;
mod conversations;
mod description;
mod devices;
mod farewell;
mod history;
mod identity;
mod limits;
mod messages;
mod reactions;
mod reads;
mod rooms;
mod sessions;
mod users;
