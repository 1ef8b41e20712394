"""Where names, addresses, phones come from: Faker (dev), mimesis and Faker mixed (frozen)."""
import unicodedata

from faker import Faker
from mimesis import Address, Internet, Person
from mimesis.locales import Locale

from ids import digits

MIMESIS = {"en_US": "en", "en_GB": "en-gb", "en_CA": "en-ca", "en_AU": "en-au", "de_DE": "de", "de_AT": "de-at", "de_CH": "de-ch", "fr_FR": "fr", "es_ES": "es", "es_MX": "es-mx",
           "it_IT": "it", "nl_NL": "nl", "nl_BE": "nl-be", "pl_PL": "pl", "pt_BR": "pt-br", "pt_PT": "pt", "sv_SE": "sv", "fi_FI": "fi"}
FALLBACK = {"en_ZA": "en_GB", "en_SG": "en_GB"}

# '2' stands for 2-9, '#' for any digit. Sources: the national numbering plans (ITU E.164 annexes).
PHONES = {"US": ["(2##) 2##-####", "2##-2##-####", "+1 2## 2## ####", "+12##2######", "2##.2##.####"], "GB": ["07### ######", "+44 7### ######", "020 7### ####", "0161 2## ####", "+4420########"],
          "DE": ["+49 30 #######", "0151 ########", "+49 (0)89 ######", "040/#######", "+4917########"], "FR": ["06 ## ## ## ##", "+33 6 ## ## ## ##", "01.##.##.##.##", "+336########"], "ES": ["6## ### ###", "+34 6## ### ###", "91# ## ## ##", "+349########"],
          "IT": ["3## #######", "+39 3## #######", "06 #######", "+39 02 ########"], "NL": ["06-########", "+31 6 ########", "020-#######"], "PL": ["5## ### ###", "+48 6## ### ###", "22 ### ## ##"], "BR": ["(11) 9####-####", "+55 21 9####-####", "(31) 3###-####"],
          "IN": ["+91 9#########", "+91-98### #####", "08##-#######"], "CH": ["079 ### ## ##", "+41 44 ### ## ##", "+4178#######"], "SE": ["070-### ## ##", "+46 70 ### ## ##", "08-### ### ##"], "AT": ["+43 660 #######", "0676 #######", "+43 1 #######"],
          "AU": ["04## ### ###", "+61 4## ### ###", "(02) 9### ####"], "CA": ["(416) 2##-####", "514-2##-####", "+1 604 2## ####"], "MX": ["55 #### ####", "+52 55 #### ####"], "PT": ["91# ### ###", "+351 91# ### ###"],
          "FI": ["040 ### ####", "+358 40 ### ####"], "BE": ["0475 ## ## ##", "+32 475 ## ## ##"], "ZA": ["082 ### ####", "+27 82 ### ####"], "SG": ["+65 9### ####", "9### ####"]}
DOMAINS = {"dev": ["gmail.com", "yahoo.com", "hotmail.com", "outlook.com", "example.com", "web.de", "orange.fr", "libero.it"],
           "frozen": ["proton.me", "icloud.com", "gmx.net", "posteo.de", "laposte.net", "btinternet.com", "uol.com.br", "wp.pl", "telia.com", "acme-insurance.example", "hospital.example.org"]}
POSTAL = {"US": "#####", "GB": None, "DE": "#####", "FR": "#####", "ES": "#####", "IT": "#####", "NL": "#### AA", "PL": "##-###", "BR": "#####-###", "IN": "######", "CH": "####", "SE": "### ##", "AT": "####", "AU": "####",
          "CA": "A#A #A#", "MX": "#####", "PT": "####-###", "FI": "#####", "BE": "####", "ZA": "####", "SG": "######"}


def ascii_fold(text):
    text = text.replace("ß", "ss").replace("ł", "l").replace("Ł", "L").replace("ø", "o")
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()


def fill(r, pattern):
    return "".join(str(r.randint(2, 9)) if c == "2" else str(r.randint(0, 9)) if c == "#" else c for c in pattern)


