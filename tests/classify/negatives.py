"""Columns that are not sensitive: look-alikes ("hard") and everyday columns ("plain"), all labelled `internal`."""
import datetime
import uuid

import ids
import texts

VOCAB = {"dev": {"products": ["Jackson Oak Chair", "Charlotte Sofa", "Madison Lamp", "Oliver Desk", "Sophia Curtain", "Lincoln Shelf", "Emma Mirror", "Victoria Rug", "Harrison Bench", "Austin Boots"],
                 "status": ["open", "closed", "pending", "cancelled", "shipped"], "types": ["checking", "savings", "loan", "credit", "business"], "jobs": ["Analyst", "Engineer", "Manager", "Technician", "Clerk", "Director"],
                 "departments": ["Sales", "Finance", "HR", "IT", "Logistics", "Marketing"], "tiers": ["gold", "silver", "bronze", "basic"], "colors": ["red", "green", "blue", "black", "white", "grey"], "words": ["STANDARD", "PRIORITY", "OVERSEAS", "DOMESTIC", "PLATINUM"]},
         "frozen": {"products": ["Florence Tap", "Savannah Jeans", "Brooklyn Backpack", "Marie Biscuits", "Ruby Blender", "Stella Pendant", "Diego Loafer", "Paris Armchair", "Wilson Racket", "Aurora Tent", "Georgia Peach Tea", "Dakota Jacket"],
                    "status": ["NEW", "IN_REVIEW", "APPROVED", "DENIED", "ARCHIVED", "ON_HOLD"], "types": ["term life", "whole life", "annuity", "HMO", "PPO", "current", "ISA"], "jobs": ["Underwriter", "Nurse", "Paralegal", "Data Steward", "Claims Adjuster", "Electrician", "Actuary"],
                    "departments": ["CC-1200", "Oncology", "Treasury", "Field Ops", "Radiology", "Procurement"], "tiers": ["A1", "A2", "B1", "prime", "subprime", "retail"], "colors": ["matt black", "brushed steel", "ivory", "teal", "maroon", "Rose Gold"], "words": ["INTERNAL", "HOSPITAL", "WAREHOUS", "TERMINAL", "ASSEMBLY", "CONTRACT"]}}
COUNTRIES, CURRENCIES, LANGUAGES = ["US", "GB", "DE", "FR", "ES", "IT", "NL", "PL", "BR", "IN", "CH", "SE"], ["USD", "EUR", "GBP", "CHF", "PLN", "BRL", "INR", "SEK"], ["en", "de", "fr", "es", "it", "nl", "pl", "pt-BR", "en_US", "sv"]


def sequence(r, start, step, width=None):
    """Rising numbers with gaps, as serials come."""
    state = [start]
    def make():
        state[0] += r.randint(1, step)
        return f"{state[0]:0{width}d}" if width else str(state[0])
    return make


def bad_check(make):
    """Same shape, wrong check digit."""
    def out():
        v = make()
        return v[:-1] + str((int(v[-1]) + 1 + len(v) % 8) % 10)
    return out


def moment(r, fmt, first=datetime.datetime(2018, 1, 1), days=2500):
    return lambda: (first + datetime.timedelta(days=r.randint(0, days), seconds=r.randint(0, 86399))).strftime(fmt)


def ean(r):
    body = r.choice(["40", "50", "30", "84", "80"]) + ids.digits(r, 10)
    return body + str(-sum(w * int(c) for w, c in zip((1, 3) * 6, body)) % 10)


def rf(r):
    ref = ids.digits(r, r.choice([9, 12]), "123456789")
    return f"RF{98 - ids.mod97(ref + 'RF00'):02d}{ref}"


