use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use futures::{StreamExt, TryStreamExt};

use super::*;
use crate::error::Kind;

const MEMORY_BYTES: u64 = 64 << 20;

fn source() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("ssn", DataType::Utf8, true),
        Field::new("country", DataType::Utf8, true),
    ]))
}

fn rows() -> Batches {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![1, 2, 3])),
        Arc::new(StringArray::from(vec![Some("900-11-1111"), None, Some("900-33-3333")])),
        Arc::new(StringArray::from(vec!["CH", "DE", "CH"])),
    ];
    futures::stream::iter([Ok(RecordBatch::try_new(source(), columns).unwrap())]).boxed()
}

async fn plan(sql: &str) -> Result<Transform> {
    Transform::plan(Some(sql), source(), MEMORY_BYTES).await
}

async fn run(sql: &str) -> Result<Vec<RecordBatch>> {
    let transform = plan(sql).await?;
    let rows = narrow(rows(), transform.reads());
    transform.apply(rows).await?.try_collect().await
}

async fn origins(sql: &str) -> Vec<Origin> {
    plan(sql).await.unwrap().origins().to_vec()
}

fn columns(names: &[&str]) -> Origin {
    Origin::Columns(names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>())
}

#[tokio::test]
async fn without_sql_rows_pass_as_they_are() {
    let transform = Transform::plan(None, source(), MEMORY_BYTES).await.unwrap();
    assert_eq!(transform.origins(), [columns(&["id"]), columns(&["ssn"]), columns(&["country"])]);
    let out: Vec<RecordBatch> = transform.apply(rows()).await.unwrap().try_collect().await.unwrap();
    let expected: Vec<RecordBatch> = rows().try_collect().await.unwrap();
    assert_eq!(out, expected);
}

#[tokio::test]
async fn sql_filters_and_computes() {
    let out = run("SELECT id * 10 AS id, lower(country) AS country FROM source WHERE ssn IS NOT NULL")
        .await
        .unwrap();
    let text = arrow::util::pretty::pretty_format_batches(&out).unwrap().to_string();
    assert!(text.contains("| 10 | ch      |") && text.contains("| 30 | ch      |"), "{text}");
    assert_eq!(out.iter().map(RecordBatch::num_rows).sum::<usize>(), 2);
}

#[tokio::test]
async fn trap_tags_follow_columns_through_sql() {
    let cut = origins("SELECT substr(ssn, 1, 9) AS x, id AS ssn FROM source").await;
    assert_eq!(cut, [columns(&["ssn"]), columns(&["id"])]);
    let case = origins("SELECT CASE WHEN ssn LIKE '900%' THEN 1 ELSE 0 END AS flag FROM source").await;
    assert_eq!(case, [columns(&["ssn"])]);
    let aggregate = origins(
        "SELECT country, count(*) AS n, max(ssn) AS m FROM source GROUP BY country HAVING count(*) > 0",
    )
    .await;
    assert_eq!(aggregate, [columns(&["country"]), columns(&[]), columns(&["ssn"])]);
    let window = origins("SELECT lag(ssn) OVER (PARTITION BY country ORDER BY id) AS p FROM source").await;
    assert_eq!(window, [columns(&["country", "id", "ssn"])]);
    let nested =
        origins("WITH a AS (SELECT ssn || country AS k FROM source) SELECT upper(k) AS u FROM a b").await;
    assert_eq!(nested, [columns(&["country", "ssn"])]);
    let join = origins(
        "SELECT s.ssn AS a, v.x AS b FROM source s JOIN (VALUES ('CH', 1)) AS v(c, x) ON s.country = v.c",
    )
    .await;
    assert_eq!(join, [columns(&["ssn"]), columns(&["country"])]);
    let union = origins("SELECT unnest(make_array(ssn, country)) AS u FROM source").await;
    assert_eq!(union, [columns(&["country", "ssn"])]);
}

#[tokio::test]
async fn an_output_is_a_copy_only_where_nothing_computes_it() {
    let transform =
        plan("SELECT country AS c, lower(ssn) AS ssn, id FROM source s WHERE id > 1").await.unwrap();
    assert_eq!(transform.copies(), [Some("country".to_owned()), None, Some("id".to_owned())]);
    let transform = plan("SELECT max(id) AS id FROM source").await.unwrap();
    assert_eq!(transform.copies(), [None]);
}