class People:
    """One locale's people. `kind` chooses the library; both are seeded."""

    def __init__(self, r, locale, split):
        self.r, self.locale, self.country, self.split = r, locale, locale[3:], split
        base = FALLBACK.get(locale, locale)
        self.fake = Faker(base)
        self.fake.seed_instance(r.randint(0, 2**31))
        self.other = None
        if split == "frozen" and base in MIMESIS and r.random() < 0.7:
            seed, loc = r.randint(0, 2**31), Locale(MIMESIS[base])
            self.other = (Person(loc, seed=seed), Address(loc, seed=seed), Internet(seed=seed))

    def first(self):
        return self.other[0].first_name() if self.other else self.fake.first_name()

    def last(self):
        return self.other[0].last_name() if self.other else self.fake.last_name()

    def full(self):
        return f"{self.first()} {self.last()}"

    def street(self):
        if self.other:
            return self.other[1].address()
        return self.fake.street_address()

    def city(self):
        return self.other[1].city() if self.other else self.fake.city()

    def full_address(self):
        if self.other:
            return f"{self.street()}, {self.postal()} {self.city()}"
        return self.fake.address().replace("\n", ", ")

    def email(self):
        r, roll = self.r, self.r.random()
        if self.other and roll < 0.25:
            return self.other[0].email()
        if self.split == "dev" and roll < 0.6:
            return r.choice([self.fake.email, self.fake.free_email, self.fake.company_email])()
        f, s = (ascii_fold(x).lower().replace(" ", "").replace("'", "") or "k" for x in (self.first(), self.last()))
        local = r.choice([f"{f}.{s}", f"{f[0]}{s}", f"{f}{r.randint(1, 99)}", f"{s}_{f}", f"{f}-{s}", f"{f}.{s}+news"])
        return f"{local}@{r.choice(DOMAINS[self.split])}"

    def username(self):
        r = self.r
        f, s = (ascii_fold(x).lower().replace(" ", "").replace("'", "") or "k" for x in (self.first(), self.last()))
        if self.split == "dev":
            return r.choice([f"{f}.{s}", f"{f[0]}{s}", f"{f}{r.randint(1, 999)}", f"{s}{f[0]}{r.randint(1, 99):02d}"])
        return r.choice([f"{f}_{s}", f"{s}.{f}", f"{f[:3]}{s[:4]}", f"{f}{r.randint(1950, 2010)}", f"{f[0]}.{s}"])

    def handle(self):
        r = self.r
        if self.other:
            return self.other[0].username()
        return r.choice(["dark", "happy", "blue", "mad", "its", "the", "super", "night"]) + r.choice(["_", "", "."]) + r.choice(["wolf", "coder", "fox", "gamer", "queen", "rider", "tiger", "panda", "pixel"]) + r.choice(["", str(r.randint(1, 9999))])

    def phone(self, pattern=None):
        if pattern is None and self.split == "dev" and self.locale != "en_SG":
            return self.fake.phone_number()
        return fill(self.r, pattern or self.r.choice(PHONES.get(self.country, PHONES["US"])))

    def phones(self):
        """A maker for one column: most systems hold one or two formats, some hold any."""
        r = self.r
        if r.random() < (0.5 if self.split == "dev" else 0.3):
            return self.phone
        chosen = r.sample(PHONES.get(self.country, PHONES["US"]), k=2)
        return lambda: self.phone(r.choice(chosen))

    def postal(self):
        r = self.r
        if self.other and self.country in ("GB", "NL", "CA") or self.country == "GB":
            return self.other[1].postal_code() if self.other else self.fake.postcode()
        if self.split == "dev" or self.country == "NL":
            return self.fake.postcode()
        shape = POSTAL.get(self.country) or "#####"
        out = "".join(r.choice("ABCEGHJKLMNPRSTVXY") if c == "A" else str(r.randint(0, 9)) if c == "#" else c for c in shape)
        return out if out[0] != "0" or self.country in ("US", "DE", "FR", "ES", "IT", "MX") else "1" + out[1:]


def device_mac(r, sep):
    pairs = [f"{r.randint(0, 255):02x}" for _ in range(6)]
    if sep == "cisco":
        h = "".join(pairs)
        return f"{h[:4]}.{h[4:8]}.{h[8:]}"
    return sep.join(pairs).upper() if r.random() < 0.5 else sep.join(pairs)


def ipv4(r, private):
    if private:
        return r.choice([f"10.{r.randint(0, 255)}.{r.randint(0, 255)}.{r.randint(1, 254)}", f"192.168.{r.randint(0, 255)}.{r.randint(1, 254)}", f"172.{r.randint(16, 31)}.{r.randint(0, 255)}.{r.randint(1, 254)}"])
    return f"{r.choice([n for n in range(11, 223) if n not in (127, 172, 192)])}.{r.randint(0, 255)}.{r.randint(0, 255)}.{r.randint(1, 254)}"


def ipv6(r):
    return f"2001:{r.randint(0, 0xffff):x}:{r.randint(0, 0xffff):x}:" + r.choice([":" + f"{r.randint(1, 0xffff):x}", ":".join(f"{r.randint(0, 0xffff):x}" for _ in range(5))])


__all__ = ["People", "ascii_fold", "device_mac", "digits", "fill", "ipv4", "ipv6"]
