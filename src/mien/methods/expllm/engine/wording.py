"""How the deterministic engine says what a face shows; every phrase is one that parse.py reads.

Braces: {how} a degree as an adverb, {what} as an adjective with its article, {side} "left" or "right".
"""

from typing import NamedTuple

from mien.facs.vocabulary import Expression


class Sided(NamedTuple):
    """Phrases for one side of the face."""

    clauses: tuple[str, ...]
    nouns: tuple[str, ...]
    plain: str


class Movement(NamedTuple):
    """Phrases for one action unit, or for two that move as one.

    clauses, nouns: ways to say it with its degree.   plain: without one, with the article it needs.
    aside: what else than an expression it may be.   full: whether at its strongest it is "full" rather than "strong".
    sided: the same for one side; only for units of which the sides are measured.
    """

    clauses: tuple[str, ...]
    nouns: tuple[str, ...]
    plain: str
    aside: str
    full: bool = False
    sided: Sided | None = None


MOVEMENTS: dict[tuple[int, ...], Movement] = {
    (1,): Movement(
        ("the inner brows are {how} raised", "the inner ends of the brows are {how} drawn up"),
        ("{what} lift of the inner brows",),
        "raised inner brows",
        "attention",
    ),
    (2,): Movement(
        ("the outer brows are {how} lifted", "the outer ends of the brows are {how} raised"),
        ("{what} lift of the outer brows",),
        "lifted outer brows",
        "attention",
    ),
    (1, 2): Movement(
        ("the brows are {how} raised", "the eyebrows are {how} lifted"),
        ("{what} raise of the brows", "{what} lift of the eyebrows"),
        "raised brows",
        "attention",
    ),
    (4,): Movement(
        ("the brows are {how} lowered", "the brows are {how} drawn together"),
        ("{what} furrow between the brows", "{what} lowering of the brows"),
        "lowered brows",
        "concentration",
    ),
    (5,): Movement(
        ("the eyes are {how} widened", "the upper lids are {how} raised"),
        ("{what} widening of the eyes",),
        "widened eyes",
        "alertness",
        full=True,
    ),
    (6,): Movement(
        ("the cheeks are {how} raised", "the cheeks are {how} lifted"),
        ("{what} lift of the cheeks",),
        "raised cheeks",
        "effort",
    ),
    (7,): Movement(
        ("the eyelids are {how} tightened", "the eyes are {how} narrowed"),
        ("{what} narrowing of the eyes", "{what} tightening of the eyelids"),
        "narrowed eyes",
        "focus",
    ),
    (9,): Movement(("the nose is {how} wrinkled",), ("{what} wrinkling of the nose",), "a wrinkled nose", "effort"),
    (10,): Movement(
        ("the upper lip is {how} raised", "the upper lip is {how} lifted"),
        ("{what} lift of the upper lip",),
        "a raised upper lip",
        "speech",
        sided=Sided(
            ("the {side} side of the upper lip is {how} raised", "the upper lip is {how} lifted on the {side}"),
            ("{what} lift of the {side} side of the upper lip",),
            "an upper lip raised on the {side}",
        ),
    ),
    (12,): Movement(
        (
            "the lip corners are {how} pulled up",
            "the corners of the mouth are {how} drawn up",
            "the mouth corners are {how} lifted",
        ),
        ("{what} smile",),
        "lifted lip corners",
        "politeness",
        full=True,
        sided=Sided(
            ("the {side} lip corner is {how} pulled up", "the {side} corner of the mouth is {how} lifted"),
            ("{what} lift of the {side} lip corner",),
            "a lifted {side} lip corner",
        ),
    ),
    (14,): Movement(
        ("the lip corners are {how} tightened", "the mouth corners are {how} tucked in"),
        ("{what} tightening of the lip corners",),
        "tightened lip corners",
        "restraint",
        sided=Sided(
            ("the {side} lip corner is {how} tightened", "the {side} corner of the mouth is {how} tucked in"),
            ("{what} tightening of the {side} lip corner",),
            "a tightened {side} lip corner",
        ),
    ),
    (15,): Movement(
        ("the lip corners are {how} pulled down", "the corners of the mouth are {how} turned down"),
        ("{what} downturn of the lip corners",),
        "lowered lip corners",
        "a serious look",
    ),
    (16,): Movement(
        ("the lower lip is {how} pulled down",), ("{what} lowering of the lower lip",), "a lowered bottom lip", "speech"
    ),
    (17,): Movement(
        ("the chin is {how} pushed up",), ("{what} upward push of the chin",), "a chin pushed up", "firmness"
    ),
    (18,): Movement(
        ("the lips are {how} puckered", "the lips are {how} pursed", "the mouth is {how} pursed"),
        ("{what} pucker of the lips",),
        "puckered lips",
        "speech",
    ),
    (20,): Movement(
        ("the lips are {how} stretched sideways", "the mouth is {how} stretched sideways"),
        ("{what} sideways stretch of the lips",),
        "stretched lips",
        "effort",
    ),
    (22,): Movement(
        ("the lips are {how} funneled", "the mouth is {how} rounded"),
        ("{what} funneling of the lips",),
        "funneled lips",
        "speech",
    ),
    (24,): Movement(
        ("the lips are {how} pressed together",), ("{what} pressing of the lips",), "pressed lips", "restraint"
    ),
    (25,): Movement(
        ("the lips are {how} parted",), ("{what} parting of the lips",), "parted lips", "speech", full=True
    ),
    (26,): Movement(
        ("the jaw is {how} dropped", "the jaw is {how} lowered"),
        ("{what} drop of the jaw",),
        "a dropped jaw",
        "speech",
        full=True,
    ),
    (25, 26): Movement(
        ("the mouth is {how} opened", "the mouth is {how} open"),
        ("{what} opening of the mouth",),
        "an open mouth",
        "speech",
        full=True,
    ),
    (28,): Movement(
        ("the lips are {how} rolled inward",), ("{what} inward roll of the lips",), "lips rolled inward", "restraint"
    ),
    (43,): Movement(
        ("the eyelids are {how} lowered",),
        ("{what} lowering of the eyelids",),
        "lowered eyelids",
        "a downward glance",
        full=True,
    ),
}

