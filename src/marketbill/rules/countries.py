"""Countries by ISO 3166-1 alpha-2 code, and the members of the European Union's VAT territory by state.

Greece is `GR` and the United Kingdom `GB`: `EL` and `UK` are VAT prefixes or habits, not country codes, and refusing
them is what keeps a Greek seller from being taken for one outside the Union.
"""

from marketbill.errors import InvalidInput, Path

_ASSIGNED = """
AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ
CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR
GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO
JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR
MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO
RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV
TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW
"""
_MEMBERS = "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK"

#: The officially assigned codes of ISO 3166-1.
COUNTRIES = frozenset(_ASSIGNED.split())

#: The member states of the European Union since 2020-02-01 (Directive 2006/112/EC, art. 5). Northern Ireland follows
#: the Union for goods only; a platform's fee is a service, so `GB` is outside here.
EU_MEMBERS = frozenset(_MEMBERS.split())


class UnknownCountry(InvalidInput):
    """Not an ISO 3166-1 alpha-2 code in capitals."""

    def __init__(self, country: str, *, path: Path = ()) -> None:
        super().__init__(
            f"{country[:10]!r} is not a country: use an ISO 3166-1 code such as 'NL' (Greece is 'GR', the United "
            "Kingdom 'GB').",
            path=path,
            constraint="ISO 3166-1 alpha-2 code",
        )
        self.country = country


def known_country(country: str, *, path: Path = ()) -> str:
    """The same code, once it is known to be a country's. Raises `UnknownCountry`."""
    if country not in COUNTRIES:
        raise UnknownCountry(country, path=path)
    return country
