"""Free text with and without personal data, per language; dev and frozen share no sentence.

In `PII` templates {n} is a name, {e} an e-mail, {p} a phone, {a} an address, {i} a national id or card, {d} a birth date.
"""

PII = {"dev": {
    "en": ["Customer {n} called about the invoice, call back on {p}.", "Please send the contract to {e}.", "Spoke with {n}, new address is {a}.", "Paid with card {i}, refund requested.", "Asked to update the mail to {e} and phone {p}.", "{n} (born {d}) wants to close the account.", "Left voicemail at {p} for {n}."],
    "de": ["Kunde {n} bittet um Rueckruf unter {p}.", "Rechnung bitte an {e} schicken.", "Neue Anschrift von {n}: {a}.", "Herr {n} hat den Vertrag gekuendigt, Tel. {p}.", "Karte {i} wurde gesperrt."],
    "fr": ["Le client {n} demande un rappel au {p}.", "Envoyer la facture a {e}.", "Nouvelle adresse de Mme {n} : {a}.", "Paiement par carte {i} refuse."],
    "es": ["El cliente {n} pide que le llamen al {p}.", "Enviar la factura a {e}.", "Nueva direccion de {n}: {a}.", "Pago con tarjeta {i} rechazado."],
    "it": ["Il cliente {n} chiede di essere richiamato al {p}.", "Inviare la fattura a {e}.", "Nuovo indirizzo di {n}: {a}."],
    "nl": ["Klant {n} wil teruggebeld worden op {p}.", "Factuur sturen naar {e}.", "Nieuw adres van {n}: {a}."],
    "pl": ["Klient {n} prosi o kontakt pod {p}.", "Fakture wyslac na {e}.", "Nowy adres: {a}."],
    "pt": ["Cliente {n} pediu retorno no {p}.", "Enviar a fatura para {e}.", "Novo endereco de {n}: {a}."],
}, "frozen": {
    "en": ["Insured {n} reported water damage; adjuster to ring {p} tomorrow.", "pls fwd docs to {e} asap thx", "Pt {n}, DOB {d}, seen in clinic, follow up in two weeks.", "Caller verified with number {i} and gave {p} as best contact.", "Moved last month, parcel should go to {a}.", "Escalated to team lead, cc {e}.", "Spouse {n} authorised to speak on the policy.", "Reset link went to {e} but never arrived, text {p} instead."],
    "de": ["VN {n} meldet Schaden am Dach, Gutachter soll {p} anrufen.", "Unterlagen per Mail an {e} nachgereicht.", "Umzug nach {a} zum Monatsende.", "Frau {n}, geb. {d}, wuenscht Beratung.", "Legitimation mit {i} erfolgt."],
    "fr": ["Assure {n} declare un degat des eaux, expert a joindre au {p}.", "Pieces transmises par {e} ce jour.", "Demenagement prevu au {a}.", "M. {n}, ne le {d}, souhaite resilier.", "Identite verifiee avec {i}."],
    "es": ["El asegurado {n} comunica un siniestro, perito llamara al {p}.", "Documentacion recibida desde {e}.", "Se muda a {a} este mes.", "Identidad comprobada con {i}."],
    "it": ["L'assicurato {n} denuncia un sinistro, perito contattera {p}.", "Documenti ricevuti da {e}.", "Trasloco in {a} a fine mese.", "Identita verificata con {i}."],
    "nl": ["Verzekerde {n} meldt schade, expert belt {p}.", "Stukken ontvangen via {e}.", "Verhuist naar {a} einde maand."],
    "pl": ["Ubezpieczony {n} zglasza szkode, rzeczoznawca zadzwoni na {p}.", "Dokumenty przyszly z {e}.", "Przeprowadzka na {a}."],
    "pt": ["Segurado {n} comunicou sinistro, perito ligara para {p}.", "Documentos recebidos de {e}.", "Mudanca para {a} neste mes."],
    "sv": ["Kunden {n} anmalde en skada, ring {p}.", "Handlingar mottagna fran {e}.", "Flyttar till {a} i manaden."],
}}