# By the index of the band in mien.facs.units.BANDS. A unit that is inferred from others gets no degree.
HOW = {
    1: ("barely", "very slightly"),
    2: ("slightly", "a little", "subtly"),
    3: ("moderately", "noticeably"),
    4: ("strongly", "markedly"),
    5: ("very strongly",),
}
WHAT = {
    1: ("a barely visible", "a very slight"),
    2: ("a slight", "a subtle", "a faint"),
    3: ("a moderate", "a noticeable"),
    4: ("a strong", "a marked"),
    5: ("a very strong",),
}
FULL_HOW = HOW | {4: ("markedly",), 5: ("fully", "completely")}
FULL_WHAT = WHAT | {4: ("a marked",), 5: ("a full",)}

# Names of the look itself; none says what a person feels.
LOOKS = {
    Expression.NEUTRAL: ("a neutral face", "a face at rest"),
    Expression.HAPPINESS: ("happiness", "a happy look", "a cheerful look"),
    Expression.SURPRISE: ("surprise", "a surprised look", "a startled look"),
    Expression.SADNESS: ("sadness", "a sad look", "a sorrowful look"),
    Expression.ANGER: ("anger", "an angry look", "a cross look"),
    Expression.DISGUST: ("disgust", "a disgusted look", "aversion"),
    Expression.FEAR: ("fear", "a fearful look", "alarm"),
    Expression.CONTEMPT: ("contempt", "a scornful look", "disdain"),
}

# What several marks make together: the units that must all be named, and what they make; the first that fits is used.
PATTERNS: dict[Expression, tuple[tuple[tuple[int, ...], str], ...]] = {
    Expression.NEUTRAL: (),
    Expression.HAPPINESS: (
        ((6, 12, 25), "an open smile that takes in the eyes"),
        ((6, 12), "a smile that takes in the eyes"),
        ((12, 25), "an open smile"),
    ),
    Expression.SURPRISE: (
        ((1, 2, 5, 26), "the whole pattern of surprise"),
        ((2, 5, 26), "most of the pattern of surprise"),
        ((1, 2, 26), "most of the pattern of surprise"),
        ((1, 2, 5), "the upper half of the pattern of surprise"),
        ((5, 26), "the outline of surprise"),
    ),
    Expression.SADNESS: (
        ((1, 4, 15), "the whole pattern of sadness"),
        ((1, 4), "the oblique forehead of sorrow"),
        ((4, 15), "a downcast pattern"),
        ((15, 17), "the downcast pattern of someone near tears"),
        ((4, 43), "a pattern between sorrow and effort"),
        ((15, 43), "a downcast pattern"),
    ),
    Expression.ANGER: (
        ((4, 7, 24), "the whole tension of anger"),
        ((4, 24), "the tension of anger"),
        ((4, 7), "the stare of anger"),
        ((4, 10), "something close to a snarl"),
        ((10, 25), "something close to a snarl"),
        ((4, 25), "the pattern of someone shouting"),
    ),
    Expression.DISGUST: (
        ((9, 10), "the pattern of aversion"),
        ((10, 17), "the pattern of aversion"),
        ((4, 10), "the pattern of aversion"),
        ((4, 17), "an unwilling pattern"),
        ((4, 43), "the pattern of someone shrinking from a sight"),
    ),
    Expression.FEAR: (
        ((1, 2, 4, 5), "the whole upper pattern of fear"),
        ((1, 5, 20), "the pattern of fear"),
        ((1, 2, 5), "the pattern of alarm"),
        ((1, 5), "the pattern of alarm"),
        ((5, 20), "the pattern of alarm"),
        ((1, 20), "a pattern of worry"),
    ),
    Expression.CONTEMPT: (),
}

