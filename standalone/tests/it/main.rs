//! What people see of a whole installation: the cluster with real Redis and MongoDB, and the standalone program.

mod changes;
mod faults;
mod harness;
mod lossy;
mod presence;
mod receipts;
mod resume;
mod settings;
mod sockets;
mod talk;
