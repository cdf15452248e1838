"""What fields and events are called in shops: names to our fields, event names to our kinds."""

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from streams.core.proposal.leaves import Leaf, words_of
from streams.core.uuids import UUID_PATTERN

_URL = re.compile(r"(?:https?:)?//[^\s/]+\.[^\s]+|/[^\s]*")
_LOCALE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8}){0,2}")
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
_NUMBER = re.compile(r"\d{1,13}(?:\.\d{1,8})?", re.ASCII)
_AMOUNT = re.compile(r"(?:[A-Z]{3}|[€$£])?\s?\d[\d.,' ]{0,17}\s?(?:[A-Z]{3}|[€$£])?")
_WHOLE = re.compile(r"[1-9]\d{0,5}(?:\.0+)?", re.ASCII)
_UUID = re.compile(UUID_PATTERN)
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_MAX_ID_CHARS = 200


def is_id(value: Any) -> bool:
    """Return whether this may be an id."""
    if type(value) is float:
        return value.is_integer()
    return type(value) is int or (
        type(value) is str and len(value) <= _MAX_ID_CHARS and not _URL.fullmatch(value)
    )


def is_price(value: Any) -> bool:
    """Return whether this is a number ≥ 0, or a text that people write for an amount."""
    return is_number(value) or (type(value) is str and _AMOUNT.fullmatch(value) is not None)


def is_number(value: Any) -> bool:
    """Return whether this is a number ≥ 0 or its text."""
    if type(value) in {int, float}:
        return bool(0 <= value < 1e9)
    return type(value) is str and _NUMBER.fullmatch(value) is not None


def is_quantity(value: Any) -> bool:
    """Return whether this is a small whole number ≥ 1 or its text."""
    if type(value) in {int, float}:
        return bool(1 <= value < 1e6 and value == int(value))
    return type(value) is str and _WHOLE.fullmatch(value) is not None


def is_text(value: Any) -> bool:
    """Return whether this is a text."""
    return type(value) is str


def is_scalar(value: Any) -> bool:
    """Return whether this is a text or a number."""
    return type(value) in {str, int, float}


def _matches(pattern: re.Pattern[str]) -> Callable[[Any], bool]:
    return lambda value: type(value) is str and pattern.fullmatch(value) is not None


def is_ip(value: Any) -> bool:
    """Return whether this is the text of an IP address."""
    try:
        ipaddress.ip_address(value if type(value) is str else "")
    except ValueError:
        return False
    return True


def _is_agent(value: Any) -> bool:
    return type(value) is str and ("Mozilla/" in value or ("/" in value and " " in value))


def _is_uuid(value: Any) -> bool:
    return type(value) is str and _UUID.match(value) is not None


class Wanted(NamedTuple):
    """How one of our fields is recognised."""

    accepts: Callable[[Any], bool]
    names: tuple[tuple[str, float], ...]
    """Patterns that are searched for in the words of a path, each with its worth; best first."""
    by_type: float = 0.0
    """What a value of the right type alone is worth."""


_VALUE_WORTH = 0.4
"""Of what calls itself the value or the amount of something, as a price."""
_ID = r"(?:_?(?:id|nr|no|num|number|nummer|code|key|ref|reference|hash|identifier|kennung))"
_PRODUCT = (
    r"(?:products?|produkte?|items?|artikel|articles?|prod|produits?|articulos?|productos?|prodott[oi]|"
    r"tuote|vare)"
)
_USER = (
    r"(?:user|customer|client|member|account|kunde|kunden|benutzer|usuario|utilisateur|cliente|"
    r"person)"
)
_VISITOR = (
    r"(?:anonymous|anon|visitor|besucher|visiteur|visitante|guest|cookie|device|browser|"
    r"fingerprint|pseudo|distinct|domain_user(?:id)?|cid|ecid|mcid|fpc|tracking)"
)

