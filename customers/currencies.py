"""Currencies of ISO 4217 and their minor units, and sums of money rounded to them. Pure."""

from decimal import ROUND_HALF_UP, Decimal

# ISO 4217, list one, without funds, metals and codes for tests: how many decimals each currency's minor unit has.
_WITH_DECIMALS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: (
        "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY "
        "COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS "
        "INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR "
        "MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD "
        "SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG"
    ),
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
MINOR_DECIMALS = {code: decimals for decimals, codes in _WITH_DECIMALS.items() for code in codes.split()}


def in_minor_units(sum_of_money: Decimal, currency: str) -> Decimal:
    """Rounded half up, away from zero, to the currency's minor unit: 0.005 EUR is 0.01 EUR, 0.5 JPY is 1 JPY."""
    unit = Decimal(1).scaleb(-MINOR_DECIMALS.get(currency, 2))
    return sum_of_money.quantize(unit, ROUND_HALF_UP)


def price_of(seconds: int, price_per_minute: Decimal, currency: str) -> Decimal:
    """What so many seconds cost, rounded once, at the end."""
    return in_minor_units(seconds * price_per_minute / 60, currency)


def money_words(sum_of_money: Decimal, currency: str) -> str:
    """Such as "1,234.50 EUR", with a minus sign in place of the hyphen."""
    return f"{in_minor_units(sum_of_money, currency):,f} {currency}".replace("-", "−")


def price_words(price: Decimal, currency: str) -> str:
    """A price as precise as it was given, but with at least the currency's own decimals: "0.125 EUR", "0.10 EUR"."""
    decimals = MINOR_DECIMALS.get(currency, 2)
    whole, _, rest = f"{price:,f}".partition(".")
    rest = rest.rstrip("0").ljust(decimals, "0")
    return f"{whole}.{rest} {currency}" if rest else f"{whole} {currency}"
