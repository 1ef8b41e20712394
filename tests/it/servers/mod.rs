//! Real servers, started by the tests themselves in private folders.

pub mod door;
pub mod faults;
pub mod gcp_kms;
pub mod kms;
pub mod mail;
pub mod mariadb;
pub mod postgres;
pub mod prometheus;
pub mod receiver;
pub mod s3;
pub mod slapd;
pub mod softhsm;
pub mod vault;
