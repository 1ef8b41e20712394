"""National ids with correct check digits, one function per issuing country."""
from ids import DIGITS, UPPER, digits, letters, luhn_digit, ymd

VERHOEFF_D = [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 3, 4, 0, 6, 7, 8, 9, 5], [2, 3, 4, 0, 1, 7, 8, 9, 5, 6],
              [3, 4, 0, 1, 2, 8, 9, 5, 6, 7], [4, 0, 1, 2, 3, 9, 5, 6, 7, 8], [5, 9, 8, 7, 6, 0, 4, 3, 2, 1],
              [6, 5, 9, 8, 7, 1, 0, 4, 3, 2], [7, 6, 5, 9, 8, 2, 1, 0, 4, 3], [8, 7, 6, 5, 9, 3, 2, 1, 0, 4],
              [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]]
VERHOEFF_P = [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 5, 7, 6, 2, 8, 3, 0, 9, 4], [5, 8, 0, 3, 7, 9, 6, 1, 4, 2],
              [8, 9, 1, 6, 0, 4, 3, 5, 2, 7], [9, 4, 5, 3, 1, 2, 6, 8, 7, 0], [4, 2, 8, 6, 5, 7, 3, 9, 0, 1],
              [2, 7, 9, 3, 8, 0, 6, 4, 1, 5], [7, 0, 4, 6, 9, 1, 3, 2, 5, 8]]


def weighted(body, weights):
    return sum(w * int(c) for w, c in zip(weights, body))


def nino(r):
    while True:
        first, second = r.choice("ABCEGHJKLMNOPRSTWXYZ"), r.choice("ABCEGHJKLMNPRSTWXYZ")
        if first + second not in ("BG", "GB", "KN", "NK", "NT", "TN", "ZZ"):
            n = digits(r, 6)
            return f"{first}{second} {n[:2]} {n[2:4]} {n[4:]} {r.choice('ABCD')}"


def nhs(r):
    while True:
        body = digits(r, 9, "4679")
        check = 11 - weighted(body, range(10, 1, -1)) % 11
        if check != 10:
            n = body + str(check % 11)
            return f"{n[:3]} {n[3:6]} {n[6:]}"


def steuer_id(r):
    """BZSt: among the first ten digits one appears twice (or thrice); ISO 7064 MOD 11,10."""
    pool = r.sample(DIGITS, 9)
    body = pool + [r.choice(pool)]
    while True:
        r.shuffle(body)
        if body[0] != "0":
            break
    product = 10
    for c in body:
        total = (int(c) + product) % 10 or 10
        product = total * 2 % 11
    return "".join(body) + str((11 - product) % 10)


def nir(r):
    y, m, _ = ymd(r)
    body = f"{r.choice('12')}{y % 100:02d}{m:02d}{r.choice([n for n in range(1, 96) if n != 20]):02d}{r.randint(1, 600):03d}{r.randint(1, 400):03d}"
    return f"{body}{97 - int(body) % 97:02d}"


DNI = "TRWAGMYFPDXBNJZSQVHLCKE"


def dni(r):
    n = r.randint(10_000_000, 79_999_999)
    return f"{n}{DNI[n % 23]}"


def nie(r):
    i, n = r.randint(0, 2), r.randint(0, 9_999_999)
    return f"{'XYZ'[i]}{n:07d}{DNI[(i * 10_000_000 + n) % 23]}"


ODD = dict(zip("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21,
                                                      2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23]))


def codice_fiscale(r):
    y, m, d = ymd(r)
    d += 40 if r.random() < 0.5 else 0
    consonants = "BCDFGLMNPRSTVZ"
    body = letters(r, 6, consonants) + f"{y % 100:02d}" + "ABCDEHLMPRST"[m - 1] + f"{d:02d}" + r.choice("ABCDEFGHL") + digits(r, 3)
    total = sum(ODD[c] if i % 2 == 0 else (int(c) if c.isdigit() else ord(c) - 65) for i, c in enumerate(body))
    return body + UPPER[total % 26]


def bsn(r):
    while True:
        body = digits(r, 8, "123456789")
        check = weighted(body, range(9, 1, -1)) % 11
        if check < 10:
            return body + str(check)


def ahv(r):
    body = "756" + digits(r, 9)
    n = body + str(-weighted(body, (1, 3) * 6) % 10)
    return f"{n[:3]}.{n[3:7]}.{n[7:11]}.{n[11:]}"


