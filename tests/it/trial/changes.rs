//! A source that does not stand still: transactions of all kinds, one after the other, drawn from a seed,
//! while syncs read it. Triggers keep what each transaction made of each row, so that PostgreSQL itself can
//! say what the table was at any snapshot.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

use super::LOOKBACK_US;
use crate::house::Dice;
use crate::servers::postgres::Database;

/// `stamp` and `changed_at` say the same instant, for cursors of either kind.
const TABLES: &str = "
CREATE TABLE items (id bigint PRIMARY KEY, name text, amount numeric(12,2), gone boolean NOT NULL,
    stamp bigint NOT NULL, changed_at timestamptz NOT NULL);
CREATE TABLE history (seq bigserial, xid bigint NOT NULL DEFAULT txid_current(), id bigint NOT NULL, state items);
CREATE FUNCTION remember() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF TG_OP = 'DELETE' OR (TG_OP = 'UPDATE' AND OLD.id <> NEW.id) THEN INSERT INTO history (id) VALUES (OLD.id); END IF;
  IF TG_OP <> 'DELETE' THEN INSERT INTO history (id, state) VALUES (NEW.id, NEW); END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER remember AFTER INSERT OR UPDATE OR DELETE ON items FOR EACH ROW EXECUTE FUNCTION remember();";

/// Rows that the table begins with, and those above which it does not grow where rows may go.
const FIRST_ROWS: i64 = 300;
const MOST_ROWS: usize = 1_200;
/// The clock goes on by less than this from one transaction to the next.
const STEP_US: u64 = 400_000;
/// How far a stamp may be from the clock, and how long a transaction may stay open on it. Together they are
/// within the lookback: a row may be stamped this early, by a transaction that begins this early, while
/// another row is stamped this late.
const STRAY_US: i64 = LOOKBACK_US / 4;
const MOST_PAUSE_MS: u64 = 50;

/// What a row may go through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It is inserted, and stays as it is.
    Insert,
    /// It is updated too.
    Update,
    /// It is updated, deleted, inserted anew, and given another key.
    Delete,
    /// It is updated, and marked as gone and as not gone.
    Mark,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Done {
    pub transactions: u64,
    pub rolled_back: u64,
    /// Transactions that stayed open while others committed.
    pub late: u64,
    pub rows: u64,
    /// Stamps before the one drawn last, those of its equals, and those ahead of the clock.
    pub backward: u64,
    pub equal: u64,
    pub ahead: u64,
}

/// The one who changes the table.
pub struct Changer {
    dice: Dice,
    life: Life,
    client: Client,
    /// For transactions that commit late.
    late_client: Client,
    late: Option<Late>,
    clock_us: i64,
    last_us: i64,
    next_id: i64,
    live: Vec<i64>,
    dead: Vec<i64>,
    done: Done,
}

struct Late {
    commits_at_us: i64,
    ids: BTreeSet<i64>,
}

/// The statements of one transaction.
#[derive(Default)]
struct Transaction {
    sql: String,
    ids: BTreeSet<i64>,
}

impl Changer {
    /// Makes the tables, with their first rows.
    pub async fn new(database: &Database, life: Life, dice: Dice) -> Self {
        database.run(TABLES).await;
        let mut changer = Self {
            dice,
            life,
            client: database.server.client(&database.name).await,
            late_client: database.server.client(&database.name).await,
            late: None,
            clock_us: 1_700_000_000_000_000,
            last_us: 1_700_000_000_000_000,
            next_id: 0,
            live: Vec::new(),
            dead: Vec::new(),
            done: Done::default(),
        };
        let mut first = Transaction::default();
        changer.insert_many(&mut first, FIRST_ROWS);
        changer.client.batch_execute(&first.sql).await.unwrap();
        changer
    }

    /// Changes the table until told to stop; no transaction is left open.
    pub async fn run(mut self, stop: CancellationToken) -> Done {
        while !stop.is_cancelled() {
            self.step().await;
            let pause = Duration::from_millis(self.dice.below(MOST_PAUSE_MS));
            tokio::time::sleep(pause).await;
        }
        self.commit_late().await;
        self.done
    }

    async fn step(&mut self) {
        if self.dice.below(3) > 0 {
            self.clock_us += self.dice.below(STEP_US) as i64;
        }
        if self.late.as_ref().is_some_and(|late| late.commits_at_us <= self.clock_us) {
            self.commit_late().await;
        }
        let before = (self.live.clone(), self.dead.clone());
        let transaction = self.draw();
        self.done.transactions += 1;
        if self.dice.below(20) == 0 {
            self.client.batch_execute(&format!("BEGIN; {} ROLLBACK", transaction.sql)).await.unwrap();
            (self.live, self.dead) = before;
            self.done.rolled_back += 1;
        } else if self.late.is_none() && self.dice.below(6) == 0 {
            self.late_client.batch_execute(&format!("BEGIN; {}", transaction.sql)).await.unwrap();
            let open_us = self.dice.below((STRAY_US - STEP_US as i64) as u64) as i64;
            self.late = Some(Late { commits_at_us: self.clock_us + open_us, ids: transaction.ids });
        } else {
            self.client.batch_execute(&format!("BEGIN; {} COMMIT", transaction.sql)).await.unwrap();
        }
    }

    async fn commit_late(&mut self) {
        if self.late.take().is_some() {
            self.late_client.batch_execute("COMMIT").await.unwrap();
            self.done.late += 1;
        }
    }

