"""The words in which people tell what a face does, and the action units that they name.

A movement is a part of the face and what it does: `MOVES` says which action units the two make. A few words,
such as "smile", name a movement by themselves. Patterns are for lower-case text; parse.py puts them
together.
"""

import re
from typing import NamedTuple

from mien.facs.units import BANDS
from mien.facs.vocabulary import ActionUnit

_OWNER = r"(?:(?:the|his|her|their|its|both|each|this|that) )*"
_SIDE = r"(?:(?:left|right|one|either|both)(?:[ -]sided?| hand| half| corner| end)?(?: of)? )?"
_BROW = r"(?:eye-?)?brows?"
_LID = r"(?:eye-?)?lids?"
_ENDS = r"(?:ends?|corners?|parts?|portions?|edges?|tips?|halves|half|sections?)"

# Longer ones first: "upper lip" before "lip".
PARTS = {
    "inner brow": rf"inner {_ENDS} of {_OWNER}{_SIDE}{_BROW}|inner {_BROW}(?: {_ENDS})?",
    "outer brow": rf"outer {_ENDS} of {_OWNER}{_SIDE}{_BROW}|outer {_BROW}(?: {_ENDS})?",
    "brow": _BROW,
    "eye corner": rf"(?:outer )?corners? of {_OWNER}{_SIDE}eyes?|eye corners?",
    "upper lid": rf"upper {_LID}",
    "lower lid": rf"lower {_LID}",
    "lid": _LID,
    "eye": r"eyes?",
    "cheek": r"cheeks?",
    "nose": r"nose(?: bridge)?|bridge of the nose",
    "lip corner": r"(?:lip|mouth) corners?|corners? of (?:\w+ ){0,2}(?:mouth|lips?)|corners?(?! of)",
    "upper lip": r"upper lips?|top lip",
    "lower lip": r"lower lips?|bottom lip",
    "lip": r"lips?",
    "mouth": r"mouth",
    "chin": r"chin(?: boss)?",
    "jaw": r"jaws?",
    "teeth": r"(?:(?:upper|lower|top|bottom|front) )?teeth",
}

