//! Giving way: how the load of a server is asked.

use std::sync::Arc;

use super::session::{Login, Session};
use crate::error::Result;
use crate::source::Gate;
use crate::source::gate::{Watcher, watch};
use crate::spec::config::Throttle;

/// Looks at the load over a connection of its own.
///
/// # Errors
/// As connecting; `Temporary` when `limits` leaves no connection; `Invalid` when the query does not
/// answer one number.
pub(super) async fn watcher(throttle: &Throttle, login: &Login, gate: &Arc<Gate>) -> Result<Watcher> {
    let session = Session::open(login, gate.enter_to_look()?).await?;
    session.run(&format!("{}SET default_transaction_read_only = on", login.preamble())).await?;
    session.number(&throttle.query).await?;
    let (session, query) = (Arc::new(session), Arc::new(throttle.query.clone()));
    Ok(watch(throttle.clone(), Arc::clone(gate), move || {
        let (session, query) = (Arc::clone(&session), Arc::clone(&query));
        async move { session.number(&query).await }
    }))
}
