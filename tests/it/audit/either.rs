//! The chain on either metadata store.

use sealift::govern::Store as _;
use sealift::govern::audit::{self, Action, Checkpoint, Filter, What};

use crate::metadata::{LONG, Place};

#[tokio::test]
async fn the_trail_is_one_chain_whoever_adds_to_it_and_shows_what_was_done_to_it() {
    for place in Place::both().await {
        let ledgers = [place.open(LONG).await, place.open(LONG).await];
        let adding = (0..40).map(|number: usize| {
            let ledger = &ledgers[number % 2];
            async move { audit::record(ledger, "os:0", Action::KeyUse, &format!("query {number}")).await }
        });
        futures::future::try_join_all(adding).await.unwrap();
        let ledger = &ledgers[0];
        let found = audit::verify(ledger, &[]).await.unwrap();
        assert!(found.holds() && found.entries == 40, "{found:?}");
        let filter = Filter { action: Some("key".into()), before: Some(40), ..Filter::newest(5) };
        let seqs: Vec<i64> =
            audit::list(ledger, &filter).await.unwrap().iter().map(|entry| entry.seq).collect();
        assert_eq!(seqs, [39, 38, 37, 36, 35]);

        let head = audit::head(ledger).await.unwrap().unwrap();
        let made = Checkpoint::of(&head, "sealift:audit#sign@1", |_| vec![7; 64]).unwrap();
        for _ in 0..2 {
            audit::keep(ledger, &made).await.unwrap();
        }
        assert_eq!(audit::checkpoints(ledger, 0).await.unwrap(), [(40, Some(made.clone()))]);
        assert_eq!(audit::checkpoints(ledger, 40).await.unwrap(), []);
        for (seq, expected) in [(40, vec![made.clone()]), (39, Vec::new())] {
            let newest = audit::newest_checkpoints(ledger, &head.trail, seq).await.unwrap();
            assert_eq!(newest, expected);
        }
        for forbidden in ["DELETE FROM audit_checkpoints", "UPDATE audit_checkpoints SET seq = 41"] {
            assert!(sqlx::query(forbidden).execute(ledger.pool()).await.is_err(), "{forbidden}");
        }

        let unguarded = match &place.database {
            Some(_) => "ALTER TABLE audit DISABLE TRIGGER ALL",
            None => "DROP TRIGGER audit_entry_is_never_changed",
        };
        for statement in [unguarded, "UPDATE audit SET subject = 'query' WHERE seq = 7"] {
            sqlx::query(statement).execute(ledger.pool()).await.unwrap();
        }
        let found = audit::verify(ledger, &[]).await.unwrap();
        let told: Vec<_> = found.faults.iter().map(|fault| (fault.what, fault.seq)).collect();
        assert_eq!(told, [(What::Edited, Some(7))]);
    }
}