ACTIONS = {
    "close": r"clos(?:es|ed|ing)|(?:screw|squeez|pinch)(?:es|s|ed|ing)? (?:\w+ly )?shut|shut(?:s|ting)?|sealed",
    "press": r"press(?:ed|es|ing)?(?:(?: \w+){0,2} together)?|compress(?:ed|es|ing|ion)?|clamp(?:ed|ing)(?: shut)?"
    r"|(?:in|into|to) an? (?:\w+ )?(?:thin|tight|straight|hard|firm) line|squeezed together",
    "gape": r"wide(?:ly)?[- ]open(?:ed)?|open(?:s|ed|ing)? (?:\w+ly )?(?:very )?wide|gap(?:es?|ing)|agape"
    r"|stretched (?:wide )?open"
    r"|(?:drop(?:s|ped|ping)?|f(?:all|alls|allen|ell)|h(?:angs?|anging|ung)) open",
    "push": r"(?:push|shov|thrust)(?:ed|es|ing)?(?: \w+ly)? up(?:wards?)?|upward push|bunch(?:ed|es|ing)?(?: up)?",
    "frown": r"(?:in|into) an? (?:\w+ )?(?:frown|scowl)",
    "raise": r"rais(?:es?|ed|ing)",
    "up": r"(?:up)?lift(?:s|ed|ing)?(?: up(?:wards?)?)?|up(?:wards?)?|upturn(?:ed)?|elevat(?:ed|es|ing|ion)"
    r"|arc(?:h|ed|hed|s|hes|hing)?"
    r"|ris(?:es?|en|ing)|rose|(?:hik|hitch|hoist|cock|quirk|perk)(?:es?|s|ed|ing)?(?: up)?|retract(?:s|ed|ing)?",
    "down": r"lower(?:ed|s|ing)|lower(?= than)"
    r"|(?:(?<=brows )|(?<=lids )|(?<=corners ))lower|down(?:wards?)?|downturn(?:ed)?"
    r"|droop(?:s|ed|ing|y)?|sag(?:s|ged|ging)?"
    r"|depress(?:ed|es|ing)|drop(?:s|ped|ping)?(?: down)?|f(?:all|alls|allen|ell)|dips?|dipped|slump(?:s|ed)?",
    "hang": r"h(?:angs?|anging|ung)(?: down| low)?|slack|loose|at half[- ]mast|heavy",
    "together": r"(?<=\w )together(?! make| form| give)|knit(?:s|ted|ting)?|furrow(?:s|ed|ing)?|creas(?:es?|ed|ing)"
    r"|contract(?:s|ed|ing)|pinched|knotted"
    r"|(?:vertical )?lines?(?= between)",
    "wide": r"wid(?:e|en|ens|ened|ening)|huge|enormous|like (?:saucers|(?:dinner )?plates)"
    r"|bulg(?:es?|ed|ing)|pop(?:s|ped|ping)?(?: out)?",
    "narrow": r"narrow(?:s|ed|ing)|(?<=eyes )narrow|squint(?:s|ed|ing|y)?|(?:to|into) slits|slitted",
    "screw": r"(?:screw|squinch)(?:s|ed|ing)?(?: up)?",
    "tighten": r"tighten(?:s|ed|ing)?|tens(?:e|ed|es|ing|ion)",
    "tight": r"tight",
    "part": r"part(?:s|ed|ing)|apart|separat(?:es?|ed|ing)|open(?:s|ed|ing)?|ajar",
    "wrinkle": r"wrinkl(?:es?|ed|ing)|scrunch(?:ed|es|ing)?(?: up)?|crumpl(?:ed|es|ing)",
    "crinkle": r"crinkl(?:es?|ed|ing)",
    "stretch": r"stretch(?:es|ed|ing)?(?: sideways| wide)?|sideways|horizontally|laterally|back(?:wards?)?|outwards?",
    "purse": r"purs(?:es?|ed|ing)|pucker(?:s|ed|ing)?|protrud(?:es?|ed|ing)"
    r"|(?:push|thrust|jut|stick|stuck)(?:ed|s|ing|ting)? (?:out|forward)",
    "funnel": r"funnel(?:l?ed|l?ing|s)?(?: forward)?|into a funnel|round(?:ed|ing)",
    "o": r"an? (?:\w+ ){0,2}o(?: shape)?|an? oval",
    "suck": r"suck(?:ed|s|ing)?(?: in(?:wards?)?)?|roll(?:ed|s|ing)?(?: \w+ly)? in(?:wards?)?|inward roll(?:ing)?"
    r"|tuck(?:ed|s|ing)?(?: \w+ly)?(?: in(?:wards?)?)?|fold(?:ed|s|ing)? in(?:wards?)?|drawn in(?:wards?)?|inwards?",
    "dimple": r"dimpl(?:es?|ed|ing)",
    "curl": r"curl(?:s|ed|ing)?",
    "show": r"show(?:s|n|ing)?|visible|expos(?:es?|ed|ing)|bar(?:es?|ed|ing)|reveal(?:s|ed|ing)?"
    r"|(?:on )?(?:\w+ )?display",
}