#[tokio::test]
async fn only_columns_the_query_looks_at_are_read() {
    assert_eq!(plan("SELECT id FROM source WHERE country = 'CH'").await.unwrap().reads(), [0, 2]);
    assert_eq!(plan("SELECT * FROM source").await.unwrap().reads(), [0, 1, 2]);
    assert_eq!(plan("SELECT count(*) AS n FROM source").await.unwrap().reads(), [0]);
    // The optimiser knows that `id` is never NULL and would drop it; the name must stay known.
    let transform = plan("SELECT country FROM source WHERE id IS NOT NULL").await.unwrap();
    let narrow = narrow(rows(), transform.reads());
    let out: Vec<RecordBatch> = transform.apply(narrow).await.unwrap().try_collect().await.unwrap();
    assert_eq!(out.iter().map(RecordBatch::num_rows).sum::<usize>(), 3);
}

fn narrow(rows: Batches, reads: &[usize]) -> Batches {
    let reads = reads.to_vec();
    rows.map(move |batch| Ok(batch?.project(&reads).unwrap())).boxed()
}

#[tokio::test]
async fn a_window_that_holds_every_row_is_refused() {
    let error = plan("SELECT count(*) OVER () AS n FROM source").await.unwrap_err();
    assert!(error.message().contains("window"), "{error}");
    plan("SELECT count(*) OVER (ORDER BY id ROWS UNBOUNDED PRECEDING) AS n FROM source").await.unwrap();
}

#[tokio::test]
async fn trap_a_tag_follows_through_the_rows_a_value_is_matched_with() {
    let spelt = origins(
        "SELECT s.id, a.d AS d1 FROM source s JOIN (VALUES ('0'), ('9')) a(d) ON substr(s.ssn, 1, 1) = a.d",
    )
    .await;
    assert_eq!(spelt, [columns(&["id"]), columns(&["ssn"])]);
    let crossed = origins(
        "SELECT s.id, concat(a.d, s.country) AS d1 FROM source s CROSS JOIN (SELECT '0' AS d) a WHERE s.ssn LIKE a.d || '%'",
    )
    .await;
    assert_eq!(crossed, [columns(&["id"]), columns(&["country", "ssn"])]);
    let counted = origins(
        "SELECT id, count(*) AS n FROM (SELECT id, unnest(range(0, character_length(ssn))) FROM source) GROUP BY id",
    )
    .await;
    assert_eq!(counted, [columns(&["id"]), columns(&["ssn"])]);
    let numbered =
        origins("SELECT id, row_number() OVER (ORDER BY id) AS n FROM source WHERE ssn IS NOT NULL").await;
    assert_eq!(numbered, [columns(&["id"]), columns(&["id", "ssn"])]);
}

#[tokio::test]
async fn what_lineage_does_not_understand_is_unknown() {
    let subquery = origins("SELECT (SELECT max(x) FROM (VALUES (1)) AS v(x)) AS m FROM source").await;
    assert_eq!(subquery, [Origin::Unknown]);
    let grouping = origins("SELECT ssn, count(*) AS n FROM source GROUP BY ROLLUP (ssn, country)").await;
    assert_eq!(grouping, [Origin::Unknown, Origin::Unknown]);
}

#[tokio::test]
async fn nothing_but_one_query_over_source_is_reachable() {
    for sql in [
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
        "COPY source TO '/tmp/out.csv'",
        "INSERT INTO source VALUES (1, 'a', 'b')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM information_schema.tables",
        "SET datafusion.execution.batch_size = 1",
        "EXPLAIN SELECT * FROM source",
        "SELECT 1 AS a; SELECT 2 AS b",
        "DROP TABLE source",
    ] {
        let error = plan(sql).await.expect_err(sql);
        assert_eq!(error.kind(), Kind::Invalid, "{sql}: {error}");
    }
}

#[tokio::test]
async fn a_second_scan_of_source_is_refused() {
    let error = plan("SELECT a.id FROM source a JOIN source b ON a.id = b.id").await.unwrap_err();
    assert!(error.message().contains("more than once"), "{error}");
}

#[tokio::test]
async fn a_misspelt_column_is_named_with_its_nearest() {
    let error = plan("SELECT contry FROM source").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the transform names a column `contry` that is not there\nhelp: did you mean `country`?"
    );
}

#[tokio::test]
async fn a_value_that_breaks_an_expression_is_not_shown() {
    let error = run("SELECT CAST(ssn AS BIGINT) AS n FROM source").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Data);
    assert!(!error.to_string().contains("900"), "{error}");
}

#[tokio::test]
async fn errors_of_the_source_come_through_unchanged() {
    let broken: Batches = futures::stream::iter([Err(Error::temporary("the source went away"))]).boxed();
    let transform = plan("SELECT id FROM source ORDER BY id").await.unwrap();
    let error = transform.apply(broken).await.unwrap().try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!(error, Error::temporary("the source went away"));
}

