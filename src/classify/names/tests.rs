//! Names of many schemas and what each should be read as.
use super::read;

/// The first reading's tag; `unknown` where there is none or none is at least as likely as not.
fn best(name: &str) -> &'static str {
    read(name).first().filter(|r| r.strength >= 0.45).map_or("unknown", |r| r.tag)
}

const EXPECTED: &[(&str, &str)] = &[
    (
        "pii.person_name",
        "first_name last_name custFName cli_nom VORNAME Nachname prenom nombre apellido1 apellidos cognome \
        imie nazwisko voornaam achternaam tussenvoegsel fornavn efternamn soyadi soyad prijmeni jmeno surname middle_name \
        maiden_name full_name customer_name cust_nm emp_lname contactName cardholder_name patient_name nombre_completo \
        nome_completo nom_de_famille primer_apellido segundo_apellido sobrenome kundenname kunde_vorname mother_maiden_name \
        beneficiary_name FIRST-NAME person.firstName nome_cliente nombre_del_cliente naam_klant ad_soyad account_holder_name",
    ),
    (
        "pii.email",
        "email CUST-EMAIL-ADR e_mail eMail emailAddress email_id mail correo correo_electronico courriel \
        adresse_mail email_addr contact_email work_email kunden_email posta_elettronica email2 primary_email_address \
        emailadres indirizzo_email e-mail-adresse EML_ADDR",
    ),
    (
        "pii.phone",
        "phone tel_nr telefon telefonnummer handy mobile mobile_no cell_phone phone_number home_phone fax \
        telefono numero_telefono num_tel portable telephone_mobile celular movil telefoon nr_telefonu cellulare \
        puhelin contact_no work_tel msisdn cust_ph_no kd_tel telefone",
    ),
    (
        "pii.address",
        "address addr_ln_1 address_line_2 street strasse rue calle indirizzo adresse anschrift direccion endereco \
        home_address street_address adres ulica straat city ciudad ville stadt miasto house_number hausnummer mailingAddress \
        adresse_ligne_1 wohnort billing_city rua via_residenza bill_addr",
    ),
    (
        "pii.postal_code",
        "zip zip5 plz postal_code postleitzahl codigo_postal code_postal cap cep postcode post_code \
        kod_pocztowy postnummer psc zipCode ZIP_CD bill_zip codice_postale",
    ),
    (
        "pii.birth_date",
        "dob kd_geb_dat birth_date date_of_birth geburtsdatum fecha_nacimiento date_naissance data_nascita \
        data_nascimento geboortedatum data_urodzenia dogum_tarihi fodselsdato birthday BRTH_DT date_de_naissance dt_nasc \
        customerDob",
    ),
    (
        "pii.gender",
        "gender sex geschlecht sexe sexo genere_sesso sesso plec geslacht cinsiyet gndr_cd gender_code",
    ),
    (
        "pii.ip_address",
        "ip ip_address ipaddr last_login_ip client_ip source_ip ip_src remoteIp src_ip host_ip ipv4 ip_v6 server_ip",
    ),
    ("pii.mac_address", "mac mac_addr device_mac macAddress wifi_mac"),
    ("pii.geo", "lat lon latitude longitude geo_lat lng gps_coordinates breitengrad latitud"),
    (
        "pii.national_id",
        "nino nhs_number steuer_id steuerid codice_fiscale cod_fisc dni nie nir bsn pesel nr_pesel aadhaar_no sin cpf \
        tfn nric national_id national_insurance_number id_card_no personalausweis numero_securite_sociale \
        sozialversicherungsnummer ahv_nr personnummer tc_kimlik_no rodne_cislo numero_dni burgerservicenummer tax_id",
    ),
    ("pii.us_ssn", "ssn ssn_last4 SSN_NO social_security_number cust_ssn"),
    ("pii.us_itin", "itin itin_number"),
    (
        "pii.passport",
        "passport passport_no reisepass pass_nr numero_passeport pasaporte paszport passaporto paspoortnummer",
    ),
    (
        "pii.driver_license",
        "driver_license drivers_licence_no dl_number fuehrerschein permis_conduire licencia_conducir patente \
        rijbewijs prawo_jazdy korkort dln",
    ),
    (
        "pii.username",
        "username user_name login benutzername nombre_usuario nom_utilisateur gebruikersnaam usrname",
    ),
    ("financial.iban", "iban IBAN_NR kunde_iban"),
    (
        "financial.card_number",
        "card_number cc_num card_no creditcard kreditkartennummer numero_carte numero_tarjeta pan ccNumber",
    ),
    (
        "financial.bank_account",
        "acct_no account_number bank_account kontonummer kto_nr numero_cuenta numero_compte \
        rekeningnummer acctNbr nr_rachunku numero_conto bankAccountNumber",
    ),
    ("financial.us_aba_routing", "aba routing_number aba_no rtn bank_routing_no"),
    ("financial.swift_bic", "bic swift swift_code bic_code swiftBic"),
    ("financial.cusip", "cusip cusip_no"),
    ("financial.isin", "isin isin_code"),
    ("financial.lei", "lei lei_code"),
    (
        "financial.amount",
        "amount balance salary total_amount betrag montant importe loan_amt kwota annual_income gehalt kontostand \
        saldo salaire bedrag price prezzo order_amount invoice_total montant_sinistre basket_value_eur avg_price",
    ),
    ("health.us_npi", "npi provider_npi npi_number"),
    ("health.us_mbi", "mbi medicare_id"),
    ("health.icd10", "icd10 icd_code diagnosis_code dx_cd diag_code primary_dx"),
    (
        "health.medical_record",
        "mrn medical_record_number patient_id pat_no chart_number_medical patientennummer",
    ),
    (
        "credentials.secret",
        "password passwd pwd user_password api_key client_secret auth_token access_token private_key \
        passwort mot_de_passe contrasena senha haslo sifre wachtwoord secretKey password_hash PASSWORD_HASH",
    ),
    (
        "vehicle.vin",
        "vin vehicle_vin fahrgestellnummer numero_chassis bastidor vehicle_identification_number",
    ),
    (
        "internal",
        "file_name product_name host_name email_count is_email_verified address_type phone_model card_type ip_count \
        state_code name_of_product email_sent_at order_number invoice_number account_type invoice_no order_id product_code sku \
        created_at updated_at has_phone number_of_phones num_emails customer_id weight_kg quantity status order_date \
        bank_name currency currency_code event_name table_name bestellnummer auftragsnummer numero_facture numero_commande \
        nr_faktury artikelnummer menge gewicht phone_verified email_domain company_name nome_do_produto nom_produit \
        uuid row_id batch_number tracking_no count type country_code device_model temperature login_count password_changed_at \
        vndr_nm source_of_vessel cost_center_code fee_code phone_count vessel_name security_name \
        batch_control card_expiry_date passport_expiry ssn_count tipo_de_telefono session_id row_hash numero_pedido quantite",
    ),
    ("unknown", "c17 col_3 x foo _ a1 zzqx"),
];

#[test]
fn names_are_read_in_many_languages() {
    let mut wrong = Vec::new();
    for (tag, names) in EXPECTED {
        for name in names.split_whitespace() {
            let read = best(name);
            if read != *tag {
                wrong.push(format!("{name}: {read}, not {tag} {:?}", super::read(name)));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn long_and_odd_names_end_quickly() {
    for name in ["a".repeat(100_000), "nameid".repeat(10_000), "名前".repeat(100), "\u{0}\u{301}".to_owned()]
    {
        let _ = read(&name);
    }
}