# What a part does, to the action units that this names; below 0, those that it denies.
MOVES: dict[tuple[str, str], tuple[int, ...]] = {
    ("inner brow", "raise"): (1,), ("inner brow", "up"): (1,), ("inner brow", "push"): (1,),
    ("inner brow", "together"): (4,), ("inner brow", "down"): (4,),
    ("outer brow", "raise"): (2,), ("outer brow", "up"): (2,),
    ("brow", "raise"): (1, 2), ("brow", "up"): (1, 2),
    ("brow", "down"): (4,), ("brow", "together"): (4,), ("brow", "frown"): (4,), ("brow", "wrinkle"): (4,),
    ("brow", "push"): (4,), ("brow", "tighten"): (4,), ("brow", "suck"): (4,),
    ("upper lid", "raise"): (5,), ("upper lid", "up"): (5,), ("lid", "raise"): (5,), ("lid", "up"): (5,),
    ("lid", "wide"): (5,), ("eye", "wide"): (5,), ("eye", "gape"): (5,),
    ("lid", "tighten"): (7,), ("lid", "narrow"): (7,), ("lower lid", "tighten"): (7,), ("lower lid", "raise"): (7,),
    ("lower lid", "up"): (7,), ("eye", "narrow"): (7,), ("eye", "tighten"): (7,), ("eye", "screw"): (7,),
    ("lid", "down"): (43,), ("lid", "hang"): (43,), ("lid", "close"): (43,),
    ("upper lid", "down"): (43,), ("eye", "close"): (43,),
    ("eye corner", "wrinkle"): (6,), ("eye corner", "crinkle"): (6,), ("eye", "crinkle"): (6,),
    ("cheek", "raise"): (6,), ("cheek", "up"): (6,), ("cheek", "push"): (6,),
    ("nose", "wrinkle"): (9,), ("nose", "crinkle"): (9,), ("nose", "screw"): (9,),
    ("upper lip", "raise"): (10,), ("upper lip", "up"): (10,), ("upper lip", "curl"): (10,),
    ("upper lip", "push"): (10,),
    ("lip", "curl"): (10,),
    ("lip corner", "raise"): (12,), ("lip corner", "up"): (12,), ("mouth", "up"): (12,), ("lip", "up"): (12,),
    ("lip corner", "tighten"): (14,), ("lip corner", "suck"): (14,), ("lip corner", "dimple"): (14,),
    ("mouth", "dimple"): (14,), ("cheek", "dimple"): (14,),
    ("lip corner", "down"): (15,), ("mouth", "down"): (15,), ("mouth", "frown"): (15,), ("lip", "down"): (15,),
    ("lower lip", "down"): (16,),
    ("chin", "push"): (17,), ("chin", "wrinkle"): (17,), ("lower lip", "push"): (17,),
    ("lip", "purse"): (18,), ("mouth", "purse"): (18,), ("lower lip", "purse"): (18,),
    ("lip", "stretch"): (20,), ("mouth", "stretch"): (20,), ("lip corner", "stretch"): (20,),
    ("lip", "funnel"): (22,), ("mouth", "funnel"): (22,),
    ("lip", "press"): (24,), ("mouth", "press"): (24,), ("lip", "tight"): (24,), ("lip", "tighten"): (24,),
    ("mouth", "tighten"): (24,),
    ("mouth", "tight"): (24,),
    ("lip", "part"): (25,), ("lip", "gape"): (25,), ("teeth", "show"): (25,),
    ("mouth", "part"): (25, 26), ("mouth", "gape"): (25, 26), ("mouth", "o"): (25, 26), ("mouth", "hang"): (25, 26),
    ("lip", "together"): (-25,), ("lip", "close"): (-25,), ("mouth", "close"): (-25, -26),
    ("jaw", "down"): (26,), ("jaw", "hang"): (26,), ("jaw", "part"): (26,), ("jaw", "gape"): (26,),
    ("lip", "suck"): (28,), ("upper lip", "suck"): (28,), ("lower lip", "suck"): (28,),
}  # fmt: skip

# Words that name a movement alone. "AU12" and "lip corner puller" do too.
ALONE = {
    r"smil(?:es?|ed|ing)(?! lines?)|grin(?:s|ned|ning)?|beam(?:s|ed|ing)": (12,),
    r"smirk(?:s|ed|ing)?": (12,),
    r"frown(?:s|ed|ing)?|scowl(?:s|ed|ing)?": (4,),
    r"sneer(?:s|ed|ing)?": (10,),
    r"squint(?:s|ed|ing)?": (7,),
    r"pout(?:s|ed|ing|y)?|pucker(?:s|ed|ing)? up": (18,),
    r"crow's[- ]feet": (6,),
    r"toothy": (25,),
    r"wide[- ]eyed": (5,),
    r"open[- ]mouthed|slack[- ]jawed": (25, 26),
    r"tight[- ]lipped": (24,),
}
NAMES = {unit.label: (int(unit),) for unit in ActionUnit} | {r"lip corner pull(?! down)": (12,), "chin raise": (17,)}


class Degree(NamedTuple):
    """Words of an intensity and the index of their band in mien.facs.units.BANDS."""

    words: str
    band: int


TRACE, SLIGHT, MODERATE, PRONOUNCED, EXTREME = range(1, len(BANDS))
DEGREES = (
    Degree(
        r"very (?:slight|faint|mild|small)(?:ly)?|very subtl[ey]|minimal(?:ly)?"
        r"|barely|hardly|scarcely|traces?|hints?|ghost",
        TRACE,
    ),
    Degree(
        r"slight(?:ly)?|subtl[ey]|faint(?:ly)?|mild(?:ly)?|a little|a bit|a touch|tiny|somewhat|small"
        r"|soft(?:ly)?|gent(?:le|ly)|light(?:ly)?|weak(?:ly)?",
        SLIGHT,
    ),
    Degree(r"very (?:strong|marked|pronounced|deep|tight)(?:ly)?|extreme(?:ly)?|full(?:y)?|maximal(?:ly)?", EXTREME),
    Degree(r"complete(?:ly)?|wide(?:ly)?|from ear to ear", EXTREME),
    Degree(r"moderate(?:ly)?|noticeabl[ey]|fair(?:ly)?", MODERATE),
    Degree(
        r"pronounced(?:ly)?|marked(?:ly)?|strong(?:ly)?|notabl[ey]|significant(?:ly)?|firm(?:ly)?|tightly|deep(?:ly)?"
        r"|big|huge|broad(?:ly)?|sharp(?:ly)?|heav(?:y|ily)|hard|high|very|distinct(?:ly)?|considerabl[ey]",
        PRONOUNCED,
    ),
)

