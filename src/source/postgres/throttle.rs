//! Giving way: how the load of a server is asked.

use std::sync::Arc;

use tokio::sync::Mutex;

use super::session::{Login, Session};
use crate::error::Result;
use crate::source::Gate;
use crate::source::gate::{Watcher, watch};
use crate::spec::config::Throttle;

/// Looks at the load over a connection of its own, which is made again when a look fails.
///
/// # Errors
/// As connecting; `Temporary` when `limits` leaves no connection; `Invalid` when the query does not
/// answer one number.
pub(super) async fn watcher(throttle: &Throttle, login: &Login, gate: &Arc<Gate>) -> Result<Watcher> {
    let slot = Arc::new(gate.enter_to_look()?);
    let first = session(login).await?;
    first.number(&throttle.query).await?;
    let place = Arc::new(Mutex::new(Some(first)));
    let (login, query) = (Arc::new(login.clone()), Arc::new(throttle.query.clone()));
    Ok(watch(throttle.clone(), Arc::clone(gate), move || {
        let (slot, place) = (Arc::clone(&slot), Arc::clone(&place));
        let (login, query) = (Arc::clone(&login), Arc::clone(&query));
        async move {
            let _slot = slot;
            let mut place = place.lock().await;
            let asked = match place.take() {
                Some(session) => session,
                None => session(&login).await?,
            };
            let number = asked.number(&query).await?;
            *place = Some(asked);
            Ok(number)
        }
    }))
}

async fn session(login: &Login) -> Result<Session> {
    let session = Session::open(login, None).await?;
    session.run(&format!("{}SET default_transaction_read_only = on", login.preamble())).await?;
    Ok(session)
}
