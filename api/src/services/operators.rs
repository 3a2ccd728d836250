//! What those need who run the installation: its gateways, its size, and getting people off it for a moment.

use crate::{app::Api, problem};
use rookery_shared::{
    envelope::{Event, Header, Kind},
    ids::{Incarnation, StreamId, UserId},
    model::{NodeReport, Page},
    presence::PresenceError,
    protocol::{CloseReason, Code, Problem},
};
use serde::Serialize;
use utoipa::ToSchema;

/// The answer of `GET /admin/stats`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Stats {
    /// Accounts, about.
    users: u64,
    /// Rooms and conversations, about.
    rooms: u64,
    /// Entries of all logs, of which most are messages, about.
    log_entries: u64,
    /// Gateways.
    nodes: u64,
    /// Open sockets, as the gateways last reported them.
    connections: u64,
    /// Users with a device connected, invisible ones among them.
    online_users: u64,
}

/// An order that could not be given is not given later: whoever gave it learns that.
fn away(error: &PresenceError) -> Problem {
    tracing::warn!(%error, "presence is not available");
    Code::Unavailable.into()
}

impl Api {
    /// The gateways that are alive, by name.
    pub(crate) async fn nodes(&self) -> Result<Page<NodeReport>, Problem> {
        Ok(Page { items: self.presence.nodes().await.map_err(|error| away(&error))?, next: None, prev: None })
    }

    /// How large the installation is.
    pub(crate) async fn stats(&self) -> Result<Stats, Problem> {
        let nodes = self.presence.nodes().await.map_err(|error| away(&error))?;
        let online_users = self.presence.count().await.map_err(|error| away(&error))?;
        let sizes = self.reader.store().sizes().await.map_err(problem::store)?;
        Ok(Stats {
            users: sizes.users,
            rooms: sizes.rooms,
            log_entries: sizes.log_entries,
            nodes: nodes.len() as u64,
            connections: nodes.iter().map(|node| node.connections).sum(),
            online_users,
        })
    }

    /// Closes every connection of a user. Their sessions go on, and their clients come again.
    pub(crate) async fn disconnect(&self, user: UserId) -> Result<(), Problem> {
        self.reader.user(user).await.map_err(problem::store)?.ok_or(Code::NotFound)?;
        // The bus tells nobody while it is away, and presence lives beside it.
        self.presence.seen(&[user]).await.map_err(|error| away(&error))?;
        let header = Header::new(Kind::CloseConnection, StreamId::User(user), 0);
        self.order(Header { ref_seq: u64::from(CloseReason::Disconnected.code()), ..header });
        Ok(())
    }

    /// Has a gateway send its clients elsewhere and take no new ones, until it is stopped.
    pub(crate) async fn drain_node(&self, node: Incarnation) -> Result<(), Problem> {
        let nodes = self.presence.nodes().await.map_err(|error| away(&error))?;
        if !nodes.iter().any(|known| known.id == node) {
            return Err(Code::NotFound.into());
        }
        self.order(Header::new(Kind::DrainNode, StreamId::of_node(node), 0));
        Ok(())
    }

    fn order(&self, header: Header) {
        self.publisher.publish(vec![Event { header, data: "null".into() }]);
    }
}
