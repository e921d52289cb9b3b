"""What stands beside all other flows: corrections, and holds that are given back."""

from marketbill.ledger.flows.template import FREE, MIRROR, RELEASE, Area, Template

CORRECTION = (
    Template(
        "reversal",
        Area.CORRECTION,
        "An entry was wrong: this one reverses it, posting by posting, with the reason; what is right is booked anew.",
        form=MIRROR,
    ),
    Template(
        "manual",
        Area.CORRECTION,
        "An operator's adjustment that no other flow covers, with its reason.",
        ("correction",),
        form=FREE,
    ),
    Template(
        "hold-voided",
        Area.CORRECTION,
        "A hold was given back before its end. Any flow may be held before it is posted.",
        form=RELEASE,
    ),
    Template(
        "hold-expired",
        Area.CORRECTION,
        "The time of a hold was over before it was posted.",
        form=RELEASE,
    ),
)
