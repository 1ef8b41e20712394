//! Options of actions against types, tags and each other.

use std::num::NonZeroU32;

use arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, Int64Array, RecordBatch, StringArray, StringViewArray,
};
use arrow::datatypes::{Date32Type, TimeUnit};
use futures::{StreamExt, TryStreamExt};

use super::super::fixture::*;
use super::*;
use crate::keys::Keyring;
use crate::protect::Sealed;
use crate::spec::action::{Alphabet, Canonical, Generalize, Mask, OnUnfit, Period};
use crate::spec::config;
use crate::spec::pipeline::Companion;
use crate::spec::policy::RuleCompanion;
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

fn cells(by: Option<&str>) -> Action {
    Action::EncryptValue(EncryptValue { by: by.map(str::to_owned) })
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
        (cells(None), "tnd--Dbs"),
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
    assert!(Array::is_null(&came, 2));
}

/// `email` (tagged `pii.email`, by a spec that asks `action` and a further column) beside `id`.
fn beside(policy: &Policy, action: Action, name: &str, companion: Action) -> Result<Plan> {
    let mut email = named("email", "pii.email", Some(action));
    email.evidence[0].declared.companion = Some(Companion { column: name.to_owned(), action: companion });
    let schema = schema(&[("email", DataType::Utf8), ("id", DataType::Int64)]);
    decide(policy, &schema, &[email, named("id", "public", None)])
}

fn sealed_emails() -> Policy {
    policy(Unmatched::Refuse, &[("pii.email", Action::Encrypt), ("public", Action::Allow)])
}

#[test]
fn a_further_column_is_made_of_the_same_values_and_comes_last() {
    let plan = beside(&sealed_emails(), Action::Encrypt, "email_token", tokenize("customer")).unwrap();
    let decided: Vec<_> = plan
        .decisions()
        .iter()
        .map(|d| (d.path.as_str(), d.action.word(), d.because.as_str(), d.companion_of.as_deref()))
        .collect();
    let expected = [
        ("email", "encrypt", "policy rule 1 (pii.email)", None),
        ("id", "allow", "policy rule 2 (public)", None),
        ("email_token", "tokenize", "beside `email`, spec line 14", Some("email")),
    ];
    assert_eq!(decided, expected);
    assert_eq!(plan.decisions()[2].key.as_deref(), Some("sealift:join/customer#tokenize"));
    let names: Vec<_> = plan.output().fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["email", "id", "email_token"]);
    let made: Vec<_> = plan.columns().iter().map(|column| column.index).collect();
    assert_eq!(made, [0, 1, 0]);
    // Its own column's key without a join domain, and whatever is stronger than what the policy asks.
    let own = beside(&sealed_emails(), Action::Redact, "token", tokenize("")).unwrap();
    assert_eq!(own.decisions()[2].key.as_deref(), Some("sealift:crm.customers/token#tokenize"));
    assert_eq!(own.decisions()[0].action, Action::Redact);
}

#[test]
fn trap_a_further_column_shows_no_more_than_the_policy_allows() {
    for weaker in [Action::Allow, Action::Mask(Mask::default())] {
        let error = beside(&sealed_emails(), Action::Encrypt, "end", weaker.clone()).unwrap_err();
        assert_eq!(error.kind(), crate::error::Kind::Held);
        assert!(error.message().contains(&format!("column `end`: the spec asks `{weaker}`")), "{error}");
    }
    for taken in ["id", "ID", "email"] {
        let error = beside(&sealed_emails(), Action::Encrypt, taken, hash("")).unwrap_err();
        assert!(error.message().contains("has the name of another column"), "{error}");
    }
}

