"""Which labels mean nearly the same, so that neither is a negative where the other is annotated.

`labels_overlap` looks at two labels and nothing else: no corpus, no model. Its rules:

1. `_word_form`: a plural or British spelling becomes the form it shares with its counterpart.
2. `_ordered_words`: the head comes last ("city in france" becomes "france city"); articles go.
3. `_readings`: a label is also what it names ("person name" is "person", too), and "album or song"
   is both. A reading is a concept and its modifiers: "toy company" is a company, modified by toy.
4. `_TABLE`: synonyms and abbreviations are one concept, and a concept has broader ones.
5. `_covers`: a label covers those that name its concept, or a narrower one, with at least its
   modifiers. Two labels are near-synonyms when either covers the other, so siblings ("toy
   company", "car company") are not.

Leaving out a true negative costs little and asking a wrong one teaches a falsehood, so the rules
lean towards synonymy where a word is ambiguous.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

_N_CACHED_LABELS = 2**16


def labels_overlap(first: str, second: str) -> bool:
    """Return whether two labels mean so nearly the same that neither is a negative of the other.

    Symmetric, true of equal labels, and a matter of the two strings alone.

    >>> labels_overlap("toy company", "firms"), labels_overlap("toy company", "car company")
    (True, False)
    """
    if first == second:
        return True
    one, other = _meaning(first), _meaning(second)
    return _covers(one, other) or _covers(other, one)


@dataclass(frozen=True, slots=True)
class _Reading:
    """One thing that a label may mean; `broader` holds the concept itself, too."""

    concept: str
    broader: frozenset[str]
    modifiers: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Meaning:
    """A label's readings, and all of their `concepts` and all that is `broader` together."""

    readings: tuple[_Reading, ...]
    concepts: frozenset[str]
    broader: frozenset[str]


def _covers(general: _Meaning, special: _Meaning) -> bool:
    if general.concepts.isdisjoint(special.broader):  # nearly always, and quick to see
        return False
    return any(
        ours.concept in theirs.broader and ours.modifiers <= theirs.modifiers
        for ours in general.readings
        for theirs in special.readings
    )


_ALTERNATIVES = re.compile(r"[,;/|&()]|\s(?:and|or)\s")


@lru_cache(_N_CACHED_LABELS)
def _meaning(label: str) -> _Meaning:
    phrases = _ALTERNATIVES.split(label.lower().replace("_", " ").replace(".", ""))
    readings = tuple(reading for phrase in phrases for reading in _readings(phrase))
    return _Meaning(
        readings,
        frozenset(reading.concept for reading in readings),
        frozenset().union(*(reading.broader for reading in readings)),
    )


# Heads after which a label may name what stands before them: "dog breed", "type of food".
_NAMING_HEAD = re.compile(
    "name|title|mention|entity|type|kind|category|class|model|make|item|amount|value|measurement|"
    "breed|specy|genus|variety"
)


def _readings(phrase: str) -> Iterator[_Reading]:
    """Yield what a phrase may mean: its last word, any longer ending in the table, and all of it.

    Words are joined, so that "smart phone" and "smartphone" are one concept.
    """
    words, concepts = _ordered_words(phrase), _lexicon().concepts
    while words:
        for start in range(len(words)):
            ending = "".join(words[start:])
            if start in (0, len(words) - 1) or ending in concepts:
                broader = _broader(ending, words[-1])
                modifiers = frozenset(concepts.get(word, word) for word in words[:start])
                yield _Reading(concepts.get(ending, ending), broader, modifiers)
        words = words[:-1] if _NAMING_HEAD.fullmatch(words[-1]) else []


_PREPOSITION = re.compile(r"\s(?:of|in|for|from|by|with|at|on|to|per)\s")


_IGNORED = re.compile("a|an|the|s|named|other|of|in|for|from|by|with|at|on|to|per|and|or")


# Not `\w+`, which would take the vowel signs of Indian scripts for the ends of words.
_WORD = re.compile(r"[^\s!-\"$-*,-/:-@\[-`{-~‘’“”–—]+")


def _ordered_words(phrase: str) -> list[str]:
    """Return the words that carry a phrase's meaning, in the form of `_word_form`, the head last.

    >>> _ordered_words("the districts of a city")
    ['city', 'district']
    """
    head, *rest = _PREPOSITION.split(phrase, maxsplit=1)
    words = _WORD.findall(" ".join([*rest, head]))
    return [_word_form(word) for word in words if not _IGNORED.fullmatch(word)] or words


