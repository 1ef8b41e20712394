use std::sync::Arc;

use arrow::array::{
    Array, AsArray, DictionaryArray, Int64Array, ListArray, StringArray, StringViewArray, StructArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{Field, Int32Type, Schema};

use super::super::fixture::*;
use super::*;
use crate::error::Kind;
use crate::spec::config;
use crate::spec::policy::Unmatched;
use crate::spec::verdict::Why;

async fn keyring(folder: &tempfile::TempDir) -> Keyring {
    let keys = config::Keys::File { path: folder.path().join("keys"), passphrase: None };
    Keyring::open(&keys, &|_| {}).await.unwrap()
}

fn stream(batches: Vec<RecordBatch>) -> Batches {
    futures::stream::iter(batches.into_iter().map(Ok)).boxed()
}

async fn rows(sealed: Sealed) -> Vec<Result<RecordBatch>> {
    sealed.into_batches().collect().await
}

fn tags_of(columns: &[&str]) -> Vec<crate::spec::verdict::Verdict> {
    columns.iter().map(|name| named(name, name, None)).collect()
}

fn text(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

#[tokio::test]
async fn each_column_gets_its_action_and_encrypted_ones_their_key() {
    let folder = tempfile::tempdir().unwrap();
    let keyring = keyring(&folder).await;
    let policy = policy(
        Unmatched::Refuse,
        &[
            ("open", Action::Allow),
            ("card", Action::Encrypt),
            ("note", Action::Redact),
            ("gone", Action::Drop),
        ],
    );
    let columns = ["open", "card", "note", "gone"];
    let schema = schema(&columns.map(|name| (name, DataType::Utf8)));
    let mut plan = decide(&policy, &schema, &tags_of(&columns)).unwrap();
    let batch = RecordBatch::try_new(schema, columns.map(|name| text(&[name, "x"])).to_vec()).unwrap();
    let sealed = Sealed::seal(&plan, stream(vec![batch]), &keyring).await.unwrap();

    assert_eq!(sealed.open().iter().collect::<Vec<_>>(), ["open"]);
    let encrypted: Vec<_> = sealed.encrypted().iter().map(|(path, key)| (path.as_str(), key.id())).collect();
    assert_eq!(encrypted, [("card", "sealift:crm.customers/card@1")]);
    assert_eq!(sealed.footer().id(), "sealift:crm.customers/_footer@1");
    let key = sealed.encrypted()[0].1.secret().expose().to_vec();
    assert!(!format!("{sealed:?}").contains(&hex::encode(key)));

    plan.name_keys(&keyring).await.unwrap();
    assert_eq!(plan.decisions()[1].key.as_deref(), Some("sealift:crm.customers/card@1"));
    let out = rows(sealed).await.remove(0).unwrap();
    assert_eq!(out.schema_ref(), plan.output());
    let cells: Vec<_> = out.columns().iter().map(|c| c.as_string::<i32>().value(0)).collect();
    assert_eq!(cells, ["open", "card", "[REDACTED]"]);
}

#[tokio::test]
async fn tokens_join_across_datasets_inside_a_join_domain_and_not_without() {
    let folder = tempfile::tempdir().unwrap();
    let keyring = keyring(&folder).await;
    let schema = schema(&[("email", DataType::Utf8)]);
    let batch = RecordBatch::try_new(schema.clone(), vec![text(&["ada@example.com"])]).unwrap();
    for (make, joined) in
        [(tokenize as fn(&str) -> Action, "customer"), (hash, "customer"), (tokenize, ""), (hash, "")]
    {
        let policy = policy(Unmatched::Refuse, &[("email", make(joined))]);
        let mut pseudonyms = Vec::new();
        for dataset in ["crm.customers", "shop.orders"] {
            let dataset = DatasetName::parse(dataset).unwrap();
            let plan = Plan::decide(&dataset, &policy, schema.clone(), &tags_of(&["email"]), &[]).unwrap();
            let sealed = Sealed::seal(&plan, stream(vec![batch.clone()]), &keyring).await.unwrap();
            let out = rows(sealed).await.remove(0).unwrap();
            pseudonyms.push(out.column(0).as_string::<i32>().value(0).to_owned());
        }
        assert!(!pseudonyms[0].contains("ada@"));
        assert_eq!(pseudonyms[0] == pseudonyms[1], !joined.is_empty(), "domain `{joined}`");
    }
}

#[tokio::test]
async fn a_batch_of_another_schema_is_a_failed_item() {
    let folder = tempfile::tempdir().unwrap();
    let keyring = keyring(&folder).await;
    let policy = policy(Unmatched::Refuse, &[("*", Action::Allow)]);
    let planned = schema(&[("a", DataType::Utf8), ("b", DataType::Utf8)]);
    let plan = decide(&policy, &planned, &tags_of(&["a", "b"])).unwrap();
    let number: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let others = [
        (schema(&[("b", DataType::Utf8), ("a", DataType::Utf8)]), vec![text(&["x"]), text(&["y"])]),
        (schema(&[("a", DataType::Utf8)]), vec![text(&["x"])]),
        (schema(&[("a", DataType::Utf8), ("b", DataType::Int64)]), vec![text(&["x"]), number]),
    ];
    for (schema, arrays) in others {
        let batch = RecordBatch::try_new(schema, arrays).unwrap();
        let sealed = Sealed::seal(&plan, stream(vec![batch]), &keyring).await.unwrap();
        let error = rows(sealed).await.remove(0).unwrap_err();
        assert_eq!(error.kind(), Kind::Failed, "{error}");
    }
}

#[tokio::test]
async fn other_forms_of_text_and_nesting_are_brought_to_the_published_one() {
    let folder = tempfile::tempdir().unwrap();
    let keyring = keyring(&folder).await;
    let policy = policy(Unmatched::Refuse, &[("*", Action::Allow), ("dict", hash("j")), ("view", hash("j"))]);
    let dict: DictionaryArray<Int32Type> = vec!["ada", "bob", "ada"].into_iter().collect();
    let view = StringViewArray::from(vec!["ada", "bob", "ada"]);
    let secretive = std::collections::HashMap::from([("comment".to_owned(), "ada".to_owned())]);
    let inner = Field::new("city", DataType::Utf8View, true).with_metadata(secretive);
    let cities = StructArray::new(vec![inner.clone()].into(), vec![Arc::new(view.clone())], None);
    let item = Arc::new(Field::new("item", cities.data_type().clone(), true));
    let lists = ListArray::new(item, OffsetBuffer::from_lengths([1, 0, 2]), Arc::new(cities), None);
    let arrays: Vec<ArrayRef> = vec![Arc::new(dict), Arc::new(view), Arc::new(lists)];
    let names = ["dict", "view", "homes"];
    let fields: Vec<_> =
        names.iter().zip(&arrays).map(|(name, a)| Field::new(*name, a.data_type().clone(), true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let mut verdicts = tags_of(&names);
    verdicts[2] = verdict("homes", vec![evidence(Some("homes.city"), Why::Named, "homes", None, 2)]);
    let plan = decide(&policy, &schema, &verdicts).unwrap();
    assert_eq!(plan.decisions()[2].path, "homes.list.element.city");
    let batch = RecordBatch::try_new(schema, arrays).unwrap();
    let sealed = Sealed::seal(&plan, stream(vec![batch]), &keyring).await.unwrap();
    let out = rows(sealed).await.remove(0).unwrap();
    assert_eq!(out.column(0), out.column(1), "the same values in the same join domain");
    assert!(!format!("{:?}", out.schema()).contains("comment"));
    let last = out.column(2).as_list::<i32>().value(2);
    assert_eq!(
        last.as_struct().column(0).as_string::<i32>().iter().flatten().collect::<Vec<_>>(),
        ["bob", "ada"]
    );
}

#[tokio::test]
async fn faults_of_the_source_pass_through() {
    let folder = tempfile::tempdir().unwrap();
    let keyring = keyring(&folder).await;
    let policy = policy(Unmatched::Refuse, &[("*", Action::Allow)]);
    let plan = decide(&policy, &schema(&[("a", DataType::Utf8)]), &tags_of(&["a"])).unwrap();
    let fault = futures::stream::iter([Err(Error::temporary("the source went away"))]).boxed();
    let sealed = Sealed::seal(&plan, fault, &keyring).await.unwrap();
    assert_eq!(rows(sealed).await, [Err(Error::temporary("the source went away"))]);
}

#[tokio::test]
async fn a_value_that_does_not_fit_is_an_error_that_does_not_quote_it() {
    let folder = tempfile::tempdir().unwrap();
    let keyring = keyring(&folder).await;
    let policy = policy(Unmatched::Refuse, &[("*", Action::Allow)]);
    let seconds = arrow::array::TimestampSecondArray::from(vec![i64::MAX - 806]);
    let schema = schema(&[("at", seconds.data_type().clone())]);
    let plan = decide(&policy, &schema, &tags_of(&["at"])).unwrap();
    let batch = RecordBatch::try_new(schema, vec![Arc::new(seconds)]).unwrap();
    let sealed = Sealed::seal(&plan, stream(vec![batch]), &keyring).await.unwrap();
    let error = rows(sealed).await.remove(0).unwrap_err();
    assert_eq!(error.kind(), Kind::Data);
    assert!(!error.to_string().contains("9223372036854775001"), "{error}");
}
