//! A door before a server: while it is shut, connections to its port are refused and those that stood are cut.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A forwarder on a loopback port that stays the same.
pub struct Door {
    port: u16,
    server: SocketAddr,
    open: Option<JoinSet<()>>,
    came: Arc<AtomicUsize>,
}

impl Door {
    /// An open door before `server`.
    pub async fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let came = Arc::default();
        let open = Some(forwarding(listener, server, Arc::clone(&came)));
        Self { port, server, open, came }
    }

    /// The port to knock at.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Shuts it; nothing stands any more when this returns.
    pub async fn shut(&mut self) {
        if let Some(mut open) = self.open.take() {
            open.shutdown().await;
        }
    }

    /// Opens it again.
    pub async fn open(&mut self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await.unwrap();
        self.open = Some(forwarding(listener, self.server, Arc::clone(&self.came)));
    }

    /// How many connections came so far.
    pub fn came(&self) -> usize {
        self.came.load(Ordering::SeqCst)
    }
}

fn forwarding(listener: TcpListener, server: SocketAddr, came: Arc<AtomicUsize>) -> JoinSet<()> {
    let mut accepting = JoinSet::new();
    accepting.spawn(async move {
        // Dropped with this task, and its connections with it.
        let mut connections = JoinSet::new();
        while let Ok((mut inside, _)) = listener.accept().await {
            came.fetch_add(1, Ordering::SeqCst);
            connections.spawn(async move {
                if let Ok(mut outside) = TcpStream::connect(server).await {
                    let _ = tokio::io::copy_bidirectional(&mut inside, &mut outside).await;
                }
            });
            while connections.try_join_next().is_some() {}
        }
    });
    accepting
}