#[test]
fn a_rule_asks_for_a_further_column_where_it_decides() {
    let mut policy = policy(
        Unmatched::Refuse,
        &[("pii.email", Action::Encrypt), ("pii.*", Action::Encrypt), ("secret", Action::Redact)],
    );
    let companion = |action| Some(RuleCompanion { suffix: "_x".to_owned(), action });
    let text = schema(&[("x", DataType::Utf8)]);
    let of = |policy: &Policy, verdict: &Verdict| {
        let plan = decide(policy, &text, std::slice::from_ref(verdict)).unwrap();
        plan.decisions().get(1).map(|decision| (decision.path.clone(), decision.action.word()))
    };
    let plain = named("x", "pii.email", None);
    policy.rules[0].companion = companion(tokenize("customer"));
    let made = Some(("x_x".to_owned(), "tokenize"));
    assert_eq!(of(&policy, &plain), made);
    // Not where the spec asks for more, another rule decides, or another rule asks for more of the same tag.
    assert_eq!(of(&policy, &named("x", "pii.email", Some(Action::Redact))), None);
    let mut secret = plain.clone();
    secret.evidence.extend(named("x", "secret", None).evidence);
    assert_eq!(of(&policy, &secret), None);
    policy.rules[0].companion = companion(Action::Mask(Mask::default()));
    assert_eq!(of(&policy, &plain), None, "the second rule wants it encrypted");
    policy.rules.remove(1);
    assert_eq!(of(&policy, &plain), Some(("x_x".to_owned(), "mask")));
    // A mask is made of whole values only.
    let computed = Verdict { copy_of: None, ..plain };
    assert_eq!(of(&policy, &computed), None);
}

#[test]
fn cells_go_by_a_column_that_is_there() {
    let policy = policy(Unmatched::Refuse, &[("t", cells(Some("who"))), ("gone", Action::Drop)]);
    let of = |data_type: DataType| {
        let schema = schema(&[("x", DataType::Utf8), ("who", data_type)]);
        decide(&policy, &schema, &[named("x", "t", None), named("who", "gone", None)])
    };
    let plan = of(DataType::Int64).unwrap();
    assert_eq!(plan.columns()[0].by, Some((1, DataType::Int64)));
    assert_eq!(plan.decisions()[0].key.as_deref(), Some("sealift:crm.customers/x#subject"));
    assert_eq!(plan.output().field(0).data_type(), &DataType::Utf8);
    assert!(of(DataType::Boolean).unwrap_err().message().contains("cannot say who a row is about"));
    assert!(one(&cells(Some("who")), DataType::Utf8).unwrap_err().message().contains("no such column"));
    assert!(one(&cells(None), DataType::Utf8).is_ok());
}

#[tokio::test]
async fn both_columns_of_one_input_are_sealed() {
    let folder = tempfile::tempdir().unwrap();
    let settings = config::Keys::File { path: folder.path().join("keys"), passphrase: None };
    let keyring = Keyring::open(&settings, &|_| {}).await.unwrap();
    let plan = beside(&sealed_emails(), Action::Encrypt, "email_token", tokenize("customer")).unwrap();
    let emails: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("a")]));
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    let batch = RecordBatch::try_new(plan.input().clone(), vec![emails.clone(), ids]).unwrap();
    let batches = futures::stream::iter([Ok(batch)]).boxed();
    let sealed = Sealed::seal(&plan, batches, &keyring).await.unwrap();
    assert_eq!(sealed.encrypted().iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), ["email"]);
    assert_eq!(sealed.open().iter().collect::<Vec<_>>(), ["id"], "a token has no statistics");
    let batches: Vec<RecordBatch> = sealed.into_batches().try_collect().await.unwrap();
    let tokens = batches[0].column_by_name("email_token").unwrap().as_string::<i32>();
    assert_eq!(batches[0].column(0), &emails);
    assert!(tokens.value(0).starts_with("t1:") && tokens.value(0) == tokens.value(2));
    assert_eq!(tokens.null_count(), 1);
    let told = plan.digests(&keyring).await.unwrap();
    let names: Vec<_> = told.columns().iter().map(|digest| digest.column().to_owned()).collect();
    assert_eq!(names, ["email", "id", "email_token"]);
}
