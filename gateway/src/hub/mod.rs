//! The hub: the connections of this node, on single-threaded cores that share nothing on the hot path.
//!
//! Each core is one thread with a runtime of its own. It owns its connections, its feeds and its rooms; events reach it
//! through its inbox, and what has to wait for somebody else is handed to the node's I/O side.

pub mod connection;
pub mod core;
pub mod deliver;
pub mod flush;
pub mod follow;
pub mod inbox;
pub mod newcomers;
pub mod outbox;
pub mod polling;
pub mod status;
pub mod stream;
pub mod upkeep;

use crate::node::Node;
use std::{io, sync::Arc, thread};

/// Starts the node's cores, one thread each. They run until they are told to stop.
pub fn start_cores(node: &Arc<Node>) -> io::Result<()> {
    for (index, inbox) in node.interest.inboxes().iter().enumerate() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (node, inbox) = (node.clone(), inbox.clone());
        thread::Builder::new().name(format!("core-{index}")).spawn(move || {
            let local = tokio::task::LocalSet::new();
            local.block_on(&runtime, core::Core::new(index, node, inbox).run());
        })?;
    }
    Ok(())
}