EVENT_FIELDS: Mapping[str, Wanted] = {
    "timestamp": Wanted(
        is_scalar,
        (
            (r"^(?:timestamp|event_?time(?:stamp)?|time_?stamp|ts|zeitpunkt|zeitstempel)$", 1.0),
            (r"(?:^|_)(?:occurr?ed|happened|event)_?(?:at|on|time|ts|timestamp|date)?_?", 0.85),
            (r"(?:^|_)(?:time|zeit|datetime|datum_zeit|ts|timestamp|tstamp)(?:$|_)", 0.7),
            (
                r"(?:^|_)(?:created|date|datum|data|fecha|hora|heure|when|logged|recorded)(?:$|_)",
                0.6,
            ),
        ),
        0.2,
    ),
    "anonymous_id": Wanted(
        is_id,
        (
            (rf"(?:^|_){_VISITOR}{_ID}?$", 1.0),
            (rf"(?:^|_){_VISITOR}(?:_|$)", 0.8),
            (rf"(?:^|_)(?:client|uid|uuid){_ID}?$", 0.6),
            (rf"(?:^|_){_USER}{_ID}?$", 0.5),
            (rf"(?:^|_)(?:session|sitzung|visit|besuch)\w*?{_ID}?$", 0.45),
        ),
        0.1,
    ),
    "user_id": Wanted(
        is_id,
        (
            (rf"(?:^|_){_USER}{_ID}$", 1.0),
            (rf"(?:^|_)(?:login|crm|shopper|loyalty){_ID}?$", 0.8),
            (rf"^{_USER}$", 0.7),
        ),
    ),
    "product_id": Wanted(
        is_id,
        (
            (rf"(?:^|_){_PRODUCT}{_ID}$", 1.0),
            (rf"(?:^|_){_PRODUCT}_(?:sku|variant|variation){_ID}?(?:_hash)?$", 0.9),
            (rf"^{_PRODUCT}$", 0.8),
            (rf"(?:^|_)(?:pid|asin|ean|gtin|variant{_ID}|variation{_ID}|content_id)$", 0.7),
            (rf"(?:^|_){_PRODUCT}\w*_id$", 0.6),
        ),
        0.05,
    ),
    "sku": Wanted(
        is_id,
        (
            (r"(?:^|_)(?:sku|bestellnummer|bestellnr|stock_keeping_unit|item_sku)$", 1.0),
            (r"(?:^|_)sku(?:_|$)", 0.8),
        ),
    ),
    "quantity": Wanted(
        is_quantity,
        (
            (
                r"(?:^|_)(?:quantity|qty|menge|anzahl|stueckzahl|cantidad|quantite|quantita|pieces)$",
                1.0,
            ),
            (
                r"(?:^|_)(?:quantity|qty|menge|anzahl|amount_of_items|units|count|stueck)(?:_|$)",
                0.7,
            ),
        ),
    ),
    "price": Wanted(
        is_price,
        (
            (r"(?:^|_)(?:unit|item|product|einzel|stueck|einheits)_?(?:price|preis|cost)$", 1.0),
            (r"(?:^|_)(?:prix|precio|prezzo)_?(?:unitaire|unitario)$", 1.0),
            (r"(?:^|_)(?:price|preis|prix|precio|prezzo|hinta|pris)$", 0.95),
            (
                r"(?:^|_)(?:price|preis)(?:_(?:amount|value|gross|brutto|incl_tax|eur|usd|gbp))$",
                0.9,
            ),
            (r"(?:^|_)(?:price|preis)", 0.6),
            (r"(?:^|_)(?:amount|value|betrag)$", _VALUE_WORTH),
        ),
    ),
    "currency": Wanted(
        _matches(_CURRENCY),
        (
            (r"(?:^|_)(?:currency|waehrung|devise|moneda|valuta)(?:_?(?:code|iso))?$", 1.0),
            (r"(?:^|_)(?:currency|waehrung)", 0.8),
        ),
        0.3,
    ),
    "page.url": Wanted(
        _matches(_URL),
        (
            (r"(?:^|_)(?:page|request|current|seiten?|landing)?_?(?:url|href|uri|permalink)$", 1.0),
            (r"(?:^|_)(?:page_?location|location|seite|page|adresse|link)$", 0.8),
            (r"(?:^|_)(?:url|uri)(?:_|$)", 0.6),
        ),
        0.15,
    ),
    "page.referrer": Wanted(
        _matches(_URL),
        (
            (
                r"(?:^|_)(?:referr?er|referr?er_url|ref_url|http_referer|herkunft|provenance|page_referrer)$",
                1.0,
            ),
            (r"referr?er|herkunft", 0.8),
        ),
    ),
    "page.title": Wanted(
        is_text,
        (
            (r"(?:^|_)(?:page|document|seiten?)_?(?:title|titel|name)$", 1.0),
            (r"^(?:title|titel)$", 0.5),
        ),
    ),
    "user_agent": Wanted(
        _is_agent, ((r"user_?agent|(?:^|_)ua(?:$|_)|browser_string", 1.0), (r"agent", 0.8)), 0.4
    ),
    "locale": Wanted(
        _matches(_LOCALE),
        (
            (r"(?:^|_)(?:locale|language|lang|sprache|langue|idioma)(?:_code)?$", 1.0),
            (r"(?:^|_)(?:locale|language|lang)(?:_|$)", 0.7),
        ),
    ),
    "region": Wanted(
        is_text,
        ((r"(?:^|_)(?:region|bundesland|state|province)(?:_?(?:code|name))?$", 1.0),),
    ),
    "ip": Wanted(
        is_ip,
        ((r"(?:^|_)(?:ip|ip_?addr(?:ess)?|remote_addr|client_ip|ipaddress)$", 1.0),),
        0.4,
    ),
    **{
        f"campaign.{part}": Wanted(
            is_text,
            (
                (rf"(?:^|_)(?:utm|mkt|manual)_{part_words}$", 1.0),
                (rf"(?:^|_)(?:campaign|kampagne)_{part_words}$", 0.9),
            ),
        )
        for part, part_words in (
            ("name", "(?:campaign|name|campaign_name)"),
            ("source", "source"),
            ("medium", "medium"),
            ("term", "term"),
            ("content", "content"),
        )
    },
    "event_id": Wanted(
        is_id,
        (
            (
                r"(?:^|_)(?:event|message|hit|insert|log|record|msg|ereignis)_?(?:id|uuid|guid)$",
                1.0,
            ),
            (r"^(?:id|uuid|guid|_id)$", 0.7),
        ),
    ),
    "miso_id": Wanted(_is_uuid, ((r"(?:^|_)miso_?id$", 1.0),)),
    "eightselect_user_id": Wanted(_is_uuid, ((r"8s_cid|eightselect", 1.0),)),
}
"""Our field of an event → how it is recognised."""

