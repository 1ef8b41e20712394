//! Giving way: how the load of a server is asked.

use std::sync::Arc;

use tokio::sync::Mutex;

use super::error::Subject;
use super::session::{Access, Session};
use crate::error::{Error, Result};
use crate::source::Gate;
use crate::source::gate::{Watcher, watch};
use crate::spec::config::Throttle;

/// Looks at the load over a connection of its own, which is made again when it is lost.
///
/// # Errors
/// As connecting; `Temporary` when `limits` leaves no connection; `Invalid` when the query does not
/// answer one number.
pub(super) async fn watcher(access: &Arc<Access>, throttle: Throttle, gate: &Arc<Gate>) -> Result<Watcher> {
    let slot = Arc::new(gate.enter_to_look()?);
    let mut session = access.connect().await?;
    number(&mut session, &throttle.query).await?;
    let place = Arc::new(Mutex::new(Some(session)));
    let (access, query) = (Arc::clone(access), Arc::new(throttle.query.clone()));
    Ok(watch(throttle, Arc::clone(gate), move || {
        let (slot, place) = (Arc::clone(&slot), Arc::clone(&place));
        let (access, query) = (Arc::clone(&access), Arc::clone(&query));
        async move {
            let _slot = slot;
            let mut place = place.lock().await;
            let mut session = match place.take() {
                Some(session) => session,
                None => access.connect().await?,
            };
            let number = number(&mut session, &query).await?;
            *place = Some(session);
            Ok(number)
        }
    }))
}

async fn number(session: &mut Session, query: &str) -> Result<f64> {
    let subject = Subject::Query { lines_before: 0 };
    let answer = session.ask_about(query, &subject).await.map_err(|e| e.at("the throttle's query"))?;
    let number = match answer.rows.as_slice() {
        [row] => match row.as_slice() {
            [Some(number)] | [_, Some(number)] => number.parse().ok(),
            _ => None,
        },
        _ => None,
    };
    number.ok_or_else(|| {
        Error::invalid("the throttle's query does not answer one number")
            .help("write a query like `SELECT COUNT(*) FROM information_schema.PROCESSLIST` in `throttle`")
    })
}
