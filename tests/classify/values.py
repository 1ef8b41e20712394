"""The forms in which each tag's values occur: `forms(tag, ctx)` gives Form(key, weight, evidence, make).

`key` picks column names; `evidence` is "value" where the values alone can carry the tag (checksum, structure,
distribution) and "name" where only the column's name or its neighbours can (a bare eight-digit account).
"""
import base64
import datetime
from collections import namedtuple

import ids
import national
import people as src
import texts

Form = namedtuple("Form", "key weight evidence make")
Ctx = namedtuple("Ctx", "r locale lang country split people")

GENDER = {"en": [["M", "F"], ["Male", "Female"], ["male", "female", "other"], ["m", "f", "x"]], "de": [["m", "w", "d"], ["maennlich", "weiblich"], ["Männlich", "Weiblich", "Divers"], ["Herr", "Frau"]],
          "fr": [["H", "F"], ["Homme", "Femme"], ["Masculin", "Féminin"], ["M", "F"]], "es": [["H", "M"], ["Hombre", "Mujer"], ["Masculino", "Femenino"], ["V", "M"]],
          "it": [["M", "F"], ["Maschio", "Femmina"], ["Uomo", "Donna"]], "nl": [["M", "V"], ["Man", "Vrouw"], ["man", "vrouw", "anders"]], "pl": [["K", "M"], ["Kobieta", "Mężczyzna"], ["kobieta", "mezczyzna"]],
          "pt": [["M", "F"], ["Masculino", "Feminino"], ["Homem", "Mulher"]], "sv": [["Man", "Kvinna"], ["M", "K"]]}
ICD = {"dev": "I10 E11.9 E78.5 J45.909 M54.5 K21.9 F32.9 F41.1 N39.0 J06.9 R07.9 Z00.00 E66.9 I25.10 J44.9 G47.33 M17.11 E03.9 D64.9 K59.00 R51.9 S93.401A H52.4 L30.9 B34.9 Z23 I48.91 N18.3 G43.909 R10.9 Z79.4 C50.911 J18.9 A09 O80 T78.40XA",
       "frozen": "I50.9 E10.65 E87.6 J20.9 M25.561 K57.30 F33.1 F10.20 N17.9 J02.9 R05.9 Z12.11 E55.9 I63.9 J96.01 G40.909 M79.7 E86.0 D50.9 K80.20 R42 S52.501A H25.13 L03.115 B20 Z95.1 I21.4 N40.1 G35 R55 Z87.891 C34.90 U07.1 A41.9 O09.90 T81.4XXA Z51.11 M81.0 F84.0 Q21.1"}


def per_column(r, options):
    """One habit for the whole column."""
    return r.choice(options)


def strip(make):
    return lambda: "".join(c for c in make() if c.isalnum())


def maybe_strip(r, make, share=0.4):
    return strip(make) if r.random() < share else make


def birth_maker(r, lang):
    us, iso = "%m/%d/%Y", "%Y-%m-%d"
    local = {"en": [iso, us, "%d/%m/%Y", "%d-%b-%Y", "%B %d, %Y"], "de": ["%d.%m.%Y", iso], "fr": ["%d/%m/%Y", iso], "es": ["%d/%m/%Y", iso], "it": ["%d/%m/%Y", iso], "nl": ["%d-%m-%Y", iso], "pl": ["%d.%m.%Y", iso, "%Y-%m-%d"], "pt": ["%d/%m/%Y", iso]}
    fmt = r.choice(local.get(lang, [iso, "%Y%m%d", "%Y-%m-%d 00:00:00"]) + [iso, "%Y%m%d"])
    first, last = r.choice([(1935, 2005), (1945, 2003), (1925, 2023)])
    return lambda: datetime.date(*ids.ymd(r, first, last)).strftime(fmt)


def local_names(c):
    p, r = c.people, c.r
    order = r.choice([lambda: p.full(), lambda: p.full(), lambda: f"{p.last()}, {p.first()}", lambda: f"{p.first()} {r.choice('ABCDEFGHJKLMPRSTW')}. {p.last()}", lambda: f"{p.last()} {p.first()}".upper()])
    title = {"en": ["Mr. ", "Mrs. ", "Dr. "], "de": ["Herr ", "Frau ", "Dr. "], "fr": ["M. ", "Mme "], "es": ["Sr. ", "Sra. "]}.get(c.lang, [""])
    if r.random() < 0.12:
        return lambda: r.choice(title) + p.full()
    case = r.choice([str, str, str, str.upper])
    return lambda: case(order())


def national_forms(c):
    listed = list(national.LISTED.get(c.country, []))
    if not listed:
        country = c.r.choice(list(national.LISTED))
        listed = list(national.LISTED[country])
    return [Form(k, 1, "value", maybe_strip(c.r, lambda m=m: m(c.r))) for k, m in listed]


