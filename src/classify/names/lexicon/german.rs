//! German words.
use super::Entry;
use crate::classify::names::concept::Concept::*;

/// Words and their meaning.
pub(super) const WORDS: &[Entry] = &[
    (
        &[Person],
        "kunde kunden kd kdn mandant mitarbeiter mitarb ma versicherter versicherten \
        antragsteller inhaber kontoinhaber karteninhaber ansprechpartner empfaenger empfanger absender \
        mieter vermieter schuldner glaubiger glaeubiger schuler schueler lehrer arzt ehepartner mutter \
        vater kind mitglied teilnehmer begunstigter fahrer",
    ),
    (&[First, Name], "vorname vornamen vname rufname vorn"),
    (&[Last, Name], "nachname familienname nname zuname nachn"),
    (&[Maiden, Name], "geburtsname madchenname maedchenname"),
    (&[Full, Name], "vollname vollstandiger"),
    (&[Birth], "geburt geburts geb gebor geboren"),
    (&[Birth, Date], "geburtsdatum gebdat geburtstag gebdatum gebtag geburtsdat"),
    (&[Birth, Place], "geburtsort"),
    (&[Birth, Year], "geburtsjahr"),
    (&[Age], "alter"),
    (&[Gender], "geschlechtsangabe geschlecht geschl"),
    (&[User, Name], "benutzername nutzername anmeldename benutzerkennung nutzerkennung"),
    (&[User], "benutzer nutzer anwender"),
    (
        &[Phone],
        "telefon telefonnummer telefonnr telnummer rufnummer fernsprecher festnetz rufnr \
        telefonnum",
    ),
    (&[Mobile, Phone], "handy handynummer mobilnummer mobiltelefon mobilfunk handynr mobilnr"),
    (&[Email], "epost mailadresse emailadresse elektronischepost"),
    (&[Address], "adresse anschrift adr wohnadresse postanschrift"),
    (&[Street], "strasse strassenname strase"),
    (&[House, Number], "hausnummer hausnr hnr"),
    (&[City], "ort stadt wohnort gemeinde ortschaft ortsname"),
    (&[Region], "bundesland kanton landkreis kreis"),
    (&[Country], "land staat staatsangehorigkeit nationalitat staatsangehoerigkeit"),
    (&[Postal, Code], "plz postleitzahl"),
    (&[Home], "privat geschaftlich lieferung rechnungs liefer wohn"),
    (&[Latitude], "breitengrad geobreite"),
    (&[Longitude], "langengrad laengengrad geolange"),
    (&[Tax], "steuer"),
    (
        &[NationalId],
        "steuernummer steuernr steueridentifikationsnummer identifikationsnummer \
        sozialversicherungsnummer svnr svnummer sozialversnr rentenversicherungsnummer ahvnummer ahvnr \
        versichertennummer kvnr",
    ),
    (&[Identity], "ausweis personalausweis ausweisnummer personalausweisnummer ausweisnr persoausweis"),
    (&[Passport], "reisepass passnummer reisepassnummer passnr reisepassnr reisedokument"),
    (
        &[Driver, Licence],
        "fuhrerschein fuehrerschein fuehrerscheinnummer fuhrerscheinnummer \
        fuehrerscheinnr fuhrerscheinnr",
    ),
    (&[Account], "konto kto ktonr kontonummer kontonr ktonummer"),
    (&[Routing, Bank], "blz bankleitzahl"),
    (&[Card], "karte kartennummer kreditkarte kreditkartennummer kartennr kreditkartennr"),
    (
        &[Amount],
        "betrag saldo gehalt lohn umsatz kontostand einkommen gebuhr gebuehr zahlung guthaben \
        summe nettobetrag bruttobetrag darlehen kredit restschuld pramie praemie kosten miete vermogen \
        zinsen betr",
    ),
    (&[Value], "wert"),
    (&[Price], "preis gesamtpreis einzelpreis"),
    (&[Currency], "wahrung waehrung"),
    (&[Expiry], "ablauf ablaufdatum gultig gueltig"),
    (&[Cvv], "prufziffer"),
    (
        &[Medical, Record],
        "patientennummer patientennr patnr fallnummer krankenakte aktennummer \
        patientenakte",
    ),
    (&[Patient], "patienten"),
    (&[Diagnosis], "diagnose diagnoseschlussel diagnosecode befund"),
    (&[Password], "passwort kennwort pwort losung"),
    (&[Secret], "geheimnis zugangsdaten"),
    (
        &[Vin],
        "fahrgestellnummer fahrgestellnr fahrzeugidentifikationsnummer fahrzeugident fahrgestell \
        fahrzeugidentnr fin fzgid",
    ),
    (&[Vehicle], "fahrzeug kfz wagen"),
    (
        &[Text],
        "bemerkung bemerkungen kommentar notiz notizen beschreibung nachricht hinweis anmerkung \
        anmerkungen verwendungszweck freitext beschwerde",
    ),
    (&[Number], "nummer nrn zahl"),
    (&[Code], "schl schlussel schluessel kennung kz"),
    (&[Date], "datum dat tag"),
    (&[Year], "jahr"),
    (&[Month], "monat"),
    (
        &[Facet],
        "anzahl art stufe gruppe lange laenge grosse groesse kategorie sprache herkunft anrede \
        anz faktor quote familienstand zivilstand",
    ),
    (
        &[Happening],
        "geandert geaendert erstellt angelegt versendet bestatigt bestaetigt gesendet \
        geloescht",
    ),
    (&[Question], "ist hat istaktiv aktiv kennzeichen"),
    (
        &[Thing],
        "produkt artikel firma unternehmen datei abteilung filiale marke lieferant hersteller \
        gerat geraet bezeichnung schule hochschule arbeitgeber rechner verein projekt ware waren \
        handler tarif sparte",
    ),
    (
        &[Deal],
        "auftrag auftrags bestellung bestell bestellnummer rechnung auftragsnummer \
        rechnungsnummer beleg belegnummer buchung vertrag vertragsnummer police vorgang vorgangsnummer \
        charge chargennummer sendung sendungsnummer auftragsnr rechnungsnr bestellnr belegnr \
        lieferschein aktenzeichen",
    ),
    (
        &[Measure],
        "menge gewicht hohe hoehe dauer entfernung stuck stueck lagerbestand bestand \
        temperatur leistung flache",
    ),
    (&[System], "lfdnr laufend satz datensatz"),
    (&[Link], "der die das des von vom zum zur und am im fur fuer mit"),
];
