//! Validators: pure functions from the bytes of one value to whether it keeps the rules of its form.
//!
//! They take the *compact* value (letters in upper case and digits, separators removed) unless they say otherwise.
//! None allocates, none can panic, each works in time linear in a value that the caller has bounded.
pub mod africa_asia;
pub mod americas;
pub mod bank;
pub mod calendar;
pub mod card;
pub mod checksum;
pub mod europe;
pub mod health;
pub mod identity;
pub mod internet;
pub mod north_europe;
pub mod phone;
pub mod place;
pub mod secret;
pub mod securities;
pub mod united_states;
pub mod vehicle;
