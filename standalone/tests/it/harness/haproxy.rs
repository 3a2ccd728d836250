//! HAProxy as it is shipped, in front of a cluster of two gateways and two apis.

use super::Installation;
use rookery_shared::testing::{free_port, poll};
use std::{
    path::Path,
    process::{Child, Command, Stdio},
};
use tokio::net::TcpStream;
use tokio_tungstenite::connect_async;

/// A running HAProxy; ends with its handle.
pub(crate) struct Haproxy {
    child: Child,
    port: u16,
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Haproxy {
    /// Starts it and waits until it lets requests through to both services.
    pub(crate) async fn start(installation: &Installation) -> Self {
        let address = |url: String| url.split("://").nth(1).expect("a URL").to_owned();
        let (port, stats) = (free_port(), free_port());
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
        let child = Command::new("haproxy")
            .args(["-db", "-q", "-f", "deploy/haproxy.cfg"])
            .current_dir(root)
            .env("ROOKERY_HAPROXY_BIND", format!("127.0.0.1:{port}"))
            .env("ROOKERY_HAPROXY_STATS", format!("127.0.0.1:{stats}"))
            .env("ROOKERY_GATEWAY_1", address(installation.socketio(0)))
            .env("ROOKERY_GATEWAY_2", address(installation.socketio(1)))
            .env("ROOKERY_API_1", address(installation.api(0)))
            .env("ROOKERY_API_2", address(installation.api(1)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("haproxy starts");
        let proxy = Self { child, port };
        poll("the proxy listens", async || TcpStream::connect(("127.0.0.1", port)).await.ok()).await;
        proxy
    }

    /// Its base address.
    pub(crate) fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The node that Socket.IO clients of this address are sent to.
    pub(crate) async fn node_of_socketio(&self) -> String {
        let url = format!("ws://127.0.0.1:{}/socket.io/?EIO=4&transport=websocket", self.port);
        let (_stream, response) = connect_async(url).await.expect("the upgrade");
        response.headers()["rookery-node"].to_str().expect("text").to_owned()
    }
}