def pesel(r):
    y, m, d = ymd(r, 1935, 2006)
    m += 20 if y >= 2000 else 0
    body = f"{y % 100:02d}{m:02d}{d:02d}" + digits(r, 4)
    return body + str(-weighted(body, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3)) % 10)


def aadhaar(r):
    body, c = digits(r, 11, "23456789"), 0
    for i, ch in enumerate(reversed(body)):
        c = VERHOEFF_D[c][VERHOEFF_P[(i + 1) % 8][int(ch)]]
    n = body + str([row[0] for row in [[VERHOEFF_D[c].index(0)]]][0])
    return f"{n[:4]} {n[4:8]} {n[8:]}"


def pan(r):
    return letters(r, 3) + "P" + letters(r, 1) + digits(r, 4) + letters(r, 1)


def sin(r):
    body = digits(r, 8, "12345679")
    n = body + luhn_digit(body)
    return f"{n[:3]} {n[3:6]} {n[6:]}"


def tfn(r):
    while True:
        n = digits(r, 9, "123456789")
        if weighted(n, (1, 4, 3, 7, 5, 8, 6, 9, 10)) % 11 == 0:
            return f"{n[:3]} {n[3:6]} {n[6:]}"


def medicare_au(r):
    body = digits(r, 8, "23456")
    n = body + str(weighted(body, (1, 3, 7, 9, 1, 3, 7, 9)) % 10) + r.choice("123456789")
    return f"{n[:4]} {n[4:9]} {n[9:]}"


def cpf(r):
    n = digits(r, 9)
    for k in (10, 11):
        n += str(weighted(n, range(k, 1, -1)) * 10 % 11 % 10)
    return f"{n[:3]}.{n[3:6]}.{n[6:9]}-{n[9:]}"


def nric(r):
    kind, body = r.choice("STFG"), digits(r, 7)
    total = weighted(body, (2, 7, 6, 5, 4, 3, 2)) + (4 if kind in "TG" else 0)
    return kind + body + ("JZIHGFEDCBA" if kind in "ST" else "XWUTRQPNMLK")[total % 11]


def za_id(r):
    y, m, d = ymd(r)
    body = f"{y % 100:02d}{m:02d}{d:02d}{digits(r, 4)}{r.choice('01')}8"
    return body + luhn_digit(body)


# Not on the product's list: used only in the frozen split, with telling column names.

def personnummer(r):
    y, m, d = ymd(r)
    body = f"{y % 100:02d}{m:02d}{d:02d}{digits(r, 3)}"
    return f"{body[:6]}-{body[6:]}{luhn_digit(body)}"


def hetu(r):
    y, m, d = ymd(r, 1935, 1999)
    n = f"{d:02d}{m:02d}{y % 100:02d}"
    serial = f"{r.randint(2, 899):03d}"
    return f"{n}-{serial}{'0123456789ABCDEFHJKLMNPRSTUVWXY'[int(n + serial) % 31]}"


def rijksregister(r):
    y, m, d = ymd(r, 1935, 1999)
    body = f"{y % 100:02d}{m:02d}{d:02d}{r.randint(1, 997):03d}"
    check = 97 - int(body) % 97
    return f"{body[:2]}.{body[2:4]}.{body[4:6]}-{body[6:]}.{check:02d}"


def nif_pt(r):
    body = r.choice("123") + digits(r, 7)
    check = 11 - weighted(body, range(9, 1, -1)) % 11
    return body + str(0 if check > 9 else check)


# country -> [(name key, maker)]
LISTED = {"GB": [("nino", nino), ("nhs", nhs)], "DE": [("steuer_id", steuer_id)], "FR": [("nir", nir)],
          "ES": [("dni", dni), ("dni", dni), ("nie", nie)], "IT": [("codice_fiscale", codice_fiscale)], "NL": [("bsn", bsn)],
          "CH": [("ahv", ahv)], "PL": [("pesel", pesel)], "IN": [("aadhaar", aadhaar), ("pan", pan)], "CA": [("sin", sin)],
          "AU": [("tfn", tfn), ("medicare_au", medicare_au)], "BR": [("cpf", cpf)], "SG": [("nric", nric)], "ZA": [("za_id", za_id)]}
EXTRA = {"SE": [("personnummer", personnummer)], "FI": [("hetu", hetu)], "BE": [("rijksregister", rijksregister)], "PT": [("nif_pt", nif_pt)]}
