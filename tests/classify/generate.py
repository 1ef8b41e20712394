"""Writes one labelled split: `generate.py dev|frozen|few OUT [--seed N] [--per-tag N]`.

The same arguments give the same bytes. Every tag gets at least `--per-tag` columns in each variant.
"""
import argparse
import csv
import json
import os
import pathlib
import random
import sys
from collections import Counter

import few
import naming
import negatives
import people
import values
import vocab_dev
import vocab_frozen
import vocab_local

SEEDS = {"dev": 1, "frozen": 770_412, "few": 31_337}
VARIANTS = ("clean", "dirty", "anonymous")
LOCALES = {"dev": "en_US en_US en_US en_GB en_GB de_DE de_DE fr_FR es_ES it_IT nl_NL pl_PL pt_BR en_IN de_CH fr_CH en_CA en_AU en_SG en_ZA".split(),
           "frozen": "en_US en_US en_US en_GB en_CA fr_CA en_AU de_AT de_CH de_DE fr_FR fr_CH es_MX es_ES it_IT nl_BE nl_NL pt_PT pt_BR pl_PL sv_SE fi_FI en_IN en_SG en_ZA".split()}
US_ONLY = {"pii.us_ssn", "pii.us_itin", "financial.us_aba_routing", "health.us_npi", "health.us_mbi"}
P, F, H = "pii.", "financial.", "health."
# What columns meet in one table. A tag may be drawn more than once only where a real table repeats it.
ARCHETYPES = {
    "dev": {"customer": [P + "person_name", P + "person_name", P + "email", P + "phone", P + "address", P + "postal_code", P + "birth_date", P + "gender", P + "national_id", "free_text.pii", P + "geo"],
            "customer_us": [P + "person_name", P + "email", P + "phone", P + "us_ssn", P + "us_itin", P + "birth_date", P + "driver_license", P + "passport", P + "address", P + "postal_code"],
            "payments": [P + "person_name", F + "iban", F + "swift_bic", F + "card_number", F + "bank_account", F + "amount", P + "email", F + "amount"],
            "payments_us": [P + "person_name", F + "us_aba_routing", F + "bank_account", F + "card_number", F + "amount", P + "us_ssn"],
            "securities": [F + "cusip", F + "isin", F + "lei", F + "amount", F + "swift_bic"],
            "patients": [P + "person_name", P + "birth_date", P + "gender", H + "us_mbi", H + "us_npi", H + "icd10", H + "medical_record", "free_text.pii"],
            "clinic": [P + "person_name", P + "birth_date", P + "gender", H + "icd10", H + "medical_record", P + "national_id"],
            "accounts": [P + "username", P + "email", P + "ip_address", P + "mac_address", "credentials.secret", P + "geo", P + "phone"],
            "vehicles": ["vehicle.vin", P + "driver_license", P + "person_name", P + "address", P + "passport", F + "amount"]},
    "frozen": {"payroll": [P + "person_name", P + "person_name", P + "national_id", F + "bank_account", F + "iban", F + "amount", P + "birth_date", P + "gender", P + "email"],
               "kyc": [P + "passport", P + "driver_license", P + "national_id", P + "person_name", P + "address", P + "postal_code", P + "phone", P + "birth_date"],
               "kyc_us": [P + "us_ssn", P + "us_itin", P + "driver_license", P + "passport", F + "us_aba_routing", P + "address", P + "person_name"],
               "claims_us": [H + "us_mbi", H + "us_npi", H + "icd10", F + "amount", "free_text.pii", P + "birth_date", H + "medical_record"],
               "insurance": [P + "person_name", "vehicle.vin", F + "amount", "free_text.pii", F + "iban", P + "phone", P + "driver_license"],
               "custody": [F + "isin", F + "cusip", F + "lei", F + "swift_bic", F + "iban", F + "amount"],
               "telemetry": [P + "ip_address", P + "ip_address", P + "mac_address", P + "geo", P + "geo", P + "username", "credentials.secret"],
               "bookings": [P + "person_name", P + "passport", P + "email", P + "phone", F + "card_number", P + "geo", P + "gender"],
               "hospital": [P + "person_name", H + "medical_record", H + "icd10", P + "gender", P + "birth_date", P + "address", P + "postal_code", P + "national_id"],
               "helpdesk": [P + "username", P + "email", "free_text.pii", P + "ip_address", "credentials.secret", P + "phone"],
               "merchants_us": [F + "us_aba_routing", F + "bank_account", F + "card_number", P + "us_ssn", P + "email", F + "amount"]}}
QUOTA = {"pii.national_id": 1.7}
JUNK = {"dev": ["", "NULL", "N/A", "null", "-", "?", "unknown", "n/a", "xxx", "0", " "], "frozen": ["", "None", "#N/A", "NaN", "tbd", "--", "missing", "(null)", "test", "99999", ".", "k.A.", "s/d"]}