_IRREGULAR = {
    **{"people": "person", "children": "child", "feet": "foot", "teeth": "tooth", "mice": "mouse"},
    **{"bacteria": "bacterium", "criteria": "criterion", "phenomena": "phenomenon"},
    **{"fungi": "fungus", "wolves": "wolf", "leaves": "leaf", "knives": "knife", "wives": "wife"},
    **{"news": "news", "lens": "lens", "grey": "gray", "tyre": "tire", "jewellery": "jewelry"},
}


_FORM_RULES = [
    (re.compile(pattern), form)
    for pattern, form in (
        (r"(?<=\w\w\w)(?<![sui])s$", ""),  # companies: companie, buses: buse, but bus, analysis
        (r"(?<=\w\w)ie$", "y"),  # companie: company
        (r"(?<=\w\w\w)is(?=e|ing|ation)", "iz"),  # organisation: organization
        (r"(?<=\w\w)our", "or"),  # colour: color, but hour, court
        (r"(?<=[bt])re$", "er"),  # theatre: theater
        (r"(?<=[cf])ence$", "ense"),  # licence: license
        (r"(?:(?<=log)ue|(?<=gram)me)$", ""),  # catalogue: catalog, programme: program
        (r"ll(?=er|or|ist|ing)", "l"),  # traveller: traveler
        (r"(?<=[a-z])ae", "e"),  # archaeologist: archeologist
        (r"(?<=\w\w)(?:(?<=[osxz])|(?<=[cs]h))e$", ""),  # buse: bus, heroe: hero, and house: hous
        (r"sis$", "s"),  # analysis: analys, as analyses by now
        (r"men$", "man"),
    )
]


def _word_form(word: str) -> str:
    """Return the form that a word's singular, plural and spellings share, not always a word.

    >>> [_word_form(word) for word in ("cities", "men", "organisations", "houses", "house")]
    ['city', 'man', 'organization', 'hous', 'hous']
    """
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    for pattern, form in _FORM_RULES:
        word = pattern.sub(form, word)
    return word


_PERSON = re.compile(r".*\w\w(?:er|or|ist|ian|man|person)")


# Words that end as persons do and are none. What the table has need not stand here, too.
_NOT_PERSON = re.compile(
    ".*(?:computer|factor|flower|inhibitor|liner|marker|meter|paper|power|processor|receptor|sensor|"
    "vector|water)|adapter|answer|bladder|border|browser|center|chamber|chapter|cluster|color|"
    "container|converter|corner|cover|cylinder|detector|door|error|fiber|filter|finger|flavor|floor|"
    "flour|folder|header|indicator|integer|lander|layer|letter|list|liter|matter|motor|offer|order|"
    "parser|pepper|playlist|pointer|polymer|printer|quarter|reactor|register|router|scanner|sector|"
    "server|summer|timber|tower|transformer|weather|winter"
)


def _broader(ending: str, head: str) -> frozenset[str]:
    """Return the concept of a phrase's ending and all that are broader.

    Where the table has neither the ending nor its head, the head's form may tell a person.
    """
    lexicon = _lexicon()
    pending = [lexicon.concepts.get(ending, ending)]
    if lexicon.concepts.keys().isdisjoint((ending, head)) and not _NOT_PERSON.fullmatch(head):
        pending += ["person"] if _PERSON.fullmatch(head) else []
    found: set[str] = set()
    while pending:
        found.add(concept := pending.pop())
        pending += lexicon.broader.get(concept, set()) - found
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class _Lexicon:
    """`_TABLE`: the concept of each term, and what is one step broader than a concept."""

    concepts: dict[str, str]
    broader: dict[str, set[str]]


@lru_cache(1)
def _lexicon() -> _Lexicon:
    lexicon = _Lexicon({}, {})
    for synonyms, _ in _entries():
        lexicon.concepts.update(dict.fromkeys(map(_joined, synonyms), _joined(synonyms[0])))
    for synonyms, narrower in _entries():
        for term in map(_joined, narrower):
            concept = lexicon.concepts.setdefault(term, term)
            lexicon.broader.setdefault(concept, set()).add(_joined(synonyms[0]))
    return lexicon


