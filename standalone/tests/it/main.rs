//! What people see of a whole installation: the cluster with real Redis and MongoDB, and the standalone program.

mod changes;
mod command;
mod faults;
mod harness;
mod identity;
mod lossy;
mod receipts;
mod resume;
mod settings;
mod sockets;
mod talk;
