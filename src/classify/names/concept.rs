//! What a word of a column name means, whatever its language.

/// The meaning of one word; the lexicons map words to these, the terms are built from them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Concept {
    // People.
    Person,
    Name,
    First,
    Last,
    Middle,
    Full,
    Maiden,
    Nick,
    Owner,
    Birth,
    Gender,
    Age,
    User,
    Login,
    // Reaching them.
    Phone,
    Mobile,
    Fax,
    Email,
    Mail,
    Address,
    Street,
    House,
    Line,
    City,
    Region,
    Country,
    Postal,
    Home,
    Geo,
    Latitude,
    Longitude,
    // Machines.
    Ip,
    Mac,
    // Papers.
    National,
    Identity,
    Social,
    Security,
    Tax,
    Insurance,
    NationalId,
    Ssn,
    Itin,
    Passport,
    Driver,
    Licence,
    // Money.
    Account,
    Bank,
    Iban,
    Bic,
    Routing,
    Card,
    Pan,
    Cusip,
    Isin,
    Lei,
    Amount,
    Price,
    /// A word that means money only if nothing else is named: net, gross, limit, due.
    Sum,
    /// A currency's code behind the thing it counts (`value_usd`).
    Money,
    Currency,
    Expiry,
    Cvv,
    Pin,
    // Health.
    Medical,
    Record,
    Patient,
    Provider,
    Npi,
    Mbi,
    Icd,
    Diagnosis,
    // Others worth sealing.
    Password,
    Secret,
    Token,
    Key,
    Api,
    Vin,
    Vehicle,
    Text,
    // Words that say which facet of the thing is meant.
    Number,
    Id,
    Code,
    Date,
    Time,
    Year,
    Month,
    Day,
    Place,
    /// A facet that is no longer the thing: its count, type, status, length, model.
    Facet,
    /// A happening, with or without its time: sent, verified, created.
    Happening,
    /// A yes-or-no question: is, has, can.
    Question,
    /// What is left of a thing that was hashed or digested.
    Hash,
    /// Things that are not people: products, files, hosts, firms.
    Thing,
    /// Dealings that carry numbers of their own: orders, invoices, tickets, shipments.
    Deal,
    /// What something is worth or counts: of a dealing mostly money, else a number.
    Value,
    /// Quantities that are measured or counted.
    Measure,
    /// Row keys and versions that systems make up.
    System,
    /// "of", "the", "on" in any language.
    Link,
    /// The end of a number (`last4`).
    Digits,
    /// A word the lexicons do not know.
    Unknown,
}
