"""Time zones: Postal has Rails' names for them, we have those of the IANA database."""

from zoneinfo import ZoneInfo

# Rails' names that are the last part of the IANA name stand under their continent.
_CONTINENTS = {
    "Africa": "Algiers Cairo Casablanca Harare Johannesburg Monrovia Nairobi",
    "America": "Bogota Caracas Chihuahua Guatemala La_Paz Lima Mazatlan Mexico_City Monterrey"
    " Montevideo Santiago Tijuana",
    "Asia": "Almaty Baghdad Baku Bangkok Chongqing Colombo Dhaka Hong_Kong Irkutsk Jakarta"
    " Jerusalem Kabul Kamchatka Karachi Kathmandu Krasnoyarsk Kuala_Lumpur Kuwait Magadan Muscat"
    " Novosibirsk Rangoon Riyadh Seoul Shanghai Singapore Srednekolymsk Taipei Tashkent Tbilisi"
    " Tehran Tokyo Urumqi Vladivostok Yakutsk Yekaterinburg Yerevan",
    "Atlantic": "Azores",
    "Australia": "Adelaide Brisbane Canberra Darwin Hobart Melbourne Perth Sydney",
    "Europe": "Amsterdam Athens Belgrade Berlin Bratislava Brussels Bucharest Budapest Copenhagen"
    " Dublin Helsinki Istanbul Kaliningrad Lisbon Ljubljana London Madrid Minsk Moscow Paris"
    " Prague Riga Rome Samara Sarajevo Skopje Sofia Stockholm Tallinn Vienna Vilnius Volgograd"
    " Warsaw Zagreb Zurich",
    "Pacific": "Apia Auckland Fakaofo Fiji Guam Majuro Midway Noumea Port_Moresby Tongatapu",
}
_OTHERS = {
    "Abu Dhabi": "Asia/Muscat",
    "Alaska": "America/Juneau",
    "American Samoa": "Pacific/Pago_Pago",
    "Arizona": "America/Phoenix",
    "Astana": "Asia/Almaty",
    "Atlantic Time (Canada)": "America/Halifax",
    "Beijing": "Asia/Shanghai",
    "Bern": "Europe/Zurich",
    "Brasilia": "America/Sao_Paulo",
    "Buenos Aires": "America/Argentina/Buenos_Aires",
    "Cape Verde Is.": "Atlantic/Cape_Verde",
    "Central America": "America/Guatemala",
    "Central Time (US & Canada)": "America/Chicago",
    "Chatham Is.": "Pacific/Chatham",
    "Chennai": "Asia/Kolkata",
    "Eastern Time (US & Canada)": "America/New_York",
    "Edinburgh": "Europe/London",
    "Ekaterinburg": "Asia/Yekaterinburg",
    "Georgetown": "America/Guyana",
    "Greenland": "America/Nuuk",
    "Guadalajara": "America/Mexico_City",
    "Hanoi": "Asia/Bangkok",
    "Hawaii": "Pacific/Honolulu",
    "Indiana (East)": "America/Indiana/Indianapolis",
    "International Date Line West": "Etc/GMT+12",
    "Islamabad": "Asia/Karachi",
    "Kolkata": "Asia/Kolkata",
    "Kyiv": "Europe/Kyiv",
    "Kiev": "Europe/Kyiv",
    "Marshall Is.": "Pacific/Majuro",
    "Mid-Atlantic": "Atlantic/South_Georgia",
    "Midway Island": "Pacific/Midway",
    "Mountain Time (US & Canada)": "America/Denver",
    "Mumbai": "Asia/Kolkata",
    "New Caledonia": "Pacific/Noumea",
    "New Delhi": "Asia/Kolkata",
    "Newfoundland": "America/St_Johns",
    "Nuku'alofa": "Pacific/Tongatapu",
    "Osaka": "Asia/Tokyo",
    "Pacific Time (US & Canada)": "America/Los_Angeles",
    "Pretoria": "Africa/Johannesburg",
    "Puerto Rico": "America/Puerto_Rico",
    "Quito": "America/Lima",
    "Samoa": "Pacific/Apia",
    "Sapporo": "Asia/Tokyo",
    "Saskatchewan": "America/Regina",
    "Solomon Is.": "Pacific/Guadalcanal",
    "Sri Jayawardenepura": "Asia/Colombo",
    "St. Petersburg": "Europe/Moscow",
    "Tokelau Is.": "Pacific/Fakaofo",
    "Ulaanbaatar": "Asia/Ulaanbaatar",
    "Wellington": "Pacific/Auckland",
    "West Central Africa": "Africa/Algiers",
}
_NAMES = _OTHERS | {
    city.replace("_", " "): f"{continent}/{city}"
    for continent, cities in _CONTINENTS.items()
    for city in cities.split()
}


def zone_of(name: str) -> str | None:
    """Return the IANA name of a zone that Postal names, or None for one nobody knows."""
    found = _NAMES.get(name, name)
    try:
        ZoneInfo(found)
    except (LookupError, OSError, ValueError):
        return None
    return found
