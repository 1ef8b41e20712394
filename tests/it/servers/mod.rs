//! Real servers, started by the tests themselves in private folders.

pub mod faults;
pub mod mariadb;
pub mod postgres;
pub mod s3;
