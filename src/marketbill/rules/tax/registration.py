"""Places where a party accounts for tax on sales: countries, states and provinces, and the One Stop Shop."""

import re
from collections.abc import Iterable

from marketbill.errors import InvalidInput, Path
from marketbill.rules.countries import COUNTRIES

#: The Union's One Stop Shop, and Northern Ireland for goods: no countries of ISO 3166.
SPECIAL = frozenset({"EU", "XI"})
REGISTRATIONS_MAX = 200
_REGION = re.compile(r"([A-Z]{2})-[A-Z0-9]{1,3}", re.ASCII)


class UnknownRegistration(InvalidInput):
    """A registration that names no place where tax is accounted for."""

    def __init__(self, registration: str, *, path: Path = ()) -> None:
        super().__init__(
            f"{registration[:10]!r} is no place of tax registration: use a country ('GB'), a state or province"
            " ('US-CA'), or 'EU' for the One Stop Shop.",
            path=path,
            constraint="ISO 3166-1 or 3166-2 code, or EU, or XI",
        )
        self.registration = registration


def checked_registrations(registrations: Iterable[str], *, path: Path = ()) -> list[str]:
    """The registrations in order and without repetition. Raises `UnknownRegistration`."""
    found = sorted(set(registrations))
    if len(found) > REGISTRATIONS_MAX:
        raise InvalidInput(
            f"There are more than {REGISTRATIONS_MAX} tax registrations.",
            path=path,
            constraint=f"<= {REGISTRATIONS_MAX}",
        )
    for one in found:
        region = _REGION.fullmatch(one)
        if one not in COUNTRIES | SPECIAL and (region is None or region[1] not in COUNTRIES):
            raise UnknownRegistration(one, path=path)
    return found
