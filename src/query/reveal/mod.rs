//! Pseudonyms turned back into values inside a query, with permission.
//!
//! Every session knows the functions, and none of them works by itself. [`bind`] ties each call of a query to the
//! column of a dataset that it is over ([`origin`]), to what the signed receipts tell of that column ([`column`])
//! and to a rule of the policy; then the audit trail is written, and only then is the query planned further. A call
//! that is not tied fails ([`call`]). Nothing of this travels in the fields of a schema, which SQL can write
//! (`with_metadata`).
//!
//! ```text
//! plan -> calls -> columns -> receipts -> policy -> keys -> audit -> plan with tied calls -> rows -> audit
//! ```

mod bind;
mod budget;
mod call;
mod column;
mod decrypt_value;
mod detokenize;
mod function;
mod origin;
mod tally;

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;
use tokio::runtime::{Handle, RuntimeFlavor};

pub(super) use self::bind::bind;
pub(super) use self::origin::Origin;
use crate::error::{Error, Result};
use crate::govern::Store;
use crate::govern::audit::{self, Action};
use crate::spec::Policy;
use crate::spec::policy::Purpose;

/// Who wants values for what, and what decides and counts. A session that is opened with one reveals what the
/// policy's `reveal` rules allow this actor for this purpose; it is not shared with another actor's. What is refused is
/// recorded.
pub struct Reveal {
    actor: String,
    purpose: Option<Purpose>,
    policy: Policy,
    store: Arc<dyn Store>,
}

impl Reveal {
    /// For `actor` as the audit trail names them; `store` has the trail and the counts. Without a purpose nothing is
    /// revealed.
    #[must_use]
    pub fn new(actor: String, purpose: Option<Purpose>, policy: Policy, store: Arc<dyn Store>) -> Self {
        Self { actor, purpose, policy, store }
    }

    /// Records that a call was refused.
    ///
    /// # Errors
    /// Those of [`audit::denied`]; the call is refused all the same.
    async fn refused(&self, call: &str) -> Result<()> {
        audit::denied(&*self.store, &self.actor, Action::ValueReveal, call).await
    }
}

impl fmt::Debug for Reveal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reveal").field("actor", &self.actor).finish_non_exhaustive()
    }
}

/// The functions, as a session knows them before a query is planned.
pub(super) fn functions() -> impl Iterator<Item = ScalarUDF> {
    function::Function::ALL.into_iter().map(|function| ScalarUDF::from(call::Untied::new(function)))
}

/// Waits for the metadata store where rows are computed, which is no place to await. Another thread takes over
/// whatever else this one would have run.
///
/// # Errors
/// Those of the future; `Failed` on a runtime of one thread, which would wait for itself.
fn wait<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    match Handle::try_current() {
        Ok(handle) if handle.runtime_flavor() == RuntimeFlavor::MultiThread => {
            tokio::task::block_in_place(|| handle.block_on(future))
        }
        _ => Err(Error::failed("values are revealed only where several threads run")),
    }
}
