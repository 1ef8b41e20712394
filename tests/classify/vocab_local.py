"""Non-English names of insensitive columns, and city column names."""

LOCAL = {"dev": {
    "order9": {"de": "bestellnummer|auftragsnummer", "fr": "num commande", "es": "num pedido", "it": "numero ordine", "nl": "bestelnummer", "pl": "nr zamowienia", "pt": "num pedido"},
    "invoice_luhn": {"de": "rechnungsnummer", "fr": "num facture", "es": "num factura", "it": "numero fattura", "nl": "factuurnummer", "pl": "nr faktury", "pt": "num fatura"},
    "event_date": {"de": "bestelldatum|erstellt am", "fr": "date commande", "es": "fecha pedido", "it": "data ordine", "nl": "besteldatum", "pl": "data zamowienia", "pt": "data pedido"},
    "product_name": {"de": "artikelname", "fr": "nom produit", "es": "nombre producto", "it": "nome prodotto", "nl": "productnaam", "pl": "nazwa produktu", "pt": "nome produto"},
    "company": {"de": "firma", "fr": "societe", "es": "empresa", "it": "azienda", "nl": "bedrijf", "pl": "firma", "pt": "empresa"},
    "qty5": {"de": "menge|bestand", "fr": "quantite", "es": "cantidad", "it": "quantita", "nl": "aantal", "pl": "ilosc", "pt": "quantidade"},
    "status": {"de": "status", "fr": "statut", "es": "estado", "it": "stato", "nl": "status", "pl": "status", "pt": "situacao"},
    "note.clean": {"de": "beschreibung|bemerkung", "fr": "description|commentaire", "es": "descripcion|notas", "it": "descrizione|note", "nl": "omschrijving|notities", "pl": "opis|uwagi", "pt": "descricao|notas"},
    "measure": {"de": "gewicht kg|laenge mm", "fr": "poids kg", "es": "peso kg", "it": "peso kg", "nl": "gewicht kg", "pl": "waga kg", "pt": "peso kg"},
}, "frozen": {
    "order9": {"de": "sendungsnummer|vorgangsnr", "fr": "reference expedition", "es": "nro envio", "it": "numero spedizione", "nl": "zendingnummer", "pl": "numer przesylki", "pt": "nro remessa", "sv": "ordernummer"},
    "invoice_luhn": {"de": "belegnummer", "fr": "numero piece", "es": "nro comprobante", "it": "numero documento contabile", "nl": "bonnummer", "pl": "numer dokumentu ksiegowego", "pt": "nro documento fiscal", "sv": "fakturanummer"},
    "event_date": {"de": "gueltig ab|eintrittsdatum|buchungstag", "fr": "date effet|date sortie", "es": "fecha alta|vigencia desde", "it": "decorrenza|data assunzione", "nl": "ingangsdatum|datum in dienst", "pl": "data zatrudnienia|wazne od", "pt": "data admissao|inicio vigencia", "sv": "anstallningsdatum"},
    "product_name": {"de": "artikelbezeichnung|modell", "fr": "libelle article", "es": "nombre articulo", "it": "denominazione articolo", "nl": "artikelnaam", "pl": "nazwa towaru", "pt": "nome artigo", "sv": "produktnamn"},
    "company": {"de": "arbeitgeber|lieferantenname", "fr": "employeur|raison sociale", "es": "razon social", "it": "ragione sociale", "nl": "werkgever", "pl": "nazwa pracodawcy", "pt": "razao social", "sv": "arbetsgivare"},
    "qty5": {"de": "stueckzahl|kilometerstand", "fr": "effectif|kilometrage", "es": "existencias|kilometraje", "it": "giacenza", "nl": "voorraad|kilometerstand", "pl": "stan magazynu", "pt": "estoque", "sv": "lagersaldo"},
    "status": {"de": "bearbeitungsstand", "fr": "etat dossier", "es": "fase", "it": "stato pratica", "nl": "voortgang", "pl": "etap", "pt": "etapa", "sv": "lage"},
    "note.clean": {"de": "kurztext|anmerkung", "fr": "libelle|observation", "es": "resumen|detalle", "it": "annotazioni|riassunto", "nl": "toelichting|samenvatting", "pl": "podsumowanie|komentarz", "pt": "resumo|anotacoes", "sv": "sammanfattning"},
    "measure": {"de": "druck bar|volumen l", "fr": "volume l|pression bar", "es": "volumen l|presion bar", "it": "volume l", "nl": "inhoud l", "pl": "objetosc l", "pt": "volume l", "sv": "tryck bar"},
}}

CITY = {"dev": {"en": ["city", "town"], "de": ["ort", "stadt"], "fr": ["ville"], "es": ["ciudad"], "it": ["citta"], "nl": ["plaats", "stad"], "pl": ["miasto"], "pt": ["cidade"]},
        "frozen": {"en": ["municipality", "addr city"], "de": ["wohnort"], "fr": ["commune", "localite"], "es": ["poblacion", "localidad"], "it": ["comune"], "nl": ["woonplaats"], "pl": ["miejscowosc"], "pt": ["localidade", "municipio"], "sv": ["ort", "postort"]}}


def local(english, split, key, lang, r):
    """The names of `key` for a table in `lang`: mostly local where known."""
    words = LOCAL[split].get(key, {}).get(lang)
    return {key: words if words and r.random() < 0.75 else english[key]}
