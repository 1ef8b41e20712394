"""The `few` set: five rows per table, headers as people write them on web pages; label: sensitive or not.

Modelled after tables embedded in pages and shared spreadsheets: directories, sign-up sheets, results, catalogues.
A person's name, contact or number is sensitive; names of firms, places, teams, products are not.
"""
import csv
import json
import random

import ids
import national
import people
import values

LOCALES = "en_US en_US en_US en_GB en_GB en_CA en_IN de_DE fr_FR es_ES it_IT nl_NL pl_PL pt_BR".split()
PLACES = ["Community Hall", "Riverside Park", "Main Library", "North Campus", "City Arena", "Hall B", "Old Town Square"]
TEAMS = ["Tigers", "United", "Rovers", "Falcons", "Real Norte", "Blue Sox", "Dynamo"]
TITLES = ["Coordinator", "Treasurer", "Head Coach", "Secretary", "Volunteer", "Teacher", "Chair"]
FILMS = ["The Long Winter", "Silent Harbour", "Red Lanterns", "A Summer Away", "Glass Mountain", "Night Ferry"]
PRODUCTS = ["Garden hose 20 m", "LED bulb E27", "Oak shelf", "Coffee grinder", "Rain jacket", "Desk fan"]
SPECIES = ["Barn owl", "Grey heron", "Red fox", "Common frog", "Oak", "Silver birch"]
ORGANISATIONS = ["Red Cross", "Food Bank North", "Hope Foundation", "Green Valley Trust", "Care Network", "St. Mary Hospital"]
NOTES = ["bring own tools", "paid in advance", "second floor", "cancelled due to rain", "see page 4", "draft"]

# header -> (tag or None, column maker); archetype -> headers. `None` means not sensitive.
HEADERS = {"en": {"name": "Name|Contact|Full Name|Contact Person|Member|Attendee|Volunteer", "first": "First Name|First|Given name", "last": "Last Name|Last|Surname", "email": "Email|E-mail|Contact Email|E-mail Address",
                  "phone": "Phone|Tel.|Contact No.|Mobile|Phone #", "address": "Address|Home Address|Street", "birth": "DOB|Born|Date of Birth|Birthday", "gender": "Sex|Gender|M/F", "postal": "Zip|Post Code", "id": "ID No.|National ID|SSN/ID",
                  "geo": "GPS|Coordinates", "username": "User|Login|Username", "ip": "IP", "iban": "IBAN|Bank details", "card": "Card No."},
           "de": {"name": "Name|Ansprechpartner|Teilnehmer", "first": "Vorname", "last": "Nachname", "email": "E-Mail", "phone": "Telefon|Tel.", "address": "Adresse|Anschrift", "birth": "geb. am|Geburtstag", "gender": "Geschlecht", "postal": "PLZ", "id": "Steuer-ID"},
           "fr": {"name": "Nom et prénom|Contact", "first": "Prénom", "last": "Nom", "email": "Courriel", "phone": "Tél.|Téléphone", "address": "Adresse", "birth": "Né(e) le", "gender": "Sexe", "postal": "Code postal", "id": "N° Sécu"},
           "es": {"name": "Nombre y apellidos", "first": "Nombre", "last": "Apellidos", "email": "Correo", "phone": "Teléfono", "address": "Dirección", "birth": "Fecha de nac.", "gender": "Sexo", "postal": "C.P.", "id": "DNI"},
           "it": {"name": "Nominativo", "first": "Nome", "last": "Cognome", "email": "E-mail", "phone": "Telefono", "address": "Indirizzo", "birth": "Nato il", "gender": "Sesso", "postal": "CAP", "id": "C.F."},
           "nl": {"name": "Naam", "first": "Voornaam", "last": "Achternaam", "email": "E-mail", "phone": "Telefoon", "address": "Adres", "birth": "Geboren", "gender": "Geslacht", "postal": "Postcode", "id": "BSN"},
           "pl": {"name": "Imię i nazwisko", "first": "Imię", "last": "Nazwisko", "email": "E-mail", "phone": "Telefon", "address": "Adres", "birth": "Data ur.", "gender": "Płeć", "postal": "Kod", "id": "PESEL"},
           "pt": {"name": "Nome completo", "first": "Nome", "last": "Sobrenome", "email": "E-mail", "phone": "Telefone", "address": "Endereço", "birth": "Nascimento", "gender": "Sexo", "postal": "CEP", "id": "CPF"}}
TAGS = {"name": "pii.person_name", "first": "pii.person_name", "last": "pii.person_name", "email": "pii.email", "phone": "pii.phone", "address": "pii.address", "birth": "pii.birth_date", "gender": "pii.gender", "postal": "pii.postal_code",
        "id": "pii.national_id", "geo": "pii.geo", "username": "pii.username", "ip": "pii.ip_address", "iban": "financial.iban", "card": "financial.card_number"}