ORDER_FIELDS: Mapping[str, Wanted] = {
    "order_id": Wanted(
        is_id,
        (
            (
                rf"(?:^|_)(?:orders?|bestell(?:ung)?|purchase|transaction|auftrags?|pedido){_ID}$",
                1.0,
            ),
            (r"^increment_id$", 1.0),
            (r"^(?:id|_id|entity_id|number|nr)$", 0.6),
        ),
    ),
    "revenue": Wanted(
        is_price,
        (
            (r"(?:^|_)(?:grand_total|(?:order|purchase)_(?:total|value)|revenue|umsatz)$", 1.0),
            (r"(?:^|_)(?:total(?:_price|_amount|_value)?|gesamt\w*|summe|amount)$", 0.7),
        ),
    ),
}
"""Our field of an order beside those of all events → how it is recognised."""

PRODUCT_FIELDS: Mapping[str, Wanted] = {
    "key": Wanted(
        is_id,
        (
            (rf"^(?:{_PRODUCT}{_ID}|entity_id)$", 1.0),
            (r"^(?:id|_id|nr|code|key)$", 0.9),
            (rf"(?:^|_){_PRODUCT}{_ID}$", 0.8),
            (r"^(?:variant_id|sku|bestellnummer)$", 0.5),
        ),
    ),
    "sku": EVENT_FIELDS["sku"],
    "product_group_id": Wanted(
        is_id,
        (
            (
                r"(?:^|_)(?:group|parent|master|model|style|modell|gruppe|family)\w*?_?(?:id|nr|code)$",
                1.0,
            ),
            (r"(?:^|_)(?:item_group_id|configurable_id|parent_sku|product_group)$", 1.0),
        ),
    ),
    "name": Wanted(
        is_text,
        (
            (
                r"^(?:name|title|titel|bezeichnung|product_name|item_name|artikelname|nombre|nom)$",
                1.0,
            ),
            (rf"(?:^|_){_PRODUCT}_?(?:name|title|titel|bezeichnung)$", 0.9),
            (r"(?:^|_)(?:title|name)(?:_[a-z]{2})?$", 0.5),
        ),
    ),
    "brand": Wanted(
        is_text,
        (
            (
                r"(?:^|_)(?:brand|marke|manufacturer|hersteller|vendor|marca|marque|label)(?:_name)?$",
                1.0,
            ),
        ),
    ),
    "price": EVENT_FIELDS["price"],
    "currency": EVENT_FIELDS["currency"],
}
"""Our field of a product row, and its key."""