def extra_national_forms(c):
    return [Form(k, 1, "name", lambda m=m: m(c.r)) for k, m in national.EXTRA[c.country]]


def account_forms(c):
    width = c.r.choice([8, 9, 10, 11, 12])
    bare = Form("account", 2, "name", lambda: ids.digits(c.r, width, "123456789"))
    if c.country in ("ES", "PL", "MX", "BE", "GB"):
        return [Form("account", 5, "value", lambda: ids.bank_account(c.r, c.country)), bare]
    return [Form("account", 2, "name", lambda: ids.bank_account(c.r, c.country)), bare]


def driver_forms(c):
    r = c.r
    if c.country == "GB":
        return [Form("driver", 1, "value", lambda: ids.uk_driver(r))]
    if c.country == "IN":
        sep = r.choice([" ", "", "-"])
        states = ["MH", "DL", "KA", "TN", "UP", "GJ"]
        return [Form("driver", 1, "value", lambda: f"{r.choice(states)}{r.randint(1, 50):02d}{sep}{r.randint(1995, 2022)}{r.randint(0, 9999999):07d}")]
    if c.country == "US":
        soundex = lambda: f"{r.choice('ABCDEFGHJKLMNPRSTW')}{ids.digits(r, 3, '123456')}-{ids.digits(r, 3)}-{r.randint(20, 99)}-{ids.digits(r, 3)}-{r.randint(0, 9)}"
        return [Form("driver", 2, "value", soundex), Form("driver", 3, "name", lambda: r.choice("ABCDEFNY") + ids.digits(r, 7)), Form("driver", 1, "name", lambda: ids.digits(r, 8))]
    shapes = {"DE": "A###AAA##A#", "FR": "##AA#####", "IT": "U1#######A", "NL": "##########", "PL": "#####/##/####", "BR": "###########", "ES": "########A", "CH": "############"}
    shape = shapes.get(c.country, "A########")
    return [Form("driver", 1, "name", lambda: "".join(r.choice(ids.UPPER) if x == "A" else r.choice(ids.DIGITS) if x == "#" else x for x in shape))]


def amount_forms(c):
    r = c.r
    scale, sign = r.choice([50, 400, 3000, 60000]), r.random() < 0.2
    value = lambda: round(r.lognormvariate(0, 1) * scale, 2) * (-1 if sign and r.random() < 0.2 else 1)
    comma = lambda v: f"{v:,.2f}".replace(",", " ").replace(".", ",").replace(" ", ".")
    mark = {"US": "$", "GB": "£", "IN": "₹", "BR": "R$ ", "PL": "zł", "CH": "CHF ", "SE": "kr", "CA": "$", "AU": "$", "MX": "$"}.get(c.country, "€")
    code = {"US": "USD", "GB": "GBP", "IN": "INR", "BR": "BRL", "PL": "PLN", "CH": "CHF", "SE": "SEK"}.get(c.country, "EUR")
    english = c.lang == "en"
    text = (lambda v: f"{v:,.2f}") if english else comma
    marked = r.choice([lambda: f"{mark}{text(value())}" if english else f"{text(value())} {mark.strip()}", lambda: f"{code} {text(value())}", lambda: f"{text(value())} {code}"])
    return [Form("amount", 6, "name", lambda: f"{value():.2f}"), Form("amount", 2, "value", marked), Form("amount", 1, "name", lambda: text(value()))]