def hard(c, anonymous):
    """key -> maker. In anonymous tables the twins that nothing could tell apart are left out or made distinguishable."""
    r, v = c.r, VOCAB[c.split]
    dev = c.split == "dev"
    luhn_seq = sequence(r, 20_000_000 + r.randint(0, 10**7), 40)
    foreign = [str(p) for p in [*range(13, 20), *range(33, 60), *range(81, 99)]]
    mean, spread = r.choice([(20, 8), (70, 15), (175, 9), (3, 1)]), r.choice([1, 2, 3])
    stamp = r.choice(["%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y"] if dev else ["%Y-%m-%dT%H:%M:%SZ", "%d-%m-%Y", "%Y/%m/%d", "%d %b %Y", "%Y-%m-%d"])
    tail = r.choice(["GmbH", "Ltd", "Inc", "& Sons", "SA", "BV"] if dev else ["LLC", "AG", "& Co", "S.p.A.", "Holdings", "Brothers", "AB", "sp. z o.o."])
    companies = [f"{c.people.last()} {tail}" for _ in range(40)]
    hosts = ["web", "db", "cache", "api"] if dev else ["ingest", "kafka", "edge", "worker"]
    phone_code = (lambda: f"{ids.digits(r, 3, '01')}-{ids.digits(r, 3)}-{ids.digits(r, 4)}") if anonymous or r.random() < 0.5 else (lambda: f"{ids.digits(r, 3, '2345')}-{ids.digits(r, 3, '2345')}-{ids.digits(r, 4)}")
    version = (lambda: f"{r.randint(1, 9)}.{r.randint(0, 20)}.{r.randint(0, 9)}.{r.randint(256, 9999)}") if anonymous else (lambda: f"{r.randint(1, 12)}.{r.randint(0, 9)}.{r.randint(0, 30)}.{r.randint(0, 9)}")
    return {
        "order9": sequence(r, r.randint(100_000_000, 700_000_000), 30) if anonymous or r.random() < 0.5 else lambda: ids.digits(r, 9, "123456789"),
        "invoice_luhn": lambda: (lambda b: b + ids.luhn_digit(b))("9" * 2 + luhn_seq() if anonymous else luhn_seq() + ("" if dev else "4417")),
        "aba_int": lambda: ids.aba(r, foreign if anonymous else None),
        "epoch_s": lambda: str(r.randint(1_500_000_000, 1_760_000_000)), "epoch_ms": lambda: str(r.randint(1_500_000_000_000, 1_760_000_000_000)), "phone_code": phone_code,
        "hex32": lambda: f"{r.getrandbits(128):032x}", "hex64": lambda: f"{r.getrandbits(256):064x}", "uuid": lambda: str(uuid.UUID(int=r.getrandbits(128), version=4)),
        "measure": lambda: f"{r.gauss(*mean):.{spread}f}", "latlike": lambda: f"{r.gauss(0, 30):.{r.choice([4, 5, 6])}f}", "qty5": lambda: str(r.randint(10_000, 98_000)), "version": version,
        "event_date": moment(r, stamp), "product_name": lambda: r.choice(v["products"]), "company": lambda: r.choice(companies),
        "note.clean": lambda: texts.clean_note(r, c.lang, c.split), "icd_like": lambda: f"{r.choice('ABCDEFGHXYZ')}{r.randint(1, 40)}-{r.randint(1, 99):02d}" if dev else f"{r.choice('RSTUVW')}{r.randint(1, 9)}.{r.randint(100, 999)}.{r.randint(1, 9)}",
        "isin_like": lambda: r.choice(["KD", "QX", "ZZ", "AA"]) + ids.digits(r, 10), "vin_like": lambda: ids.letters(r, 12, ids.UPPER) + "IO" + ids.digits(r, 3) if r.random() < 0.7 else "PN" + ids.digits(r, 15),
        "ean": lambda: ean(r), "rf_ref": lambda: rf(r), "time": lambda: f"{r.randint(0, 23):02d}:{r.randint(0, 59):02d}:{r.randint(0, 59):02d}", "word8": lambda: r.choice(v["words"]),
        "slug": lambda: f"{r.choice(hosts)}-{r.randint(1, 40):02d}.{r.choice(['prod', 'test'])}", "container": lambda: ids.letters(r, 3) + "U" + ids.digits(r, 7), "npi_like": sequence(r, 2_400_000_000 + r.randint(0, 10**8), 9) if anonymous else sequence(r, 1_000_000_000 + r.randint(0, 10**8), 9),
    } | ({} if anonymous else {"old_date": lambda: f"{r.randint(1900, 2015)}-{r.randint(1, 12):02d}-{r.randint(1, 28):02d}"})


def plain(c):
    r, v = c.r, VOCAB[c.split]
    return {
        "status": lambda: r.choice(v["status"]), "account_type": lambda: r.choice(v["types"]), "currency": lambda: r.choice(CURRENCIES), "sku": lambda: f"{ids.letters(r, 3)}-{ids.digits(r, 4)}{r.choice(['', '-XL', '-B'])}", "counter": sequence(r, r.randint(0, 5000), 1),
        "country": lambda: r.choice(COUNTRIES), "flag": (lambda a: lambda: r.choice(a))(r.choice([["Y", "N"], ["true", "false"], ["0", "1"], ["yes", "no"]])), "percent": lambda: f"{r.uniform(0, 100):.1f}", "job": lambda: r.choice(v["jobs"]), "department": lambda: r.choice(v["departments"]),
        "size": lambda: r.choice(["XS", "S", "M", "L", "XL"]), "marital": lambda: r.choice(v["tiers"]), "url": lambda: f"https://shop.example.com/{r.choice(['item', 'page', 'cat'])}/{r.randint(1, 9999)}", "color": lambda: r.choice(v["colors"]), "language": lambda: r.choice(LANGUAGES),
        "year": lambda: str(r.randint(1995, 2025)), "rating": lambda: str(r.randint(1, 10)), "file_name": lambda: f"{r.choice(['report', 'scan', 'export', 'img'])}_{r.randint(1, 9999):04d}.{r.choice(['pdf', 'csv', 'png'])}",
    }
