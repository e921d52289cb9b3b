from marketbill.actor import Actor, Role

__all__ = ["Actor", "Role"]