def spread(r, make, rows, once):
    """Values and the name of their spread: unique, repeated (small pool) or sparse (mostly empty)."""
    kind = "unique" if once else r.choices(["unique", "repeated", "sparse"], [70, 20, 10])[0]
    if kind == "repeated":
        pool = [make() for _ in range(max(25, rows // 8))]
        return [r.choice(pool) for _ in range(rows)], kind
    if kind == "sparse":
        share = r.uniform(0.4, 0.8)
        return ["" if r.random() < share else make() for _ in range(rows)], kind
    return [make() for _ in range(rows)], kind


def dirty(r, column, split):
    """Ten per cent junk, another tenth in another format: case, padding, separators."""
    def reformat(v):
        roll = r.random()
        if roll < 0.3:
            return f" {v} "
        if roll < 0.5:
            return v.upper() if r.random() < 0.5 else v.lower()
        if roll < 0.75 and sum(ch.isdigit() for ch in v) >= 6:
            return v.replace("-", " ") if "-" in v else v.replace(" ", "")
        return v + r.choice([".", "*", " (old)", ";"]) if roll > 0.95 else v
    return [r.choice(JUNK[split]) if r.random() < 0.1 else reformat(v) if r.random() < 0.1 else v for v in column]


def choose_archetype(r, split, missing):
    """The archetype that serves most of what is still missing."""
    score = {name: sum(missing.get(t, 0) for t in set(tags)) / len(set(tags)) for name, tags in ARCHETYPES[split].items()}
    return r.choices(list(score), [s ** 3 + 1e-9 for s in score.values()])[0]


def choose_tags(r, tags, missing):
    rest, out = list(tags), []
    for _ in range(r.randint(3, 7)):
        if rest:
            tag = r.choices(rest, [max(missing.get(t, 0), 0) + 0.3 for t in rest])[0]
            rest.remove(tag)
            out.append(tag)
    return out


def columns(r, split, variant, missing):
    """One table: [(name, maker, label)], its locale and archetype."""
    vocab = vocab_dev if split == "dev" else vocab_frozen
    archetype = choose_archetype(r, split, missing)
    tags = choose_tags(r, ARCHETYPES[split][archetype], missing)
    locale = "en_US" if archetype.endswith("_us") or US_ONLY & set(tags) else r.choice(LOCALES[split])
    lang = locale[:2]
    anonymous = variant == "anonymous"
    ctx = values.Ctx(r, locale, lang, locale[3:], split, people.People(r, locale, split))
    how = naming.habit(r, split)
    out = []
    for tag in tags:
        form = values.pick(tag, ctx, anonymous)
        name = naming.positive(r, vocab, form.key, lang, split, how)
        out.append((name, form.make, {"tag": tag, "kind": "positive", "form": form.key, "evidence": form.evidence}, False))
    hard, plain = negatives.hard(ctx, anonymous), negatives.plain(ctx)
    for kind, pool, n in (("hard_negative", hard, r.randint(2, 5)), ("plain_negative", plain, r.randint(1, 3))):
        for key in r.sample(sorted(pool), n):
            name = naming.negative(r, vocab_local.local(vocab.NEGATIVE, split, key, lang, r), key, split, how)
            out.append((name, pool[key], {"tag": "internal", "kind": kind, "form": key, "evidence": "value"}, key in ("counter", "order9", "invoice_luhn", "npi_like")))
    # a city column gives context and is not scored: the tag list has no clear place for it
    if r.random() < 0.25 and not anonymous:
        out.append((naming.style(r, r.choice(vocab_local.CITY[split].get(lang, ["city"])).split(), split, how), ctx.people.city, None, False))
    r.shuffle(out)
    return out, locale, archetype


def write(path, split, variant, r, missing):
    specs, locale, archetype = columns(r, split, variant, missing)
    rows = int(r.triangular(300, 1000, 320))
    header, body, labels = [], [], []
    for i, (name, make, label, once) in enumerate(specs):
        data, kind = spread(r, make, rows, once)
        if variant == "dirty":
            data = dirty(r, data, split)
        if variant == "anonymous":
            name = f"c{i + 1}"
        while name in header:
            name += "2"
        header.append(name)
        body.append(data)
        if label:
            labels.append({"file": path.name, "column": name, **label, "locale": locale, "variant": variant, "spread": kind, "archetype": archetype})
    with path.open("w", newline="", encoding="utf-8") as f:
        out = csv.writer(f)
        out.writerow(header)
        out.writerows(zip(*body))
    return labels


def generate(split, out, seed, per_tag):
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("t*.csv"):
        old.unlink()
    n, everything = 0, []
    for v, variant in enumerate(VARIANTS):
        r = random.Random(seed * 10 + v)
        missing = Counter({tag: int(per_tag * QUOTA.get(tag, 1)) for tag in values.FORMS})
        negatives_seen = Counter()
        while max(missing.values()) > 0:
            n += 1
            labels = write(out / f"t{n:04d}.csv", split, variant, r, missing)
            everything += labels
            missing -= Counter(label["tag"] for label in labels if label["kind"] == "positive")
            missing = Counter({t: missing.get(t, 0) for t in values.FORMS})
            negatives_seen.update(label["form"] for label in labels if label["kind"] != "positive")
    with (out / "labels.jsonl").open("w", encoding="utf-8") as f:
        f.writelines(json.dumps(label, ensure_ascii=False) + "\n" for label in everything)
    return n, everything


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("split", choices=SEEDS)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--per-tag", type=int, default=26)
    args = parser.parse_args()
    seed = SEEDS[args.split] if args.seed is None else args.seed
    tables, labels = few.generate(args.out, seed) if args.split == "few" else generate(args.split, args.out, seed, args.per_tag)
    kinds = Counter((label.get("variant"), label.get("kind")) for label in labels)
    print(f"{args.split}: {tables} tables, {len(labels)} labelled columns")
    for (variant, kind), count in sorted(kinds.items(), key=str):
        print(f"  {variant} {kind}: {count}")


if __name__ == "__main__":
    # Faker's Italian cities come out of a set: their order hangs on the hash seed
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "PYTHONHASHSEED": "0"})
    main()