def secret_forms(c):
    r = c.r
    b62 = ids.DIGITS + ids.UPPER + ids.UPPER.lower()
    rand = lambda n: ids.letters(r, n, b62)
    b64 = lambda b: base64.urlsafe_b64encode(b).decode().rstrip("=")
    jwt = lambda: ".".join([b64(b'{"alg":"HS256","typ":"JWT"}'), b64(f'{{"sub":"{r.randint(1, 10**9)}","iat":{r.randint(1_600_000_000, 1_760_000_000)}}}'.encode()), b64(r.randbytes(32))])
    # prefixes are joined here so that secret scanners do not stop at this file
    shapes = {"dev": [lambda: "AK" + "IA" + ids.letters(r, 16, ids.UPPER + "234567"), lambda: "gh" + "p_" + rand(36), lambda: "sk_" + "live_" + rand(24), jwt],
              "frozen": [lambda: "glp" + "at-" + rand(20), lambda: "xo" + f"xb-{ids.digits(r, 12)}-{ids.digits(r, 12)}-{rand(24)}", lambda: "AI" + "za" + rand(35), jwt, lambda: "gh" + "o_" + rand(36), lambda: "S" + "G." + rand(22) + "." + rand(43), lambda: "np" + "m_" + rand(36), lambda: "sk-" + "proj-" + rand(48)]}
    bcrypt = lambda: f"$2{r.choice('aby')}${r.choice(['10', '12'])}$" + ids.letters(r, 53, "./" + b62)
    argon = lambda: "$argon2id$v=19$m=65536,t=3,p=4$" + b64(r.randbytes(16)) + "$" + b64(r.randbytes(32))
    word = lambda: r.choice(["Summer", "Dragon", "Passw0rd", "Winter", "qwerty", "Monkey", "sunshine", "Football"]) + r.choice(["", "!", "#", "_"]) + str(r.randint(1, 2024)) + r.choice(["", "!", "?"])
    mixed = lambda: ids.letters(r, r.randint(10, 14), b62 + "!#$%&*+-=?@")
    return [Form("secret", 5, "value", r.choice(shapes[c.split])), Form("secret", 3, "name", lambda: rand(32)), Form("secret", 1, "name", lambda: b64(r.randbytes(32))),
            Form("secret.password", 2, "value", bcrypt if c.split == "dev" else r.choice([bcrypt, argon])), Form("secret.password", 1, "name", word), Form("secret.password", 1, "value", mixed)]


def geo_forms(c):
    r = c.r
    box = {"US": (30, 47, -120, -75), "GB": (50.5, 56, -4.5, 1), "DE": (47.5, 54, 6.5, 14), "FR": (43.5, 49.5, -1, 7), "ES": (37, 43, -6, 2), "IT": (38, 46, 8, 17), "NL": (51, 53, 4, 7), "PL": (50, 54, 15, 23), "BR": (-30, -3, -55, -36), "IN": (9, 29, 72, 88), "AU": (-37, -17, 116, 152), "CA": (43, 53, -122, -64)}.get(c.country, (46, 60, 6, 18))
    d = r.choice([4, 5, 6, 7])
    lat, lon = lambda: f"{r.uniform(box[0], box[1]):.{d}f}", lambda: f"{r.uniform(box[2], box[3]):.{d}f}"
    pair = r.choice([lambda: f"{lat()},{lon()}", lambda: f"{lat()}, {lon()}", lambda: f"POINT ({lon()} {lat()})", lambda: f"({lat()}, {lon()})"])
    return [Form("geo.lat", 2, "name", lat), Form("geo.lon", 2, "name", lon), Form("geo.pair", 3, "value", pair)]


def mrn_forms(c):
    r = c.r
    width = r.choice([6, 7, 8])
    prefix = r.choice(["MRN", "MRN-", "MR"] if c.split == "dev" else ["MRN ", "MRN:", "MRN#", "MRN00"])
    return [Form("mrn", 3, "name", lambda: ids.digits(r, width, "0123456789")), Form("mrn", 2, "value", lambda: prefix + ids.digits(r, width)), Form("mrn", 1, "name", lambda: r.choice(["H", "P", "A"]) + ids.digits(r, 7))]


def note_forms(c):
    r = c.r
    identifier = lambda: (ids.card(r) if r.random() < 0.5 else c_national())
    c_national = lambda: (ids.ssn(r) if c.country == "US" else national_forms(c)[0].make())
    born = birth_maker(r, c.lang)
    share = r.uniform(0.3, 0.9)
    return [Form("note.pii", 1, "value", lambda: texts.pii_note(r, c.lang, c.split, c.people, identifier, born) if r.random() < share else texts.clean_note(r, c.lang, c.split))]


def username_forms(c):
    return [Form("username", 3, "value", c.people.username), Form("username", 2, "name", c.people.handle)]


def card_form(c):
    sep = c.r.choice(["", "", " ", "-"])
    def make():
        n = ids.card(c.r)
        return n if not sep or len(n) != 16 else sep.join(n[i:i + 4] for i in range(0, 16, 4))
    return [Form("card", 1, "value", make)]


def grouped_iban(c):
    many = c.r.random() < 0.25
    spaced = c.r.random() < 0.3
    def make():
        n = ids.iban(c.r, None if many else c.country)
        return " ".join(n[i:i + 4] for i in range(0, len(n), 4)) if spaced else n
    return [Form("iban", 1, "value", make)]


def postal_forms(c):
    carried = c.country in ("GB", "CA", "NL", "PL", "PT", "BR", "SE")
    plain = Form("postal", 3, "value" if carried else "name", c.people.postal)
    if c.country == "US":
        return [plain, Form("postal", 2, "value", lambda: f"{c.people.postal()[:5]}-{ids.digits(c.r, 4)}")]
    return [plain]


def one(key, evidence, make):
    return [Form(key, 1, evidence, make)]


