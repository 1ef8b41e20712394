//! PKCS #11, with SoftHSM.

use super::{house, keyed, notices_altered_records, refused, refused_at_start, takes_over, works};
use crate::house::House;
use crate::servers::softhsm::{FIT, PIN, SoftHsm};

/// The value of `keys` for a key of this token.
pub(super) fn keys(token: &str, key: &str) -> String {
    format!(
        "{{pkcs11: {{path: ../out/keys, module: {}, token: {token}, key: {key}, pin: \"env:TEST_PIN\"}}}}",
        SoftHsm::module().display()
    )
}

/// A house whose root key is `root` in the token `prod`.
pub(super) fn furnished(hsm: &SoftHsm) -> House {
    let mut house = house(&keys("prod", "root"));
    house.env("SOFTHSM2_CONF", hsm.settings().to_str().unwrap());
    house.env("TEST_PIN", PIN);
    house
}

#[test]
fn a_key_in_a_token_wraps_dataset_keys() {
    let hsm = SoftHsm::with_token("prod");
    hsm.add_key("prod", "root", &FIT);
    let house = furnished(&hsm);
    works(&house, "pkcs11:token=prod;id=%01", &[PIN]);
    notices_altered_records(&house);
    // Another key of the token is another root key, also where it is called the same in another way.
    hsm.add_key("prod", "next", &["--key-type", "AES:32", "--sensitive", "--private"]);
    keyed(&house, &keys("prod", "next"));
    let says = ["wrapped by the root key pkcs11:token=prod;id=%01", "pkcs11:token=prod;object=next"];
    refused(&house.run(&["query", "SELECT ssn FROM crm.people"]), 1, &says);
    takes_over(&house, &keys("prod", "root"), "pkcs11:token=prod;object=next");
}

#[test]
fn a_token_takes_over_from_a_file() {
    let hsm = SoftHsm::with_token("prod");
    hsm.add_key("prod", "root", &FIT);
    let house = furnished(&hsm);
    let file = "{file: {path: ../out/keys}}";
    keyed(&house, file);
    house.run(&["sync", "crm"]).expect(0);
    keyed(&house, &keys("prod", "root"));
    takes_over(&house, file, "pkcs11:token=prod;id=%01");
}

#[test]
fn what_is_not_right_is_told_before_anything_is_published() {
    let hsm = SoftHsm::with_token("prod");
    hsm.add_token("spare");
    let house = furnished(&hsm);
    let keygen = "--keygen --key-type AES:32 --label 'root' --id 01 --sensitive --private";
    refused_at_start(&house, 78, &["no secret key labelled `root` in the token `prod`", keygen]);

    keyed(&house, &keys("prd", "root"));
    refused_at_start(&house, 78, &["no token labelled `prd`", "`prod`", "`spare`", "--list-token-slots"]);
    let module = SoftHsm::module();
    for (other, says) in
        [("/nowhere/libhsm.so", "there is no PKCS #11 module"), ("../out", "not a PKCS #11 module")]
    {
        keyed(&house, &keys("prod", "root").replace(module.to_str().unwrap(), other));
        refused_at_start(&house, 78, &[says]);
    }

    let flaws: [(&str, &[&str], &str); 5] = [
        ("short", &["--key-type", "AES:16", "--sensitive", "--private"], "is not 256 bits long"),
        ("plain", &["--key-type", "AES:32", "--private"], "not CKA_SENSITIVE"),
        ("loose", &["--key-type", "AES:32", "--sensitive", "--private", "--extractable"], "CKA_EXTRACTABLE"),
        ("public", &["--key-type", "AES:32", "--sensitive"], "not CKA_PRIVATE"),
        ("other", &["--key-type", "GENERIC:32", "--sensitive", "--private"], "is no AES key"),
    ];
    for (label, arguments, says) in flaws {
        hsm.add_key("prod", label, arguments);
        keyed(&house, &keys("prod", label));
        refused_at_start(&house, 78, &[says, "pkcs11-tool"]);
    }
    for _ in 0..2 {
        hsm.add_key("prod", "twin", &FIT);
    }
    keyed(&house, &keys("prod", "twin"));
    refused_at_start(&house, 78, &["2 secret keys labelled `twin`"]);
    hsm.add_token("prod");
    refused_at_start(&house, 78, &["2 tokens labelled `prod`"]);
}

#[test]
fn a_pin_that_is_missing_or_wrong_is_told_and_not_shown() {
    let hsm = SoftHsm::with_token("prod");
    hsm.add_key("prod", "root", &FIT);
    let mut house = house(&keys("prod", "root"));
    house.env("SOFTHSM2_CONF", hsm.settings().to_str().unwrap());
    refused_at_start(&house, 78, &["TEST_PIN is not set", "the PIN of the token"]);
    house.env("TEST_PIN", "wrong-pin-4711");
    refused_at_start(&house, 78, &["the PIN is not that of the token `prod`"]);
    house.env("TEST_PIN", PIN);
    house.run(&["sync", "crm"]).expect(0);
    super::stands_nowhere(&house.path("out"), b"wrong-pin-4711", "the wrong PIN");
}
