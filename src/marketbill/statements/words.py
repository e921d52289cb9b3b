"""The words of documents in each language, and how amounts, days and rates are written there.

Every word stands once, in all languages side by side: (English, Dutch, German, French). Amounts and days follow the
Unicode CLDR by Babel.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from babel import Locale
from babel.dates import format_date, format_datetime
from babel.numbers import format_decimal, format_percent, parse_decimal

from marketbill.errors import InvalidInput
from marketbill.money import decimal_text, exponent


class Language(StrEnum):
    """The languages that documents are drawn up in (ISO 639-1)."""

    EN = "en"
    NL = "nl"
    DE = "de"
    FR = "fr"


_PLACE = {language: place for place, language in enumerate(Language)}
#: The language of sellers of a country; where none is named, English.
_OF_COUNTRY = {
    "NL": Language.NL,
    "BE": Language.NL,
    "DE": Language.DE,
    "AT": Language.DE,
    "LI": Language.DE,
    "FR": Language.FR,
    "LU": Language.FR,
    "MC": Language.FR,
}

SECTIONS = {
    "SALES": ("Sales", "Verkopen", "Verkäufe", "Ventes"),
    "FEES": ("Fees", "Vergoedingen", "Gebühren", "Commissions"),
    "FEE_TAX": ("Tax on fees", "Btw over vergoedingen", "Steuer auf Gebühren", "Taxe sur les commissions"),
    "SALES_TAX": ("Tax kept from sales", "Ingehouden belasting", "Einbehaltene Steuer", "Taxes retenues"),
    "PARTS": ("Parts of others", "Delen van anderen", "Anteile anderer", "Parts de tiers"),
    "EXCHANGE": ("Currency exchange", "Valutawissel", "Währungstausch", "Change"),
    "REFUNDS": ("Refunds", "Terugbetalingen", "Erstattungen", "Remboursements"),
    "DISPUTES": ("Disputes", "Geschillen", "Zahlungsanfechtungen", "Litiges"),
    "RECHARGES": ("Services and costs", "Diensten en kosten", "Leistungen und Kosten", "Services et frais"),
    "RELEASES": ("Releases", "Vrijgaven", "Freigaben", "Libérations"),
    "RESERVE": ("Reserve", "Reserve", "Rücklage", "Réserve"),
    "DEBTS": ("Debts", "Schulden", "Schulden", "Dettes"),
    "TRANSFERS": ("Transfers", "Overboekingen", "Übertragungen", "Transferts"),
    "PAYOUTS": ("Payouts", "Uitbetalingen", "Auszahlungen", "Versements"),
    "ADJUSTMENTS": ("Adjustments", "Correcties", "Korrekturen", "Ajustements"),
}
BUCKETS = {
    "PENDING": ("pending", "in afwachting", "ausstehend", "en attente"),
    "PAYABLE": ("payable", "uit te betalen", "auszuzahlen", "à verser"),
    "RESERVE": ("reserve", "reserve", "Rücklage", "réserve"),
    "AVAILABLE": ("available", "beschikbaar", "verfügbar", "disponible"),
    "IN_TRANSIT": ("on its way to the bank", "onderweg naar de bank", "unterwegs zur Bank", "en cours vers la banque"),
    "DEBT": ("debt", "schuld", "Schuld", "dette"),
}
#: What the entries of each kind are called; the kinds are those of `ledger.flows`.
KINDS = {
    "charge": ("Sale", "Verkoop", "Verkauf", "Vente"),
    "promo": ("Discount paid by the platform", "Korting van het platform", "Rabatt der Plattform", "Remise offerte"),
    "assignment": ("Sale assigned", "Verkoop toegewezen", "Verkauf zugeordnet", "Vente attribuée"),
    "split": ("Share of a sale", "Aandeel in verkoop", "Anteil am Verkauf", "Part d'une vente"),
    "processor-fee": ("Payment costs", "Betaalkosten", "Zahlungskosten", "Frais de paiement"),
    "release": ("Release", "Vrijgave", "Freigabe", "Libération"),
    "withholding": ("Tax withheld", "Ingehouden belasting", "Steuereinbehalt", "Retenue d'impôt"),
    "transfer": ("Transfer", "Overboeking", "Übertragung", "Transfert"),
    "transfer-reversal": (
        "Transfer taken back",
        "Overboeking teruggenomen",
        "Übertragung zurückgenommen",
        "Transfert repris",
    ),
    "custody": ("Movement at the provider", "Mutatie bij provider", "Bewegung beim Anbieter", "Mouvement externe"),
    "payout-created": ("Payout started", "Uitbetaling gestart", "Auszahlung begonnen", "Versement lancé"),
    "payout-paid": ("Payout", "Uitbetaling", "Auszahlung", "Versement"),
    "payout-failed": ("Payout returned", "Uitbetaling terug", "Auszahlung zurück", "Versement retourné"),
    "payout-reclaimed": ("Payout resumed", "Uitbetaling hervat", "Auszahlung erneut", "Versement repris"),
    "recharge": ("Service or cost", "Dienst of kosten", "Leistung oder Kosten", "Service ou frais"),
    "refund": ("Refund to the buyer", "Terugbetaling aan koper", "Erstattung an Käufer", "Remboursement à l'acheteur"),
    "refund-failed": ("Refund returned", "Terugbetaling mislukt", "Erstattung zurück", "Remboursement échoué"),
    "refund-undone": (
        "Refund taken back",
        "Terugbetaling ongedaan",
        "Erstattung aufgehoben",
        "Remboursement annulé",
    ),
    "dispute-restored": ("Dispute taken back", "Geschil ongedaan", "Anfechtung aufgehoben", "Litige annulé"),
    "bank-payout-created": ("Payout started", "Uitbetaling gestart", "Auszahlung begonnen", "Versement lancé"),
    "bank-payout-paid": ("Payout", "Uitbetaling", "Auszahlung", "Versement"),
    "bank-payout-failed": ("Payout returned", "Uitbetaling terug", "Auszahlung zurück", "Versement retourné"),
    "dispute-lost": ("Dispute lost", "Geschil verloren", "Anfechtung verloren", "Litige perdu"),
    "dispute-won": ("Dispute won", "Geschil gewonnen", "Anfechtung gewonnen", "Litige gagné"),
    "reserve": ("Kept as a reserve", "In reserve gehouden", "In Rücklage", "Mis en réserve"),
    "reserve-release": ("Reserve released", "Reserve vrijgegeven", "Rücklage frei", "Réserve libérée"),
    "debt": ("Debt", "Schuld", "Schuld", "Dette"),
    "set-off": ("Debt set off", "Schuld verrekend", "Schuld verrechnet", "Dette compensée"),
    "top-up": ("Debt paid", "Schuld betaald", "Schuld bezahlt", "Dette payée"),
    "write-off": ("Debt written off", "Schuld afgeschreven", "Schuld abgeschrieben", "Dette abandonnée"),
    "fx-conversion": ("Currency exchange", "Valutawissel", "Währungstausch", "Change"),
    "invoice-payment": ("Invoice paid", "Factuur betaald", "Rechnung bezahlt", "Facture payée"),
    "credit-note": ("Credit note", "Creditnota", "Gutschrift", "Avoir"),
    "reversal": ("Correction", "Correctie", "Korrektur", "Correction"),
    "manual": ("Adjustment", "Correctie", "Korrektur", "Ajustement"),
}
LABELS = {
    "statement": ("Statement of account", "Rekeningoverzicht", "Kontoauszug", "Relevé de compte"),
    "fee invoice": ("Invoice", "Factuur", "Rechnung", "Facture"),
    "credit note": ("Credit note", "Creditnota", "Rechnungskorrektur", "Facture d'avoir"),
    "seller": ("Seller", "Verkoper", "Verkäufer", "Vendeur"),
    "supplier": ("Supplier", "Leverancier", "Leistungserbringer", "Fournisseur"),
    "customer": ("Customer", "Afnemer", "Leistungsempfänger", "Client"),
    "number": ("Number", "Nummer", "Nummer", "Numéro"),
    "period": ("Period", "Periode", "Zeitraum", "Période"),
    "currency": ("Currency", "Valuta", "Währung", "Devise"),
    "issued": ("Issued on", "Uitgegeven op", "Ausgestellt am", "Émis le"),
    "draft": ("Not issued", "Niet uitgegeven", "Nicht ausgestellt", "Non émis"),
    "to": ("to", "tot en met", "bis", "au"),
    "moved to": ("to", "naar", "nach", "vers"),
    "opening": ("Opening balance", "Beginsaldo", "Anfangssaldo", "Solde initial"),
    "previous": ("Previous closing balance", "Vorig eindsaldo", "Voriger Endsaldo", "Solde final précédent"),
    "recorded later": (
        "Recorded later for earlier periods",
        "Later geboekt voor eerdere perioden",
        "Später für frühere Zeiträume gebucht",
        "Enregistré ultérieurement, périodes antérieures",
    ),
    "closing": ("Closing balance", "Eindsaldo", "Endsaldo", "Solde final"),
    "summary": ("Summary", "Overzicht", "Übersicht", "Résumé"),
    "where": ("Where the money stands", "Waar het geld staat", "Wo das Geld steht", "Où se trouve l'argent"),
    "movements": ("Movements", "Mutaties", "Bewegungen", "Mouvements"),
    "day": ("Day (UTC)", "Dag (UTC)", "Tag (UTC)", "Jour (UTC)"),
    "time": ("Time (UTC)", "Tijd (UTC)", "Zeit (UTC)", "Heure (UTC)"),
    "section": ("Section", "Rubriek", "Rubrik", "Rubrique"),
    "what": ("What", "Omschrijving", "Vorgang", "Objet"),
    "source": ("Source", "Bron", "Quelle", "Source"),
    "entry": ("Journal entry", "Journaalpost", "Buchung", "Écriture"),
    "count": ("Lines", "Regels", "Zeilen", "Lignes"),
    "amount": ("Amount", "Bedrag", "Betrag", "Montant"),
    "from": ("From", "Van", "Von", "De"),
    "into": ("To", "Naar", "Nach", "Vers"),
    "moved": ("Moved", "Verplaatst", "Bewegt", "Déplacé"),
    "balance": ("Balance", "Saldo", "Saldo", "Solde"),
    "no lines": (
        "Nothing moved in this period.",
        "Geen mutaties in deze periode.",
        "Keine Bewegungen in diesem Zeitraum.",
        "Aucun mouvement sur cette période.",
    ),
    "page": (
        "Page {page} of {pages}",
        "Pagina {page} van {pages}",
        "Seite {page} von {pages}",
        "Page {page} sur {pages}",
    ),
    "vat number": ("VAT number", "Btw-nummer", "USt-IdNr.", "N° de TVA"),
    "net": ("Net", "Netto", "Netto", "Net"),
    "rate": ("Rate", "Tarief", "Satz", "Taux"),
    "tax": ("Tax", "Btw", "Steuer", "TVA"),
    "total": ("Total", "Totaal", "Gesamt", "Total"),
    "platform fees": ("Fees on sales", "Vergoedingen over verkopen", "Verkaufsgebühren", "Commissions sur ventes"),
    "services": ("Services and costs", "Diensten en kosten", "Leistungen und Kosten", "Services et frais"),
    "set-off note": (
        "Already settled: the amount was deducted from the proceeds of your sales. Nothing is left to pay.",
        "Reeds verrekend: het bedrag is ingehouden op de opbrengst van uw verkopen. U hoeft niets te betalen.",
        "Bereits verrechnet: Der Betrag wurde von Ihren Verkaufserlösen einbehalten. Es ist nichts zu zahlen.",
        "Déjà réglé : le montant a été déduit du produit de vos ventes. Il ne reste rien à payer.",
    ),
    "credit set-off note": (
        "Already settled: the amount was given back with the refunds and disputes it belongs to.",
        "Reeds verrekend: het bedrag is teruggegeven bij de terugbetalingen en geschillen waar het bij hoort.",
        "Bereits verrechnet: Der Betrag wurde mit den zugehörigen Erstattungen und Anfechtungen zurückgegeben.",
        "Déjà réglé : le montant a été rendu avec les remboursements et litiges auxquels il se rapporte.",
    ),
    "reverse charge": (
        "Reverse charge",
        "Btw verlegd",
        "Steuerschuldnerschaft des Leistungsempfängers",
        "Autoliquidation",
    ),
    "no tax": ("No tax is due here", "Geen btw verschuldigd", "Keine Steuer geschuldet", "TVA non applicable"),
    "corrects": ("Corrects", "Corrigeert", "Berichtigt", "Rectifie"),
}


def language_of(country: str) -> Language:
    """The language in which a seller of this country gets documents, unless another is asked for."""
    return _OF_COUNTRY.get(country, Language.EN)


def parse_language(text: str, *, path: tuple[str, ...] = ("language",)) -> Language:
    """Raises InvalidInput with the languages there are."""
    try:
        return Language(text.lower())
    except ValueError:
        known = ", ".join(Language)
        raise InvalidInput(
            f"There are no documents in the language {text!r}: there are {known}.", path=path, constraint=known
        ) from None


class Tongue:
    """One language: its words, amounts and days."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self._place = _PLACE[language]

    def label(self, name: str) -> str:
        return LABELS[name][self._place]

    def section(self, name: str) -> str:
        return SECTIONS[name][self._place]

    def bucket(self, name: str) -> str:
        return BUCKETS[name][self._place]

    def kind(self, kind: str) -> str:
        """What entries of a kind are called; a kind without a word of its own is told by its name."""
        words = KINDS.get(kind)
        return words[self._place] if words else kind.replace("-", " ").capitalize()

    def country(self, code: str) -> str:
        """The name of a country (ISO 3166 alpha-2); a code that has none tells itself."""
        return Locale(self.language).territories.get(code, code)

    def amount(self, minor: int, currency: str) -> str:
        """The exact amount in major units, as it is written in this language: `-1.234,56`."""
        decimals = exponent(currency)
        form = "#,##0" + ("." + "0" * decimals if decimals else "")
        written = format_decimal(Decimal(decimal_text(minor, currency)), format=form, locale=self.language)
        # Every typeface has this blank; the narrow one that France writes is missing in many.
        return written.replace("\u202f", "\xa0")

    def parse_amount(self, text: str, currency: str) -> int:
        """Minor units of what `amount` wrote."""
        grouped = text.replace("\xa0", "\u202f") if self.language is Language.FR else text
        return int(parse_decimal(grouped, locale=self.language).scaleb(exponent(currency)))

    def percent(self, rate: Decimal) -> str:
        return format_percent(rate / 100, format="#,##0.####%", locale=self.language).replace("\u202f", "\xa0")

    def day(self, at: datetime) -> str:
        return format_date(at.astimezone(UTC).date(), format="medium", locale=self.language).replace("\u202f", "\xa0")

    def minute(self, at: datetime) -> str:
        told = format_datetime(at.astimezone(UTC), format="short", locale=self.language)
        return told.replace("\u202f", "\xa0")

    def period(self, start: datetime, end: datetime) -> str:
        """The days of [start, end), the last one included; instants where it does not go by whole days."""
        whole = all(at.astimezone(UTC).time() == datetime.min.time() for at in (start, end))
        if whole:
            return f"{self.day(start)} {self.label('to')} {self.day(end - timedelta(days=1))}"
        return f"{self.minute(start)} {self.label('to')} {self.minute(end)} UTC"