def name_forms(c):
    return [Form("name.first", 2, "value", c.people.first), Form("name.last", 2, "value", c.people.last), Form("name.full", 4, "value", local_names(c))]


def address_forms(c):
    return [Form("address", 3, "value", c.people.street), Form("address", 1, "value", c.people.full_address)]


def gender_forms(c):
    values = per_column(c.r, GENDER.get(c.lang, GENDER["en"]))
    coded = Form("gender", 1, "name", lambda: c.r.choice("12"))
    return [Form("gender", 5, "value" if {"Male", "Homme", "Hombre", "Maschio", "Frau", "Man", "Kobieta", "Masculino", "male", "M", "m", "H", "K"} & set(values) else "name", lambda: c.r.choices(values, [10] * 2 + [1] * (len(values) - 2))[0]), coded]


def ip_form(c):
    mode = c.r.choice(["public", "private", "v6", "mixed"])
    return one("ip", "value", {"public": lambda: src.ipv4(c.r, False), "private": lambda: src.ipv4(c.r, True), "v6": lambda: src.ipv6(c.r), "mixed": lambda: src.ipv4(c.r, c.r.random() < 0.3) if c.r.random() < 0.8 else src.ipv6(c.r)}[mode])


def ssn_forms(c):
    return [Form("ssn", 3, "value", lambda: ids.ssn(c.r)), Form("ssn", 1, "name", strip(lambda: ids.ssn(c.r)))]


def passport_forms(c):
    return [Form("passport", 3, "value" if c.country == "DE" else "name", lambda: ids.passport(c.r, c.country)), Form("passport", 1, "value", lambda: ids.mrz(c.r, c.country))]


def isin_form(c):
    return one("isin", "value", lambda: ids.isin(c.r))


def vin_forms(c):
    return [Form("vin", 5, "value", lambda: ids.vin(c.r)), Form("vin", 1, "name", lambda: ids.vin(c.r, checked=False))]


def mac_form(c):
    sep = c.r.choice([":", ":", "-", "cisco"])
    return one("mac", "value", lambda: src.device_mac(c.r, sep))


def icd_form(c):
    pool, dotless = ICD[c.split].split(), c.r.random() < 0.2
    return one("icd10", "value", lambda: c.r.choice(pool).replace(".", "") if dotless else c.r.choice(pool))


FORMS = {
    "pii.person_name": name_forms, "pii.email": lambda c: one("email", "value", c.people.email), "pii.phone": lambda c: one("phone", "value", c.people.phones()), "pii.address": address_forms,
    "pii.postal_code": postal_forms, "pii.birth_date": lambda c: one("birth", "value", birth_maker(c.r, c.lang)), "pii.gender": gender_forms, "pii.ip_address": ip_form, "pii.mac_address": mac_form,
    "pii.geo": geo_forms, "pii.national_id": national_forms, "pii.us_ssn": ssn_forms, "pii.us_itin": lambda c: one("itin", "value", maybe_strip(c.r, lambda: ids.itin(c.r), 0.25)), "pii.passport": passport_forms,
    "pii.driver_license": driver_forms, "pii.username": username_forms, "financial.iban": grouped_iban, "financial.card_number": card_form, "financial.bank_account": account_forms,
    "financial.us_aba_routing": lambda c: one("aba", "value", lambda: ids.aba(c.r)), "financial.swift_bic": lambda c: one("bic", "value", lambda: ids.bic(c.r)), "financial.cusip": lambda c: one("cusip", "value", lambda: ids.cusip(c.r)),
    "financial.isin": isin_form, "financial.lei": lambda c: one("lei", "value", lambda: ids.lei(c.r)), "financial.amount": amount_forms, "health.us_npi": lambda c: one("npi", "value", lambda: ids.npi(c.r)),
    "health.us_mbi": lambda c: one("mbi", "value", (lambda: (lambda n: f"{n[:4]}-{n[4:7]}-{n[7:]}")(ids.mbi(c.r))) if c.r.random() < 0.25 else (lambda: ids.mbi(c.r))), "health.icd10": icd_form, "health.medical_record": mrn_forms,
    "credentials.secret": secret_forms, "vehicle.vin": vin_forms, "free_text.pii": note_forms,
}


def pick(tag, ctx, anonymous):
    """One form; in anonymous tables 65 % of the choices go to forms that values alone can carry, where both exist."""
    options = extra_national_forms(ctx) if tag == "pii.national_id" and not anonymous and ctx.split == "frozen" and ctx.country in national.EXTRA else FORMS[tag](ctx)
    if anonymous:
        wanted = "value" if ctx.r.random() < 0.65 else "name"
        options = [f for f in options if f.evidence == wanted] or options
    return ctx.r.choices(options, [f.weight for f in options])[0]

