//! Connections to the store, each used by the threads that made it.

use sqlx::AnyPool;
use tokio::runtime::Handle;

/// A connection to a server is heard by the threads on which it was made. One that a daemon's run made would answer
/// requests, and renew leases, no sooner than the run's threads get to it, which give way to all others: each kind of
/// threads has connections of its own.
#[derive(Clone, Debug)]
pub(super) struct Connections {
    /// Of the threads that the store was opened on.
    own: AnyPool,
    /// Of all others.
    others: AnyPool,
    home: Handle,
}

impl Connections {
    /// Connections that are the same for all: those to a file have a thread each, and none hears for them.
    pub(super) fn of_all(pool: AnyPool) -> Self {
        Self::of_threads(pool.clone(), pool)
    }

    /// Those of the current threads, and those of others.
    pub(super) fn of_threads(own: AnyPool, others: AnyPool) -> Self {
        Self { own, others, home: Handle::current() }
    }

    /// The threads that the store was opened on.
    pub(super) const fn home(&self) -> &Handle {
        &self.home
    }

    /// Those of who asks.
    pub(super) fn here(&self) -> &AnyPool {
        let is_elsewhere = Handle::try_current().is_ok_and(|threads| threads.id() != self.home.id());
        if is_elsewhere { &self.others } else { &self.own }
    }
}

#[cfg(test)]
mod tests {
    use sqlx::any::AnyPoolOptions;

    use super::*;

    #[test]
    fn each_kind_of_threads_has_its_own() {
        sqlx::any::install_default_drivers();
        let pool = |most| {
            let options = AnyPoolOptions::new().max_connections(most);
            options.connect_lazy("postgres://nowhere.invalid/none").unwrap()
        };
        let threads = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (home, elsewhere) = (threads(), threads());
        let connections = home.block_on(async { Connections::of_threads(pool(1), pool(2)) });
        let most = || connections.here().options().get_max_connections();
        assert_eq!((home.block_on(async { most() }), elsewhere.block_on(async { most() })), (1, 2));
    }
}
