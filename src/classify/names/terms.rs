//! The vocabulary: which concepts together name which class of data, and how often such a name is right.
use super::concept::Concept::{self, *};

/// One term of the vocabulary.
pub(super) struct Term {
    /// All of these must be in the name.
    pub needs: &'static [Concept],
    /// None of these may be.
    pub bars: &'static [Concept],
    /// What it speaks for.
    pub tag: &'static str,
    /// How many of a hundred columns by such a name hold that class, our estimate.
    pub percent: u8,
    /// How evidence shows it.
    pub term: &'static str,
}

const fn term(
    needs: &'static [Concept],
    bars: &'static [Concept],
    tag: &'static str,
    percent: u8,
    term: &'static str,
) -> Term {
    Term { needs, bars, tag, percent, term }
}

const PLACES: &[Concept] = &[Street, City, Postal, Region, Country, Line, House];
const NOT_STREET: &[Concept] = &[Ip, Mac, Email, Mail];

/// Terms of people and of reaching them.
pub(super) const PEOPLE: &[Term] = &[
    term(&[First, Name], &[], "pii.person_name", 96, "first name"),
    term(&[Last, Name], &[], "pii.person_name", 96, "last name"),
    term(&[Middle, Name], &[], "pii.person_name", 93, "middle name"),
    term(&[Maiden, Name], &[], "pii.person_name", 95, "maiden name"),
    term(&[Full, Name], &[Thing, Deal], "pii.person_name", 88, "full name"),
    term(&[Person, Name], &[User], "pii.person_name", 93, "person's name"),
    term(&[Patient, Name], &[], "pii.person_name", 93, "person's name"),
    term(&[Provider, Name], &[], "pii.person_name", 60, "person's name"),
    term(&[Owner, Name], &[], "pii.person_name", 88, "owner's name"),
    term(&[Card, Name], &[], "pii.person_name", 80, "name on card"),
    term(&[Account, Name], &[], "pii.person_name", 55, "account name"),
    term(&[Driver, Name], &[], "pii.person_name", 93, "person's name"),
    term(&[Birth, Name], &[], "pii.person_name", 90, "name at birth"),
    term(&[Name], &[User, Thing, Deal, Bank, City, Street, Country, Region], "pii.person_name", 50, "name"),
    term(&[User, Name], &[First, Last, Full, Person], "pii.username", 94, "user name"),
    term(&[User, Login], &[], "pii.username", 93, "login"),
    term(&[Login], &[Last, Date, Time, Ip, Password], "pii.username", 80, "login"),
    term(&[Nick, Name], &[], "pii.username", 60, "nickname"),
    term(&[Nick, Name], &[], "pii.person_name", 35, "nickname"),
    term(&[User, Id], &[], "pii.username", 40, "user id"),
    term(&[Email], PLACES, "pii.email", 97, "e-mail"),
    term(&[Mail], PLACES, "pii.email", 85, "mail"),
    term(&[Mail, Address], PLACES, "pii.email", 88, "mail address"),
    term(&[Phone], &[Country], "pii.phone", 96, "phone"),
    term(&[Mobile], &[Country, Unknown], "pii.phone", 70, "mobile"),
    term(&[Phone, Country], &[], "pii.phone", 40, "phone country"),
    term(&[Address], NOT_STREET, "pii.address", 92, "address"),
    term(&[Address, Line], NOT_STREET, "pii.address", 96, "address line"),
    term(&[Street], NOT_STREET, "pii.address", 94, "street"),
    term(&[House, Number], &[], "pii.address", 75, "house number"),
    term(&[House], &[], "pii.address", 55, "dwelling"),
    term(&[City], &[Ip], "pii.address", 78, "city"),
    term(&[Region], &[Code], "pii.address", 30, "region"),
    term(&[Country], &[], "pii.address", 12, "country"),
    term(&[Birth, Place], &[], "pii.address", 60, "place of birth"),
    term(&[Birth, City], &[], "pii.address", 70, "place of birth"),
    term(&[Postal], &[], "pii.postal_code", 93, "postal code"),
    term(&[Postal, Code], &[], "pii.postal_code", 96, "postal code"),
    term(&[Birth, Date], &[], "pii.birth_date", 97, "birth date"),
    term(&[Birth, Day], &[], "pii.birth_date", 90, "birth day"),
    term(&[Birth, Year], &[], "pii.birth_date", 80, "birth year"),
    term(&[Birth, Month], &[], "pii.birth_date", 75, "birth month"),
    term(&[Birth], &[Place, City, Country, Name], "pii.birth_date", 75, "birth"),
    term(&[Gender], &[Thing], "pii.gender", 96, "gender"),
    term(&[Ip], &[], "pii.ip_address", 96, "IP address"),
    term(&[Mac], &[], "pii.mac_address", 90, "MAC address"),
    term(&[Latitude], &[Text], "pii.geo", 93, "latitude"),
    term(&[Longitude], &[Text], "pii.geo", 90, "longitude"),
    term(&[Geo], &[Code, Country, Region], "pii.geo", 88, "coordinates"),
    term(&[Place], &[Birth], "pii.geo", 20, "place"),
    term(&[Place], &[], "pii.address", 30, "place"),
];

