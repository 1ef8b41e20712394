//! Options of actions against types, tags and each other.

use std::num::NonZeroU32;

use arrow::array::{ArrayRef, AsArray, Date32Array, RecordBatch, StringViewArray};
use arrow::datatypes::{Date32Type, TimeUnit};
use futures::{StreamExt, TryStreamExt};

use super::super::fixture::*;
use super::*;
use crate::keys::Keyring;
use crate::protect::Sealed;
use crate::spec::action::{Alphabet, Canonical, Generalize, Mask, Period};
use crate::spec::config;
use crate::spec::policy::Unmatched;

fn few(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

fn shift(max_days: u32, by: Option<&str>) -> Action {
    let by = by.map(str::to_owned);
    Action::DateShift(DateShift { max_days: few(max_days), by, join_domain: None })
}

fn fpe(on_unfit: OnUnfit) -> Action {
    Action::TokenizeFpe(Fpe { alphabet: Alphabet::Digits, on_unfit, join_domain: None })
}

/// The plan of one column `x` whose tag `t` the policy gives the action.
fn one(action: &Action, data_type: DataType) -> Result<Plan> {
    let policy = policy(Unmatched::Refuse, &[("t", action.clone())]);
    decide(&policy, &schema(&[("x", data_type)]), &[named("x", "t", None)])
}

#[test]
fn each_option_fits_its_types_and_keeps_them() {
    use DataType as T;
    let stamp = T::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let all = [T::Utf8, T::Int16, T::Decimal128(9, 2), T::Float32, T::Boolean, T::Date32, T::Binary, stamp];
    let lower = Action::Hash { join_domain: None, canonical: Canonical::Lower };
    for (action, fits) in [
        (Action::Generalize(Generalize::Width(few(5))), "-ndf----"),
        (Action::Generalize(Generalize::To(Period::Day)), "-------s"),
        (Action::Generalize(Generalize::To(Period::Month)), "-----D-s"),
        (Action::Generalize(Generalize::Prefix(few(3))), "t-------"),
        (Action::Generalize(Generalize::Network { ipv4: 24, ipv6: 48 }), "t-------"),
        (shift(30, None), "-----D-s"),
        (fpe(OnUnfit::Fail), "t-------"),
        (lower, "tn------"),
    ] {
        for (data_type, fit) in all.iter().zip(fits.chars()) {
            let plan = one(&action, data_type.clone());
            assert_eq!(plan.is_ok(), fit != '-', "{action:?} of {data_type}");
            let keeps = matches!(action, Action::Generalize(_) | Action::DateShift(_));
            if let Ok(plan) = plan {
                let published = plan.output().field(0).data_type().clone();
                assert_eq!(published, if keeps { data_type.clone() } else { T::Utf8 });
            }
        }
    }
}

#[test]
fn trap_pseudonyms_of_few_values_are_refused_unless_the_policy_means_it() {
    let hashed = |tag: &str, action: Option<Action>, allow: bool| {
        let mut policy = policy(Unmatched::Refuse, &[("pii.*", hash("")), ("public", Action::Allow)]);
        policy.rules[0].allow_small_domain = allow;
        decide(&policy, &schema(&[("x", DataType::Utf8)]), &[named("x", tag, action)])
    };
    for tag in ["pii.gender", "pii.us_state", "pii.gender.at_birth"] {
        let message = hashed(tag, None, false).unwrap_err().to_string();
        assert!(message.contains("by counting") && message.contains("allow_small_domain"), "{message}");
        assert!(hashed(tag, None, true).is_ok());
        assert!(hashed(tag, Some(Action::Redact), false).is_ok());
    }
    assert!(hashed("pii.email", None, false).is_ok());
    assert!(hashed("pii.genders", None, false).is_ok());
    // A pipeline does not override it.
    let open = policy(Unmatched::Refuse, &[("pii.*", Action::Encrypt)]);
    for action in [tokenize(""), hash(""), fpe(OnUnfit::Fail)] {
        let verdicts = [named("x", "pii.gender", Some(action))];
        assert!(decide(&open, &schema(&[("x", DataType::Utf8)]), &verdicts).is_err());
    }
}

#[test]
fn trap_a_mask_keeps_no_more_than_the_tag_allows() {
    let masked = |tag: &str, keep_last| {
        let policy = policy(Unmatched::Refuse, &[("*", Action::Mask(Mask { keep_last }))]);
        decide(&policy, &schema(&[("x", DataType::Utf8)]), &[named("x", tag, None)])
    };
    for (tag, most) in
        [("pii.us_ssn", 4), ("financial.card_number", 4), ("pii.person_name", 2), ("secret.key", 0)]
    {
        assert!(masked(tag, most).is_ok(), "{tag}");
        let message = masked(tag, most + 1).unwrap_err().to_string();
        assert!(message.contains(&format!("at most {most} may stay")), "{message}");
    }
    assert!(masked("internal.code", 20).is_ok());
}

#[test]
fn options_that_contradict_each_other_are_held() {
    let coarser = |width| Action::Generalize(Generalize::Width(few(width)));
    let numbers = schema(&[("x", DataType::Int64)]);
    let both = |asked, spec| {
        let policy = policy(Unmatched::Refuse, &[("t", asked)]);
        decide(&policy, &numbers, &[named("x", "t", Some(spec))])
    };
    let action = |plan: Result<Plan>| plan.unwrap().decisions()[0].action.clone();
    assert_eq!(action(both(coarser(10), coarser(100))), coarser(100), "a pipeline may strengthen");
    assert!(both(coarser(100), coarser(10)).unwrap_err().to_string().contains("spec asks"));
    let message = both(coarser(10), coarser(12)).unwrap_err().to_string();
    assert!(message.contains("neither is the stricter"), "{message}");
    let form = |canonical| Action::Hash { join_domain: None, canonical };
    assert_eq!(action(both(form(Canonical::Digits), hash(""))), form(Canonical::Digits), "silence agrees");
    assert!(both(form(Canonical::Digits), form(Canonical::Lower)).is_err());
}

#[test]
fn trap_what_acts_on_whole_values_takes_no_computed_column() {
    let action = Action::Generalize(Generalize::Prefix(few(3)));
    let policy = policy(Unmatched::Refuse, &[("t", action)]);
    let computed = Verdict { copy_of: None, ..named("x", "t", None) };
    let message = decide(&policy, &schema(&[("x", DataType::Utf8)]), &[computed]).unwrap_err().to_string();
    assert!(message.contains("this one is computed"), "{message}");
}

#[test]
fn a_subject_is_a_plain_column_of_the_output() {
    let policy = policy(Unmatched::Refuse, &[("t", shift(30, Some("who"))), ("public", Action::Allow)]);
    let of = |name: &str, data_type| {
        let schema = schema(&[("born", DataType::Date32), (name, data_type)]);
        decide(&policy, &schema, &[named("born", "t", None), named(name, "public", None)])
    };
    let plan = of("who", DataType::LargeUtf8).unwrap();
    assert_eq!(plan.columns()[0].by, Some((1, DataType::Utf8)));
    assert_eq!(plan.decisions()[0].key.as_deref(), Some("sealift:crm.customers#shift"));
    let own = [Field::new("own", DataType::Int64, false)];
    assert_eq!(plan.clone().behind(&own).columns()[1].by, Some((2, DataType::Utf8)));
    assert_eq!(plan.before(&own).columns()[0].by, Some((1, DataType::Utf8)));
    assert!(of("other", DataType::Utf8).unwrap_err().to_string().contains("no such column"));
    assert!(of("who", DataType::Float64).unwrap_err().to_string().contains("cannot say who"));
}

#[test]
fn values_that_do_not_fit_a_format_may_become_null() {
    assert!(one(&fpe(OnUnfit::Null), DataType::Utf8).unwrap().output().field(0).is_nullable());
    let required = Arc::new(Schema::new(vec![Field::new("x", DataType::Utf8, false)]));
    let nullable = |on_unfit| {
        let policy = policy(Unmatched::Refuse, &[("t", fpe(on_unfit))]);
        decide(&policy, &required, &[named("x", "t", None)]).unwrap().output().field(0).is_nullable()
    };
    assert!(nullable(OnUnfit::Null) && !nullable(OnUnfit::Fail));
}

#[tokio::test]
async fn sealed_dates_move_with_their_subject_whatever_becomes_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let keys = config::Keys::File { path: folder.path().join("keys"), passphrase: None };
    let keyring = Keyring::open(&keys, &|_| ()).await.unwrap();
    let policy = policy(Unmatched::Refuse, &[("t", shift(3650, Some("who"))), ("gone", Action::Drop)]);
    let input =
        schema(&[("came", DataType::Date32), ("who", DataType::Utf8View), ("left", DataType::Date32)]);
    let verdicts = [named("came", "t", None), named("who", "gone", None), named("left", "t", None)];
    let plan = decide(&policy, &input, &verdicts).unwrap();
    let came: ArrayRef = Arc::new(Date32Array::from(vec![Some(0), Some(0), None]));
    let who: ArrayRef = Arc::new(StringViewArray::from(vec!["a", "b", "a"]));
    let left: ArrayRef = Arc::new(Date32Array::from(vec![11, 22, 33]));
    let batch = RecordBatch::try_new(input, vec![came, who, left]).unwrap();
    let sealed = Sealed::seal(&plan, futures::stream::iter([Ok(batch)]).boxed(), &keyring).await.unwrap();
    let batches: Vec<RecordBatch> = sealed.into_batches().try_collect().await.unwrap();
    let dates = |index: usize| batches[0].column(index).as_primitive::<Date32Type>().clone();
    let (came, left) = (dates(0), dates(1));
    assert_eq!((left.value(0) - came.value(0), left.value(1) - came.value(1)), (11, 22));
    assert_eq!(left.value(2) - left.value(0), 22, "one subject");
    assert_ne!(came.value(0), came.value(1));
    assert!(arrow::array::Array::is_null(&came, 2));
}
