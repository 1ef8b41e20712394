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

/// The schema of configuration documents.
#[must_use]
pub fn config() -> Value {
    schema::<raw::config::Config>()
}

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
        if let [word] = required.as_slice() {
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
        ] {
            assert!(accepts(&super::policy(), &policy(action.clone())), "{action}");
        }
        for action in [json!("encrypted"), json!({"mask": {"keep": 2}}), json!("scrub"), json!(1)] {
            assert!(!accepts(&super::policy(), &policy(action.clone())), "{action}");
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

    #[test]
    fn every_key_is_described() {
        fn check(path: &str, value: &Value) {
            if let Some(Value::Object(properties)) = value.get("properties") {
                for (key, property) in properties {
                    let at = format!("{path}.{key}");
                    let told = property.get("description").is_some() || property.get("$ref").is_some();
                    assert!(told, "{at} has no description");
                    check(&at, property);
                }
            }
            if let Some(Value::Object(defs)) = value.get("$defs") {
                defs.iter().for_each(|(name, def)| check(name, def));
            }
            for nested in ["oneOf", "anyOf"] {
                if let Some(Value::Array(parts)) = value.get(nested) {
                    parts.iter().for_each(|part| check(path, part));
                }
            }
        }
        check("pipeline", &pipeline());
        check("policy", &policy());
        check("config", &config());
    }
}