/// Terms of papers and numbers that authorities and health systems give.
pub(super) const PAPERS: &[Term] = &[
    term(&[NationalId], &[], "pii.national_id", 95, "national number"),
    term(&[National, Id], &[], "pii.national_id", 93, "national id"),
    term(&[National, Number], &[Phone], "pii.national_id", 70, "national number"),
    term(&[National, Identity], &[], "pii.national_id", 94, "national identity"),
    term(&[National, Insurance], &[], "pii.national_id", 94, "national insurance"),
    term(&[Identity], &[Vehicle, Thing], "pii.national_id", 72, "identity number"),
    term(&[Id, Card], &[], "pii.national_id", 82, "identity card"),
    term(&[Person, Id, Number], &[], "pii.national_id", 50, "id number"),
    term(
        &[Id, Number],
        &[Deal, Thing, Person, Vehicle, Account, Patient, Provider, Card],
        "pii.national_id",
        50,
        "id number",
    ),
    term(&[Person, Number], &[], "pii.national_id", 12, "person's number"),
    term(&[Tax, Id], &[Thing], "pii.national_id", 80, "tax id"),
    term(&[Tax, Number], &[Thing], "pii.national_id", 80, "tax number"),
    term(&[Tax, Code], &[Thing], "pii.national_id", 55, "tax code"),
    term(&[Tax, Id], &[], "pii.us_itin", 30, "tax id"),
    term(&[Tax, Id], &[], "pii.us_ssn", 30, "tax id"),
    term(&[Social, Security], &[], "pii.us_ssn", 70, "social security"),
    term(&[Social, Security], &[], "pii.national_id", 60, "social security"),
    term(&[Social, Insurance], &[], "pii.national_id", 88, "social insurance"),
    term(&[Ssn], &[], "pii.us_ssn", 96, "SSN"),
    term(&[Itin], &[], "pii.us_itin", 96, "ITIN"),
    term(&[Passport], &[], "pii.passport", 95, "passport"),
    term(&[Driver, Licence], &[], "pii.driver_license", 95, "driving licence"),
    term(&[Licence, Number], &[Thing], "pii.driver_license", 60, "licence number"),
    term(&[Licence], &[Thing], "pii.driver_license", 40, "licence"),
    term(&[Driver, Id], &[], "pii.driver_license", 50, "driver's id"),
    term(&[Driver, Number], &[], "pii.driver_license", 60, "driver's number"),
    term(&[Npi], &[], "health.us_npi", 96, "NPI"),
    term(&[Provider, Id], &[], "health.us_npi", 40, "provider id"),
    term(&[Provider, Number], &[], "health.us_npi", 45, "provider number"),
    term(&[Mbi], &[], "health.us_mbi", 92, "Medicare number"),
    term(&[Icd], &[], "health.icd10", 96, "ICD code"),
    term(&[Diagnosis, Code], &[], "health.icd10", 94, "diagnosis code"),
    term(&[Diagnosis], &[], "health.icd10", 75, "diagnosis"),
    term(&[Medical, Record], &[], "health.medical_record", 95, "medical record"),
    term(&[Record, Number], &[], "health.medical_record", 35, "record number"),
    term(&[Patient, Record], &[], "health.medical_record", 93, "patient record"),
    term(&[Patient, Id], &[], "health.medical_record", 78, "patient id"),
    term(&[Patient, Number], &[], "health.medical_record", 88, "patient number"),
    term(&[Medical, Number], &[], "health.medical_record", 70, "medical number"),
    term(&[Medical, Id], &[], "health.medical_record", 70, "medical id"),
    term(&[Vin], &[], "vehicle.vin", 95, "VIN"),
    term(&[Vehicle, Identity], &[], "vehicle.vin", 90, "vehicle identification"),
    term(&[Vehicle, Id, Number], &[], "vehicle.vin", 85, "vehicle id number"),
    term(&[Vehicle, Id], &[], "vehicle.vin", 45, "vehicle id"),
    term(&[Vehicle, Number], &[], "vehicle.vin", 45, "vehicle number"),
];