#[tokio::test]
async fn trap_spill_files_hold_plaintext_so_there_are_none() {
    let wide = "900-11-1111 ".repeat(1000);
    let batch = RecordBatch::try_new(
        source(),
        vec![
            Arc::new(Int64Array::from_iter_values(0..1000)),
            Arc::new(StringArray::from(vec![wide.as_str(); 1000])),
            Arc::new(StringArray::from(vec!["CH"; 1000])),
        ],
    )
    .unwrap();
    let many: Batches = futures::stream::iter(vec![Ok(batch); 10]).boxed();
    let transform =
        Transform::plan(Some("SELECT * FROM source ORDER BY ssn, id"), source(), 20 << 20).await.unwrap();
    let error = transform.apply(many).await.unwrap().try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Failed);
    assert!(error.message().contains("memory_limit"), "{error}");
}

#[tokio::test]
async fn types_that_cannot_be_published_are_held_with_the_cast_to_write() {
    let error = plan("SELECT now() AS t FROM source").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Held);
    assert!(error.to_string().contains("arrow_cast"), "{error}");
    let error = plan("SELECT NULL AS n FROM source").await.unwrap_err();
    assert!(error.to_string().contains("CAST(NULL AS"), "{error}");
}

#[tokio::test]
async fn names_that_differ_only_in_case_are_refused() {
    let error = plan("SELECT id, ssn AS \"ID\" FROM source").await.unwrap_err();
    assert!(error.message().contains("two columns"), "{error}");
}

#[tokio::test]
async fn what_looks_at_several_rows_is_told_from_what_looks_at_one() {
    let source = Arc::new(Schema::new(vec![
        Field::new("a", DataType::Int64, true),
        Field::new("b", DataType::Utf8, true),
    ]));
    let is_row_by_row = async |sql: Option<&str>| {
        Transform::plan(sql, source.clone(), 1 << 20).await.unwrap().is_row_by_row()
    };
    assert!(is_row_by_row(None).await);
    assert!(is_row_by_row(Some("SELECT a + 1 AS c, upper(b) AS b FROM source s WHERE a > 3")).await);
    for sql in [
        "SELECT count(*) AS n FROM source",
        "SELECT DISTINCT b FROM source",
        "SELECT a FROM source ORDER BY a",
        "SELECT a FROM source LIMIT 3",
        "SELECT a, row_number() OVER (ORDER BY a) AS n FROM source",
        "SELECT a FROM source UNION ALL SELECT 1",
    ] {
        assert!(!is_row_by_row(Some(sql)).await, "{sql}");
    }
}

#[tokio::test]
async fn what_is_made_of_many_rows_is_told_from_what_is_made_of_one() {
    for (sql, gathers, filters) in [
        ("SELECT id, lower(country) AS c FROM source", false, false),
        ("SELECT country, count(*) AS n FROM source GROUP BY country", true, false),
        ("SELECT DISTINCT ON (country) country, id FROM source ORDER BY country, id", true, false),
        ("SELECT DISTINCT id, country FROM source", false, false),
        ("SELECT id FROM source ORDER BY id LIMIT 5", true, false),
        ("SELECT id FROM (SELECT id, upper(country) AS c FROM source) WHERE c = 'CH'", false, true),
        ("SELECT id FROM source WHERE id > (SELECT max(n) FROM (VALUES (1), (2)) AS v(n))", false, true),
        (
            "SELECT id FROM (SELECT *, row_number() OVER (PARTITION BY id ORDER BY ssn DESC) AS nth FROM source) \
             WHERE nth = 1",
            false,
            false,
        ),
    ] {
        let transform = plan(sql).await.unwrap();
        assert_eq!((transform.gathers().is_some(), transform.filters()), (gathers, filters), "{sql}");
    }
}

#[tokio::test]
async fn the_path_of_a_column_names_each_expression_once() {
    let sql = "WITH c AS (SELECT id, lower(email) AS mail FROM source), \
               d AS (SELECT id, split_part(mail, '@', 1) || mail AS who, mail AS same FROM c WHERE id > 1) \
               SELECT id, max(who) AS most, same FROM d GROUP BY id, same";
    let schema = Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("email", DataType::Utf8, true),
    ]));
    let transform = Transform::plan(Some(sql), schema, 1 << 30).await.unwrap();
    assert!(transform.path("id").is_empty());
    assert_eq!(transform.path("same"), ["lower(source.email)"]);
    assert_eq!(
        transform.path("most"),
        ["max(d.who)", "split_part(c.mail, Utf8(\"@\"), Int64(1)) || c.mail", "lower(source.email)"]
    );
    assert!(transform.path("gone").is_empty());
}
