//! What people see of a whole installation: the cluster with real Redis and MongoDB, and the standalone program.

mod changes;
mod clients;
mod command;
mod faults;
mod harness;
mod identity;
mod lossy;
mod migrating;
mod presence;
mod receipts;
mod resume;
mod rooms;
mod search;
mod settings;
mod socketio;
mod sockets;
mod talk;