CLEAN = {"dev": {
    "en": ["Delivered on time, box slightly damaged.", "Waiting for spare part.", "Payment overdue, second reminder sent.", "Customer satisfied with the solution.", "Replaced the filter and tested twice.", "No issues found during the inspection.", "Order shipped with version 2.4 of the manual.", "Please check stock level before reorder.", "Discount of 10 % granted for the delay.", "Meeting moved to next week."],
    "de": ["Ware puenktlich geliefert.", "Ersatzteil bestellt, Lieferzeit drei Wochen.", "Zweite Mahnung verschickt.", "Keine Auffaelligkeiten bei der Pruefung.", "Filter gewechselt und getestet."],
    "fr": ["Livraison effectuee dans les delais.", "En attente de la piece de rechange.", "Deuxieme relance envoyee.", "Aucun probleme constate lors du controle."],
    "es": ["Entrega realizada a tiempo.", "Pendiente de la pieza de repuesto.", "Segundo aviso enviado.", "Sin incidencias en la revision."],
    "it": ["Consegna puntuale.", "In attesa del ricambio.", "Secondo sollecito inviato.", "Nessun problema rilevato."],
    "nl": ["Op tijd geleverd.", "Wacht op onderdeel.", "Tweede aanmaning verstuurd.", "Geen problemen gevonden."],
    "pl": ["Dostawa na czas.", "Oczekiwanie na czesc zamienna.", "Wyslano drugie przypomnienie.", "Nie stwierdzono usterek."],
    "pt": ["Entrega feita no prazo.", "Aguardando peca de reposicao.", "Segundo aviso enviado.", "Nenhum problema encontrado."],
}, "frozen": {
    "en": ["Roof tiles lost in storm, photos attached, estimate pending.", "System rebooted after patch; latency back to normal.", "Policy renewed with higher deductible.", "Machine stopped at 14:32 because of a jammed belt.", "Batch 4471 failed quality check, rework ordered.", "Colour differs from the sample, supplier informed.", "Claim reviewed and closed without payment.", "Upgrade to release 7.1 planned for Q3.", "The Madison table is out of stock until March.", "Contract clause 12 amended."],
    "de": ["Sturmschaden am Dach, Fotos liegen vor.", "Anlage nach Wartung wieder in Betrieb.", "Vertrag mit hoeherer Selbstbeteiligung verlaengert.", "Charge 4471 gesperrt, Nacharbeit noetig.", "Farbe weicht vom Muster ab."],
    "fr": ["Toiture endommagee par la tempete, photos jointes.", "Systeme redemarre apres la mise a jour.", "Contrat renouvele avec franchise plus elevee.", "Lot 4471 refuse au controle qualite."],
    "es": ["Tejado danado por la tormenta, fotos adjuntas.", "Sistema reiniciado tras la actualizacion.", "Poliza renovada con franquicia mayor.", "Lote 4471 rechazado en control de calidad."],
    "it": ["Tetto danneggiato dalla tempesta, foto allegate.", "Sistema riavviato dopo l'aggiornamento.", "Polizza rinnovata con franchigia maggiore."],
    "nl": ["Dakschade door storm, foto's bijgevoegd.", "Systeem herstart na update.", "Polis verlengd met hoger eigen risico."],
    "pl": ["Dach uszkodzony przez burze, zdjecia w zalaczniku.", "System uruchomiony ponownie po aktualizacji.", "Polisa odnowiona z wyzszym udzialem wlasnym."],
    "pt": ["Telhado danificado pela tempestade, fotos anexas.", "Sistema reiniciado apos atualizacao.", "Apolice renovada com franquia maior."],
    "sv": ["Tak skadat i stormen, bilder bifogade.", "Systemet startades om efter uppdatering."],
}}


def clean_note(r, lang, split):
    pool = CLEAN[split].get(lang) or CLEAN[split]["en"]
    return " ".join(r.sample(pool, k=min(len(pool), r.randint(1, 3))))


def pii_note(r, lang, split, people, identifier, born):
    pool = PII[split].get(lang) or PII[split]["en"]
    text = r.choice(pool)
    for mark, make in (("{n}", people.full), ("{e}", people.email), ("{p}", people.phone), ("{a}", people.full_address), ("{i}", identifier), ("{d}", born)):
        if mark in text:
            text = text.replace(mark, make())
    if r.random() < 0.4:
        clean = r.choice(CLEAN[split].get(lang) or CLEAN[split]["en"])
        text = f"{clean} {text}" if r.random() < 0.5 else f"{text} {clean}"
    return text
