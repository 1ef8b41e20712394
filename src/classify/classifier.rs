//! The built-in classification with what the policy adds.

use super::survey::{Found, Survey};
use super::values::{self, Custom, Detectors, Tally};
use super::weigh::{CustomName, weigh};
use crate::error::{Error, Result};
use crate::spec::classification::{Checksum, Classification, Detector, Test};

/// Compiled once for a policy.
#[derive(Debug)]
pub struct Classifier {
    detectors: Detectors,
    names: Vec<CustomName>,
}

impl Classifier {
    /// Compiles what the policy adds.
    ///
    /// # Errors
    /// `Invalid` for a pattern that does not compile.
    pub fn new(policy: &Classification) -> Result<Self> {
        let values = policy.detectors.iter().filter(|detector| looks_at_values(detector)).map(custom);
        let detectors = Detectors::with(&values.collect::<Vec<_>>());
        let detectors = detectors.map_err(|fault| Error::invalid(fault).at("policy: classification"))?;
        let name = |detector: &Detector| {
            let tag = detector.tag.to_string();
            detector.column_names.clone().into_iter().map(move |name| CustomName { name, tag: tag.clone() })
        };
        Ok(Self { detectors, names: policy.detectors.iter().flat_map(name).collect() })
    }

    /// One finding for each part that was surveyed.
    #[must_use]
    pub fn findings(&self, survey: &Survey) -> Vec<Found> {
        let tallies: Vec<Option<Tally>> =
            survey.samples().map(|sample| Some(self.detectors.tally(sample))).collect();
        let named = survey.named();
        let findings = weigh(&named, &tallies, &self.names);
        named.into_iter().zip(findings).map(|(named, finding)| Found { name: named.name, finding }).collect()
    }
}

fn looks_at_values(detector: &Detector) -> bool {
    detector.pattern.is_some() || detector.test != Test::Form
}

fn custom(detector: &Detector) -> Custom {
    Custom {
        name: detector.name.clone(),
        tag: detector.tag.to_string(),
        regex: detector.pattern.clone(),
        test: match &detector.test {
            Test::Form => values::Test::Form,
            Test::Words(words) => values::Test::Words(words.clone()),
            Test::Checksum(rule) => values::Test::Checksum(match rule {
                Checksum::Luhn => values::Checksum::Luhn,
                Checksum::Card => values::Checksum::Card,
                Checksum::Mod11 => values::Checksum::Mod11,
                Checksum::Mod11Ten => values::Checksum::Mod11Ten,
                Checksum::Mod97 => values::Checksum::Mod97,
                Checksum::Verhoeff => values::Checksum::Verhoeff,
            }),
        },
    }
}
