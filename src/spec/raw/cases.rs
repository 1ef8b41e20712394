//! The tests of a policy as they are written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::ApiVersion;
use super::action::Action;
use super::placed::Placed;

/// What a policy is expected to ask.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Sealift policy test")]
#[expect(dead_code, reason = "apiVersion and kind are checked by being read")]
pub(crate) struct PolicyTest {
    #[serde(rename = "apiVersion")]
    pub(crate) api_version: Placed<ApiVersion>,
    pub(crate) kind: Placed<Kind>,
    /// The policy that is tested, as seen from the folder of this file. Without it `policy.yaml` is what
    /// `policy.test.yaml` tests.
    pub(crate) policy: Option<Placed<String>>,
    /// The cases.
    pub(crate) cases: Placed<Vec<Placed<Case>>>,
}

/// What the document is.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) enum Kind {
    PolicyTest,
}

/// A column that has these tags, and what becomes of it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    /// What people call it.
    pub(crate) name: Option<Placed<String>>,
    /// The column's tags, all of which count; `[]` is a column that nothing is known of.
    pub(crate) tags: Placed<Vec<Placed<String>>>,
    /// The column's type; default `text`.
    #[serde(rename = "type")]
    pub(crate) of_type: Option<Placed<TypeWord>>,
    /// The action that is expected, with its options.
    pub(crate) expect: Option<Placed<Action>>,
    /// That the run is held is what is expected; instead of `expect`.
    pub(crate) held: Option<Placed<bool>>,
}

/// A kind of types that actions tell apart.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TypeWord {
    /// Text.
    Text,
    /// Whole numbers.
    Integer,
    /// Decimal numbers.
    Decimal,
    /// Floating-point numbers.
    Float,
    /// True and false.
    Boolean,
    /// Days.
    Date,
    /// Instants.
    Timestamp,
    /// Bytes.
    Binary,
}
