//! Dutch, Swedish, Norwegian, Danish and Finnish words.
use super::Entry;
use crate::classify::names::concept::Concept::*;

/// Words and their meaning.
pub(super) const WORDS: &[Entry] = &[
    (
        &[Person],
        "klant klanten medewerker werknemer houder rekeninghouder verzekerde huurder \
        begunstigde leerling ouder contactpersoon naamhouder kund anstalld ansatt medlem asiakas \
        henkilo medarbeider medarbejder persoon",
    ),
    (&[Name], "naam namn navn nimi"),
    (&[First, Name], "voornaam voornamen roepnaam vnaam fornamn fornavn etunimi tilltalsnamn voorn"),
    (&[Last, Name], "achternaam familienaam efternamn etternavn efternavn sukunimi slaktnavn anaam"),
    (&[Middle, Name], "tussenvoegsel tussenv mellannamn mellomnavn mellemnavn"),
    (&[Full, Name], "volledigenaam fullnamn fulltnavn"),
    (&[Birth], "geboorte fodelse fodsels fodt syntyma fodd fodsel fodested"),
    (
        &[Birth, Date],
        "geboortedatum fodelsedatum fodselsdato fodselsdag syntymaaika syntymapaiva \
        gbdatum fodelsedag fodedato",
    ),
    (&[Birth, Place], "geboorteplaats"),
    (&[Age], "leeftijd alder ika"),
    (&[Gender], "geslacht kon kjonn sukupuoli koen kjoenn"),
    (
        &[User, Name],
        "gebruikersnaam anvandarnamn brukernavn brugernavn kayttajatunnus inlognaam \
        kayttajanimi",
    ),
    (&[User], "gebruiker anvandare bruker bruger kayttaja"),
    (&[Phone], "telefoon telefoonnummer telefoonnr puhelin puhelinnumero tlf telefonnumer"),
    (&[Mobile, Phone], "mobiel mobieltje mobielnummer mobiltelefonnummer matkapuhelin gsmnummer"),
    (&[Email], "epostadres mailadres epostadress epostadresse sahkoposti emailadres"),
    (&[Address], "adres adress woonadres osoite postadress postadres gatuadress bezoekadres"),
    (&[Street], "straat straatnaam gata gatan gate vej gade katu katuosoite gatenavn vejnavn"),
    (&[House, Number], "huisnummer huisnr husnummer husnr"),
    (
        &[City],
        "plaats woonplaats stad kommun poststed postort kaupunki paikkakunta bynavn \
        postimtoimipaikka",
    ),
    (&[Region], "provincie lan fylke"),
    (&[Country], "nationaliteit lander maa kansalaisuus medborgarskap"),
    (&[Postal, Code], "postnummer postnr postinumero pcode"),
    (&[Latitude], "breedtegraad breddegrad"),
    (&[Longitude], "lengtegraad lengdegrad"),
    (
        &[NationalId],
        "burgerservicenummer sofinummer sofinr fodselsnummer cprnummer cprnr henkilotunnus \
        samordningsnummer fodselsnr rijksregisternummer rijksregister personnr bsnnummer bsnnr",
    ),
    (&[Identity], "identiteit legitimation identiteitsbewijs"),
    (&[Passport], "paspoort paspoortnummer paspoortnr pasnummer passinumero pasnr"),
    (
        &[Driver, Licence],
        "rijbewijs rijbewijsnummer rijbewijsnr korkort korkortsnummer forerkort \
        korekort ajokortti",
    ),
    (
        &[Account],
        "rekening rekeningnummer rekeningnr reknr tili tilinumero bankrekening \
        bankrekeningnummer",
    ),
    (&[Card], "kaart kaartnummer kortnummer kort creditcardnummer kortnr kaartnr betaalkaart"),
    (
        &[Amount],
        "bedrag salaris inkomen loon lon belopp belob belop omzet beloning inkomst inntekt \
        palkka summa lening huur uitkering hypotheek",
    ),
    (&[Price], "prijs pris hinta"),
    (&[Currency], "munt"),
    (&[Expiry], "vervaldatum geldig"),
    (&[Medical, Record], "patientnummer dossiernummer journalnummer patientnr potilasnumero"),
    (&[Diagnosis], "diagnoosi diagnos"),
    (&[Password], "wachtwoord losenord passord adgangskode salasana ww"),
    (&[Secret], "geheim"),
    (&[Vin], "chassisnummer chassisnr voertuigidentificatienummer"),
    (&[Vehicle], "voertuig fordon kjoretoy"),
    (
        &[Text],
        "opmerking opmerkingen omschrijving bericht beschrijving anteckning kommentaar merknad \
        bemaerkning huomautus toelichting notitie beskrivning",
    ),
    (&[Date], "dato paivays"),
    (&[Year], "jaar"),
    (&[Month], "maand"),
    (&[Facet], "aantal soort antal aanhef antall taal"),
    (&[Happening], "aangemaakt gewijzigd verzonden skapad andrad opprettet"),
    (&[Question], "actief"),
    (
        &[Thing],
        "bedrijf leverancier afdeling winkel merk foretag yritys bedrift virksomhed tuote vare varer vara leverandor leverantor toimittaja \
        varehus lager avdeling avdelning osasto afdeling",
    ),
    (
        &[Deal],
        "bestelling factuur factuurnummer ordernummer bestelnummer fakturanummer faktura \
        factuurnr kenmerk",
    ),
    (&[Measure], "hoeveelheid hoogte breedte duur waarde mangd vekt vikt"),
    (&[Link], "van het een och og av af"),
];