/// Terms of money, secrets and free text.
pub(super) const MONEY: &[Term] = &[
    term(&[Iban], &[], "financial.iban", 97, "IBAN"),
    term(&[Card, Number], &[], "financial.card_number", 95, "card number"),
    term(&[Card], &[Name, Id], "financial.card_number", 60, "card"),
    term(&[Pan], &[], "financial.card_number", 70, "PAN"),
    term(&[Pan], &[], "pii.national_id", 30, "PAN"),
    term(&[Bank, Account], &[Name], "financial.bank_account", 95, "bank account"),
    term(&[Account, Number], &[], "financial.bank_account", 90, "account number"),
    term(&[Account], &[Name, Id, User], "financial.bank_account", 55, "account"),
    term(&[Account, Id], &[], "financial.bank_account", 35, "account id"),
    term(&[Routing], &[Bank], "financial.us_aba_routing", 92, "routing number"),
    term(&[Routing, Bank], &[], "financial.us_aba_routing", 60, "bank routing"),
    term(&[Bank, Code], &[Bic], "financial.swift_bic", 40, "bank code"),
    term(&[Bank, Id], &[Bic], "financial.swift_bic", 40, "bank id"),
    term(&[Bic], &[], "financial.swift_bic", 95, "BIC"),
    term(&[Cusip], &[], "financial.cusip", 97, "CUSIP"),
    term(&[Isin], &[], "financial.isin", 97, "ISIN"),
    term(&[Lei], &[], "financial.lei", 96, "LEI"),
    term(&[Amount], &[], "financial.amount", 88, "amount"),
    term(&[Price], &[], "financial.amount", 80, "price"),
    term(&[Password], &[], "credentials.secret", 95, "password"),
    term(&[Secret], &[], "credentials.secret", 92, "secret"),
    term(&[Api, Key], &[], "credentials.secret", 95, "API key"),
    term(&[Api, Token], &[], "credentials.secret", 95, "API token"),
    term(&[Secret, Key], &[], "credentials.secret", 96, "secret key"),
    term(&[Token], &[], "credentials.secret", 75, "token"),
    term(&[Cvv], &[], "credentials.secret", 80, "card verification value"),
    term(&[Pin], &[], "credentials.secret", 65, "PIN"),
    term(&[Text], &[], "free_text.pii", 45, "free text"),
];

/// Terms that hold only where the name says nothing else but which one it is (`customer`, `primary_contact`).
pub(super) const ALONE: &[Term] = &[
    term(&[Person], &[], "pii.person_name", 40, "person"),
    term(&[Patient], &[], "pii.person_name", 40, "person"),
    term(&[Owner], &[], "pii.person_name", 35, "owner"),
    term(&[First], &[], "pii.person_name", 30, "first"),
    term(&[Last], &[], "pii.person_name", 25, "last"),
    term(&[Nick], &[], "pii.username", 50, "alias"),
    term(&[User], &[], "pii.username", 50, "user"),
    term(&[Key], &[], "credentials.secret", 12, "key"),
];
