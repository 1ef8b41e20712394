//! All streams of a run are of one instant, also while several connections read and others write.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::house::{Dice, House, connection};
use crate::servers::postgres::Database;

const RUNS: usize = 20;
const ACCOUNTS: u64 = 8_000;

/// Every account's balance is 1000 and the sum of its transfers. Rows are wide, so that the tables
/// lie in many pieces.
const TABLES: &str = "
CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL, pad text NOT NULL);
CREATE TABLE transfers (id int NOT NULL, account int NOT NULL, amount int NOT NULL, pad text NOT NULL);
CREATE INDEX ON transfers (id);
INSERT INTO accounts SELECT g, 1000, repeat('a', 500) FROM generate_series(0, 7999) g;
INSERT INTO transfers SELECT g, g % 8000, CASE WHEN g < 8000 THEN 7 ELSE -7 END, repeat('t', 300)
  FROM generate_series(0, 15999) g";

/// Writes until told to stop: money moves between two accounts, and an old transfer is undone.
async fn write(database: Database, stop: Arc<AtomicBool>, writes: Arc<AtomicU64>) {
    let mut dice = Dice::new("instant");
    let mut id = 16_000;
    while !stop.load(Ordering::Relaxed) {
        let (from, to, amount) = (dice.below(ACCOUNTS), dice.below(ACCOUNTS), dice.below(100));
        let undone = dice.below(id);
        database
            .run(&format!(
                "BEGIN;
                 UPDATE accounts SET balance = balance - {amount} WHERE id = {from};
                 INSERT INTO transfers VALUES ({id}, {from}, -{amount}, repeat('t', 300));
                 UPDATE accounts SET balance = balance + {amount} WHERE id = {to};
                 INSERT INTO transfers VALUES ({id}, {to}, {amount}, repeat('t', 300));
                 WITH gone AS (DELETE FROM transfers WHERE id = {undone} RETURNING account, amount)
                 UPDATE accounts a SET balance = balance - g.amount
                   FROM (SELECT account, sum(amount)::int AS amount FROM gone GROUP BY account) g WHERE g.account = a.id;
                 COMMIT"
            ))
            .await;
        id += 1;
        writes.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn tables_read_while_they_are_written_are_of_one_instant() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let database = runtime.block_on(async {
        let database = Database::create().await;
        database.run(TABLES).await;
        database
    });
    let house = House::new();
    house.config("", &connection(&database));
    house.policy("- {tags: [public], action: allow}\n- {tags: [financial.amount], action: encrypt}");
    house.pipeline(
        "money",
        "connection: db\ndataset: \"money.{table}\"\nstreams:\n  \
         public.accounts: {columns: {balance: {tag: financial.amount}, \"*\": {tag: public}}}\n  \
         public.transfers: {columns: {amount: {tag: financial.amount}, \"*\": {tag: public}}}",
    );
    let (stop, writes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let writer = runtime.spawn(write(database, Arc::clone(&stop), Arc::clone(&writes)));

    for run in 0..RUNS {
        let before = writes.load(Ordering::Relaxed);
        house.run(&["sync", "money", "--json"]).expect(0);
        assert!(writes.load(Ordering::Relaxed) > before, "nothing was written during run {run}");
        let answer = house.query(
            "SELECT count(*) AS accounts,
               sum(CASE WHEN a.balance = 1000 + coalesce(t.moved, 0) THEN 0 ELSE 1 END) AS wrong
             FROM money.accounts a LEFT JOIN
               (SELECT account, sum(amount) AS moved FROM money.transfers GROUP BY account) t ON t.account = a.id",
        );
        assert_eq!(answer[0]["accounts"], ACCOUNTS, "run {run}: {answer}");
        assert_eq!(answer[0]["wrong"], 0, "run {run}: {answer}");
    }
    stop.store(true, Ordering::Relaxed);
    runtime.block_on(writer).unwrap();
}