    fn draw(&mut self) -> Transaction {
        let mut transaction = Transaction::default();
        if self.dice.below(40) == 0 && self.live.len() < MOST_ROWS {
            let burst = 20 + self.dice.below(80) as i64;
            self.insert_many(&mut transaction, burst);
        }
        for _ in 0..=self.dice.below(5) {
            self.change_one(&mut transaction);
        }
        self.done.rows += transaction.ids.len() as u64;
        transaction
    }

    fn change_one(&mut self, transaction: &mut Transaction) {
        let is_full = self.live.len() > MOST_ROWS;
        let drawn = self.dice.below(12);
        let free = self.free(transaction);
        match (self.life, drawn, free) {
            (Life::Delete, 0..=2, Some(at)) => self.delete(transaction, at),
            (Life::Delete, 3, Some(at)) => self.give_another_key(transaction, at),
            (Life::Delete, 4, _) if !self.dead.is_empty() => self.insert_again(transaction),
            (Life::Mark, 0..=2, Some(at)) => self.update(transaction, at, "NOT gone"),
            (Life::Update | Life::Delete | Life::Mark, 5..=8, Some(at)) => {
                self.update(transaction, at, "gone");
            }
            (Life::Update | Life::Mark, _, Some(at)) if is_full => self.update(transaction, at, "gone"),
            (Life::Delete, _, Some(at)) if is_full => self.delete(transaction, at),
            _ => self.insert_many(transaction, 1),
        }
    }

    /// The place of a row that no open transaction holds.
    fn free(&mut self, transaction: &Transaction) -> Option<usize> {
        let at = self.dice.below(self.live.len().max(1) as u64) as usize;
        let id = self.live.get(at)?;
        let is_held =
            transaction.ids.contains(id) || self.late.as_ref().is_some_and(|late| late.ids.contains(id));
        (!is_held).then_some(at)
    }

    /// The instant that a change says it was made at: the clock, or off it, or the very same as the last.
    fn stamp(&mut self) -> i64 {
        let stray = self.dice.below(STRAY_US as u64) as i64;
        let stamp = match self.dice.below(16) {
            0..=3 if self.last_us <= self.clock_us => self.last_us.max(self.clock_us - STRAY_US),
            4..=5 => self.clock_us - stray,
            6 => self.clock_us + stray,
            _ => self.clock_us,
        };
        self.done.backward += u64::from(stamp < self.last_us);
        self.done.equal += u64::from(stamp == self.last_us);
        self.done.ahead += u64::from(stamp > self.clock_us);
        self.last_us = stamp;
        stamp
    }

    fn instant(&mut self) -> String {
        let stamp = self.stamp();
        format!("{stamp}, timestamptz 'epoch' + {stamp} * interval '1 microsecond'")
    }

    /// Rows of one statement and one instant.
    fn insert_many(&mut self, transaction: &mut Transaction, rows: i64) {
        let (first, last) = (self.next_id, self.next_id + rows - 1);
        let (name, amount, instant) = (self.name(), self.amount(), self.instant());
        write!(
            transaction.sql,
            "INSERT INTO items SELECT g, {name}, {amount}, false, {instant} FROM generate_series({first}, {last}) g; "
        )
        .unwrap();
        self.next_id += rows;
        self.live.extend(first..=last);
        transaction.ids.extend(first..=last);
    }

    fn insert_again(&mut self, transaction: &mut Transaction) {
        let id = self.dead.swap_remove(self.dice.below(self.dead.len() as u64) as usize);
        if transaction.ids.contains(&id) || self.late.as_ref().is_some_and(|late| late.ids.contains(&id)) {
            return self.dead.push(id);
        }
        let (name, amount, instant) = (self.name(), self.amount(), self.instant());
        write!(transaction.sql, "INSERT INTO items SELECT {id}, {name}, {amount}, false, {instant}; ")
            .unwrap();
        self.live.push(id);
        transaction.ids.insert(id);
    }

    fn update(&mut self, transaction: &mut Transaction, at: usize, gone: &str) {
        let (id, name, amount, instant) = (self.live[at], self.name(), self.amount(), self.instant());
        write!(
            transaction.sql,
            "UPDATE items SET (name, amount, gone, stamp, changed_at) = ROW({name}, {amount}, {gone}, {instant}) WHERE id = {id}; "
        )
        .unwrap();
        transaction.ids.insert(id);
    }

    fn give_another_key(&mut self, transaction: &mut Transaction, at: usize) {
        let (old, new, instant) = (self.live[at], self.next_id, self.instant());
        write!(
            transaction.sql,
            "UPDATE items SET (id, stamp, changed_at) = ROW({new}, {instant}) WHERE id = {old}; "
        )
        .unwrap();
        self.next_id += 1;
        self.live[at] = new;
        self.dead.push(old);
        transaction.ids.extend([old, new]);
    }

    fn delete(&mut self, transaction: &mut Transaction, at: usize) {
        let id = self.live.swap_remove(at);
        write!(transaction.sql, "DELETE FROM items WHERE id = {id}; ").unwrap();
        self.dead.push(id);
        transaction.ids.insert(id);
    }

    fn name(&mut self) -> String {
        let length = self.dice.below(20) as usize;
        if self.dice.below(10) == 0 {
            "NULL::text".to_owned()
        } else {
            format!("'{}'", self.dice.text(length))
        }
    }

    fn amount(&mut self) -> String {
        format!("{}.{:02}::numeric", self.dice.below(100_000), self.dice.below(100))
    }
}
