//! The table of built-in detectors.

use super::set::Set;

/// What is known of a detector before any value is seen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Detector {
    /// Its name. Forms of one thing share a name and are counted together.
    pub(crate) name: &'static str,
    /// The tag it speaks for.
    pub(crate) tag: &'static str,
    /// Share of random values of its form that pass; a test measures it.
    pub(crate) chance: f64,
    /// Whether the form alone is telling.
    pub(crate) distinctive: bool,
    /// A random value of its form: `#` a digit, `^` a capital, `*` either of them, `~` a hex digit, `&` a lower-case
    /// letter, anything else itself. Empty where the form is not drawn from an alphabet.
    #[cfg_attr(not(test), expect(dead_code, reason = "the test of the chances draws from it"))]
    pub(crate) form: &'static str,
}

macro_rules! detectors {
    ($($id:ident $name:literal $tag:literal $chance:literal $distinctive:ident $form:literal)*) => {
        /// A built-in detector in one of its forms.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Entry { $($id),* }

        /// All of them, in the order of [`Entry`].
        pub(crate) const TABLE: &[Detector] = &[$(Detector {
            name: $name,
            tag: $tag,
            chance: $chance,
            distinctive: detectors!(@ $distinctive),
            form: $form,
        }),*];

        /// How many there are.
        pub(crate) const COUNT: usize = TABLE.len();

        #[cfg(test)]
        pub(crate) const ENTRIES: &[Entry] = &[$(Entry::$id),*];
    };
    (@ plain) => { false };
    (@ distinct) => { true };
}

