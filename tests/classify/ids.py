"""Checksum-correct identifiers, made from a `random.Random` only.

Each function follows the rule its issuing authority publishes (named in the docstring).
Nothing here belongs to a real person: the numbers are random and merely well formed.
"""
import string

DIGITS = string.digits
UPPER = string.ascii_uppercase
ALNUM = DIGITS + UPPER


def digits(r, n, first="0123456789"):
    """`n` random digits, the first drawn from `first`."""
    return r.choice(first) + "".join(r.choice(DIGITS) for _ in range(n - 1))


def letters(r, n, alphabet=UPPER):
    return "".join(r.choice(alphabet) for _ in range(n))


def luhn_digit(body):
    """ISO/IEC 7812-1 annex B check digit for `body`."""
    total = 0
    for i, c in enumerate(reversed(body)):
        d = int(c)
        if i % 2 == 0:
            d = d * 2 - 9 if d > 4 else d * 2
        total += d
    return str(-total % 10)


def mod97(text):
    """Remainder of ISO 7064 MOD 97-10 over digits and letters (A=10)."""
    return int("".join(str(int(c, 36)) for c in text)) % 97


def ymd(r, first=1935, last=2005):
    """A plausible birth date as three ints."""
    return r.randint(first, last), r.randint(1, 12), r.randint(1, 28)


# ---- finance

CARD_RANGES = [("4", 16, 45), ("51", 16, 6), ("52", 16, 6), ("53", 16, 6), ("54", 16, 6), ("55", 16, 6),
               ("2223", 16, 3), ("2650", 16, 3), ("34", 15, 4), ("37", 15, 6), ("6011", 16, 4), ("65", 16, 3),
               ("36", 14, 2), ("3530", 16, 2), ("62", 16, 2)]


def card(r):
    prefix, length, _ = r.choices(CARD_RANGES, [c[2] for c in CARD_RANGES])[0]
    body = prefix + "".join(r.choice(DIGITS) for _ in range(length - 1 - len(prefix)))
    return body + luhn_digit(body)


# BBAN structure per country, SWIFT IBAN registry notation: n digits, a letters, c alphanumerics.
IBAN = {"DE": "n18", "GB": "a4n14", "FR": "n10c11n2", "ES": "n20", "IT": "a1n10c12", "NL": "a4n10", "PL": "n24",
        "CH": "n5c12", "SE": "n20", "AT": "n16", "BE": "n12", "PT": "n21", "DK": "n14", "FI": "n14", "NO": "n11",
        "IE": "a4n14", "LU": "n3c13", "CZ": "n20", "BR": "n23a1c1"}


def bban(r, spec):
    out, i = "", 0
    while i < len(spec):
        kind, j = spec[i], i + 1
        while j < len(spec) and spec[j].isdigit():
            j += 1
        n = int(spec[i + 1:j])
        # c fields are digits in most real accounts
        alphabet = {"n": DIGITS, "a": UPPER, "c": ALNUM if r.random() < 0.2 else DIGITS}[kind]
        out += letters(r, n, alphabet)
        i = j
    return out


def iban(r, country):
    country = country if country in IBAN else r.choice(list(IBAN))
    if country == "ES":
        body = ccc(r)
    elif country == "BE":
        body = "".join(c for c in belgian_account(r) if c.isdigit())
    elif country == "NO":
        body = norwegian_account(r)
    else:
        body = bban(r, IBAN[country])
    return f"{country}{98 - mod97(body + country + '00'):02d}{body}"


def aba(r, prefixes=None):
    """ABA routing number: Federal Reserve prefix, weights 3-7-1."""
    prefixes = prefixes or ([f"{p:02d}" for p in range(1, 13)] + [str(p) for p in [*range(21, 33), *range(61, 73)]])
    body = r.choice(prefixes) + digits(r, 6)
    total = sum(w * int(c) for w, c in zip((3, 7, 1, 3, 7, 1, 3, 7), body))
    return body + str(-total % 10)


def cusip_digit(body):
    """CUSIP Global Services modulus 10 double-add-double."""
    total = 0
    for i, c in enumerate(body):
        v = int(c, 36)
        v = v * 2 if i % 2 else v
        total += v // 10 + v % 10
    return str(-total % 10)


def cusip(r):
    body = digits(r, 5) + r.choice(ALNUM) + r.choice(["10", "20", "AA", "AB", "BC", "30", "40", r.choice(UPPER) + r.choice(DIGITS)])
    return body + cusip_digit(body)