USER_FIELDS: Mapping[str, Wanted] = {
    "key": Wanted(
        is_id,
        (
            *EVENT_FIELDS["anonymous_id"].names[:2],
            (r"^(?:uid|client_id|session_id)$", 0.6),
            (r"^(?:id|_id|user_id|customer_id)$", 0.4),
        ),
    ),
    "user_id": Wanted(is_id, (*EVENT_FIELDS["user_id"].names, (r"^(?:id|_id)$", 0.4))),
    "contact_id": Wanted(
        _is_uuid, ((r"(?:^|_)(?:contact|voyado|kontakt)\w*?_?id$", 1.0), (r"voyado", 0.8))
    ),
    "custom_key": Wanted(is_id, ((r"(?:^|_)custom_?key$", 1.0),)),
    "email": Wanted(_matches(_EMAIL), ((r"e_?mail", 1.0),), 0.6),
    "eightselect_user_id": EVENT_FIELDS["eightselect_user_id"],
}
"""Our field of a user row, and its key."""

_OTHER_TIMES = re.compile(
    r"(?:^|_)(?:sent|send|received|load|loaded|etl|collector|updated|modified|previous|first|last|"
    r"birth|expir\w*|session|server|offset|processed|ingest\w*|start|end|duration|touch|zone)(?:_|$)"
)
_NOT_ONE_OF = {
    "price": re.compile(
        r"(?:^|_)(?:old|list|before|compare|was|(?:sub_?)?total|row|sum|line(?!_items?_)|cents?|minor|tax"
        r"|shipping|discount|net|netto|regular|special|uvp|msrp)(?:_|$)"
    ),
    "quantity": re.compile(r"(?:^|_)(?:stock|total|available|lager|refund\w*)(?:_|$)"),
    "page.url": re.compile(r"referr?er|image|img|thumb|herkunft|icon|logo|src|scheme|host|path$"),
    "page.referrer": re.compile(r"host|path|scheme|query|medium|source|term"),
    "locale": re.compile(r"(?:^|_)(?:currency)(?:_|$)"),
    "region": re.compile(
        r"(?:^|_)(?:consent|order|payment|financial|delivery|shipment|transaction|machine)(?:_|$)"
    ),
    "event_id": re.compile(r"(?:^|_)(?:session|batch|bundle|sequence)(?:_|$)"),
    "product_id": re.compile(
        r"(?:^|_)(?:category|kategorie|group|type|list|transaction|order)(?:_|$)"
    ),
    "user_id": re.compile(r"(?:^|_)(?:agent|pseudo|domain|network|ip|anonymous|browser|session)"),
    "anonymous_id": re.compile(
        r"(?:^|_)(?:type|category|language|model|brand|version|family|name)$"
    ),
    "name": re.compile(r"(?:^|_)(?:brand|category|vendor|first|last|file|shop|store)(?:_|$)"),
}


def worth(field: str, wanted: Wanted, leaf: Leaf) -> float:
    """Return how well a leaf serves as this field by name and type: 0 to 1."""
    if not leaf.fits(wanted.accepts, 0.9):
        return 0.0
    excluded = _NOT_ONE_OF.get(field)
    if excluded is not None and excluded.search(leaf.words):
        return 0.0
    found = 0.0
    last = leaf.words
    for pattern, value in wanted.names:
        if re.search(pattern, last):
            found = value
            break
    if field == "timestamp" and _OTHER_TIMES.search(leaf.words):
        found *= 0.5
    return max(found, wanted.by_type)


def is_called(field: str, leaf: Leaf) -> bool:
    """Return whether a leaf has the best of a field's names, whatever its values are."""
    excluded = _NOT_ONE_OF.get(field)
    if excluded is not None and excluded.search(leaf.words):
        return False
    return re.search(EVENT_FIELDS[field].names[0][0], leaf.words) is not None


def is_called_price(leaf: Leaf) -> bool:
    """Return whether a leaf calls itself a price, and not just a value or an amount."""
    return worth("price", EVENT_FIELDS["price"], leaf) > _VALUE_WORTH