// Name, tag, chance, whether the form is telling, a random value of the form.
detectors! {
    Ssn "us_ssn" "pii.us_ssn" 0.888 plain "#########"
    SsnDashed "us_ssn" "pii.us_ssn" 0.888 distinct "###-##-####"
    Itin "us_itin" "pii.us_itin" 0.046 plain "#########"
    ItinDashed "us_itin" "pii.us_itin" 0.046 distinct "###-##-####"
    Aba "us_aba_routing" "financial.us_aba_routing" 0.038 plain "#########"
    Card16 "card_number" "financial.card_number" 0.025 plain "################"
    Card15 "card_number" "financial.card_number" 0.0056 plain "###############"
    Card13 "card_number" "financial.card_number" 0.010 plain "#############"
    Card14 "card_number" "financial.card_number" 0.0035 plain "##############"
    Card19 "card_number" "financial.card_number" 0.017 plain "###################"
    CardSpaced "card_number" "financial.card_number" 0.025 distinct "#### #### #### ####"
    Iban "iban" "financial.iban" 0.0008 distinct "^^##**************"
    Bic "swift_bic" "financial.swift_bic" 0.342 distinct "^^^^^^**"
    SortAccount "uk_sort_code_account" "financial.bank_account" 0.99 distinct "##-##-## ########"
    AccountDigits "bank_account_digits" "financial.bank_account" 1.0 plain "############"
    Cusip "cusip" "financial.cusip" 0.1 plain "#####**^#"
    CusipDigits "cusip" "financial.cusip" 0.1 plain "#########"
    Isin "isin" "financial.isin" 0.037 distinct "^^*********#"
    Lei "lei" "financial.lei" 0.0103 distinct "******************##"
    AmountSymbol "amount_symbol" "financial.amount" 1.0 distinct "$##.##"
    AmountDecimal "amount_decimal" "financial.amount" 1.0 plain "##.##"
    Npi "us_npi" "health.us_npi" 0.02 plain "##########"
    Mbi "us_mbi" "health.us_mbi" 0.219 distinct "#^*#^*#^^##"
    Icd10 "icd10" "health.icd10" 0.85 distinct "^##.#"
    Icd10Short "icd10" "health.icd10" 0.85 plain "^##"
    MedicalRecord "medical_record" "health.medical_record" 1.0 distinct "MRN######"
    VinForeign "vin_maker" "vehicle.vin" 0.0001 distinct ""
    Vin "vin" "vehicle.vin" 0.0303 plain "*****************"
    Email "email" "pii.email" 0.9 distinct "&&&&@&&&&.&&&"
    Ipv4 "ipv4" "pii.ip_address" 0.81 distinct "1##.1##.##.##"
    Ipv6 "ipv6" "pii.ip_address" 1.0 distinct "~~~~:~~~~:~~~~:~~~~:~~~~:~~~~:~~~~:~~~~"
    Mac "mac_address" "pii.mac_address" 1.0 distinct "~~:~~:~~:~~:~~:~~"
    MacBare "mac_address" "pii.mac_address" 1.0 plain "a~~~~~~~~~~~"
    GeoPair "geo_pair" "pii.geo" 0.9 distinct "##.####, 1##.####"
    GeoDegreesSigned "geo_sexagesimal" "pii.geo" 1.0 distinct ""
    GeoPoint "wkt_point" "pii.geo" 1.0 distinct "POINT (##.## ##.##)"
    GeoDegrees "geo_degrees" "pii.geo" 1.0 plain "##.#####"
    PostalDigits "postal_digits" "pii.postal_code" 0.995 plain "#####"
    PostalShort "postal_digits" "pii.postal_code" 0.9 plain "####"
    PostalSix "postal_digits" "pii.postal_code" 0.9 plain "######"
    PostalSeparated "postal_separated" "pii.postal_code" 1.0 distinct "##-###"
    PostalUk "postal_uk" "pii.postal_code" 0.526 distinct "^## #^^"
    PostalCa "postal_ca" "pii.postal_code" 0.41 distinct "^#^ #^#"
    PostalNl "postal_nl" "pii.postal_code" 0.896 distinct "#### ^^"
    PhoneInternational "phone_international" "pii.phone" 0.75 distinct "+###########"
    PhoneNanp "phone_us" "pii.phone" 0.564 distinct "###-###-####"
    PhoneNanpDigits "phone_digits" "pii.phone" 0.626 plain "##########"
    PhoneOneDigits "phone_digits" "pii.phone" 0.564 plain "1##########"
    PhoneZero "phone_digits" "pii.phone" 0.9 plain "0#########"
    PhoneTrunk "phone_national" "pii.phone" 0.9 distinct "0### ######"
    PhoneBare "phone_bare" "pii.phone" 1.0 plain "2#######"
    PhoneOther "phone_grouped" "pii.phone" 1.0 plain "## ## ## ## ##"
    BirthDate "birth_date" "pii.birth_date" 0.55 plain ""
    Gender "gender" "pii.gender" 0.5 plain "^"
    GenderWord "gender" "pii.gender" 0.05 distinct ""
    FirstName "first_name" "pii.person_name" 0.02 plain ""
    LastName "last_name" "pii.person_name" 0.02 plain ""
    PersonName "person_name" "pii.person_name" 0.02 distinct ""
    City "city" "pii.address" 0.01 plain ""
    Country "country" "internal" 0.01 plain ""
    Address "street_address" "pii.address" 0.01 distinct ""
    StreetName "street_name" "pii.address" 0.3 plain ""
    Username "username" "pii.username" 0.05 plain ""
    Secret "secret_token" "credentials.secret" 0.0001 distinct "********************"
    SecretRandom "secret_random" "credentials.secret" 0.9 plain ""
    Password "password_like" "credentials.secret" 1.0 plain ""
    PassportLine "passport_mrz" "pii.passport" 0.001 distinct ""
    Passport "passport_form" "pii.passport" 1.0 plain "^########"
    DriverTelling "driver_license_telling" "pii.driver_license" 1.0 distinct "^####-#####-#####"
    DriverLicense "driver_license_form" "pii.driver_license" 1.0 plain "^#######"
    FreeText "free_text" "free_text.pii" 0.02 distinct ""
    UkNino "uk_nino" "pii.national_id" 0.083 distinct "^^######^"
    UkNhs "uk_nhs" "pii.national_id" 0.0909 plain "##########"
    UkNhsSpaced "uk_nhs" "pii.national_id" 0.0909 distinct "### ### ####"
    DeSteuerId "de_steuer_id" "pii.national_id" 0.00345 plain "###########"
    FrNir "fr_nir" "pii.national_id" 0.005 plain "###############"
    EsDni "es_dni" "pii.national_id" 0.0385 distinct "########^"
    ItCodiceFiscale "it_codice_fiscale" "pii.national_id" 0.018 distinct "^^^^^^##^##^###^"
    NlBsn "nl_bsn" "pii.national_id" 0.0909 plain "#########"
    ChAhv "ch_ahv" "pii.national_id" 0.1 distinct "756##########"
    AtSvnr "at_svnr" "pii.national_id" 0.0037 plain "##########"
    BeRrn "be_rrn" "pii.national_id" 0.00073 plain "###########"
    PtNif "pt_nif" "pii.national_id" 0.028 plain "#########"
    IePps "ie_pps" "pii.national_id" 0.0385 distinct "#######^"
    GrAfm "gr_afm" "pii.national_id" 0.1 plain "#########"
    PlPesel "pl_pesel" "pii.national_id" 0.018 plain "###########"
    SePersonnummer "se_personnummer" "pii.national_id" 0.007 plain "##########"
    SePersonnummerDashed "se_personnummer" "pii.national_id" 0.007 distinct "######-####"
    DkCpr "dk_cpr" "pii.national_id" 0.0366 plain "##########"
    DkCprDashed "dk_cpr" "pii.national_id" 0.0366 distinct "######-####"
    NoFodselsnummer "no_fodselsnummer" "pii.national_id" 0.0006 plain "###########"
    FiHetu "fi_hetu" "pii.national_id" 0.0012 distinct "######-###*"
    CzRodneCislo "cz_rodne_cislo" "pii.national_id" 0.0125 plain "##########"
    CzRodneCisloSlashed "cz_rodne_cislo" "pii.national_id" 0.0125 distinct "######/####"
    TrKimlik "tr_kimlik" "pii.national_id" 0.009 plain "###########"
    BgEgn "bg_egn" "pii.national_id" 0.018 plain "##########"
    RoCnp "ro_cnp" "pii.national_id" 0.0033 plain "#############"
    InAadhaar "in_aadhaar" "pii.national_id" 0.08 plain "############"
    InAadhaarSpaced "in_aadhaar" "pii.national_id" 0.08 distinct "#### #### ####"
    InPan "in_pan" "pii.national_id" 0.385 distinct "^^^^^####^"
    CaSin "ca_sin" "pii.national_id" 0.08 plain "#########"
    CaSinDashed "ca_sin" "pii.national_id" 0.08 distinct "###-###-###"
    AuTfn "au_tfn" "pii.national_id" 0.0909 plain "#########"
    AuMedicare "au_medicare" "pii.national_id" 0.045 plain "##########"
    BrCpf "br_cpf" "pii.national_id" 0.01 plain "###########"
    BrCpfDotted "br_cpf" "pii.national_id" 0.01 distinct "###.###.###-##"
    SgNric "sg_nric" "pii.national_id" 0.0074 distinct "^#######^"
    ZaId "za_id" "pii.national_id" 0.0011 plain "#############"
    CnResident "cn_resident_id" "pii.national_id" 0.0001 plain "##################"
    KrRrn "kr_rrn" "pii.national_id" 0.0033 plain "#############"
    KrRrnDashed "kr_rrn" "pii.national_id" 0.0033 distinct "######-#######"
    JpMyNumber "jp_my_number" "pii.national_id" 0.1 plain "############"
    IlId "il_id" "pii.national_id" 0.1 plain "#########"
    MxCurp "mx_curp" "pii.national_id" 0.1 distinct "^^^^######H^^^^^*#"
    ClRun "cl_run" "pii.national_id" 0.0909 plain "########-#"
}

