"""Turns a phrase of words into a column name as real schemas write it."""
import re

ABBREVIATIONS = {"dev": {"number": ["no", "nbr", "num"], "address": ["addr"], "account": ["acct"], "customer": ["cust"], "telephone": ["tel"], "date": ["dt"], "code": ["cd"], "amount": ["amt"]},
                 "frozen": {"number": ["nr", "num", "nmbr"], "address": ["adr", "addr"], "account": ["acc"], "employee": ["empl"], "member": ["mem"], "beneficiary": ["bnf"], "identification": ["ident"], "medical": ["med"]}}
SUFFIXES = {"dev": ["1", "txt", "cd", "id"], "frozen": ["raw", "val", "src", "v2", "01"]}
ACCENTS = {"prenom": "prénom", "telephone": "téléphone", "direccion": "dirección", "codigo": "código", "telefono": "teléfono", "numero": "número", "plec": "płeć", "imie": "imię", "endereco": "endereço",
           "fodelsedatum": "födelsedatum", "fornamn": "förnamn", "strasse": "straße", "genero": "género", "beneficiaire": "bénéficiaire", "contrasena": "contraseña"}


def style(r, words, split, how):
    """`how` is the table's habit: snake, camel, pascal, upper, title, flat, kebab, dotted."""
    if r.random() < 0.15:
        words = [r.choice(ABBREVIATIONS[split].get(w, [w])) for w in words]
    if how in ("title", "snake") and r.random() < 0.15:
        words = [ACCENTS.get(w, w) for w in words]
    return {"snake": "_".join(words), "upper": "_".join(words).upper(), "camel": words[0] + "".join(w.capitalize() for w in words[1:]),
            "pascal": "".join(w.capitalize() for w in words), "title": " ".join(w.capitalize() for w in words), "flat": "".join(words),
            "kebab": "-".join(words), "dotted": ".".join(words)}[how]


HABITS = {"dev": (["snake", "camel", "upper", "title", "flat", "pascal"], [40, 20, 15, 12, 5, 8]),
          "frozen": (["snake", "camel", "upper", "title", "flat", "pascal", "kebab", "dotted"], [28, 22, 17, 10, 5, 9, 4, 5])}


def habit(r, split):
    return r.choices(*HABITS[split])[0]


def positive(r, vocab, key, lang, split, how):
    by_lang = vocab.POSITIVE[key]
    if lang not in by_lang or (lang != "en" and "en" in by_lang and r.random() < 0.2):
        lang = "en" if "en" in by_lang else r.choice(list(by_lang))
    words = r.choice(by_lang[lang].split("|")).split()
    # a table writes one prefix before some of its names; technical keys keep theirs bare
    if r.random() < 0.18 and len(words) < 3:
        words = re.split("_", r.choice(vocab.PREFIXES[lang])) + words
    elif r.random() < 0.06:
        words = words + [r.choice(SUFFIXES[split])]
    return style(r, words, split, how)


def negative(r, names, key, split, how):
    words = r.choice(names[key].split("|")).split()
    return style(r, words, split, how)
