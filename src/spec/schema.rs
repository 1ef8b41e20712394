//! JSON Schemas of the documents, for editors. They come from the raw types and say what can be
//! said without looking at other keys; loading checks the rest.

use schemars::{JsonSchema, Schema, schema_for};
use serde_json::{Value, json};

use super::raw;

/// The schema of pipeline documents.
#[must_use]
pub fn pipeline() -> Value {
    schema::<raw::pipeline::Pipeline>()
}

/// The schema of policy documents.
#[must_use]
pub fn policy() -> Value {
    schema::<raw::policy::Policy>()
}

/// The schema of documents that test a policy.
#[must_use]
pub fn policy_test() -> Value {
    schema::<raw::cases::PolicyTest>()
}

/// The schema of configuration documents.
#[must_use]
pub fn config() -> Value {
    schema::<raw::config::Config>()
}

/// Choices that say nothing without an option.
const NEVER_BARE: [&str; 2] = ["generalize", "date_shift"];

fn schema<T: JsonSchema>() -> Value {
    schema_for!(T).to_value()
}

/// Lets a choice whose options may all be left out be written as its word alone: `action: mask` for
/// `action: {mask: {}}`.
pub(crate) fn allow_words(schema: &mut Schema) {
    let Some(Value::Array(choices)) = schema.get_mut("oneOf") else { return };
    let mut words = Vec::new();
    for choice in choices.iter() {
        let Some(Value::Array(required)) = choice.get("required") else { continue };
        if let [word] = required.as_slice()
            && !NEVER_BARE.iter().any(|never| word == never)
        {
            let mut spelled = json!({"const": word});
            if let (Some(description), Some(spelled)) = (choice.get("description"), spelled.as_object_mut()) {
                spelled.insert("description".to_owned(), description.clone());
            }
            words.push(spelled);
        }
    }
    choices.append(&mut words);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(schema: &Value, document: &Value) -> bool {
        jsonschema::is_valid(schema, document)
    }

    #[test]
    fn a_choice_is_a_word_or_a_word_with_options() {
        let policy = |action: Value| {
            json!({"apiVersion": "sealift/v1", "kind": "Policy", "name": "p",
                   "rules": [{"tags": ["pii.*"], "action": action}]})
        };
        for action in [
            json!("encrypt"),
            json!("mask"),
            json!({"mask": {"keep_last": 2}}),
            json!({"tokenize": {"join_domain": "customer"}}),
            json!({"hash": {"canonical": "phone", "calling_code": 41}}),
            json!({"generalize": {"width": 10}}),
            json!({"date_shift": {"max_days": 30, "by": "id"}}),
            json!("tokenize_fpe"),
        ] {
            assert!(accepts(&super::policy(), &policy(action.clone())), "{action}");
        }
        for action in [
            json!("encrypted"),
            json!({"mask": {"keep": 2}}),
            json!("generalize"),
            json!("date_shift"),
            json!({"generalize": {}}),
            json!(1),
        ] {
            assert!(!accepts(&super::policy(), &policy(action.clone())), "{action}");
        }
    }

    #[test]
    fn what_overflows_may_become_null_in_either_spelling() {
        let pipeline = |column: Value| {
            json!({"apiVersion": "sealift/v1", "kind": "Pipeline", "name": "p", "owner": "o",
                   "connection": "c", "dataset": "a.{table}", "streams": {"s.t": {"columns": {"x": column}}}})
        };
        for on_overflow in [json!("fail"), json!("null"), Value::Null, json!("quarantine")] {
            let column = json!({"as": "decimal(38,9)", "on_overflow": on_overflow});
            assert!(accepts(&super::pipeline(), &pipeline(column.clone())), "{column}");
        }
        for column in [json!({"as": 5}), json!({"as": "text", "on_overflow": "drop"})] {
            assert!(!accepts(&super::pipeline(), &pipeline(column.clone())), "{column}");
        }
    }

    #[test]
    fn a_secret_by_value_and_an_unknown_key_are_refused() {
        let config = |extra: (&str, Value)| {
            let mut postgres = json!({"host": "h", "database": "d", "user": "u"});
            postgres[extra.0] = extra.1;
            json!({"apiVersion": "sealift/v1", "kind": "Config", "pipelines": "p", "policy": "p.yaml",
                   "metadata": {"sqlite": "s"}, "keys": {"file": {"path": "k"}},
                   "stores": {"lake": {"url": "file:lake"}}, "connections": {"c": {"postgres": postgres}}})
        };
        assert!(accepts(&super::config(), &config(("password", json!("env:P")))));
        assert!(!accepts(&super::config(), &config(("password", json!("not-a-reference")))));
        assert!(!accepts(&super::config(), &config(("prot", json!(1)))));
    }

    /// The schema of a document's kind, and the document.
    fn read(path: &std::path::Path) -> (Value, Value) {
        let text = std::fs::read_to_string(path).unwrap();
        let document: Value = serde_saphyr::from_str(&text).unwrap();
        let schema = match document["kind"].as_str().unwrap() {
            "Config" => config(),
            "Policy" => policy(),
            _ => pipeline(),
        };
        (schema, document)
    }

    #[test]
    fn the_good_documents_fit_their_schemas() {
        let folder = std::path::Path::new("tests/fixtures/good");
        for name in ["sealift.yaml", "policy.yaml", "pipelines/crm.yaml", "pipelines/files.yml"] {
            let (schema, mut document) = read(&folder.join(name));
            if let Some(Value::Object(streams)) = document.get_mut("streams") {
                // A stream without options may be written as nothing, which an editor underlines.
                streams.retain(|_, stream| !stream.is_null());
            }
            let errors: Vec<_> = jsonschema::validator_for(&schema)
                .unwrap()
                .iter_errors(&document)
                .map(|error| error.to_string())
                .collect();
            assert!(errors.is_empty(), "{name}: {errors:?}");
        }
    }

    #[test]
    fn bad_documents_do_not_fit_their_schemas() {
        let folder = std::path::Path::new("tests/fixtures/bad");
        for name in [
            "misspelt_key",
            "misspelt_variant",
            "misspelt_action",
            "missing_keys",
            "wrong_types",
            "wrong_version",
            "policy_bad_companion",
            "bad_actions",
            "secret_by_value",
            "type_as_a_key",
            "bad_parquet",
            "columns_say_nothing",
            "policy_bad_tags",
            "policy_bad_mask",
            "policy_misspelt_action",
            "providers_not_available",
            "five_problems",
            "unknown_limits",
            "bad_quarantine",
        ] {
            let (schema, document) = read(&folder.join(format!("{name}.yaml")));
            assert!(!accepts(&schema, &document), "{name}");
        }
    }

    #[test]
    fn the_reference_names_every_key() {
        fn keys(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Object(fields) => {
                    if let Some(Value::Object(properties)) = fields.get("properties") {
                        found.extend(properties.keys().cloned());
                    }
                    fields.values().for_each(|field| keys(field, found));
                }
                Value::Array(items) => items.iter().for_each(|item| keys(item, found)),
                _ => {}
            }
        }
        let reference = include_str!("../../docs/reference.md");
        let mut found = Vec::new();
        for schema in [pipeline(), policy(), policy_test(), config()] {
            keys(&schema, &mut found);
        }
        assert!(found.len() > 60);
        for key in found {
            let named = [format!("`{key}`"), format!("`{{{key}"), format!("`{key}:"), format!("{{{key}: ")];
            let named = named.iter().any(|form| reference.contains(form));
            assert!(named, "docs/reference.md does not name `{key}`");
        }
    }

    #[test]
    fn every_key_is_described() {
        fn check(path: &str, value: &Value, is_choice: bool) {
            if let Some(Value::Object(properties)) = value.get("properties") {
                for (key, property) in properties {
                    let at = format!("{path}.{key}");
                    // A choice is described beside its one key.
                    let beside = value.get("description").filter(|_| is_choice);
                    let told = [property.get("description"), property.get("$ref"), beside];
                    let told = told.iter().any(Option::is_some);
                    assert!(told, "{at} has no description");
                    check(&at, property, false);
                }
            }
            if let Some(Value::Object(defs)) = value.get("$defs") {
                for (name, def) in defs {
                    check(name, def, false);
                }
            }
            for nested in ["oneOf", "anyOf"] {
                if let Some(Value::Array(parts)) = value.get(nested) {
                    for part in parts {
                        check(path, part, true);
                    }
                }
            }
        }
        check("pipeline", &pipeline(), false);
        check("policy", &policy(), false);
        check("policy test", &policy_test(), false);
        check("config", &config(), false);
    }
}