/// Share of true values that a detector recognises: 1 where rules define the form, less where a dictionary does.
/// `passed` of a dictionary counts too few by this factor.
#[must_use]
pub fn coverage(detector: &str) -> f64 {
    match detector {
        "first_name" | "city" => 0.6,
        "last_name" => 0.5,
        "person_name" | "street_address" => 0.7,
        "username" => 0.5,
        "free_text" => 0.5,
        _ => 1.0,
    }
}

/// Counts of one sample by detector.
pub(crate) struct Board {
    formed: [u64; COUNT],
    passed: [u64; COUNT],
    /// What only the whole set of values can tell.
    pub(crate) set: Set,
}

impl Board {
    /// Nothing counted.
    pub(crate) fn new() -> Self {
        Self { formed: [0; COUNT], passed: [0; COUNT], set: Set::default() }
    }

    /// A value had the detector's form; did it pass? Gives the answer back.
    #[inline]
    pub(crate) fn count(&mut self, entry: Entry, passed: bool) -> bool {
        self.formed[entry as usize] += 1;
        self.passed[entry as usize] += u64::from(passed);
        passed
    }

    /// A date without a time of day: people alive were born between 1905 and 2019.
    pub(crate) fn count_date(&mut self, year: u32) {
        self.set.count_year(year);
        self.count(Entry::BirthDate, matches!(year, 1905..=2019));
    }

    /// What was counted: detector, formed, passed.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (&'static Detector, u64, u64)> {
        TABLE.iter().zip(self.formed).zip(self.passed).map(|((d, formed), passed)| (d, formed, passed))
    }

    /// Formed and passed of one.
    #[cfg(test)]
    pub(crate) fn of(&self, entry: Entry) -> (u64, u64) {
        (self.formed[entry as usize], self.passed[entry as usize])
    }
}