def isin(r, country=None):
    """ISO 6166: country, nine characters, Luhn over the expanded digits."""
    country = country or r.choice(["US", "US", "US", "DE", "FR", "GB", "NL", "CH", "IE", "LU", "ES", "IT", "SE", "XS"])
    if country == "US":
        nsin = cusip(r)
    elif country in ("GB", "IE"):
        nsin = "00" + letters(r, 7, "BCDFGHJKLMNPQRSTVWXYZ0123456789")
    elif country in ("DE", "LU"):
        nsin = "000" + letters(r, 5, ALNUM) + r.choice(DIGITS)
    else:
        nsin = digits(r, 9) if r.random() < 0.7 else "00" + digits(r, 7)
    body = country + nsin
    return body + luhn_digit("".join(str(int(c, 36)) for c in body))


def lei(r):
    """ISO 17442: issuer prefix, twelve to fourteen free characters, MOD 97-10."""
    lou = r.choice(["5493", "2138", "9695", "8945", "3157", "5299", "7245", "2549", "6354", "9845"])
    body = lou + "00" + letters(r, 12, ALNUM)
    return f"{body}{98 - mod97(body + '00'):02d}"


BANKS = {"DE": ["DEUT", "COBA", "HYVE", "GENO", "BYLA"], "GB": ["BARC", "HBUK", "LOYD", "NWBK", "MIDL"],
         "FR": ["BNPA", "SOGE", "AGRI", "CRLY", "CMCI"], "ES": ["BSCH", "BBVA", "CAIX", "BSAB"],
         "IT": ["UNCR", "BCIT", "BAPP", "PASC"], "NL": ["ABNA", "INGB", "RABO", "SNSB"],
         "PL": ["BPKO", "BREX", "PKOP", "WBKP"], "CH": ["UBSW", "CRES", "ZKBK", "POFI"],
         "US": ["CHAS", "BOFA", "CITI", "WFBI"], "SE": ["HAND", "SWED", "ESSE", "NDEA"],
         "BR": ["BRAS", "ITAU", "BBDE"], "IN": ["SBIN", "HDFC", "ICIC"], "CA": ["ROYC", "BOFM", "TDOM"],
         "AU": ["CTBA", "WPAC", "ANZB"], "AT": ["BKAU", "RZBA"], "BE": ["GEBA", "KRED"], "PT": ["CGDI", "BCOM"]}


def bic(r):
    """ISO 9362: party prefix, country, party suffix, optional branch."""
    country = r.choice(list(BANKS))
    branch = r.choice(["", "", "X" * 3, digits(r, 3), letters(r, 3)])
    return r.choice(BANKS[country]) + country + r.choice(["2L", "33", "FF", "PP", "MM", "22", "3A", "6S", "ZZ", "GG", "TT"]) + branch


def clabe(r):
    """Mexican CLABE: weights 3-7-1 on 17 digits."""
    body = r.choice(["002", "012", "014", "021", "072"]) + digits(r, 14)
    total = sum((w * int(c)) % 10 for w, c in zip((3, 7, 1) * 6, body))
    return body + str(-total % 10)


def ccc(r):
    """Spanish CCC: bank, branch, two modulus 11 digits, account."""
    def check(text):
        v = 11 - sum(w * int(c) for w, c in zip((1, 2, 4, 8, 5, 10, 9, 7, 3, 6), text)) % 11
        return {11: "0", 10: "1"}.get(v, str(v))
    bank, account = r.choice(["0049", "0182", "2100", "0081"]) + digits(r, 4), digits(r, 10)
    return bank + check("00" + bank) + check(account) + account


def belgian_account(r):
    """Belgian account: ten digits and their remainder modulo 97."""
    body = digits(r, 10, "1234567")
    return f"{body[:3]}-{body[3:]}-{int(body) % 97 or 97:02d}"


def norwegian_account(r):
    """Norwegian account: modulus 11, weights 5432765432."""
    while True:
        body = digits(r, 10, "123456789")
        check = -sum(w * int(c) for w, c in zip((5, 4, 3, 2, 7, 6, 5, 4, 3, 2), body)) % 11
        if check < 10:
            return body + str(check)


def bank_account(r, country):
    """The domestic number, without country code."""
    if country == "ES":
        return ccc(r)
    if country == "PL":
        return iban(r, "PL")[2:]
    if country == "MX":
        return clabe(r)
    if country == "BE":
        return belgian_account(r)
    if country == "GB":
        return f"{r.randint(10, 99)}-{r.randint(10, 99)}-{r.randint(10, 99)} {digits(r, 8)}"
    if country in ("SE", "BR"):
        return f"{digits(r, 4, '3456789')}-{digits(r, 7)}" if country == "SE" else f"{digits(r, 4)} {digits(r, 5)}-{r.choice(DIGITS)}"
    return digits(r, {"US": 10, "CA": 7, "IN": 14, "AU": 9}.get(country, 10), "123456789")


# ---- United States, health, vehicles

