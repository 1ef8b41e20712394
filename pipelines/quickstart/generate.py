#!/usr/bin/env python3
"""Writes customers.csv and orders.csv: made-up people and what they bought.

The same seed gives the same bytes on every machine (standard library only):

    python3 pipelines/quickstart/generate.py

Nobody in here exists. Mail domains are the reserved example.com, .org and .net; US social
security numbers lie in areas that are never issued (000, 666, 900-999); card numbers start with
the 4000 00 range that payment providers give out for tests; phone-like numbers use 555-01xx.
"""

import datetime as dt
import pathlib
import random

CUSTOMERS = 5_000
ORDERS = 20_000
SEED = 8470

FIRST = """Ada Amara Anton Beatriz Bilal Chiara Daniel Dewi Elif Emil Farah Felix Giulia Hana Henrik
Ines Isaac Jana Jonas Kaya Kofi Lea Linh Luca Mara Mateo Mina Nadia Noah Oluchi Oskar Paula Priya
Quinn Rafael Rosa Samir Selma Tariq Tomás Uma Viktor Wanda Xin Yara Yusuf Zoë Zuri""".split()
LAST = """Abbott Achterberg Baumann Bianchi Castro Costa Dahl Demir Dubois Eriksen Fischer Fontaine
García Grant Haas Hoffmann Ibrahim Ivanova Jansen Jovanović Keller Kim Lindqvist Lopez Maier Mbeki
Moreau Müller Nakamura Novak Okafor Olsen Patel Petrov Quispe Ricci Rossi Sánchez Schmid Silva
Tanaka Thorne Ueda Vogel Weber Wolff Yilmaz Zhang Ziegler O'Brien""".split()
CITIES = {
    "CH": ["Zürich", "Genève", "Basel", "Bern", "Lugano"],
    "DE": ["Hamburg", "Köln", "Leipzig", "München"],
    "ES": ["Madrid", "Málaga", "Sevilla"],
    "GB": ["Leeds", "London", "York"],
    "IT": ["Bologna", "Milano", "Torino"],
    "US": ["Austin", "Boston", "Denver", "Portland, OR"],
}
SEGMENTS = ["private", "private", "private", "business", "premium"]
PRODUCTS = {  # name: price in cents
    "paper lantern": 1290,
    "brass compass": 4800,
    "wool blanket": 8950,
    "field notebook": 650,
    "enamel mug": 1475,
    "camp stove": 12900,
    "rope, 20 m": 3325,
    "signal flag": 990,
    'map case 12"': 2750,
}
NOTES = [
    "Leave with the neighbour at number {n}.",
    "Call {phone} before delivery.",
    "Gift for {name}; please add the card.",
    'Customer said: "ring twice".',
    "Second attempt; door code {n}#.\nBack door, please.",
]
ASCII = str.maketrans("éáóíúüöäëćñ", "eaoiuuoaecn", "' ")


def quoted(text, delimiter):
    """The field as RFC 4180 writes it; None is NULL (nothing), the empty text is two quotes."""
    if text is None:
        return ""
    if text == "" or any(c in text for c in delimiter + '"\r\n'):
        return '"' + text.replace('"', '""') + '"'
    return text


def write(name, delimiter, header, rows):
    lines = [delimiter.join(header)]
    lines += [delimiter.join(quoted(field, delimiter) for field in row) for row in rows]
    path = pathlib.Path(__file__).with_name(name)
    path.write_bytes(("\n".join(lines) + "\n").encode("utf-8"))
    print(f"{path.name}: {len(rows):,} rows, {path.stat().st_size:,} bytes")


def customers(rng):
    for number in range(1, CUSTOMERS + 1):
        first, last = rng.choice(FIRST), rng.choice(LAST)
        country = rng.choice(list(CITIES))
        mail = f"{first}.{last}{number}".lower().translate(ASCII)
        mail += "@example." + rng.choice(["com", "org", "net"])
        area = rng.choice([0, 666, *range(900, 1000)])
        ssn = f"{area:03}-{rng.randrange(1, 100):02}-{rng.randrange(1, 10000):04}"
        born = dt.date(1940, 1, 1) + dt.timedelta(days=rng.randrange(24_000))
        cents = rng.randrange(-50_000, 2_500_000)
        created = dt.datetime(2019, 1, 1) + dt.timedelta(seconds=rng.randrange(189_000_000))
        yield [
            str(number),
            f"{first} {last}",
            mail if rng.random() > 0.02 else None,
            ssn if country == "US" or rng.random() > 0.5 else None,
            born.isoformat(),
            country,
            rng.choice(CITIES[country]),
            rng.choice(SEGMENTS),
            f"{'-' if cents < 0 else ''}{abs(cents) // 100}.{abs(cents) % 100:02}",
            created.isoformat() + "Z",
        ]


def note(rng):
    dice = rng.random()
    if dice < 0.70:
        return None  # nothing was asked
    if dice < 0.75:
        return ""  # asked, and left blank
    return rng.choice(NOTES).format(
        n=rng.randrange(1, 200),
        phone=f"+1 202-555-01{rng.randrange(100):02}",
        name=f"{rng.choice(FIRST)} {rng.choice(LAST)}",
    )


def orders(rng, mails):
    for number in range(1, ORDERS + 1):
        product = rng.choice(list(PRODUCTS))
        cents = PRODUCTS[product] * rng.choice([80, 90, 100, 100, 100]) // 100
        ordered = dt.datetime(2025, 1, 1) + dt.timedelta(milliseconds=rng.randrange(50_000_000_000))
        buyer = rng.randrange(CUSTOMERS)
        yield [
            str(100_000 + number),
            str(buyer + 1),
            mails[buyer],
            product,
            str(rng.choice([1, 1, 1, 2, 2, 3, 6, 12])),
            f"{cents // 100}.{cents % 100:02}",
            ordered.isoformat(timespec="milliseconds") + "Z",
            f"400000{rng.randrange(10**10):010}",
            note(rng),
        ]


def main():
    rng = random.Random(SEED)
    people = list(customers(rng))
    write(
        "customers.csv",
        ",",
        "id full_name email ssn birth_date country city segment balance created_at".split(),
        people,
    )
    write(
        "orders.csv",
        ";",
        "order_id customer_id contact_email product quantity unit_price ordered_at card_number note".split(),
        list(orders(rng, [person[2] for person in people])),
    )


if __name__ == "__main__":
    main()
