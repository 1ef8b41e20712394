"""Checks our own id generators against python-stdnum: `check_ids.py` (exit 1 on any disagreement)."""
import importlib
import random
import sys

import ids
import national

# our maker -> stdnum module
PAIRS = {
    ids.card: "luhn", ids.cusip: "cusip", ids.isin: "isin", ids.lei: "lei", ids.bic: "bic", ids.ssn: "us.ssn", ids.aba: "us.rtn", ids.ccc: "es.ccc",
    national.nhs: "gb.nhs", national.steuer_id: "de.idnr", national.nir: "fr.nir", national.dni: "es.dni", national.nie: "es.nie", national.codice_fiscale: "it.codicefiscale", national.bsn: "nl.bsn",
    national.ahv: "ch.ssn", national.pesel: "pl.pesel", national.aadhaar: "in_.aadhaar", national.pan: "in_.pan", national.sin: "ca.sin", national.tfn: "au.tfn", national.cpf: "br.cpf", national.za_id: "za.idnr",
    national.personnummer: "se.personnummer", national.hetu: "fi.hetu", national.rijksregister: "be.nn", national.nif_pt: "pt.nif",
}
# stdnum 2.2 still lists the older ITIN groups, so only groups it knows are compared
ITIN_GROUPS = {*range(70, 89), 90, 91, 92, *range(94, 100)}


def main():
    r, wrong = random.Random(3), 0
    for make, module in PAIRS.items():
        valid = importlib.import_module(f"stdnum.{module}").is_valid
        bad = sum(not valid(make(r)) for _ in range(1000))
        wrong += bad
        print(f"{module:18} {'ok' if not bad else f'{bad} of 1000 wrong'}")
    iban, itin = (importlib.import_module(f"stdnum.{m}").is_valid for m in ("iban", "us.itin"))
    for country in ids.IBAN:
        # stdnum also asks whether a Belgian bank code is handed out; ours are random
        wrong += sum(not iban(ids.iban(r, country), check_country=country != "BE") for _ in range(100))
    wrong += sum(not itin(n) for n in (ids.itin(r) for _ in range(1000)) if int(n[4:6]) in ITIN_GROUPS)
    print("iban, itin checked;", f"{wrong} wrong in all")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