# What may stand between a part and what it does, or between a degree and what it is a degree of.
# Without going back (*+), which would take twice as long with every word that fits two of these.
LINKS = re.compile(
    r"(?:[\s,()-]|\b(?:\w+ly|is|are|was|were|be|been|being|gets?|has|have|had|do|does|did|that|which|also|both|all|so|"
    r"very|quite|rather|a|an|the|in|to|of|into|at|on|his|her|their|its|little|bit|more|most|much|somewhat|just|still|"
    r"almost|nearly|half|and|or|but|yet|as|well|"
    r"not|never|no|longer|isn't|aren't|wasn't|weren't|"
    r"pull(?:s|ed|ing)?|draw(?:s|n|ing)?|turn(?:s|ed|ing)?|push(?:es|ed|ing)?|tug(?:s|ged)?|squeezed?|mov(?:es?|ed|ing)|"
    r"go(?:es)?|gone|went|shoots?|shot|com(?:es?|ing)|came|fl(?:y|ies|ew)|creeps?|crept|jerk(?:s|ed)?|snap(?:s|ped)?|twitch(?:es|ed|ing)?|"
    r"l(?:ie|ies|ay)|feels?|felt|like|way|ever|there|held|kept|shows?|any|must|should|can|may|will|winks?|winking|looks?|appears?|seems?|remains?|stays?|set|forms?|makes?|curv(?:es?|ed)|"
    r"left|right|one|sides?|visible|degree|slight|subtle|faint|mild|small|gentle|light|weak|moderate|noticeable|"
    r"pronounced|marked|strong|notable|significant|firm|deep|big|broad|sharp|heavy|hard|high|full|extreme|minimal)\b)*+"
)
# What may stand between a movement and its part, in this order: "a slight lift of the left eyebrow".
OF = re.compile(
    r"(?:[\s-]|\b(?:the|his|her|their|its|both|each|a|an|of|in|on|at|around|between|about|left|right|one|sides?|"
    r"pull(?:s|ing)?|tug|movement|motion|turn|slant|curve|\w+ly)\b)*"
)
# What may stand between two movements that precede their part: "a slight pucker and a strong funneling of the lips".
AND = re.compile(
    r",?\s(?:and |or )?(?:(?:a|an|the|very|\w+ly|visible|slight|"
    r"subtle|faint|moderate|noticeable|marked|strong|full) )*"
)

NEGATORS = re.compile(
    r"\b(?:no(?! doubt| more than)|not(?! only| just| merely| quite| fully| entirely| completely)|without|neither|nor|"
    r"never|none|nothing(?! but)|free of|lack(?:s|ing)?|absence of|rather than|instead of|"
    r"hardly any|cannot|fail(?:s|ed)? to|\w+n't)\b"
)
# A denial reaches no further than these.
ENDS_DENIAL = re.compile(
    r"\b(?:but|yet|only|while|whereas|although|though|however|just|except|besides|other than|apart from)\b"
    r"|\band (?:the|his|her|their|its|both)\b"
)
DENIED_AFTER = re.compile(
    r"(?:\s\w+){0,3}\s(?:is|are|was|were) (?:absent|missing|lacking|not (?:seen|visible|present|there))\b"
    r"|\s(?:isn't|aren't) (?:seen|visible|present|there)\b"
    r"|(?:\s(?!that\b)\w+){0,7}\s(?:vanish(?:ed|es)|disappear(?:ed|s)|fad(?:ed|es)|(?:is|was) gone)\b"
)
SUPPOSED = re.compile(r"\b(?:as (?:if|though)|(?<!even )if(?! any)|whether)\b")
# A part after these is where something is, not what moves.
PLACES = re.compile(r"\b(?:over|under|around|near|above|below|beneath|beside|between|with|across) (?:\w+ )?$")

SIDES = re.compile(
    r"\b(?:(?P<same>same side)|(?P<one>one[- ]side(?:d)?|one (?:\w+ )?corner|"
    r"unilateral(?:ly)?|lopsided|asymmetric(?:al)?(?:ly)?)"
    r"|(?P<named>left|right)|(?P<single>one))\b"
)