# Ways to bind observations together, by how many there are: {n1} a noun phrase, {c1} a clause; capitals open a sentence
# What "stands out" must be at least moderate.
SUPPORT: dict[int, tuple[str, ...]] = {
    1: (
        "{C1}, {mark} of {look}.",
        "There is {n1}, {mark} of {look}.",
        "{N1} stands out, {mark} of {look}.",
        "{MARK} of {look} is here: {n1}.",
        "What speaks for {look} is {n1}.",
    ),
    2: (
        "{C1} and {c2}, {marks} of {look}.",
        "There is {n1} along with {n2}, {marks} of {look}.",
        "{C1}, {mark} of {look}; {c2} as well.",
        "{N1} and {n2} stand out, {marks} of {look}.",
        "{MARKS} of {look} are here: {n1} and {n2}.",
        "What speaks for {look} is {n1}, together with {n2}.",
    ),
    3: (
        "{C1}, {mark} of {look}; {c2} and {c3} as well.",
        "{N1} and {n2} come with {n3}, {marks} of {look}.",
        "{N1}, {n2} and {n3} stand out, {marks} of {look}.",
        "{MARKS} of {look} are here: {n1}, {n2} and {n3}.",
        "What speaks for {look} is {n1}, together with {n2} and {n3}.",
        "There is {n1}; {c2} and {c3}, {marks} of {look}.",
        "{C1} and {c2}, {marks} of {look}; {c3} as well.",
        "With {n1} come {n2} and {n3}, {marks} of {look}.",
    ),
}
MARK = {True: ("a main mark", "a key sign"), False: ("a usual companion", "a frequent part")}
MARKS = {True: ("main marks", "key signs"), False: ("usual parts", "common features")}
AGAINST: dict[int, tuple[str, ...]] = {
    1: ("{C1}, which does not quite fit.", "{N1} tempers this.", "Against this, {c1}."),
    2: ("{C1} and {c2}, which does not quite fit.", "{N1} and {n2} temper this."),
}
OTHER: dict[int, tuple[str, ...]] = {
    1: ("{C1}, which may be no more than {aside}.", "{N1} may be no more than {aside}.", "{C1}, perhaps from {aside}."),
    2: (
        "{C1} and {c2}, which are no marks of {look}.",
        "{N1} and {n2} are no marks of {look}.",
        "{C1} and {c2}; neither is a mark of {look}.",
    ),
}
# The same of a face that is called neutral.
MORE: dict[int, tuple[str, ...]] = {
    1: OTHER[1],
    2: ("{C1} and {c2}, more than in a face at rest.", "{N1} and {n2} are more than a face at rest shows."),
}
RESTING: dict[int, tuple[str, ...]] = {
    1: ("{C1}; the rest of the face is calm.", "There is {n1}, and little else moves.", "{N1} is all that moves."),
    2: ("{C1} and {c2}; the rest of the face is calm.", "{N1} and {n2} are all that moves."),
    3: ("{C1}; {c2} and {c3}, while the rest of the face is calm.", "{N1}, {n2} and {n3} are all that moves."),
}
STILL = (
    "No marked movement is visible in this face: the forehead, the eyes and the mouth are all at rest.",
    "Nothing moves clearly: the forehead is smooth, and both the eyes and the mouth are at rest.",
    "The face is still, with the forehead, the eyes and the mouth all at rest.",
)
REGIONS = {
    "the brows": (1, 2, 4),
    "the eyes": (5, 7, 43),
    "the mouth": (10, 12, 14, 15, 16, 17, 18, 20, 22, 24, 25, 26, 28),
}
QUIET = ("No clear movement is seen around {regions}.", "Around {regions}, no clear movement is seen.")
# In place of a sentence that could not be written truly, by part, where nothing else is left to say.
NOTHING = ("No movement stands out.", "No known pattern of expression comes of what moves.")
UNCLEAR = "The face is unclear: about {few} of ten people could read it."
GUESS = "so what is said of it is a guess"
TURNED = ("The head is turned, so one half is seen less well.", "The head is turned and shows one half less well.")

