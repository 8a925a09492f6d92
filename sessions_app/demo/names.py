"""Names for the demo's customers."""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FIRST_NAMES = _words(
    "Ada Amir Anna Ben Bilal Carla Chloe Daniel Diego Elena Emma Farid Fiona Grace Hannah Hugo Ines Ivan Jack Jana "
    "Karim Kate Lea Leo Lina Lucas Maria Marta Max Mia Nadia Nina Noah Olga Omar Oscar Paul Petra Rosa Ruth Sam "
    "Sara Simon Sofia Tara Tom Vera Yusuf Zoe"
)
LAST_NAMES = _words(
    "Abbott Adler Ahmed Baker Bauer Bennett Brandt Carter Costa Dubois Evans Fischer Fontaine Garcia Gray Hall "
    "Hansen Hughes Ibrahim Jansen Keller Khan Lambert Lang Lopez Marsh Meyer Moreau Morris Novak Okafor Olsen Owens "
    "Patel Pereira Quinn Reed Romano Russo Schmidt Silva Stone Taylor Vogel Walsh Weber Wright Young Zimmer"
)
TRADES = _words(
    "Bakery Books Clinic Couriers Dental Design Electrics Estates Flooring Garage Gardens Hotel Interiors Joinery "
    "Legal Logistics Motors Optics Pharmacy Physio Plumbing Press Roofing Salon Studio Travel Vets Windows"
)