def plain_columns(r, p):
    pick = lambda pool: lambda: r.choice(pool)
    return {"Role|Title|Position|Function": pick(TITLES), "Venue|Location|Where|Place": pick(PLACES), "Team|Club|Home|Away": pick(TEAMS), "Film|Movie|Programme": pick(FILMS), "Item|Product|Description": pick(PRODUCTS), "Species|Common Name": pick(SPECIES),
            "Organisation|Sponsor|Organization Name|Partner": pick(ORGANISATIONS), "Notes|Remarks|Comment": pick(NOTES), "Date|Event Date|When": lambda: f"{r.randint(1, 28)} {r.choice(['Jan', 'May', 'Sep', 'Nov'])} {r.randint(2015, 2025)}",
            "Time|Start": lambda: f"{r.randint(8, 20)}:{r.choice(['00', '15', '30'])}", "Qty|Quantity|Units": lambda: str(r.randint(1, 200)), "Year|Season": lambda: str(r.randint(1950, 2025)), "Score|Result": lambda: f"{r.randint(0, 5)}-{r.randint(0, 5)}",
            "Rank|#|No.|Pos": lambda: str(r.randint(1, 30)), "Country|Nation": pick(["Spain", "Brazil", "Japan", "Kenya", "Poland", "Canada"]), "City|Town": p.city, "Website|Link|URL": lambda: f"www.{r.choice(['greenvalley', 'northside', 'cityarts'])}.example.org/{r.choice(['', 'about', 'events'])}",
            "Price|Cost|Fee": lambda: f"{r.randint(1, 90)}.{r.choice(['00', '50', '99'])}", "Status|Paid?|Confirmed": pick(["yes", "no", "pending"]), "Category|Type|Group": pick(["A", "B", "junior", "senior", "open"]), "Ref|Order No.|Invoice": lambda: ids.digits(r, r.choice([5, 6, 9]), "123456789"),
            "Population|Attendance": lambda: f"{r.randint(1000, 900000):,}", "Height (m)|Depth (m)|Weight": lambda: f"{r.uniform(0.5, 900):.1f}", "Model|Version": lambda: f"{r.choice('XRTZ')}{r.randint(10, 900)}"}


def sensitive_maker(key, r, p, ctx):
    countries = national.LISTED.get(p.country)
    number = (lambda: countries[0][1](r)) if countries else (lambda: ids.ssn(r))
    born = values.birth_maker(r, ctx.lang)
    forms = {"first": p.first, "last": p.last, "name": values.local_names(ctx), "email": p.email, "phone": p.phones(), "address": r.choice([p.street, p.full_address]), "birth": born, "postal": p.postal, "id": number,
             "gender": values.gender_forms(ctx)[0].make, "geo": values.geo_forms(ctx)[2].make, "username": p.username, "ip": lambda: people.ipv4(r, False), "iban": lambda: ids.iban(r, p.country), "card": lambda: ids.card(r)}
    return forms[key]


def table(r):
    locale = r.choice(LOCALES)
    p = people.People(r, locale, r.choice(["dev", "frozen"]))
    ctx = values.Ctx(r, locale, locale[:2], locale[3:], p.split, p)
    headers = HEADERS[ctx.lang]
    keys = [] if r.random() < 0.35 else r.sample(sorted(headers), min(len(headers), r.randint(1, 4)))
    if keys and r.random() < 0.5 and not {"name", "first"} & set(keys):
        keys.append("name")
    specs = [(r.choice(headers[k].split("|")), sensitive_maker(k, r, p, ctx), TAGS[k]) for k in keys]
    plain = plain_columns(r, p)
    specs += [(r.choice(h.split("|")), plain[h], None) for h in r.sample(sorted(plain), r.randint(2, 5))]
    r.shuffle(specs)
    return specs, locale


def generate(out, seed, tables=260):
    out.mkdir(parents=True, exist_ok=True)
    r, labels = random.Random(seed), []
    for n in range(1, tables + 1):
        specs, locale = table(r)
        path, header = out / f"w{n:04d}.csv", []
        for name, _, tag in specs:
            while name in header:
                name += " 2"
            header.append(name)
            labels.append({"file": path.name, "column": name, "tag": tag or "internal", "sensitive": tag is not None, "kind": "positive" if tag else "plain_negative", "locale": locale, "variant": "clean", "spread": "few"})
        with path.open("w", newline="", encoding="utf-8") as f:
            w = csv.writer(f)
            w.writerow(header)
            # a cell is sometimes left empty by hand
            w.writerows([make() if r.random() > 0.06 else "" for _, make, _ in specs] for _ in range(5))
    with (out / "labels.jsonl").open("w", encoding="utf-8") as f:
        f.writelines(json.dumps(label, ensure_ascii=False) + "\n" for label in labels)
    return tables, labels