# Interpretations.
COMBINED = ("{Plain} add up to {made}.", "{Plain} combine into {made}.", "Seen as one, {plain} make {made}.")
POINTS = (
    "{Plain} {point} to {look}, though the pattern is not complete.",
    "The pattern is not complete, yet {plain} {point} to {look}.",
    "{Plain} {suggest} {look}, if not its whole pattern.",
)
ONE_SIDED = ("{Plain} {make} the uneven pattern of scorn.", "The uneven pattern of scorn comes from {plain}.")
UNMARKED = (
    "None of the usual marks of {look} stands out, so the impression rests on the face as a whole.",
    "The usual marks of {look} are hard to see here, and the impression rests on the face as a whole.",
)
HEDGES = ("The case is not clear-cut.", "The signs are mixed.", "This is not a clear-cut case.")
AT_REST = (
    "With so little movement, no group of muscles forms a pattern of expression.",
    "These small movements do not add up to any known pattern of expression.",
    "Nothing here adds up to one of the known patterns of expression.",
)
UNRELATED = (
    "These movements do not add up to any known pattern of expression.",
    "Each movement stands alone, and no known pattern of expression comes of them.",
    "Taken one by one or as a whole, these movements form no known pattern of expression.",
)
COMPETING = ("{Plain} also {fit} {rival}.", "Some support for {rival} comes from {plain}.")
POSSIBLE = ("A reading as {rival} remains possible.", "There is some room for {rival}.")
RULED_OUT = ("Without {plain}, {rival} is less likely.", "The absence of {plain} speaks against {rival}.")

# Conclusions; the label is the last word of the first sentence. The long ones go with short observations.
CONCLUSIONS = (
    "The visible expression is best described as {label}.",
    "On the whole, the face is best read as {label}.",
    "On balance, the visible expression reads as {label}.",
    "Overall, the expression shown is {label}.",
)
LONG_CONCLUSIONS = (
    "Judged by what can be seen of it, the expression on this face is best described as {label}.",
    "From all that is visible in this picture, the expression of the face is best read as {label}.",
)
HEDGED_CONCLUSIONS = (
    "With some doubt, the visible expression is read as {label}.",
    "The visible expression comes closest to {label}.",
    "On balance, and with some doubt, the face reads as {label}.",
)
LONG_HEDGED_CONCLUSIONS = (
    "Judged by what can be seen of it, the expression on this face comes closest to {label}.",
    "With some doubt, and from what is visible in this picture, the expression is read as {label}.",
)
# From this share of the votes on, what the second sentence says.
CROWD = (
    (0.9, ("Nearly all viewers saw it this way.", "Viewers agreed almost without exception.")),
    (0.6, ("Most viewers saw it this way.", "A clear majority of viewers agreed.")),
    (0.4, ("About half of the viewers saw it this way.", "About half of the viewers agreed.")),
    (0.0, ("Only a minority of viewers saw it this way.", "Viewers were divided over it.")),
)
# What comes next, where it has a good part of the shares, and what speaks for it.
NEXT = ("For {rival}, which comes next, {plain} {speak}.", "{Plain} {speak} for {rival}, which comes next.")
NEXT_UNMARKED = ("Nothing measured speaks for {rival}, which comes next.",)
NEXT_NEUTRAL = ("A neutral face comes next.", "What comes next is a neutral face.")
NEXT_QUIET = ("A neutral face comes next, since little moves.",)

# From this probability on, how sure the model is; for how many of 100 faces it is correct then says sureness.py.
SURE = (
    (0.9, "The model is sure: about {right} of 100 such answers are correct."),
    (0.7, "The model is fairly sure: about {right} of 100 such answers are correct."),
    (0.5, "The model is unsure: about {right} of 100 such answers are correct."),
    (0.0, "The model cannot tell: about {right} of 100 such answers are correct."),
)