# -- names of events

_CART = re.compile(
    r"(?:cart|basket|bag|trolley|warenkorb|einkaufswagen|panier|carrito|cesta|carrello|"
    r"winkelwagen|winkelmand|varukorg|kundvagn|koszyk|ostoskori|handlekurv)"
)
_NO_ADD = re.compile(
    r"(?:remove|removed|delete|deleted|view|viewed|open|opened|show|shown|abandon\w*|update\w*|"
    r"checkout|begin|minus|decrease|entfern\w*|aus_dem|geloescht|clear\w*|empty|purchase|share\w*)"
)
_ADD = re.compile(
    r"(?:^|_)(?:adds?|added|ajout\w*|anadi\w*|aggiun\w*|hinzu\w*|in_den|put|plus|increase)(?:_|$)|addto"
)
_SEEN = re.compile(
    r"(?:^|_)(?:view|views|viewed|viewing|detail|details|pdp|seen|pv|visit|visited|ansicht|angesehen|"
    r"gesehen|aufruf|detailseite|produktseite|consulta\w*|vue|vista|impression)(?:_|$)"
)
_CLICKED = re.compile(
    r"(?:^|_)(?:click|clicks|clicked|klick|geklickt|select|selected|clic|tap)(?:_|$)"
)
_ABOUT_PRODUCT = re.compile(rf"{_PRODUCT}|pdp|detail|variant")
_ABOUT_ELSE = re.compile(
    r"(?:list|category|collection|search|suche|promotion|banner|home|wish\w*|merkliste|cart|basket|"
    r"checkout|order|screen|section|video|(?:^|_)forms?(?:_|$)|menu|nav|filter|review|coupon|payment|store)"
)
_ORDER = r"(?:order|purchase|checkout|transaction|bestellung|kauf|commande|pedido|ordine)"
_DONE = r"(?:complet\w*|placed|success\w*|created|confirm\w*|finish\w*|submitted|abgeschlossen)"
_ORDERED = re.compile(
    rf"(?:^|_){_ORDER}_?{_DONE}$|^{_DONE}_{_ORDER}$|^(?:place_)?(?:order|purchase)$"
    r"|^(?:purchased|ordered|sale|transaction|bestellung|bestellt|kauf|gekauft)$"
)
_VERSION = re.compile(r"[./_-]v\d+(?:\.\d+)*$", re.IGNORECASE)
_PAGE = re.compile(r"(?:^|_)(?:page|seite|pageview|pageviews|screen)(?:_|$)")


def kind_of_event(name: Any) -> str | None:
    """Return ``cart``, ``view``, ``click``, ``page`` or ``seen`` for an event's name.

    None: something else, such as a search. ``seen`` is a view that does not say of what.
    """
    words = _event_words(name)
    if "wish" in words:
        return None
    if words.endswith("product_list_adds"):
        return "cart"
    glued = words.replace("_", "")
    if _CART.search(glued) and not _NO_ADD.search(words):
        return "cart" if _ADD.search(words) or "add" in glued or len(words.split("_")) < 4 else None
    if words in {"add", "added", "atc", "a2c"}:
        return "cart"
    if _PAGE.search(words) and not re.search(rf"{_PRODUCT}|pdp", words):
        return (
            "page" if words in {"page", "page_view", "pageview", "page_viewed", "seite"} else None
        )
    about_product = _ABOUT_PRODUCT.search(words) is not None
    if _ABOUT_ELSE.search(words):
        return None
    if _CLICKED.search(words):
        return "click"
    if _SEEN.search(words) or words in {"product", "item"}:
        return "view" if about_product else "seen"
    if about_product and re.search(r"view|look|open|visit|show", glued):
        return "view"
    return None


def is_purchase(name: Any) -> bool:
    """Return whether an event's name says that something was bought."""
    return _ORDERED.search(_event_words(name)) is not None


def is_seen(name: Any) -> bool:
    """Return whether an event's name says that something was seen."""
    return _SEEN.search(_event_words(name)) is not None


def _event_words(name: Any) -> str:
    """Return the words of an event's name; of ``com.shop.web.product.viewed.v1`` the last three.

    The version is none of them, nor is the domain, which may contain any word.
    """
    parts = _VERSION.sub("", str(name)).split(".")
    return words_of(".".join(parts[-3:] if len(parts) > 3 else parts))