def ssn(r):
    """SSA: area not 000, 666, 9xx; group not 00; serial not 0000."""
    area = r.choice([n for n in (r.randint(1, 899), r.randint(1, 665)) if n != 666])
    return f"{area:03d}-{r.randint(1, 99):02d}-{r.randint(1, 9999):04d}"


def itin(r):
    """IRS: 9xx, group 50-65, 70-88, 90-92, 94-99."""
    group = r.choice([*range(50, 66), *range(70, 89), 90, 91, 92, *range(94, 100)])
    return f"9{digits(r, 2)}-{group}-{digits(r, 4)}"


def npi(r):
    """CMS: Luhn over 80840 and the number."""
    body = digits(r, 9, "12" if r.random() < 0.1 else "1")
    return body + luhn_digit("80840" + body)


def mbi(r):
    """CMS MBI format: position types C A AN N A AN N A A N N, no S L O I B Z."""
    a = "ACDEFGHJKMNPQRTUVWXY"
    kinds = [("123456789"), a, a + DIGITS, DIGITS, a, a + DIGITS, DIGITS, a, a, DIGITS, DIGITS]
    return "".join(r.choice(k) for k in kinds)


VIN_VALUES = dict(zip("ABCDEFGHJKLMNPRSTUVWXYZ", [1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 7, 9, 2, 3, 4, 5, 6, 7, 8, 9])) | {c: int(c) for c in DIGITS}


def vin(r, checked=True):
    """ISO 3779; check digit at position 9 after 49 CFR 565.15 where `checked`."""
    wmi = r.choice(["1HG", "1FT", "2T1", "3VW", "4T1", "5YJ", "1G1", "JHM", "KMH"] if checked
                   else ["WVW", "WBA", "WDD", "VF1", "VF3", "ZFA", "TMB", "SAL", "YV1", "VSS"])
    body = wmi + letters(r, 5, "ABCDEFGHJKLMNPRSTUVWXYZ0123456789") + "0" + r.choice("JKLMNPRST123456") + r.choice("ABCDEFGH1234") + digits(r, 6)
    if not checked:
        return body[:8] + "Z" + body[9:] if wmi in ("WVW", "TMB") else body[:8] + r.choice(ALNUM.translate(str.maketrans("", "", "IOQ"))) + body[9:]
    rest = sum(w * VIN_VALUES[c] for w, c in zip((8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2), body)) % 11
    return body[:8] + ("X" if rest == 10 else str(rest)) + body[9:]


def uk_driver(r):
    """DVLA driver number: surname, decade, month (+5 for women), day, year, initials, two free."""
    y, m, d = ymd(r)
    m += 50 if r.random() < 0.5 else 0
    return letters(r, 5, "BCDFGHJKLMNPRSTWAEO") + f"{y // 10 % 10}{m:02d}{d:02d}{y % 10}" + letters(r, 2) + "9" + letters(r, 2)


def mrz(r, country):
    """Second line of a TD3 passport (ICAO 9303 part 4), check digits 7-3-1."""
    def check(text):
        return str(sum(w * (0 if c == "<" else int(c, 36)) for w, c in zip((7, 3, 1) * 15, text)) % 10)
    number = letters(r, 1) + digits(r, 8)
    y, m, d = ymd(r)
    born, expires = f"{y % 100:02d}{m:02d}{d:02d}", f"{r.randint(26, 35)}{r.randint(1, 12):02d}{r.randint(1, 28):02d}"
    nation = {"US": "USA", "GB": "GBR", "DE": "D<<", "FR": "FRA", "ES": "ESP", "IT": "ITA", "NL": "NLD", "PL": "POL"}.get(country, "UTO")
    line = number + check(number) + nation + born + check(born) + r.choice("MF") + expires + check(expires) + "<" * 14 + "0"
    return line + check(line[:10] + line[13:20] + line[21:43])


def passport(r, country):
    """The document number as each country prints it."""
    if country == "DE":
        body = r.choice("CFGHJK") + letters(r, 8, "0123456789CFGHJKLMNPRTVWXYZ")
        return body + str(sum(w * int(c, 36) for w, c in zip((7, 3, 1) * 3, body)) % 10)
    shapes = {"FR": "##AA#####", "IN": "A#######", "IT": "YA#######", "ES": "AAA######", "NL": "NA######0", "PL": "AA#######",
              "CA": "AA######", "BR": "AA######", "CH": "X#######", "AU": "A########", "AT": "A#######", "SE": "########", "PT": "AA######",
              "MX": "A########", "BE": "AA######"}
    return "".join(r.choice(DIGITS) if c == "#" else r.choice(UPPER) if c == "A" else c for c in shapes.get(country, "#########" if r.random() < .6 else "A########"))
