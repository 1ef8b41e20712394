//! JSON in the one form that has a signature: RFC 8785 (JCS), as far as receipts need it.
//!
//! The names of fields are ASCII, and numbers are integers below 2^53, so that sorting by bytes and writing
//! digits is all there is to it.

use serde_json::Value;

/// The canonical bytes.
#[must_use]
pub fn bytes(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write(value, &mut out);
    out
}

fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by_key(|(name, _)| *name);
            between(b"{}", fields, out, |(name, value), out| {
                scalar(&Value::from(name.as_str()), out);
                out.push(b':');
                write(value, out);
            });
        }
        Value::Array(items) => between(b"[]", items, out, write),
        plain => scalar(plain, out),
    }
}

/// The items, with commas between them.
fn between<T>(
    brackets: &[u8; 2],
    items: impl IntoIterator<Item = T>,
    out: &mut Vec<u8>,
    write: impl Fn(T, &mut Vec<u8>),
) {
    out.push(brackets[0]);
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(item, out);
    }
    out.push(brackets[1]);
}

/// Texts as RFC 8785 escapes them, which is how this library does.
fn scalar(value: &Value, out: &mut Vec<u8>) {
    out.extend_from_slice(value.to_string().as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_that_of_rfc_8785() {
        let value: Value = serde_json::from_str(
            r#" {"b": [3, {"z": null, "a": true}], "a": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/"} "#,
        )
        .unwrap();
        let text = String::from_utf8(bytes(&value)).unwrap();
        assert_eq!(text, "{\"a\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\",\"b\":[3,{\"a\":true,\"z\":null}]}");
    }
}