def _joined(term: str) -> str:
    return "".join(_ordered_words(term))


def _entries() -> Iterator[tuple[list[str], list[str]]]:
    """Yield the synonyms and the narrower concepts of each entry of `_TABLE`, as they stand."""
    for entry in re.split(r";|\n+(?! )", _TABLE.strip()):
        synonyms, _, narrower = entry.partition(":")
        yield re.findall(r"[^\s,][^,]*", synonyms), re.findall(r"[^\s,][^,]*", narrower)


# An entry is synonyms and, behind a colon, the narrower concepts that they cover, which may have
# entries of their own. Entries end with the line or a semicolon; indented lines go on with one.
_TABLE = """
name: person, alias, username, code name
person, human, individual, human being, per: man, woman, child, boy, girl, politician, monarch,
    scientist, artist, writer, athlete, doctor, lawyer, relative, character, deity, saint, tenant,
    pope, victim, suspect, defendant, plaintiff, candidate, witness, patient, student, pupil,
    friend, colleague, employee, client, guest, host, judge, chef, cook, pilot, nurse, priest, monk,
    nun, bishop, captain, coach, general, admiral, chief, chief executive, resident, parent, clerk,
    recipient, convict, hero, knight, secretary, assistant, detective, entrepreneur, executive, spy,
    expert, official, celebrity, historical figure, public figure, professional, scholar, laureate,
    delegate, diplomat, envoy, mechanic, critic, merchant, servant, astronaut, consultant, refugee,
    participant, heir, applicant, attendee, artisan, signatory, surname, last name, first name,
    full name, nickname
politician, statesman: president, minister, senator, governor, mayor, councillor, mp, chancellor,
    member of parliament, head of state, head of government
monarch, ruler, sovereign, royal: king, queen, emperor, empress, sultan, prince, princess, regent
scientist, researcher: physicist, chemist, biologist, mathematician, astronomer, geologist,
    psychologist, economist, engineer, biochemist, geophysicist, botanist
artist: painter, sculptor, musician, actor, dancer, photographer, architect, filmmaker
musician, musical artist, music artist: singer, composer, drummer, pianist, guitarist, violinist,
    bandleader, songwriter, singer-songwriter, rapper, conductor
writer, author: novelist, poet, journalist, playwright, historian, biographer, columnist
athlete, sportsperson, player: footballer, cyclist, runner, swimmer, boxer, golfer, cricketer
footballer, football player, soccer player; doctor, physician: surgeon, psychiatrist, cardiologist
actor, actress; singer, vocalist; lawyer, attorney, solicitor; spouse, partner: husband, wife
relative, family member: father, mother, son, daughter, brother, sister, spouse, cousin, ancestor
character, fictional character; deity, god, goddess
chief executive, ceo, chief executive officer

group: organization, ethnic group
organization, org, institution: company, government, agency, government agency, school, hospital,
    team, party, band, charity, union, council, court, committee, museum, newspaper, league, fund,
    society, association, foundation, institute, department, laboratory, consortium, cooperative,
    army, alliance, federation, media outlet, parliament, congress, police, religious order, church,
    commission, regulator, authority, orchestra, library
company, firm, corporation, business, enterprise, startup: manufacturer, airline, bank, retailer,
    insurer, brand, supplier, employer, publisher, studio, broadcaster, lender, record label,
    vendor, contractor, provider, conglomerate, restaurant, hotel, subsidiary, operator, carrier
manufacturer, maker, producer: carmaker; carmaker, automaker, car manufacturer
store, shop, retailer: supermarket, online marketplace; brand, make; team, club
government agency, government body, government department, ministry; charity, nonprofit, ngo
school, educational institution, educational organization: university, academy; university, college
party, political party; band, musical group, music group; union, trade union, labour union
army, military, armed forces: navy, air force, regiment, battalion, brigade, military unit

location, loc, place, site, geo, locality: gpe, settlement, region, facility, body of water, park,
    mountain, island, archipelago, continent, street, landmark, valley, forest, desert, birthplace,
    hometown, peninsula, coast, beach, cave, glacier, venue, address, destination, workplace, port,
    tourist attraction, point of interest, mine, neighbourhood, cemetery, celestial body
gpe, geopolitical entity: country, city, state, region, settlement
country, nation: kingdom, republic, empire; city, town, municipality: capital
settlement: city, village, hamlet; state, province; street, road, avenue, highway
region, area, territory: state, county, neighbourhood, continent, parish, zone
neighbourhood, district, borough, suburb, quarter, ward; church, temple, mosque, place of worship
body of water, waterway: river, lake, ocean, sea, bay, canal, stream
mountain, hill, peak: mountain range, volcano; port, harbour
celestial body, celestial object, astronomical object: planet, star, moon, galaxy
facility, fac, building, structure: airport, station, bridge, port, hospital, museum, stadium, pub,
    school, hotel, restaurant, church, theatre, skyscraper, prison, castle, palace, fort, library,
    factory, laboratory, house, tower, tunnel, monument, observatory, centre

time, timestamp: date, duration, hour, minute, season, era; day, weekday; era, epoch
date: year, month, day, week, decade, century, season, deadline, holiday, birthday
duration, period, interval, time span

number, numeral, cardinal, count, total: quantity, ordinal, score, rating, age, death toll
quantity, amount, measurement, measure, size, dimension: money, percentage, distance, weight,
    volume, temperature, speed, duration, dosage, concentration, capacity, frequency, rate
money, monetary value, monetary amount: price, salary, tax, rent, fine, budget, revenue, loan,
    donation, payment, currency
price, cost, fee, fare, charge; salary, wage, pay; percentage, percent, proportion, ratio
distance, length, height, depth, width; weight, mass; speed, velocity; dose, dosage

event, incident: war, festival, conference, competition, election, ceremony, protest, disaster,
    attack, accident, holiday, concert, exhibition, meeting, revolution, crime, wedding
war, battle, conflict; competition, tournament, championship, contest: match, league, race
disaster, catastrophe: earthquake, hurricane, flood, storm; crime, offence

product, prod, goods, commodity, merchandise: device, vehicle, software, weapon, clothing, brand,
    toy, drug, book, game, accessory
device, gadget, machine, apparatus, equipment, appliance: tool, instrument, computer, phone
phone, smartphone, mobile phone; part, component; instrument, musical instrument; car, automobile
software, app, application, computer program: operating system, video game, malware
vehicle: car, ship, aircraft, train, motorcycle, bus, truck, bicycle, spacecraft
ship, vessel, boat: ocean liner, submarine, warship; aircraft, plane, airplane, aeroplane
clothing, garment, apparel, clothes: footwear, shirt, dress

work, creative work, artwork, art: film, song, book, painting, sculpture, poem, play, album, show,
    video game, music, opera, musical, ballet
film, movie; song, track, tune; book: novel, textbook
show, tv series, television series, tv program, television program
document: report, contract, law, treaty, agreement, certificate, publication
publication: newspaper, magazine, journal, book, article; award, prize, honour, medal
law, legislation, statute, act, regulation; occupation, profession, job, position, role, title
norp: nationality, ethnic group, religion, party; nationality, citizenship, demonym
ethnic group, ethnicity, tribe; religion, religious group, faith, denomination

condition: disease, symptom; symptom, sign
disease, illness, disorder, sickness, ailment, syndrome, medical condition: cancer, infection,
    tumour, allergy
side effect, adverse effect, adverse event, adverse reaction, adverse drug reaction
treatment, therapy, intervention, remedy: drug, surgery, vaccine
drug, medication, medicine, pharmaceutical: antibiotic, vaccine, painkiller, antidepressant, nsaid
substance, material, chemical: element, metal, mineral, compound, acid, gas, fabric, drug, solvent
compound, chemical compound, molecule: acid; element, chemical element; fabric, textile
protein: enzyme, antibody; body part, anatomy, anatomical structure: organ, bone, muscle, tissue
species, organism, living thing, taxon: animal, plant, microorganism
animal, creature: mammal, bird, fish, insect, reptile, amphibian, invertebrate,
    rodent, snake, dog, cat, horse, sheep, pet, livestock
plant: tree, flower, herb, crop, shrub, vegetable, cactus
microorganism, microbe: bacterium, virus, fungus
food: dish, ingredient, fruit, vegetable, meat, cheese, snack, dessert, bread, spice
dish, meal; drink, beverage: wine, beer, cocktail

method, technique, procedure, approach: algorithm, process; subject, discipline, field, topic
website, url, web address: domain name; email, email address; identifier, id: code
phone number, telephone number, mobile number; gender, sex
"""
